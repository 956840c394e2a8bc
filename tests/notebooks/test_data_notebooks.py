"""Notebooks 00 to 02 at smoke scale; what a notebook refuses."""

import pytest
from smoke import execute

from vidssl import runs


def test_start_here(place):
    (place / "records").mkdir(exist_ok=True)
    execute("00_start_here", place, "start_here")


def test_data_and_clips(place):
    execute("01_data_and_clips", place, "data_and_clips")


def test_supervised_baseline(place):
    done = execute("02_supervised_baseline", place, "supervised-n3-s0", videos_per_class=3)
    assert done["metrics"]["labelled"] == 12
    assert {"linear_probe_top1_accuracy", "nearest_neighbours_top1_accuracy"} <= set(
        done["metrics"]
    )
    figures = place / "smoke" / "supervised-n3-s0"
    assert (figures / "supervised_confusion.png").exists()
    assert len((figures / "supervised_per_class.csv").read_text().splitlines()) == 1 + 4


def test_a_mistyped_parameter_stops_before_anything_runs(place):
    with pytest.raises(runs.ParameterError, match="did you mean 'epochs'"):
        execute("11_mosi_pretrain", place, "mistyped", epoch=1)
    assert not (place / "smoke" / "mistyped").exists()
