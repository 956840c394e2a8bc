"""Where a step's time goes: the page measures all of it, whatever the numbers are."""

import csv

import pytest
from smoke import execute


def test_a_step_s_time_and_memory_are_taken_apart(place):
    done = execute("93_performance", place, "performance")["metrics"]
    parts = ["between_steps", "forward", "backward", "optimiser"]
    assert sum(done[f"{part}_share"] for part in parts) == pytest.approx(1, abs=0.01)
    assert {name for name in done if name.startswith("gflops_")} >= {"gflops_1x3x3"}
    assert 0 < done["convolution_share"] < 1
    assert done["kept_mb"] > 0
    with open(place / "smoke" / "performance" / "operators.csv", newline="") as file:
        shares = [float(row["share"]) for row in csv.DictReader(file)]
    assert sum(shares) == pytest.approx(1, abs=0.01)
