"""Sets that people bring: folds are added up once, tables say what their records count, and what
cannot be trained on is told before anything is."""

import json
import shutil

import pytest
from tiny_project import NOTEBOOK, REPOSITORY, make_project

from vidssl import cli, runs
from vidssl.runs import sets as sets_room
from vidssl.runs.cells import Cell, Question, compare
from vidssl.runs.listing import list_runs, with_states
from vidssl.runs.parameters import check_parameters, read_value, read_yaml
from vidssl.runs.sets import SetsNow
from vidssl.runs.tables import Results
from vidssl.visualize.style import COLUMN_WIDTH, new_figure


def touched(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


# --- folds ---------------------------------------------------------------------------------------


def fold(root, group, options=None, **parameters):
    (root / "records").mkdir(parents=True)
    told = {"dataset_options": {"test_groups": [group], **(options or {})}, "steps": 300}
    told |= parameters
    metrics = {"top1_accuracy": 0.5, "test_videos": 4, "labelled": 8}
    record = {"run": "mini-a-s0", "parameters": told, "metrics": metrics}
    (root / "records" / "mini-a-s0.json").write_text(json.dumps(record))
    return str(root)


def test_a_fold_named_twice_is_refused(tmp_path):
    one, two = fold(tmp_path / "1", "1"), fold(tmp_path / "2", "2")
    with pytest.raises(ValueError, match=r"twice|2 times"):
        runs.pool_folds([one, two, one])


@pytest.mark.parametrize(
    ("setting", "other"),
    [
        ("steps", {"steps": 4}),
        ("backbone", {"backbone": "s3dg"}),
        ("augmentation", {"augmentation": {"flip": 0.5}}),
        ("dataset_options.group_pattern", {"options": {"group_pattern": "_(.)_"}}),
    ],
)
def test_folds_of_other_settings_are_told(tmp_path, setting, other):
    usual = {"backbone": "r3d_10", "augmentation": {}, "run_folder": "one"}
    folds = [fold(tmp_path / "1", "1", **usual)]
    folds += [fold(tmp_path / "2", "2", **{**usual, "run_folder": "two", **other})]
    folds += [fold(tmp_path / "3", "3", **usual)]
    _, [told] = runs.pool_folds(folds)
    assert f"folds differ in {setting}: " in told


def test_videos_that_no_fold_tests_are_counted(tmp_path):
    folds = [fold(tmp_path / name, name) for name in "123"]
    assert runs.pool_folds(folds)[1] == []
    assert runs.pool_folds(folds[:2])[1] == ["mini-a-s0: 4 of 12 videos are tested in no fold"]
    share = [fold(tmp_path / name, name, label_fraction=0.5) for name in "45"]
    assert runs.pool_folds(share)[1] == []  # how many are left without a label is on no record


def test_folds_judged_by_validation_videos_are_refused(tmp_path):
    folds = [fold(tmp_path / name, name, validation=0.25) for name in "12"]
    with pytest.raises(ValueError, match=r"1: mini-a-s0 is judged by validation videos.*=0.25"):
        runs.pool_folds(folds)


# --- tables --------------------------------------------------------------------------------------


def table(**about):
    """Two rows of one seed; ``about`` goes into the record of the second one."""
    cells = [Cell(row, "all", [f"mini-{row}-s0"]) for row in ("a", "b")]
    found = {}
    for row in ("a", "b"):
        place = {"dataset": "folder", "data_seed": 0}
        told = {"run": f"mini-{row}-s0", "scale": "mini", "parameters": place, "seeds": [0]}
        told |= {"metrics": {"top1_accuracy": 0.5, "chance": 0.25, "test_videos": 18}}
        found[told["run"]] = {**told, "seconds": 1.0, "failed_count": 0, "data_hash": "one"}
    found["mini-b-s0"] |= about
    claims = [compare(("a", "all"), ("b", "all"))]
    return Results(Question(cells, claims, "labels", name="small", about="Is it?"), found)


@pytest.mark.parametrize(
    ("caveat", "word"),
    [
        ({"missing": {"test": {"listed": 9, "absent": 1}}}, "1 of 9"),
        ({"shared_groups": {"test_videos": 8, "shared": 5}}, "5 of 8"),
        ({"shared_recordings": {"test_videos": 8, "shared": 6}}, "6 of 8"),
        ({"untested_classes": ["run", "walk"]}, "2 classes"),
        ({"shares_below_one_video": {"0.05": 3, "of": 4}}, "3 of 4"),
    ],
)
def test_a_table_says_what_its_records_count(caveat, word):
    results = table(data_caveats=caveat)
    assert word in str(results)
    assert word in results.figure().get_supxlabel()
    assert word in results.origin()["dataset"]


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"validation": 0.25}, "tested on 25 % of the training groups"),
        ({"dataset_options": {"split": 2}}, "official split 2"),
    ],
)
def test_a_table_says_of_which_videos_its_numbers_are(told, word):
    results = table(parameters={"dataset": "folder", "data_seed": 0, **told})
    assert word in results.figure().get_supxlabel()
    assert word in results.origin()["dataset"]


