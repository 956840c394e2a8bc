"""Parameters given by -p: taken as they are, from the command line down to the notebook."""

import dataclasses
import inspect
import json
import os
import shlex
import subprocess
import sys

import pytest
from tiny_project import NOTEBOOK, REPOSITORY, make_project

from vidssl import cli, runs
from vidssl.data import Augmentation, open_dataset
from vidssl.runs.given import PATHS
from vidssl.runs.parameters import AT_LEAST_ONE, ENTRIES, read_value, text_of

TEXTS = (
    *("/x/set #2", "[a-z]+_(\\d+)", "%s_(\\d+)", "@data/x", "-(\\d+)-", "-1e-4", "\\d{1}", "{a}"),
    *("{{a}} {", "/x/{set}/é ü 视频", 'it\'s "so"', "two\nlines\n", " a b ", "", "~", "null", "3"),
    *(
        "true",
        "1e-3",
        "- a",
        "a: b",
        "#",
        "&a *b !c",
        "$HOME `ls` $(ls)",
        "\\",
        "\t",
        "-p",
        "--scale",
    ),
)
LABELLED = "03_transfer"
PATTERN = "dataset_options.group_pattern"


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_arrives_as_it_was_given(text, tmp_path):
    words, given = cli._lift_parameters(["execute", LABELLED, "x", "-p", PATTERN, text])
    assert words == ["execute", LABELLED, "x"]
    assert runs.Given(given, [LABELLED]).of(LABELLED) == {PATTERN: text}
    config = {"overrides": given, "runs_root": str(tmp_path), "scale": "smoke"}
    job = runs.Graph(config, REPOSITORY).run(LABELLED, "x", starts={"scratch": ""})
    assert json.loads(job.params)["dataset_options"] == {"group_pattern": text}
    _, again = cli._lift_parameters(shlex.split(job.arguments))
    arrived = runs.Given(again, [LABELLED]).of(LABELLED)
    assert (arrived[PATTERN], arrived["starts"]) == (text, {"scratch": ""})


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("7", 0, 7),
        ("-7", 0, -7),
        ("1e-4", 0.5, 1e-4),
        ("-1e-4", 0.5, -1e-4),
        ("2", 0.5, 2.0),
        ("true", False, True),
        ("No", True, False),
        ("['1']", [], ["1"]),
        ("[1e-4, 2, .5e1]", [], [1e-4, 2, 5.0]),
        ("['a#b', \"c: d\"]", [], ["a#b", "c: d"]),
        ("[]", [1], []),
        ("{mosi: /a b/c}", {}, {"mosi": "/a b/c"}),
        ("[1]", None, [1]),
        ("word", None, "word"),
    ],
)
def test_the_declared_type_decides_how_a_text_is_read(text, default, value):
    assert read_value("x", text, default, "here") == value


@pytest.mark.parametrize("value", [["é\x7f\u2028😀"], {"a": [1e-05, True, None]}, -1e-05, "{a}"])
def test_what_the_graph_writes_is_read_back(value):
    assert read_value("x", text_of(value), type(value)(), "here") == value


@pytest.mark.parametrize(
    ("text", "default"),
    [
        *[(text, 0) for text in ("", "one", "1.0", "1e3", "0x1", "[1]", "true", "nan")],
        *[(text, 0.5) for text in ("", "fast", "1,5", "nan", "inf", "1e999", "[1]")],
        *[(text, False) for text in ("1", "", "perhaps", "[true]", "tru\ne")],
        *[(text, []) for text in ("1", "a", "[", "[a-z]+_(\\d+)", "@x", "%s", "{a: 1}", "-\n- :")],
        *[(text, {}) for text in ("1", "{", "[1]", "a: b: c", "{a: [}", "\t")],
    ],
)
def test_what_cannot_be_read_is_one_line(text, default):
    with pytest.raises(runs.ParameterError, match="parameter x must be of type") as refused:
        read_value("x", text, default, "here")
    assert len(str(refused.value).splitlines()) == 1
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "taken"),
    [
        ("neighbours", "5", {"02_supervised_baseline": 5, "23_motionfit_self_training": None}),
        (
            "neighbours",
            "true",
            {"02_supervised_baseline": None, "23_motionfit_self_training": True},
        ),
        (
            "pretrained",
            "/a.pt",
            {"02_supervised_baseline": "/a.pt", "24_motionfit_retrieval": None},
        ),
    ],
)
def test_where_notebooks_declare_other_types_those_take_a_value_that_can(name, text, taken):
    given = runs.Given({name: text}, project=REPOSITORY)
    assert {notebook: given.of(notebook).get(name) for notebook in taken} == taken


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sede": "1"}, "no parameter 'sede'; did you mean 'seed'"),
        ({"scale": "smoke"}, "-p scale is not to be given: --scale sets it"),
        ({"run_folder": "x"}, "-p run_folder is not to be given"),
        ({"root": "/x/\udce9t\udce9"}, "parameter root: .* is not UTF-8"),
    ],
)
def test_what_nobody_takes_is_refused(values, message):
    with pytest.raises(runs.ParameterError, match=message):
        runs.Given(values, project=REPOSITORY)


