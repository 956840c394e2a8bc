"""The data set that a page's parameters name: what is said of it."""

from pathlib import Path

import pytest

from vidssl.data import missing_files
from vidssl.runs.inputs import open_inputs, recording_caveats, share_caveats


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """UCF101's layout: 2 classes, tested on groups 1 to 4 of 8; one file is absent."""
    root = tmp_path_factory.mktemp("ucf")
    lines = {"train": "", "test": ""}
    for number, name in enumerate(("Archery", "YoYo"), start=1):
        for group in range(1, 9):
            file = root / name / f"v_{name}_g{group:02d}_c01.avi"
            file.parent.mkdir(exist_ok=True)
            file.touch()
            lines["train" if group > 4 else "test"] += f"{name}/{file.name} {number}\n"
    (root / "Archery/v_Archery_g01_c01.avi").unlink()
    (root / "classInd.txt").write_text("1 Archery\n2 YoYo\n")
    for side, text in lines.items():
        (root / f"{side}list01.txt").write_text(text)
    return root


def params(root: Path, **given):
    options = {"annotations": str(root), "missing": "skip"}
    place = {"scale": "smoke", "dataset": "ucf101", "root": str(root), "dataset_options": options}
    return {**place, "data_seed": 0, "validation": 0.0, **given}


def test_the_name_says_what_was_skipped(root):
    splits = open_inputs(params(root), labelled=True)
    assert splits.name == "ucf101 without 1 of 8 test videos"
    assert len(splits.test) == 7
    assert open_inputs(params(root, dataset_options={"annotations": str(root)})).name == "ucf101"


def test_held_out_training_videos_are_not_those_of_the_test_list(root):
    (gone := root / "YoYo/v_YoYo_g08_c01.avi").unlink()
    splits = open_inputs(params(root, validation=0.25))
    gone.touch()
    assert splits.name.startswith("ucf101 without 1 of 8 train, 1 of 8 test videos, validation")
    assert splits.caveats["missing"].keys() == {"train"}
    assert splits.caveats["missing"]["train"]["listed"] == 8
    assert missing_files(splits.test) == []


def test_a_source_may_be_the_other_side(root):
    splits = open_inputs(params(root, source_side="test"))
    assert splits.name == "ucf101 without 1 of 8 test videos, its test videos"
    assert (len(splits.train), len(splits.test)) == (7, 0)
    assert splits.caveats["missing"]["train"]["absent"] == 1
    held_out = open_inputs(params(root, source_side="test", validation=0.25))
    sides = [{record.video_id for record in side} for side in (held_out.train, held_out.test)]
    assert sides[0] | sides[1] == {record.video_id for record in splits.train}
    assert not sides[0] & sides[1]
    with pytest.raises(ValueError, match="source_side='tset' is unknown; did you mean 'test'"):
        open_inputs(params(root, source_side="tset"))


def test_a_source_may_lack_classes(root, tmp_path):
    (named := tmp_path / "common.txt").write_text("yo-yo\n\n")
    splits = open_inputs(params(root, without_classes=str(named)))
    assert {record.class_name for record in [*splits.train, *splits.test]} == {"Archery"}
    assert splits.name.endswith("without 4 videos of named classes")
    assert splits.class_names == ["Archery", "YoYo"], "labels stay what they were"
    named.write_text("archery\nYoYos\n")
    with pytest.raises(ValueError, match=r"line 2: no class 'YoYos'; did you mean 'YoYo'"):
        open_inputs(params(root, without_classes=str(named)))


def test_a_share_below_one_video_of_a_class_is_counted(root):
    splits = open_inputs(params(root))
    told = {"shares_below_one_video": {"0.1": 2, "of": 2}}
    assert share_caveats({"label_fraction": 0.5}, splits) == {}
    assert share_caveats({"label_fraction": 0.25}, splits) == {}, "one of four"
    assert share_caveats({"label_fraction": 0.1}, splits) == told
    below = {"shares_below_one_video": {"0.2": 2, "of": 2}}
    assert share_caveats({"label_fraction": 0.2}, splits) == below, "0.8 of a video"
    assert share_caveats({"fraction": 0.0, "fractions": [0.1, 0.5]}, splits) == told
    assert share_caveats({"fraction": 0.1, "label_list": "list.txt"}, splits) == {}


@pytest.mark.parametrize(
    ("name", "options", "shared"),
    [
        ("v_{c}_g{g:02d}_c{n:02d}", {}, True),
        ("v_{c}_g{g:02d}_c{n:02d}", {"group_pattern": r"_(g\d+)_"}, False),
        ("{c}_g{g}_c{n}", {}, True),
        ("{c}_{g}_{n}", {}, False),  # numbers that may mean anything
    ],
)
def test_clips_of_one_recording_on_both_sides_are_counted(name, options, shared, tmp_path):
    for label in ("Archery", "YoYo"):
        for clip in range(16):
            told = {"c": label, "g": clip // 4 + 1, "n": clip % 4 + 1}
            (file := tmp_path / label / f"{name.format(**told)}.avi").parent.mkdir(exist_ok=True)
            file.touch()
    splits = open_inputs(params(tmp_path, dataset="folder", dataset_options=options))
    told = recording_caveats(splits)
    assert bool(told) == shared
    if shared:
        counts = told["shared_recordings"]
        assert 0 < counts["shared"] <= counts["test_videos"] == len(splits.test)


def test_lists_that_know_their_groups_say_so_themselves(root):
    assert recording_caveats(open_inputs(params(root))) == {}