def test_a_table_of_few_test_videos_and_one_seed_says_so():
    results = table()  # 18 test videos
    assert results.caveats == "18 test videos: one is 5.6 points"
    assert "one is 5.6 points" in results.figure().get_supxlabel()
    assert results.origin()["alt"].endswith("; one seed, without intervals.")
    told = {"top1_accuracy": 0.5, "chance": 0.25, "test_videos": 101}
    many = {name: {**record, "metrics": told} for name, record in results.records.items()}
    assert Results(results.question, many).caveats == ""


def test_a_table_says_how_many_videos_could_not_be_read():
    assert "3 videos" in str(table(failed_count=3))


def test_a_column_of_two_states_of_a_set_is_refused():
    with pytest.raises(ValueError, match="data_hash"):
        table(data_hash="other")


def test_no_note_is_wider_than_its_figure():
    rows = "supervised (33 %), distinctive (33 %), average (67 %) and 2 more"
    note = f"hmdb51 · real-mine\ndoes not fit its training videos: {rows}"
    figure = new_figure(COLUMN_WIDTH, 2, note)
    figure.canvas.draw()
    assert figure._supxlabel.get_window_extent().x0 >= 0


# --- sets ----------------------------------------------------------------------------------------


def test_every_figure_of_a_page_says_what_is_to_be_known_of_its_videos(tmp_path):
    page = runs.declared_parameters(REPOSITORY / "notebooks" / "01_data_and_clips.py")
    run = runs.start("01_data_and_clips", {**page, "run_folder": str(tmp_path / "run")})
    run.caveats = {"untested_classes": ["run"], "shared_groups": {"test_videos": 8, "shared": 5}}
    run.caveats |= {"missing": {"test": {"listed": 9, "absent": 1}}}  # the data set's name says it
    note = "folder without 1 of 9 test videos · mini scale"
    figure = new_figure(COLUMN_WIDTH, 2, note)
    for name in ("one", "again"):
        about = {"alt": "none", "dataset": "folder without 1 of 9 test videos"}
        files = run.save_figure(figure, name, **about)
        origin = json.loads(files[-1].read_text())
        told = "5 of 8 test videos share a source with training videos · 1 class untested"
        assert origin["dataset"] == f"folder without 1 of 9 test videos · {told}"
        assert figure.get_supxlabel().replace("\n", " ") == f"{note} {told}"
        assert figure._supxlabel.get_window_extent().x0 >= 0


def test_a_missing_test_video_is_refused_before_anything_is_trained(tmp_path):
    files = [f"{c}/v_{c}_g{g:02d}_c01.avi" for c in ("A", "B") for g in (1, 2)]
    touched(tmp_path / "videos", *files[:-1])
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 A\n2 B\n")
    (lists / "trainlist01.txt").write_text(f"{files[0]} 1\n{files[2]} 2\n")
    (lists / "testlist01.txt").write_text(f"{files[1]}\n{files[3]}\n")
    page = runs.declared_parameters(REPOSITORY / "notebooks" / "03_transfer.py")
    told = {"dataset": "ucf101", "root": str(tmp_path / "videos"), "starts": {"scratch": ""}}
    told |= {"dataset_options": {"annotations": str(lists)}, "videos_per_class": 1}
    run = runs.start("03_transfer", {**page, **told, "run_folder": str(tmp_path / "run")})
    with pytest.raises(FileNotFoundError, match="1 of 4 files are missing"):
        run.open_dataset(labelled=True)


# --- sets that change in place -------------------------------------------------------------------

OWN = """dataset = "folder"
root = ""
dataset_options = {}
videos_per_class = 5
label_list = ""
"""
METHOD = """
wanted = graph.settings("columns", videos_per_class=[1, 3, 9, 20])


@graph.target
def columns():
    return [graph.run("90_tiny", f"n{n}", root="set", videos_per_class=n)
            for n in wanted["videos_per_class"]]


@graph.target
def both():
    first = graph.run("90_tiny", "first", root="set")
    return graph.run("90_tiny", "second", after=[first], root="set", seed=4)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose page opens the folder "set": two classes of three and four videos."""
    made = make_project(tmp_path / "project")
    page = NOTEBOOK.replace('dataset = "embedded"\n', OWN)
    page = page.replace("globals())\n", "globals())\nsplits = run.open_dataset()\n", 1)
    page = page.replace('failed=[*"abcdea"]', "data_hash=splits.fingerprint")
    (made / "notebooks" / "90_tiny.py").write_text(page)
    (made / "papermill_runs" / "own.smk").write_text(METHOD)
    touched(made / "set", *(f"run/{i}.mp4" for i in range(4)), *(f"sit/{i}.mp4" for i in range(3)))
    monkeypatch.chdir(made)
    return made


