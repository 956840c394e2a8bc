"""`vidssl runs`: what is listed, in which state, and what is left out."""

import json
import os
import socket
import subprocess
import sys

import pytest
from tiny_project import REPOSITORY, leave_record, make_project

from vidssl import cli, runs
from vidssl.runs.execute import locked
from vidssl.runs.listing import list_runs, with_states

FAILED = {"cells": [{"outputs": [{"output_type": "error", "ename": "ValueError", "evalue": "no"}]}]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = make_project(tmp_path / "project")
    monkeypatch.chdir(made)
    monkeypatch.setenv("LINES", "24")
    return made


@pytest.fixture
def root(project):
    return project / "papermill_runs"


def begin(root, name, lock="", notebook=None):
    """Leave the folder of a run that was begun and has not ended."""
    folder = root / "mini" / name
    folder.mkdir(parents=True)
    (folder / ".attempt.json").write_text('{"key": "", "status": "running"}')
    if lock:
        (folder / ".lock").write_text(lock)
    if notebook is not None:
        (folder / "90_tiny.ipynb").write_text(notebook)
    return folder


def states(root, project, **words):
    found = list_runs(root, project, **words).runs
    return {run.run.removeprefix("mini-"): run.state for run in with_states(found, project)}


def told(capsys, *words):
    """Exit status, the lines on standard output and those on standard error."""
    status = cli.main(["runs", *words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def test_a_line_has_the_run_its_date_state_time_and_numbers(root, capsys):
    leave_record(root, "mini-a-s0", metrics={"loss": 0.25, "clips": 20800, "table": [1, 2, 3]})
    status, lines, _ = told(capsys)
    assert status == 0
    assert lines[0].split() == ["run", "finished", "state", "took", "numbers"]
    expected = ["mini-a-s0", "2026-01-02", "stale", "61", "s", "loss", "0.25", "clips", "20800"]
    assert lines[1].split() == expected
    assert lines[2:] == ["1 run, 61 s"]


def test_one_screen_unless_all_are_asked_for(root, capsys):
    for seed in range(40):
        leave_record(root, f"mini-a-s{seed:02}")
    _, lines, _ = told(capsys)
    assert len(lines) == 23
    assert lines[-1].startswith("21 of 40 runs, 41 min together; --all shows the rest")
    _, lines, _ = told(capsys, "--all")
    assert len(lines) == 42


def test_the_newest_come_first(root, project):
    leave_record(root, "mini-a", finished="2026-01-02")
    leave_record(root, "mini-b", finished="2026-03-02")
    leave_record(root, "mini-c", finished="2026-03-02")
    begin(root, "d")
    assert list(states(root, project)) == ["d", "b", "c", "a"]


def test_a_run_is_stale_when_its_numbers_would_come_from_other_code(root, project):
    code = runs.notebook_code(project / "notebooks" / "90_tiny.py")
    leave_record(root, "mini-same", code=code)
    leave_record(root, "mini-plot", code={**code, "visualize": "0"})
    leave_record(root, "mini-data", code={**code, "data": "0"})
    leave_record(root, "mini-gone", code=code, notebook="80_gone")
    expected = {"data": "stale", "gone": "stale", "plot": "finished", "same": "finished"}
    assert states(root, project) == expected
    assert list(states(root, project, state="finished")) == ["plot", "same"]
    (project / "notebooks" / "90_tiny.py").write_text("# %%\nif broken(\n")
    assert set(states(root, project).values()) == {"stale"}


def test_runs_without_a_last_word_are_running_failed_or_stopped(root, project, capsys):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    begin(root, "killed", f"process {gone.pid} on {socket.gethostname()}")
    begin(root, "elsewhere", "process 1 on another-machine")
    begin(root, "half", notebook='{"cells": [')
    begin(root, "failed", notebook=json.dumps(FAILED))
    leave_record(root, "mini-again", metrics={"loss": 0.5})
    with locked(begin(root, "again")):
        found = states(root, project)
        _, lines, _ = told(capsys, "--state", "running")
    expected = dict.fromkeys(["elsewhere", "half", "killed"], "stopped")
    assert found == {"again": "running", "failed": "failed", **expected}
    assert "before: loss 0.5" in lines[1]
    assert "ValueError: no" in told(capsys, "--state", "failed")[1][1]


def test_looking_takes_no_lock_from_a_run_that_starts(root, project):
    folder = begin(root, "killed", f"process {os.getpid()} on {socket.gethostname()}")
    assert states(root, project) == {"killed": "stopped"}
    with locked(folder):
        assert states(root, project) == {"killed": "running"}


def test_words_leave_out_what_they_do_not_fit(root, project):
    leave_record(root, "mini-mosi_pretrain-s0", notebook="11_mosi_pretrain")
    leave_record(root, "smoke-mosi_pretrain-s0", notebook="11_mosi_pretrain")
    leave_record(root, "mini-teacher-s0", notebook="30_timebalance_teachers")

    def found(**words):
        return [run.run for run in list_runs(root, project, **words).runs]

    assert found(method="timebalance") == ["mini-teacher-s0"]
    assert found(scale="smoke") == ["smoke-mosi_pretrain-s0"]
    for target in ("11_mosi_pretrain", "mosi_pretrain", "mosi"):
        assert found(target=target, scale="mini") == ["mini-mosi_pretrain-s0"]
    assert found(method="timebalance", scale="smoke") == []
    leave_record(root, "mini-mosi_transfer-xy-n20-s0", notebook="03_transfer")
    leave_record(root, "mini-pace_transfer-n20-s0", notebook="03_transfer")
    assert found(method="pace") == ["mini-pace_transfer-n20-s0"]
    assert set(found(method="mosi", scale="mini")) == {
        "mini-mosi_pretrain-s0",
        "mini-mosi_transfer-xy-n20-s0",
    }


def test_a_table_has_all_runs_behind_it():
    found = list_runs(REPOSITORY / "papermill_runs", REPOSITORY, target="mosi_lowshot").runs
    names = {run.run.removeprefix("mini-") for run in found}
    assert {"mosi_lowshot", "mosi_transfer-scratch-n5-s0", "mosi_pretrain-xy-s0"} <= names
    assert "mosi_pretrain-x-s0" not in names
    assert not any("motionfit" in name for name in names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "mosy"], "method='mosy' is unknown; did you mean 'mosi'?"),
        (["--target", "mosi_pretran"], "did you mean '11_mosi_pretrain'?"),
        (["--scale", "mni"], "scale='mni' is unknown; did you mean 'mini'?"),
        (["--state", "finnished"], "did you mean 'finished'?"),
    ],
)
def test_a_mistyped_word_names_the_nearest(root, capsys, words, message):
    leave_record(root, "mini-mosi_pretrain", notebook="11_mosi_pretrain")
    status, lines, err = told(capsys, *words)
    assert (status, lines) == (1, [])
    assert len(err) == 1
    assert message in err[0]


