"""What was expected is judged after the record is written, and loses no run."""

import json
import math

import pytest

from vidssl import runs


def expected(measured, above, videos=0):
    return runs.Expectation("ahead", measured, above, videos)


@pytest.mark.parametrize(
    ("measured", "above", "videos", "answer"),
    [
        (0.8, 0.5, 100, "held"),
        (0.5, 0.8, 100, "against"),
        (0.55, 0.5, 100, "open"),  # 5 points of 100 videos may be chance
        (0.55, 0.5, 10_000, "held"),
        (0.51, 0.5, 0, "held"),  # exact where no number of videos is behind it
        (0.5, 0.5, 0, "open"),
        (math.nan, 0.5, 0, "open"),
        (0.5, math.nan, 100, "open"),
        (1.0, 0.0, 1, "held"),
    ],
)
def test_answers(measured, above, videos, answer):
    assert expected(measured, above, videos).answer == answer


def test_the_interval_is_that_of_two_shares():
    """At one half of n videos each, the difference has a standard deviation of sqrt(0.5 / n)."""
    assert expected(0.5, 0.5, 200).uncertainty == pytest.approx(1.96 * math.sqrt(0.5 / 200))


def test_a_known_interval_is_taken_as_it_is():
    narrow, wide = (runs.Expectation("a", 0.03, 0.0, within=width) for width in (0.02, 0.05))
    assert (narrow.answer, wide.answer) == ("held", "open")


def test_the_table_has_a_row_for_each():
    table = runs.expectations_table([expected(0.8, 0.5, 100), runs.Expectation("b", 1.0, 2.0)])
    assert table["answer"].tolist() == ["held", "against"]
    assert table.index.tolist() == ["ahead", "b"]
    assert table["within"].tolist() == ["± 0.13".replace(" ", "\xa0"), ""]


@pytest.fixture
def run(tmp_path):
    return runs.start("00_start_here", {"run_folder": str(tmp_path / "mini" / "one")})


def test_a_disappointing_run_leaves_its_record_and_says_so(run):
    table = run.finish({"accuracy": 0.1}, expectations=[expected(0.1, 0.9, 50)])
    assert table["answer"].tolist() == ["against"]
    whole = json.loads((run.folder / "run.json").read_text())
    record = json.loads((run.runs_root / "records" / f"{run.run_id}.json").read_text())
    assert whole["status"] == record["status"] == "finished"
    assert whole["expectations"] == record["expectations"] == {"ahead": "against"}


def test_a_run_that_expects_nothing_shows_nothing(run):
    assert run.finish({"accuracy": 0.1}) is None
    assert "expectations" not in json.loads((run.folder / "run.json").read_text())


def test_outputs_keep_the_trainings_of_a_run_apart(run, tmp_path):
    alone, first = run.outputs(), run.outputs("mosi")
    assert alone["folder"] == run.folder / "checkpoints"
    assert first["folder"] == run.folder / "checkpoints" / "mosi"
    first["log"](step=3, loss=0.5)
    alone["log"](step=4, loss=0.25)
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 3, "part": "mosi", "loss": 0.5},
        {"step": 4, "loss": 0.25},
    ]


def test_an_exploration_keeps_no_checkpoints():
    assert runs.start("00_start_here", {}).outputs("mosi")["folder"] is None
