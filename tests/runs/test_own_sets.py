"""Sets that people bring: folds are added up once, tables say what their records count, and what
cannot be trained on is told before anything is."""

import json

import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.runs.cells import Cell, Question, compare
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
    [told] = runs.pooling_caveats(folds)
    assert f"folds differ in {setting}: " in told


def test_videos_that_no_fold_tests_are_counted(tmp_path):
    folds = [fold(tmp_path / name, name) for name in "123"]
    assert runs.pooling_caveats(folds) == []
    assert runs.pooling_caveats(folds[:2]) == ["mini-a-s0: 4 of 12 videos are tested in no fold"]
    share = [fold(tmp_path / name, name, label_fraction=0.5) for name in "45"]
    assert runs.pooling_caveats(share) == []  # how many are left without a label is on no record


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