def test_runs_with_parameters_are_found_where_they_lie(root, capsys):
    leave_record(root, "mini-mosi_pretrain", notebook="11_mosi_pretrain")
    assert "-p" not in told(capsys)[1][-1]
    for name in ("root=a", "root=b"):
        leave_record(root / "variants" / name, "mine-mosi_pretrain", notebook="11_mosi_pretrain")
    assert "runs with -p: 2 folders in " in told(capsys)[1][-1]
    status, _, [err] = told(capsys, "--scale", "mine")
    assert status == 1
    assert "unknown" not in err
    assert err.endswith(
        "--runs-root papermill_runs/variants/root=a, papermill_runs/variants/root=b"
    )


BROKEN = {
    "cut-off": b'{"run": "mini-cut-off", "metr',
    "a-list": b"[]",
    "empty": b"",
    "no-utf8": b'{"run": "\xff"}',
    "deep": b"[" * 100_000,
    "no-metrics": b'{"run": "mini-no-metrics", "parameters": {}}',
    "odd": b'{"run": "mini-odd", "parameters": {}, "metrics": {}, "code": null}',
    "copy": b'{"run": "mini-fine", "parameters": {}, "metrics": {}}',
}


def test_files_that_are_no_records_are_named_and_the_others_listed(root, capsys):
    leave_record(root, "mini-fine")
    for name, content in BROKEN.items():
        (root / "records" / f"mini-{name}.json").write_bytes(content)
    (root / "records" / "mini-folder.json").mkdir()
    (root / "records" / "._mini-fine.json").write_bytes(b"\0")  # as macOS leaves them
    status, lines, err = told(capsys)
    assert status == 0
    assert lines[1].startswith("mini-fine ")
    assert len(err) == len(BROKEN) + 1
    for name in (*BROKEN, "folder"):
        assert any(f"mini-{name}.json: not a record of a run" in line for line in err), name


