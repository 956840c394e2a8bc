import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_project import REPOSITORY, make_project

from vidssl import runs
from vidssl.runs import provenance
from vidssl.runs.execute import locked, own_sockets
from vidssl.runs.notebooks import notebook_cells
from vidssl.runs.records import RECORD_BYTES, plain, record_files, small_record, without_names

FOLDER = "papermill_runs/mini/tiny-s7"


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = make_project(tmp_path / "project")
    monkeypatch.chdir(made)
    return made


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A project whose notebook has been run once, really."""
    made = make_project(tmp_path_factory.mktemp("executed") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        notebook = runs.execute("90_tiny", made / FOLDER, {"seed": 7, "publish": True})
    return made, notebook


TELLS = """
import shutil
from ipykernel.connect import get_connection_file

shutil.copy(get_connection_file(), run.folder / "connection.json")
"""


def test_a_kernel_has_no_port_though_the_temporary_folder_has_a_long_name(project, monkeypatch):
    """Ports are chosen before they are taken: two kernels at once may choose the same."""
    long = project / ("temporary" * 15)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    page = project / "notebooks" / "90_tiny.py"
    page.write_text(page.read_text() + TELLS)
    runs.execute("90_tiny", FOLDER)
    told = json.loads((project / FOLDER / "connection.json").read_text())
    assert told["transport"] == "ipc"
    assert not Path(told["ip"]).parent.exists(), "the sockets' folder goes with the kernel"


def test_sockets_lie_in_a_temporary_folder_or_are_none(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        with own_sockets() as config:
            assert Path(config.KernelManager.connection_file).parents[1] == Path(short)
        assert os.listdir(short) == []
    monkeypatch.setattr(os, "access", lambda *_: False)
    with own_sockets() as config:
        assert not config, "its kernel takes ports"


# --- parameters ----------------------------------------------------------------------------------


def test_cells_have_kinds_tags_and_lines(project):
    cells = list(notebook_cells((project / "notebooks" / "90_tiny.py").read_text()))
    assert [cell.kind for cell in cells] == ["markdown"] + ["code"] * 5
    assert cells[1].tags == ("parameters",)
    assert cells[1].line == 5


def test_declared_parameters_are_the_literals_of_the_cell(project):
    assert runs.declared_parameters(project / "notebooks" / "90_tiny.py") == {
        "scale": "mini",
        "run_folder": "",
        "dataset": "embedded",
        "seed": 0,
        "lr": 0.1,
        "sizes": [1, 2],
        "fail": False,
        "publish": False,
    }


@pytest.mark.parametrize("line", ["b = a + 1", "a, b = 1, 2", "print(1)", "import os"])
def test_parameters_cell_takes_literals_only(tmp_path, line):
    path = tmp_path / "x.py"
    path.write_text(f'# %% tags=["parameters"]\na = 1\n{line}\n')
    with pytest.raises(runs.ParameterError, match=r"x\.py:3: .*NAME = LITERAL"):
        runs.declared_parameters(path)


def test_a_notebook_needs_one_parameters_cell(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("# %%\na = 1\n")
    with pytest.raises(runs.ParameterError, match="has 0"):
        runs.declared_parameters(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sede": 1}, "'sede'; did you mean 'seed'"),
        ({"seed": "one"}, "seed must be of type int like 0, got 'one'"),
        ({"seed": True}, "type int"),
        ({"seed": 0.5}, "type int"),
        ({"lr": "fast"}, "type float"),
        ({"fail": 1}, "type bool"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(project, given, message):
    with pytest.raises(runs.ParameterError, match=message):
        runs.execute("90_tiny", FOLDER, given)
    assert not (project / FOLDER).exists()


def test_unknown_notebook_names_the_nearest(project):
    with pytest.raises(ValueError, match="did you mean '90_tiny'"):
        runs.execute("90_tini", FOLDER)


def test_scale_file_then_overrides(project):
    given = runs.parameters_for("90_tiny", "smoke", {"seed": 5})
    assert given == {"lr": 0.001, "sizes": [9], "seed": 5, "scale": "smoke"}
    assert runs.parameters_for("90_tiny", "mini") == {"scale": "mini"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90_tini: {}", "did you mean '90_tiny'"),
        ("90_tiny: {sede: 1}", "did you mean 'seed'"),
        ("common: {sede: 1}", "did you mean 'seed'"),
        ("90_tiny: {seed: [1]}", "type int"),
    ],
)
def test_mistakes_in_a_scale_file_name_the_file(project, text, message):
    (project / "papermill_runs" / "gpu.yaml").write_text(text)
    with pytest.raises(runs.ParameterError, match=rf"gpu\.yaml.*{message}"):
        runs.parameters_for("90_tiny", "gpu")


def test_unknown_scale_names_the_nearest(project):
    with pytest.raises(ValueError, match="did you mean 'smoke'"):
        runs.parameters_for("90_tiny", "smok")


def test_start_refuses_what_nobody_declared(project):
    cells = {"In": [""], "Out": {}, "_private": 1, "scale": "mini", "json": json}
    run = runs.start("90_tiny", dict(cells))
    assert run.params["seed"] == 0
    with pytest.raises(runs.ParameterError, match="did you mean 'seed'"):
        runs.start("90_tiny", {**cells, "sede": 3})


def test_start_keeps_waiting_threads_from_spinning(project):
    lines = "from vidssl import runs; runs.start('90_tiny', {}); import torch"
    shown = {"OMP_DISPLAY_ENV": "TRUE", "PYTHONPATH": str(REPOSITORY)}
    unset = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    words = [sys.executable, "-c", lines]
    done = subprocess.run(words, env=unset | shown, capture_output=True, text=True, check=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr, "set before torch's threads read it"


def test_start_again_in_a_live_notebook_forgives_its_own_variables(project):
    namespace = {"seed": 2}
    runs.start("90_tiny", namespace)
    namespace |= {"rows": [], "step": 2}  # left by later cells of the notebook
    assert runs.start("90_tiny", namespace).params["seed"] == 2
    with pytest.raises(runs.ParameterError, match="'sede'"):
        runs.start("90_tiny", {**namespace, "sede": 1})


def test_plain_papermill_is_strict_too(project):
    import papermill

    runs.write_pairs(project)
    with pytest.raises(papermill.PapermillExecutionError, match="did you mean 'seed'"):
        papermill.execute_notebook(
            "notebooks/90_tiny.ipynb",
            "out.ipynb",
            parameters={"sede": 1},
            progress_bar=False,
            execution_timeout=120,
        )


# --- runs ----------------------------------------------------------------------------------------


def test_a_run_leaves_notebook_parameters_metrics_and_record(executed):
    project, notebook = executed
    folder = project / FOLDER
    assert notebook == folder / "90_tiny.ipynb"
    assert (
        folder / "params.yaml"
    ).read_text() == f"seed: 7\npublish: true\nrun_folder: {FOLDER}\nscale: mini\n"
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [1, 0.5, 0.333333]
    full = json.loads((folder / "run.json").read_text())
    assert (full["status"], full["run"], full["seeds"]) == ("finished", "mini-tiny-s7", [7])
    assert full["metrics"]["loss"] == pytest.approx(1 / 3, abs=1e-6)
    assert full["dirty"] is False
    assert full["commit"] == provenance.git_state(project)[0] != ""
    assert {"torch", "python"} <= set(full["versions"])
    assert full["seconds"] > 0
    assert full["peak_memory_mb"] > 10


def test_a_record_says_what_its_sums_were_rounded_by():
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(provenance.versions()["arithmetic"])
    finally:
        torch.set_num_threads(before)
    instructions = torch.backends.cpu.get_cpu_capability()
    assert found == [f"{instructions}, 1 thread", f"{instructions}, 2 threads"]


def test_the_record_is_small_and_names_the_first_failures(executed):
    project, _ = executed
    path = project / "papermill_runs" / "records" / "mini-tiny-s7.json"
    assert path.stat().st_size <= RECORD_BYTES
    [record] = runs.load_records(path.parent)
    assert record["failed_count"] == 5
    assert record["failed"] == [*"abc"], "each counts once"
    told = (project / record["parameters"]["run_folder"] / "90_tiny.ipynb").read_text()
    assert "5 videos could not be read" in told
    assert "and 2 more, in run.json" in told
    assert str(project) not in path.read_text()


def test_code_and_notebook_are_hashed_without_comments_and_prose(project):
    path = project / "notebooks" / "90_tiny.py"
    before = runs.notebook_code(path)
    text = path.read_text()
    path.write_text(text.replace("# a comment", "# another").replace("# # Tiny", "# # Prose"))
    assert runs.notebook_code(path) == before
    path.write_text(text.replace("range(3)", "range(4)"))
    assert runs.notebook_code(path)["notebook"] != before["notebook"]


def test_meaning_drops_comments_docstrings_and_blank_lines_only():
    source = (
        '"""Doc."""\n\nx = "# no comment"  # comment\n\n\ndef f():\n    """Doc."""\n    return 1\n'
    )
    assert provenance.meaning(source) == 'x = "# no comment"\ndef f():\n    return 1'


def test_code_hashes_follow_imports_by_room():
    source = "from vidssl.motion import label_pool\nfrom vidssl import visualize as v\nv.film_strip"
    assert {"core", "motion", "visualize"} <= set(runs.code_hashes(source))
    assert "visualize" not in runs.code_hashes(source, without=("visualize",))


@pytest.mark.parametrize(
    ("source", "file", "counts"),
    [
        ("from vidssl.methods import mosi", "methods/mosi.py", True),
        ("from vidssl.methods import mosi", "methods/timebalance.py", False),
        ("from vidssl.methods import mosi", "motion/pseudo_motion.py", True),
        ("from vidssl.data.sampling import spaced_indices", "data/stills.py", False),
        ("from vidssl import data\ndata.stills", "data/decode.py", True),
        ("from vidssl.data import read_frames", "data/decode.py", True),
        ("from vidssl.data import read_frames", "data/__init__.py", True),
        ("import vidssl.models\nvidssl.models.build", "models/s3dg.py", True),
        ("from vidssl.motion import tv_l1", "progress.py", False),
    ],
)
def test_what_a_source_imports_counts_and_what_that_imports(source, file, counts, tmp_path):
    package = tmp_path / "vidssl"
    shutil.copytree(provenance.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = runs.code_hashes(source, package=package)
    with open(package / file, "a") as code:
        code.write("\nchanged = 1\n")
    assert (runs.code_hashes(source, package=package) != before) == counts


def test_a_failing_notebook_stays_to_be_read_and_leaves_no_run_json(executed):
    project, _ = executed
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        folder = project / "papermill_runs" / "mini" / "fails"
        with pytest.raises(runs.RunFailed, match=r"90_tiny\.ipynb: .*ValueError: asked to fail"):
            runs.execute("90_tiny", folder, {"fail": True})
        assert "asked to fail" in (folder / "90_tiny.ipynb").read_text()
        assert not (folder / "run.json").exists()
        assert not (project / "papermill_runs" / "records" / "mini-fails.json").exists()


def test_a_kernel_that_dies_is_a_failed_run(project):
    notebook = project / "notebooks" / "90_tiny.py"
    dies = "import os\n\nos.kill(os.getpid(), 9)\nfor step in range(3):"
    notebook.write_text(notebook.read_text().replace("for step in range(3):", dies))
    with pytest.raises(runs.RunFailed, match=r"90_tiny\.ipynb: its kernel died"):
        runs.execute("90_tiny", FOLDER)
    assert not (project / FOLDER / "run.json").exists()


def test_a_folder_in_use_is_refused_and_names_its_holder(project):
    with (
        locked(project / FOLDER),
        pytest.raises(runs.RunLocked, match=r"in use by process \d+ on"),
    ):
        runs.execute("90_tiny", FOLDER)
    with locked(project / FOLDER):
        pass  # the lock went with its holder


@pytest.mark.parametrize(("key", "stays"), [("same", True), ("other", False)])
def test_a_stopped_run_goes_on_and_a_changed_one_starts_anew(tmp_path, key, stays):
    from vidssl.runs.execute import _make_room, _note_attempt

    output = tmp_path / "90_tiny.ipynb"
    _make_room(tmp_path, output, "same")
    (tmp_path / "checkpoints").mkdir()
    output.write_text("first")
    _make_room(tmp_path, output, key)
    assert (tmp_path / "checkpoints").exists() == stays
    assert (tmp_path / "earlier" / "90_tiny-1.ipynb").read_text() == "first"
    _note_attempt(tmp_path, "finished")
    _make_room(tmp_path, output, key)
    assert not (tmp_path / "checkpoints").exists()


def test_an_exploration_keeps_no_record(project, capsys):
    run = runs.start("90_tiny", {})
    run.log(step=0, loss=1)
    run.finish({"loss": 1})
    assert run.folder == project / "papermill_runs" / "explore" / "90_tiny" / "mini"
    assert run.checkpoint_folder is None
    told = capsys.readouterr().out
    assert "It has no record: `vidssl runs` and the tables leave it out" in told
    assert told.endswith("  vidssl execute 90_tiny papermill_runs/mini/90_tiny\n")
    assert not (project / "papermill_runs" / "records").exists()


def test_numbers_become_json():
    import numpy as np
    import torch

    given = {1: np.float32(0.5), "t": torch.ones(2), "n": float("nan"), "s": (1, True)}
    assert plain(given) == {"1": 0.5, "t": [1, 1], "n": None, "s": [1, True]}


def test_long_metrics_are_left_to_run_json(tmp_path):
    metrics = {"loss": 0.5, "curve": [0.123456] * 2000}
    full = {"parameters": {"root": "/data/mine"}, "failed": [], "metrics": metrics}
    record = small_record(full, tmp_path)
    assert record["metrics"] == {"loss": 0.5}
    assert record["only_in_run_json"] == ["curve"]
    assert record["parameters"]["root"] == ".../mine"


@pytest.mark.parametrize("count", [50, 200])
def test_numbers_stay_in_a_record_however_many(count, tmp_path):
    """Tables in a fresh clone are made of them; what is long goes instead."""
    numbers = {f"finetuned_{i}_top1_accuracy": 0.123456 for i in range(count)}
    lists = {f"finetuned_{i}_per_class": [0.5] * 16 for i in range(3)}
    record = small_record({"parameters": {}, "failed": [], "metrics": numbers | lists}, tmp_path)
    assert numbers.items() <= record["metrics"].items()
    assert ("only_in_run_json" in record) == (count == 200)


@pytest.mark.parametrize("dataset", ["folder", "ucf101"])
def test_a_record_of_other_people_s_videos_names_none_of_them(dataset, tmp_path):
    """Wherever a page may have put a name; what is counted stays."""
    name = "v_Secret_g01_c02"
    metrics = {"top1_accuracy": 0.5, "per_class": [0.25, None], "worst": name, "state": "learning"}
    metrics |= {"by_video": {"most": [name, 3]}, "labelled": {"50": 8}, "class_names": ["a", "b"]}
    missing = {"train": {"listed": 9, "absent": 2, "first": [name]}}
    full = {
        "parameters": {"dataset": dataset, "root": "/data/mine", "video": name, "seed": 0},
        "metrics": metrics,
        "failed": [f"/data/mine/{name}.mp4: cut off"] * 4,
        "failed_count": 4,
        "data_caveats": {"missing": missing, "shared_groups": {"shared": 1, "first": [name]}},
    }
    record = small_record(full, tmp_path)
    assert "Secret" not in json.dumps(record)
    assert record["failed_count"] == 4
    kept = ("top1_accuracy", "per_class", "state", "labelled", "class_names")
    assert record["metrics"] == {key: metrics[key] for key in kept}
    assert record["data_caveats"]["missing"]["train"] == {"listed": 9, "absent": 2}
    assert record["parameters"]["root"] == ".../mine"
    own = {**full, "parameters": {"dataset": "embedded"}}
    assert small_record(own, tmp_path)["failed"] == full["failed"][:3], "our own are named"


def test_records_in_git_of_other_people_s_videos_name_none():
    for path in record_files(REPOSITORY / "papermill_runs" / "records"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["parameters"].get("dataset", "embedded") != "embedded":
            assert record == without_names(record), path


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    (tmp_path / "mini-x.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"mini-x\.json: not a record of a run .*delete it"
    ) as caught:
        runs.load_records(tmp_path)
    shown = caught.value._render_traceback_()
    assert shown == [f"UnreadableRecord: {caught.value}"], "a page shows the line alone"


def test_missing_records_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="run something first"):
        runs.load_records(tmp_path / "none")


def test_records_say_nothing_of_the_disk_also_inside_a_parameter(tmp_path):
    given = {"mosi": str(tmp_path / "runs" / "a.pt"), "mers": "/home/somebody/b.pt", "none": ""}
    found = provenance.portable(given, tmp_path)
    assert found == {"mosi": "runs/a.pt", "mers": ".../b.pt", "none": ""}


# --- the graph -----------------------------------------------------------------------------------


def test_a_job_is_given_the_embedded_data_and_waits_for_them():
    graph = runs.Graph({"scale": "smoke"}, REPOSITORY)
    job = graph.run("11_mosi_pretrain", "x", seed=2)
    assert job.inputs == ("data/smoke-seed0/.made",)
    assert job.marker == "smoke/x/run.json"
    assert job.log == ("smoke/x/11_mosi_pretrain.ipynb",)
    assert json.loads(job.params)["root"] == "papermill_runs/data/smoke-seed0"
    assert job.arguments.startswith("execute 11_mosi_pretrain papermill_runs/smoke/x --scale smoke")


def test_a_job_can_wait_for_still_images(tmp_path):
    graph = runs.Graph({"scale": "smoke", "runs_root": str(tmp_path)}, REPOSITORY)
    made = graph.stills("dead_leaves", 8)
    assert made.marker == "data/stills-dead_leaves-8/.made"
    assert made.arguments == f"stills dead_leaves --count 8 --runs-root {tmp_path}"
    root = graph.path(made.file(""))
    job = graph.run("11_mosi_pretrain", "x", after=[made], dataset="folder", root=root)
    assert job.inputs == (made.marker,)
    assert made is graph.stills("dead_leaves", 8)


def test_a_plot_s_code_counts_only_where_figures_are_published():
    graph = runs.Graph({"scale": "smoke"}, REPOSITORY)
    trained = graph.run("11_mosi_pretrain", "x")
    table = graph.run("15_mosi_tables", "t", after=[trained])
    assert "visualize" not in json.loads(trained.code)
    assert "visualize" in json.loads(table.code)
    assert "tables" in json.loads(table.code), "their engine is a room of its own"
    assert [figure.name for figure in table.figures] == ["../figures/smoke_mosi_lowshot"]
    student = graph.run("32_timebalance_student", "s", publish=True, method="supervised")
    assert "visualize" not in json.loads(student.code), "its weights would be trained again"
    assert [figure.name for figure in student.figures] == [
        "../figures/smoke_timebalance_student_curves"
    ]


def test_own_videos_replace_the_embedded_data(tmp_path):
    overrides = {"dataset": "folder", "root": "/videos"}
    graph = runs.Graph({"overrides": overrides, "runs_root": str(tmp_path)}, REPOSITORY)
    job = graph.run("11_mosi_pretrain", "x")
    assert job.inputs == ()
    given = json.loads(job.params)
    assert (given["dataset"], given["root"]) == ("folder", "/videos")


def test_a_parameter_is_the_default_the_scale_s_or_the_user_s():
    wanted = "32_timebalance_student", "backbone"
    assert runs.Graph({}, REPOSITORY).parameter(*wanted) == "r3d_10_dilated"
    assert runs.Graph({"scale": "gpu"}, REPOSITORY).parameter(*wanted) == "r3d_18_dilated"
    own = {"scale": "gpu", "overrides": {"backbone": "slow_r50"}}
    assert runs.Graph(own, REPOSITORY).parameter(*wanted) == "slow_r50"


def test_one_name_is_one_run():
    graph = runs.Graph({}, REPOSITORY)
    assert graph.run("11_mosi_pretrain", "x", seed=1) is graph.run("11_mosi_pretrain", "x", seed=1)
    with pytest.raises(ValueError, match="two different runs are called 'x'"):
        graph.run("11_mosi_pretrain", "x", seed=2)


# --- figures -------------------------------------------------------------------------------------


def test_a_figure_carries_its_origin_everywhere(executed):
    project, _ = executed
    stem = project / "figures" / "tiny"
    origin = json.loads(stem.with_suffix(".json").read_text())
    assert origin["made_by"] == "mini-tiny-s7"
    assert (origin["scale"], origin["dataset"], origin["dirty"]) == ("mini", "embedded", False)
    for suffix in (".png", ".pdf", ".csv"):
        path = stem.with_suffix(suffix)
        assert origin["files"][path.name] == provenance.file_hash(path)
    with Image.open(stem.with_suffix(".png")) as picture:
        assert json.loads(picture.info["Origin"])["made_by"] == "mini-tiny-s7"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert picture.mode == "RGB", "a channel that is all opaque is left out"
    assert b"mini-tiny-s7" in stem.with_suffix(".pdf").read_bytes()
    assert stem.with_suffix(".csv").read_text() == "seed,loss\n7,0.3333333333333333\n"


def test_an_executed_run_s_figure_is_current_and_traced_to_it(executed):
    project, _ = executed
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        first, *lines = runs.trace("tiny")
    assert first == "tiny: current"
    assert any("seed=7" in line for line in lines)


def test_equal_figures_are_equal_files(tmp_path):
    for name in ("a", "b"):
        figure, axes = plt.subplots()
        axes.plot([1, 2])
        about = {"alt": "a line", "scale": "smoke", "dataset": "embedded"}
        runs.save_figure(figure, "line", **about, folder=tmp_path / name)
        plt.close(figure)
    for suffix in (".png", ".pdf", ".json"):
        one, other = ((tmp_path / n / f"line{suffix}").read_bytes() for n in ("a", "b"))
        assert one == other, suffix


def test_a_large_figure_stays_below_a_mebibyte_and_keeps_its_words(tmp_path):
    figure = plt.figure(figsize=(7, 5))
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((400, 560, 3)))
    about = {"alt": "noise", "scale": "smoke", "dataset": "embedded"}
    runs.save_figure(figure, "noise", **about, folder=tmp_path)
    plt.close(figure)
    assert (tmp_path / "noise.png").stat().st_size < 2**20
    assert Image.open(tmp_path / "noise.png").width >= 700
    assert figure.get_label() == "noise", "a notebook shows the figure with these words"


def test_a_figure_needs_words_and_rows(tmp_path):
    about = {"scale": "mini", "dataset": "embedded", "folder": tmp_path}
    with pytest.raises(ValueError, match="alt must say"):
        runs.save_figure(None, "x", data=[{"a": 1}], alt=" ", **about)
    with pytest.raises(ValueError, match="no rows"):
        runs.save_figure(None, "x", data=[], alt="nothing", **about)


@pytest.mark.parametrize(
    ("scale", "root", "expected"),
    [
        ("mini", "papermill_runs", "figures/tiny"),
        ("demo", "papermill_runs", "figures/demo_tiny"),
        ("mini", "elsewhere", "elsewhere/figures/tiny"),
    ],
)
def test_published_figures_of_other_scales_and_roots_keep_apart(tmp_path, scale, root, expected):
    found = runs.figure_files("tiny", scale, tmp_path / root, tmp_path)
    assert found == tmp_path / expected