def begun(project, name, **told):
    page = runs.declared_parameters(project / "notebooks" / "90_tiny.py")
    told = {"root": "set", "run_folder": f"papermill_runs/mini/{name}", **told}
    run = runs.start("90_tiny", {**page, **told})
    return run, run.open_dataset()


def finished(project, name, **told):
    run, splits = begun(project, name, **told)
    run.finish({"loss": 1.0}, data_hash=splits.fingerprint)
    return run


def states(project):
    root = project / "papermill_runs"
    found = with_states(list_runs(root, project).runs, project)
    return {run.run.removeprefix("mini-"): run.state for run in found}


CHANGES = {
    "added": lambda root: touched(root, "sit/9.mp4"),
    "removed": lambda root: (root / "run" / "0.mp4").unlink(),
    "relabelled": lambda root: (root / "run" / "0.mp4").rename(root / "sit" / "9.mp4"),
    "other file": lambda root: (root / "run" / "0.mp4").write_bytes(b"longer"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_runs_of_a_set_that_changed_are_stale(project, change):
    finished(project, "first")
    assert states(project) == {"first": "finished"}
    change(project / "set")
    assert states(project) == {"first": "stale"}


def test_a_trace_says_that_a_set_changed(project):
    finished(project, "first")
    run, splits = begun(project, "second")
    about = {"alt": "numbers", "dataset": "folder", "from_runs": ["mini-first"]}
    [*_, origin] = run.save_figure(None, "small", data=[{"loss": 1.0}], **about)
    run.finish({"loss": 1.0}, data_hash=splits.fingerprint)
    assert runs.trace(origin)[0] == "small: current"
    CHANGES["added"](project / "set")
    assert runs.trace(origin)[0] == "small: stale: 1 of 1 runs: of a set that has changed"


def test_what_nobody_can_compare_is_not_stale(project):
    """A record of another machine, without the run's folder; a set that is away."""
    for name in ("first", "second"):
        finished(project, name)
    shutil.rmtree(project / "papermill_runs" / "mini" / "first")
    CHANGES["added"](project / "set")
    assert states(project) == {"first": "finished", "second": "stale"}
    (project / "set").rename(project / "away")
    assert states(project) == {"first": "finished", "second": "finished"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["0.mp4", "1.mp4"], "no labelled test videos: put videos into one folder a class"),
        (["run/0.mp4", "run/1.mp4"], "holds one class folder, 'run'"),
    ],
)
def test_a_set_without_labels_is_refused_before_the_first_run(project, capfd, files, said):
    """One that needs no labels takes it."""
    shutil.rmtree(project / "set")
    touched(project / "set", *files)
    page = project / "notebooks" / "90_tiny.py"
    takes_any = page.read_text()
    page.write_text(takes_any.replace("open_dataset()", "open_dataset(labelled=True)"))
    assert cli.main(["run", "both"]) == 1
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("vidssl: both at mini scale, before anything starts: root='set'")
    assert said in told[0]
    page.write_text(takes_any)
    assert cli.main(["run", "both"]) == 0


def test_runs_of_a_set_that_changed_are_made_again(project, capfd):
    before = finished(project, "first"), finished(project, "second", seed=4)
    assert cli.main(["run", "both", "-n"]) == 0
    assert "made again" not in "".join(capfd.readouterr())
    CHANGES["added"](project / "set")
    assert cli.main(["run", "both"]) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "made again" in line]
    assert len(said) == 1
    assert said[0].startswith("both: 2 finished runs are made again")
    assert "root='set'" in said[0]
    assert states(project) == {"first": "finished", "second": "finished"}
    for run in before:
        assert (run.folder / "90_tiny.ipynb").exists(), "it was executed"
    CHANGES["relabelled"](project / "set")
    assert cli.main(["run", "both"]) == 0
    assert "is finished already" not in capfd.readouterr().out
    assert states(project) == {"first": "finished", "second": "finished"}
    assert cli.main(["run", "both"]) == 0
    assert "made again" not in capfd.readouterr().err


