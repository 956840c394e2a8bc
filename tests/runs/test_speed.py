"""What a page's training is timed at, what is kept of it, and what a plan makes of it."""

from dataclasses import replace

import pytest
from tiny_project import make_project

from vidssl import cli
from vidssl.runs import speed
from vidssl.runs.speed import Speed, keep, kept, kept_file, measure, plan

KNOWN = Speed(
    page="11_mosi_pretrain",
    scale="paper",
    device="a GPU",
    loader=900.0,
    transfer=2.0,
    step=1000.0,
    training=800.0,
    clips=8_640_000,
    megabytes=2.5,
    workers=12,
    measured="2026-01-01",
)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_page_s_own_training_is_timed(moving_videos, monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    given = {"dataset": "folder", "root": str(moving_videos), "frame_store_gb": 0.0, "epochs": 3}
    found = measure("60_rotation_pretrain", "smoke", {**given, "batch_size": 4, "frames": 4})
    assert found.clips == 3 * (12 // 4) * 4 * 4, "epochs, batches, videos and turns of each"
    crossing = 3 * 4 * 32 * 32 + (9 + 1) * 4 + 8  # a byte a pixel, its colours, its label
    assert found.megabytes == pytest.approx(crossing / 4 / 1e6), "one clip comes, four are made"
    assert min(found.loader, found.step, found.training) > 0
    assert (found.transfer, found.workers) == (0, 0)
    assert found.limit in ("loader", "step")
    assert "no GPU" in str(found)


def test_a_page_without_a_training_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path / "project"))
    with pytest.raises(ValueError, match="90_tiny trains nothing"):
        measure("90_tiny", "mini")


@pytest.mark.parametrize(
    ("changed", "limit", "advice"),
    [
        ({"loader": 100.0, "workers": 500}, "loader", "vidssl prepare"),
        ({"loader": 100.0, "workers": -9}, "loader", "-p num_workers"),
        ({}, "host to device", "fewer px"),
        ({"step": 100.0}, "step", "precision bf16"),
        ({"step": 100.0, "transfer": 0.0}, "step", "a GPU, or fewer px"),
    ],
)
def test_the_slowest_part_limits_and_says_what_helps(changed, limit, advice):
    found = replace(KNOWN, **changed)
    assert found.limit == limit
    assert advice in str(found).splitlines()[-1]


def test_a_newer_speed_replaces_that_of_the_same_page_scale_and_device():
    assert kept() == []
    other = replace(KNOWN, device="another GPU")
    newer = replace(KNOWN, training=400.0)
    for each in (KNOWN, other, newer):
        keep(each)
    assert kept() == [other, newer]
    kept_file().write_text("[{")
    with pytest.raises(ValueError, match=r"speeds\.json: holds no speeds .*; delete it"):
        kept()


def test_a_plan_counts_with_what_was_measured_and_says_what_was_not():
    assert any("11_mosi_pretrain  " in line and "not measured" in line for line in lines())
    assert lines()[-1].endswith("`vidssl doctor --speed PAGE --scale paper`, there")
    keep(KNOWN)
    [pretraining] = [line for line in lines() if line.startswith("11_mosi_pretrain")]
    assert pretraining.split("  ", 1)[1].strip() == "3 runs  9 h on a GPU"
    assert "together 9 h on one a GPU, as far as measured" in lines()
    keep(replace(KNOWN, scale="gpu", training=1.0))
    assert "together 9 h on one a GPU, as far as measured" in lines(), "another scale is apart"


def test_a_plan_counts_with_what_runs_on_record_took(monkeypatch):
    def record(seconds, notebook="11_mosi_pretrain", scale="paper"):
        return {"notebook": notebook, "scale": scale, "seconds": seconds}

    assert not any("on record" in line for line in lines())
    took = [record(600.0), record(660.0), record(6000.0), record(9.0, scale="mini")]
    monkeypatch.setattr(speed, "load_records", lambda folder: took)
    [pretraining] = [line for line in lines() if line.startswith("11_mosi_pretrain")]
    assert pretraining.split("  ", 1)[1].strip() == "3 runs  33 min on record", "the median"
    assert "together 33 min on record, one run at a time" in lines()


def lines():
    return list(plan("mosi_baseline", "paper"))


def test_the_command_keeps_what_the_scale_s_own_parameters_give(monkeypatch, capsys):
    asked = []

    def measured(page, scale, given):
        asked.append((page, scale, given))
        return replace(KNOWN, page=page, scale=scale)

    monkeypatch.setattr(speed, "measure", measured)
    command = ["doctor", "--speed", "11_mosi_pretrain", "--scale", "paper"]
    assert cli.main([*command, "-p", "num_workers", "4"]) == 0
    assert kept() == []
    assert cli.main(command) == 0
    assert kept() == [KNOWN]
    assert asked == [(KNOWN.page, "paper", {"num_workers": 4}), (KNOWN.page, "paper", {})]
    assert "the host to device limits" in capsys.readouterr().out
    assert cli.main(["plan", "mosi_baseline", "--scale", "paper"]) == 0
    assert "9 h on a GPU" in capsys.readouterr().out
