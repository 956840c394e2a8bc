"""Notebooks 00 to 02 at smoke scale; what a notebook refuses, and what it says it left out."""

import shutil

import pytest
from smoke import execute

from vidssl import runs


def test_start_here(place):
    (place / "records").mkdir(exist_ok=True)
    execute("00_start_here", place, "start_here")


def test_data_and_clips(place):
    done = execute("01_data_and_clips", place, "data_and_clips")
    assert done["metrics"] == {"train_videos": 16, "test_videos": 8, "videos_in_both": 0}


def test_supervised_baseline(place):
    done = execute("02_supervised_baseline", place, "supervised-n3-s0", videos_per_class=3)
    assert done["metrics"]["labelled"] == 12
    assert {"linear_probe_top1_accuracy", "nearest_neighbours_top1_accuracy"} <= set(
        done["metrics"]
    )
    figures = place / "smoke" / "supervised-n3-s0"
    assert (figures / "supervised_confusion.png").exists()
    assert len((figures / "supervised_per_class.csv").read_text().splitlines()) == 1 + 4


def test_absent_videos_are_skipped_on_demand_and_stated(place):
    """The denominator is of the videos that are there; record and figures say of how many."""
    root = shutil.copytree(place / "data", place / "incomplete")
    for name in ("Shuttle/v_Shuttle_g01_c01", "Striped/v_Striped_g08_c01"):
        (root / "UCF-101" / f"{name}.mp4").unlink()
    short = {"videos_per_class": 3, "steps": 2, "test_clips": 1, "root": str(root)}
    short["dataset_options"] = {"missing": "skip"}
    done = execute("02_supervised_baseline", place, "skipped", **short)
    assert done["metrics"]["test_videos"] == 7
    missing = done["data_caveats"]["missing"]
    assert missing["test"] == {"listed": 8, "absent": 1, "first": ["Shuttle/v_Shuttle_g01_c01"]}
    assert missing["train"]["absent"] == 1
    origin = (place / "smoke/skipped/supervised_per_class.json").read_text()
    assert "embedded without 1 of 16 train, 1 of 8 test videos" in origin
    record = (place / "records" / "smoke-skipped.json").read_text()
    assert '"data_caveats"' in record


def test_a_mistyped_parameter_stops_before_anything_runs(place):
    with pytest.raises(runs.ParameterError, match="did you mean 'epochs'"):
        execute("11_mosi_pretrain", place, "mistyped", epoch=1)
    assert not (place / "smoke" / "mistyped").exists()


def test_a_cell_that_fails_fails_its_test(place):
    with pytest.raises(AssertionError, match=r"ParameterError: .*99"):
        execute("02_supervised_baseline", place, "too_many", videos_per_class=99)