def test_an_older_record_is_listed_with_what_it_has(root, capsys):
    path = root / "records" / "mini-old.json"
    path.parent.mkdir()
    path.write_text('{"run": "mini-old", "metrics": {"loss": 1}, "parameters": {"scale": "mini"}}')
    status, lines, err = told(capsys, "--scale", "mini")
    assert (status, err) == (0, [])
    assert lines[1].split() == ["mini-old", "stale", "0", "s", "loss", "1"]


def test_json_has_every_record_with_its_state(root, capsys):
    for seed in range(40):
        leave_record(root, f"mini-a-s{seed:02}")
    begin(root, "b", notebook=json.dumps(FAILED))
    assert cli.main(["runs", "--json"]) == 0
    first, *others = json.loads(capsys.readouterr().out)
    assert (first["run"], first["state"], first["note"]) == ("mini-b", "failed", "ValueError: no")
    assert len(others) == 40
    assert others[0]["metrics"] == {"loss": 0.25}
    assert others[0]["method"] == "tiny"


def test_the_first_run_is_listed_while_it_runs(root, project):
    with locked(begin(root, "first")):
        assert states(root, project) == {"first": "running"}


def test_nothing_run_yet_says_what_to_do(root, capsys):
    status, _, err = told(capsys)
    assert status == 1
    assert "run something first" in err[0]


# --- runs by themselves ---------------------------------------------------------------------------


def test_a_run_in_a_folder_of_its_own_is_listed_and_traced(project, root, capsys):
    """As the README has it, with `vidssl execute ... my_runs/wide`."""
    status, _, err = told(capsys)
    assert status == 1
    assert err[0].endswith("holds no runs and no records; run something first")
    for folder in ("my_runs/wide", "my_runs/tries/1"):
        assert cli.main(["execute", "90_tiny", folder, "-p", "seed", "4"]) == 0
    capsys.readouterr()
    status, lines, _ = told(capsys, "--runs-root", "my_runs")
    assert status == 0
    assert [line.split()[0] for line in lines[1:-1]] == ["tries-1", "wide"]
    assert all("finished" in line and "loss 0.333" in line for line in lines[1:-1])
    assert cli.main(["trace", "my_runs/wide/tiny.png"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("tiny: current")
    assert "drawn by mini-wide: 90_tiny" in said
    _, _, err = told(capsys)
    assert err[0].endswith("; --runs-root my_runs shows 2 of your own")
    leave_record(root, "mini-a-s0")
    _, lines, _ = told(capsys)
    assert lines[-1] == "1 run, 61 s; --runs-root my_runs shows 2 of your own"
    (project / "my_runs" / "wide" / "run.json").unlink()
    (project / "my_runs" / "wide" / "90_tiny.ipynb").write_text(json.dumps(FAILED))
    found = list_runs(project / "my_runs", project).runs
    assert [(run.run, run.state, run.note) for run in found[:1]] == [
        ("wide", "failed", "ValueError: no")
    ]


def test_a_broken_record_of_a_run_by_itself_is_named(project, capsys):
    (broken := project / "my_runs" / "wide" / "record.json").parent.mkdir(parents=True)
    broken.write_text("{")
    _, _, err = told(capsys, "--runs-root", "my_runs")
    assert "my_runs/wide/record.json: not a record of a run" in err[0]
