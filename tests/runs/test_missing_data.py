"""`vidssl run` of a target whose data are not there: all that is missing, before a run starts."""

from pathlib import Path

import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.runs.sets import SetsNow, check_sets

UCF101 = "data/ucf101/UCF-101"
LISTS = "data/ucf101/ucfTrainTestlist"


def refused(target, scale, folder, **given):
    with pytest.raises(runs.MissingInput) as error:
        runs.run_target(target, REPOSITORY, scale=scale, given=given, runs_root=str(folder))
    assert not folder.exists(), "nothing was started or made"
    return str(error.value)


@pytest.mark.skipif(Path(REPOSITORY, UCF101).exists(), reason=f"{UCF101} is there")
def test_a_target_names_every_folder_and_list_that_it_lacks(tmp_path):
    told = refused("mosi_lowshot", "paper", tmp_path / "runs")
    assert told.splitlines() == [told]
    assert told.startswith("mosi_lowshot at paper scale reads folders or lists that are not there:")
    for missing in (f"root='{UCF101}'", f"dataset_options.annotations='{LISTS}'"):
        assert told.count(missing) == 1
    assert told.endswith("put or link them there, or say by -p where they are")
    both = refused("mosi_stills", "paper", tmp_path / "runs")
    for folder in (UCF101, "data/hmdb51", "data/imagenet"):
        assert folder in both
    assert both.endswith("put or link them there"), "one -p would be all three"


@pytest.mark.parametrize(
    ("target", "scale", "name", "number"),
    [
        ("mosi_stills", "paper", "root", 3),
        ("mosi_stills", "paper", "dataset_options.annotations", 2),
        ("mosi_comparison", "paper-hmdb51", "root", 2),
        ("motionfit_transfer", "paper-motionfit", "flow", 2),
    ],
)
def test_one_place_is_not_taken_for_several_data_sets(target, scale, name, number, tmp_path):
    told = rf"{target} at {scale} scale reads {name} of {number} data sets, .*: -p {name} would be"
    with pytest.raises(runs.ParameterError, match=told):
        runs.run_target(
            target,
            REPOSITORY,
            scale=scale,
            given={name: str(tmp_path)},
            runs_root=str(tmp_path / "r"),
        )
    assert not (tmp_path / "r").exists()


def test_what_is_given_is_looked_for_and_what_a_run_makes_is_not(tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    given = {"dataset_options.annotations": str(lists), "root": str(tmp_path / "no")}
    told = refused("mosi_lowshot", "paper", tmp_path / "runs", **given)
    assert f"root='{tmp_path}/no'" in told
    assert "annotations" not in told
    assert "cells" not in told


# --- lists that are there and cannot be taken ----------------------------------------------------


def ucf101(folder, **lists):
    """The parameters of a run on two classes of UCF101, of which no video is there."""
    (folder / "videos").mkdir()
    texts = {"classInd": "1 A\n2 B\n", "trainlist01": "A/v_A_g01_c01.avi 1\nB/v_B_g01_c01.avi 2\n"}
    texts |= {"testlist01": "A/v_A_g02_c01.avi\nB/v_B_g02_c01.avi\n", **lists}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    options = {"annotations": str(folder), "missing": "refuse"}
    told = {"scale": "mini", "dataset": "ucf101", "root": str(folder / "videos")}
    return {**told, "dataset_options": options}


def labelled(folder, text):
    (folder / "labelled.txt").write_text(text)
    return {"label_lists": [str(folder / "labelled.txt")]}


def test_lists_are_read_before_anything_starts(tmp_path):
    """Of all runs: the one that needs it may come days after the first."""
    told = ucf101(tmp_path)
    (tmp_path / "testlist01.txt").unlink()
    given = {"root": told["root"], "dataset_options.annotations": str(tmp_path)}
    said = r"mosi_lowshot at paper scale, before anything starts: .*testlist01\.txt: no such file"
    with pytest.raises(ValueError, match=said):
        runs.run_target(
            "mosi_lowshot", REPOSITORY, scale="paper", given=given, runs_root=str(tmp_path / "r")
        )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (
            {"trainlist01": "A/v_A_g01_c01.avi 1\n"},
            "'B' has no training video.* correct the lists",
        ),
        ({"testlist01": "A/v_A_g02_c01.avi\n"}, "class 'B' has no test video"),
        ({"classInd": "1 A\n"}, "class 'B' is not in classInd.txt"),
    ],
)
def test_a_class_that_a_list_lacks_is_named(tmp_path, lists, said):
    with pytest.raises(ValueError, match=said):
        check_sets([ucf101(tmp_path, **lists)], SetsNow(REPOSITORY))


def test_labels_of_no_video_of_a_class_are_said_and_those_of_test_videos_refused(tmp_path):
    told = ucf101(tmp_path)
    [said] = check_sets([told | labelled(tmp_path, "A/v_A_g01_c01 64 0\n")], SetsNow(REPOSITORY))
    assert said.endswith("labelled.txt: names no video of 1 of 2 classes: B")
    with pytest.raises(ValueError, match="in the test set"):
        check_sets([told | labelled(tmp_path, "A/v_A_g02_c01 64 0\n")], SetsNow(REPOSITORY))


def test_a_class_to_leave_out_that_there_is_not_is_named(tmp_path):
    (tmp_path / "out.txt").write_text("C\n")
    told = {**ucf101(tmp_path), "without_classes": str(tmp_path / "out.txt")}
    with pytest.raises(ValueError, match="no class 'C'"):
        check_sets([told], SetsNow(REPOSITORY))