def test_relative_paths_start_where_the_user_stands(tmp_path):
    def placed(name, text, notebook):
        given = runs.Given({name: text}, [notebook], folder=tmp_path, project=REPOSITORY)
        return given.of(notebook)[name]

    assert placed("root", "my set", LABELLED) == f"{tmp_path}/my set"
    assert placed("root", "../set/", LABELLED) == f"{tmp_path.parent}/set"
    assert placed("root", "/a/../set #2", LABELLED) == "/a/../set #2", "as it is"
    assert placed("root", "", LABELLED) == ""
    assert placed(PATTERN, "a/b", LABELLED) == "a/b", "no path"
    starts = placed("starts", "{scratch: '', mosi: a.pt}", LABELLED)
    assert starts == {"scratch": "", "mosi": f"{tmp_path}/a.pt"}
    assert placed("starts.mine", "a.pt", LABELLED) == f"{tmp_path}/a.pt"
    assert placed("label_lists", "[a, /b]", "30_timebalance_teachers") == [f"{tmp_path}/a", "/b"]
    inside = os.path.relpath(REPOSITORY / "papermill_runs/x", tmp_path)
    assert placed("root", inside, LABELLED) == "papermill_runs/x", "as records tell it"


def test_every_parameter_that_is_a_path_is_known_as_one():
    """Texts and lists that are empty by default and no path: told here by name."""
    empty = set()
    for notebook in runs.notebook_names(REPOSITORY):
        declared = runs.declared_parameters(runs.notebook_path(notebook, REPOSITORY))
        empty |= {name for name, value in declared.items() if value in ("", [], {})}
        assert set(PATHS) & set(declared) <= empty | {"pretrained", "compare", "starts"}
    others = {"run_folder", "dataset_options", "frozen_stages", "milestones", "video"}
    others |= {"launcher", "share"}
    known = set(PATHS) - {"dataset_options.annotations"}
    assert empty - others - {"trackers"} == known - {"starts"}


@pytest.mark.parametrize("words", [["-p"], ["-p", "seed"], ["--jobs", "-p", "seed"]])
def test_a_parameter_without_a_value_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "mosi_lowshot", *words])
    assert "expected" in capsys.readouterr().err


NASTY = "é ü \"d\" 'q' #1 %s @x -(\\d+)- [a-z]+ \\d{1} {a} {{b}} $HOME `x`\nend\\"


def test_texts_reach_the_notebook_through_snakemake(tmp_path, monkeypatch):
    project = make_project(tmp_path / "pro {ject} é")
    notebook = NOTEBOOK.replace("seed = 0\n", 'seed = 0\nroot = ""\npattern = ""\n')
    (project / "notebooks" / "90_tiny.py").write_text(notebook, encoding="utf-8")
    monkeypatch.chdir(project)
    root, own = str(tmp_path / "runs #é"), tmp_path / "{set} #2 'é"
    own.mkdir()
    given = {"pattern": NASTY, "root": str(own), "lr": "-1e-4", "sizes": "[1e-4, 2]"}
    pairs = [word for pair in given.items() for word in ("-p", *pair)]
    assert cli.main(["run", "pair", "--runs-root", root, *pairs]) == 0
    for name in ("first", "second"):
        run = json.loads((tmp_path / root / "mini" / name / "run.json").read_text())["parameters"]
        assert (run["pattern"], run["root"]) == (NASTY, given["root"])
        assert (run["lr"], run["sizes"]) == (-1e-4, [1e-4, 2])


