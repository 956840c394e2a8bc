"""`vidssl trace`: what made a figure, and whether that is still the same."""

import json
import shutil

import pytest
from tiny_project import leave_record, make_project

from vidssl import cli, runs
from vidssl.runs.parameters import notebook_path


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = make_project(tmp_path / "project")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def root(project):
    return project / "papermill_runs"


@pytest.fixture
def drawn(project, root):
    """A figure of three runs that differ by their seed, everything as it was when it was made."""
    code = runs.notebook_code(notebook_path("90_tiny", project))
    for seed in range(3):
        settings = {"seed": seed, "lr": 0.1, "run_folder": f"papermill_runs/mini/a-s{seed}"}
        leave_record(root, f"mini-a-s{seed}", settings, code=code)
    leave_record(root, "mini-sum", {"sizes": [4, 4]}, code=code)
    draw(root, code)
    return code


def draw(root, code, from_runs=("mini-a-s0", "mini-a-s1", "mini-a-s2")):
    runs.save_figure(
        None,
        "sum",
        data=[{"a": 1}],
        alt="a sum",
        scale="mini",
        dataset="embedded",
        from_runs=from_runs,
        folder=root.parent / "figures",
        origin={"made_by": "mini-sum", "code": code, "commit": "0123456789abcdef", "dirty": False},
        records=root / "records",
    )


def test_what_is_common_is_said_once_and_of_each_run_what_differs(project, drawn):
    assert runs.trace("sum") == [
        "sum: current",
        "  a sum",
        "  scale mini, data embedded, commit 0123456789ab (clean)",
        "  files: sum.csv",
        "drawn by mini-sum: 90_tiny, 2026-01-02, commit 0123456789 (with uncommitted changes)",
        "  seed=0, sizes=[4, 4]",
        "from 3 runs of 90_tiny",
        "  common to all: lr=0.1, finished=2026-01-02, "
        "commit=0123456789 (with uncommitted changes)",
        "  mini-a-s0: seed=0",
        "  mini-a-s1: seed=1",
        "  mini-a-s2: seed=2",
    ]


def test_any_of_its_files_will_do(project, drawn):
    assert runs.trace(project / "figures" / "sum.csv") == runs.trace("sum")
    assert runs.trace("figures/sum.json") == runs.trace("sum")


def test_runs_of_several_notebooks_are_told_apart(project, root, drawn):
    leave_record(root, "mini-a-s2", {"seed": 2, "size": 9}, notebook="91_other")
    lines = runs.trace("sum")
    at = lines.index("from 1 run of 91_other")
    assert "from 2 runs of 90_tiny" in lines
    assert lines[at + 1].startswith("  seed=2, size=9, ")
    assert lines[at + 2] == "  mini-a-s2"


def edit_notebook(project, root, code):
    path = project / "notebooks" / "90_tiny.py"
    path.write_text(path.read_text().replace("range(3)", "range(4)"))


def edit_file(project, root, code):
    (project / "figures" / "sum.csv").write_text("edited")


def delete_file(project, root, code):
    (project / "figures" / "sum.csv").unlink()


def run_again(project, root, code):
    leave_record(root, "mini-a-s1", {"seed": 1}, code=code, metrics={"loss": 2})


def delete_records(project, root, code):
    for seed in (0, 1):
        (root / "records" / f"mini-a-s{seed}.json").unlink()


def delete_record_of_the_drawing(project, root, code):
    (root / "records" / "mini-sum.json").unlink()


def break_record(project, root, code):
    (root / "records" / "mini-a-s2.json").write_text('{"run": ')


def edit_plots(project, root, code):
    draw(root, {**code, "visualize": "0"})


def edit_plots_of_a_picture(project, root, code):
    draw(root, {**code, "visualize": "0"}, from_runs=())


def edit_plots_and_data(project, root, code):
    draw(root, {**code, "visualize": "0", "data": "0"})


def edit_plots_of_the_runs(project, root, code):
    for seed in range(3):
        leave_record(root, f"mini-a-s{seed}", code={**code, "visualize": "0"})
    draw(root, code)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (
            edit_notebook,
            "stale: other code draws it now (notebook); 3 of 3 runs: other code now (notebook)",
        ),
        (edit_file, "stale: sum.csv changed"),
        (delete_file, "stale: sum.csv missing"),
        (run_again, "stale: 1 of 3 runs: made again since"),
        (delete_records, "stale: 2 of 3 runs: no record"),
        (delete_record_of_the_drawing, "stale: no record of mini-sum"),
        (break_record, "stale: 1 of 3 runs: broken record"),
        (edit_plots, "current; other code plots its numbers now"),
        (edit_plots_of_a_picture, "stale: other code draws it now (visualize)"),
        (edit_plots_and_data, "stale: other code draws it now (data)"),
        (edit_plots_of_the_runs, "current"),
    ],
)
def test_the_first_line_says_whether_it_is_current(project, root, drawn, change, first):
    change(project, root, drawn)
    assert runs.trace("sum")[0] == f"sum: {first}"


def test_of_an_unknown_figure_the_nearest_is_named(drawn, capsys):
    assert cli.main(["trace", "som"]) == 1
    assert "did you mean 'sum'" in capsys.readouterr().err


def test_a_figure_of_runs_with_parameters_is_found_by_its_name(project, root, drawn, capsys):
    apart = [root / "variants" / name for name in ("root=a", "root=b")]
    shutil.copytree(root / "records", apart[0] / "records")
    shutil.copytree(project / "figures", apart[0] / "figures")
    assert len(runs.trace("sum")) == len(runs.trace(apart[0] / "figures" / "sum.png"))
    (project / "figures" / "sum.json").unlink()
    assert runs.trace("sum")[0] == "sum: current"
    shutil.copytree(apart[0], apart[1])
    assert cli.main(["trace", "sum"]) == 1
    err = capsys.readouterr().err
    assert "2 figures are called sum" in err
    assert "papermill_runs/variants/root=b/figures/sum.json" in err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"figure": 1}', "[" * 100_000])
def test_a_file_that_is_no_origin_is_named(project, drawn, capsys, content):
    (project / "figures" / "sum.json").write_text(content)
    assert cli.main(["trace", "sum"]) == 1
    assert "sum.json: not the origin of a figure" in capsys.readouterr().err


def test_an_origin_of_the_wrong_kind_is_named(project, drawn):
    path = project / "figures" / "sum.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": []}))
    with pytest.raises(ValueError, match="files is of another kind"):
        runs.trace("sum")
