"""`vidssl run` of a target whose data are not there: all that is missing, before a run starts."""

from pathlib import Path

import pytest
from tiny_project import REPOSITORY

from vidssl import runs

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