def test_a_folder_of_runs_that_snakemake_cannot_work_in_is_refused(tmp_path, capsys):
    words = ["run", "mosi_lowshot", "--runs-root", str(tmp_path / "{1}"), "--dry-run"]
    assert cli.main(words) == 1
    assert "{1}: Snakemake takes braces" in capsys.readouterr().err


def test_outside_the_clone_paths_are_the_user_s(moving_videos, tmp_path):
    os.symlink(moving_videos, tmp_path / "set")
    words = ["execute", "01_data_and_clips", "out", "--scale", "smoke", "-p", "root", "set"]
    done = subprocess.run(
        [sys.executable, "-m", "vidssl.cli", *words, "-p", "dataset", "folder"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["parameters"]["root"] == str(tmp_path / "set")
    assert not list(REPOSITORY.glob("out*"))


# --- entries of a dictionary ---------------------------------------------------------------------

PAGE = "11_mosi_pretrain"


def options_at(scale, **given):
    """The data set's options of a page at a scale, with -p given."""
    own = runs.Given({f"dataset_options.{k}": v for k, v in given.items()}, [PAGE]).of(PAGE)
    return runs.parameters_for(PAGE, scale, own).get("dataset_options", {})


def test_one_entry_goes_on_top_of_what_the_scale_gives():
    lists = "data/ucf101/ucfTrainTestlist"
    assert options_at("paper") == {"annotations": lists}
    assert options_at("paper", split="2") == {"annotations": lists, "split": 2}
    assert options_at("mini", test_groups="['9']") == {"test_groups": ["9"]}
    assert options_at("paper", annotations="/x #2") == {"annotations": "/x #2"}
    whole = runs.Given({"dataset_options": "{split: 2}"}, [PAGE]).of(PAGE)
    assert runs.parameters_for(PAGE, "paper", whole)["dataset_options"] == {"split": 2}


def test_any_dictionary_takes_an_entry_by_name(tmp_path):
    page, given = "24_motionfit_retrieval", {"starts.mers": "a #1.pt", "augmentation.flip": "0"}
    read = runs.Given(given, folder=tmp_path, project=REPOSITORY)
    assert read.of(page) == {"starts.mers": f"{tmp_path}/a #1.pt", "augmentation.flip": 0.0}
    assert read.of("14_mosi_clusters") == {}, "it has no starts"
    job = runs.Graph({"overrides": given, "folder": tmp_path}, REPOSITORY).run(
        page, "x", starts={"motionfit": "", "mosi": "b.pt"}
    )
    expected = {"motionfit": "", "mosi": "b.pt", "mers": f"{tmp_path}/a #1.pt"}
    assert json.loads(job.params)["starts"] == expected
    _, again = cli._lift_parameters(shlex.split(job.arguments))
    arrived = runs.parameters_for(page, "mini", runs.Given(again, [page]).of(page))
    assert arrived["starts"] == expected


def test_a_section_adds_an_entry_to_the_common_ones(tmp_path):
    project = make_project(tmp_path / "project")
    notebook = NOTEBOOK.replace("seed = 0\n", "seed = 0\ndataset_options = {}\n")
    (project / "notebooks" / "90_tiny.py").write_text(notebook)
    sections = "common: {dataset_options: {annotations: a}}\n90_tiny: {dataset_options.%s}\n"
    scale = project / "papermill_runs" / "odd.yaml"
    scale.write_text(sections % "split: 2")
    given = runs.parameters_for("90_tiny", "odd", {}, project)
    assert given["dataset_options"] == {"annotations": "a", "split": 2}
    (project / "papermill_runs" / "worse.yaml").write_text(sections % "splt: 2")
    with pytest.raises(runs.ParameterError, match=r"worse\.yaml, section 90_tiny: no entry 'splt'"):
        runs.parameters_for("90_tiny", "worse", {}, project)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": "2"}, "no parameter 'split'; did you mean 'dataset_options.split'"),
        ({"test_group": "2"}, "did you mean 'dataset_options.test_groups'"),
        ({"dataset_option.split": "2"}, "no parameter 'dataset_option'; did you mean 'dataset_opt"),
        ({"dataset_options.spilt": "2"}, "no entry 'spilt' in dataset_options; did you mean 'spli"),
        ({"dataset_options.split": "two"}, r"dataset_options\.split must be of type int like 1,"),
        ({"dataset_options": "{split: two}"}, r"dataset_options\.split must be of type int"),
        ({"dataset_options": "{spilt: 2}"}, "no entry 'spilt' in dataset_options; did you mean"),
        ({"dataset_options": "2"}, "parameter dataset_options must be of type dict"),
        ({"dataset_options.test_groups": "9"}, r"test_groups must be of type list like \[\], writ"),
        ({"augmentation.flop": "1"}, "no entry 'flop' in augmentation; did you mean 'flip'"),
        ({"augmentation.flip": "often"}, r"augmentation\.flip must be of type float"),
        ({"seed.x": "1"}, "no parameter 'seed.x': seed is no dictionary"),
    ],
)
def test_what_is_no_entry_is_refused_in_one_line(values, message):
    with pytest.raises(runs.ParameterError, match=message) as refused:
        runs.Given(values, project=REPOSITORY)
    assert len(str(refused.value).splitlines()) == 1