def test_a_set_that_is_away_is_said_and_its_runs_are_kept(project, capfd):
    finished(project, "first")
    finished(project, "second", seed=4)
    (project / "set").rename(project / "away")
    assert cli.main(["run", "both"]) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("both: ")]
    assert len(said) == 1
    assert "2 finished runs are not compared" in said[0]
    assert "root='set'" in said[0]


def test_a_set_is_opened_once_for_all_its_runs(project, monkeypatch):
    told = [finished(project, name, seed=seed).params for seed, name in enumerate("abc")]
    opened = []
    really = sets_room.open_inputs
    monkeypatch.setattr(sets_room, "open_inputs", lambda p: opened.append(p) or really(p))
    sets = SetsNow(project)
    assert len({sets.hash(params) for params in told}) == 1
    assert len(opened) == 1


def test_a_list_of_labels_that_changed_is_another_hash(project):
    """As the record of a page with a list says it, whatever of the list is drawn."""
    from vidssl.data import labelled_videos

    path = project / "labelled.txt"
    page = {"label_list": str(path), "videos_per_class": 0, "seed": 3}
    _, splits = begun(project, "first", dataset_options={"test_groups": ["run/0", "sit/0"]})
    told = {"scale": "mini", "dataset": "folder", "root": "set", **page}
    told["dataset_options"] = {"test_groups": ["run/0", "sit/0"]}
    found = []
    for video in ("run/1", "run/2"):
        path.write_text(f"{video} 9 0\nsit/1 9 1\n")
        listed = labelled_videos(splits, label_list=path, seed=3)
        found.append(runs.data_hash(splits, listed, str(path)))
        assert SetsNow(project).hash(told) == found[-1]
    assert found[0] != found[1]


def test_a_run_that_was_stopped_goes_on_only_with_the_same_set(project):
    run, _ = begun(project, "first")
    kept = run.checkpoint_folder / "checkpoint.pt"
    kept.touch()
    begun(project, "first")
    assert kept.exists()
    CHANGES["relabelled"](project / "set")
    begun(project, "first")
    assert not kept.exists()


# --- columns that a set cannot fill --------------------------------------------------------------


def refusal(capsys, *words):
    assert cli.main(["run", "columns", *words]) == 1
    return capsys.readouterr().err.splitlines()


def test_all_columns_that_a_set_cannot_fill_are_told_before_the_first_run(project, capsys):
    [said] = refusal(capsys)
    assert "before anything starts: targets: columns: videos_per_class: [1, 3, 9, 20]" in said
    assert "9 and 20 labelled videos a class" in said
    assert "class 'sit' has 2 training videos" in said
    assert "set it to [1] in papermill_runs/mini.yaml" in said
    assert not (project / "papermill_runs" / "mini").exists()
    [said] = refusal(capsys, "-p", "videos_per_class", "40")
    assert "videos_per_class asks for 40" in said
    assert "give -p videos_per_class 2 or less" in said


def test_a_column_is_held_against_the_list_of_labels(project, capsys):
    (project / "labelled.txt").write_text("run/0 9 0\n")
    asked = ("-p", "dataset_options.test_groups", "[run/3, sit/2]", "-p", "label_list")
    warned, said = refusal(capsys, *asked, "labelled.txt")
    assert warned == "columns: labelled.txt: names no video of 1 of 2 classes: sit"
    assert "class 'run' has 1" in said


# --- names that look like something else ---------------------------------------------------------


@pytest.mark.parametrize("name", ["02", "010", "08", "1:30", "1_0", "2026-01-02", "0x1F"])
def test_a_group_keeps_the_name_that_is_written(name):
    named = "dataset_options.test_groups"
    assert read_value(named, f"[{name}]", [], "-p") == [name]
    assert read_yaml(f"{{test_groups: [{name}]}}") == {"test_groups": [name]}


@pytest.mark.parametrize("name", ["yes", "No", "on", "1.10", "~"])
def test_a_group_that_yaml_takes_for_something_else_wants_quotes(name):
    declared = {"dataset_options": {}}
    for given in (f"{{dataset_options: {{test_groups: [{name}]}}}}",
                  f"{{dataset_options.test_groups: [{name}]}}"):  # fmt: skip
        with pytest.raises(runs.ParameterError, match="put them in quotes"):
            check_parameters(read_yaml(given), declared, "a.yaml")


def test_a_number_with_a_leading_zero_is_none():
    """YAML 1.1 makes 64 of it."""
    with pytest.raises(runs.ParameterError, match=r"type int .*got '0100'"):
        check_parameters(read_yaml("{steps: 0100}"), {"steps": 1}, "a.yaml")
    assert read_yaml("[12, -3, 10_000, 0, 1e3]") == [12, -3, 10000, 0, 1000.0]