def test_the_options_are_those_of_open_dataset():
    """Names, and a value of each one's kind: the groups' None is an empty list on a page."""
    taken = inspect.signature(open_dataset).parameters
    own = {n: p.default for n, p in taken.items() if n not in ("dataset", "root", "data_seed")}
    assert ENTRIES["dataset_options"] == own | {"test_groups": []}


def test_the_augmentation_s_entries_are_its_fields():
    own = {f.name: f.default for f in dataclasses.fields(Augmentation)}
    assert ENTRIES["augmentation"] == {k: list(v) if v == () else v for k, v in own.items()}


def test_paths_among_the_options_start_where_the_user_stands(tmp_path):
    for given in ({"dataset_options": "{annotations: lists, split: 2}"},
                  {"dataset_options.annotations": "lists"}):  # fmt: skip
        [value] = runs.Given(given, [PAGE], folder=tmp_path).of(PAGE).values()
        assert value in (str(tmp_path / "lists"), {"annotations": f"{tmp_path}/lists", "split": 2})


@pytest.mark.parametrize("name", ["test_clips", "clips_per_video", "batch_size", "frames"])
def test_a_number_of_nothing_is_refused_before_anything_runs(name, tmp_path):
    with pytest.raises(runs.ParameterError, match=f"{LABELLED}: parameter {name} must be at least"):
        runs.execute(LABELLED, tmp_path / "run", {name: 0})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("page", "given", "told"),
    [
        ("22_motionfit_pseudo_labels", {"tsne_clips": 0}, "tsne_clips must be at least 2, got 0"),
        ("22_motionfit_pseudo_labels", {"perplexity": 0.0}, "perplexity must be at least 1"),
        ("13_mosi_gradcam", {"videos_shown": 0}, "videos_shown must be at least 1, got 0"),
        ("14_mosi_clusters", {"videos": 1}, "videos must be at least 2, got 1"),
        ("30_timebalance_teachers", {"fractions": []}, "fractions must name at least 1, got \\[]"),
        ("50_pace_pretrain", {"paces": [2]}, "paces must name at least 2, got \\[2]"),
    ],
)
def test_pictures_and_lists_of_nothing_are_refused_likewise(page, given, told, tmp_path):
    with pytest.raises(runs.ParameterError, match=f"{page}: parameter {told}"):
        runs.execute(page, tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def test_a_stride_of_0_spreads_a_clip_and_a_negative_one_is_refused(tmp_path):
    assert runs.parameters_for(LABELLED, "mini", {"frame_stride": 0})["frame_stride"] == 0
    with pytest.raises(runs.ParameterError, match="frame_stride must be at least 0, got -1"):
        runs.execute(LABELLED, tmp_path / "run", {"frame_stride": -1})


def test_every_such_number_is_some_page_s():
    pages = [runs.declared_parameters(runs.notebook_path(page)) for page in runs.notebook_names()]
    defaults = [page[name] for name in AT_LEAST_ONE for page in pages if name in page]
    assert all(any(name in page for page in pages) for name in AT_LEAST_ONE)
    assert all(type(default) is not int or default >= 1 for default in defaults)
