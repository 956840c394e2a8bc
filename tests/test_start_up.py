"""Commands that only read text do not import torch: they answer at once and in little memory."""

import os
import subprocess
import sys

import pytest
from tiny_project import REPOSITORY, leave_record, make_project

HEAVY = ("torch", "matplotlib", "pandas", "sklearn", "papermill", "snakemake")
CALL = """
import sys
from vidssl import cli
try:
    status = cli.main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
found = sorted({name.partition(".")[0] for name in sys.modules} & set(%r))
print(status, *found, sep=",", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = make_project(tmp_path_factory.mktemp("start") / "project")
    metrics = {"top1_accuracy": 0.5, "test_videos": 4}
    leave_record(made / "papermill_runs", "mini-tiny-s0", {"test_groups": ["1"]}, metrics=metrics)
    return made


def imported(words, folder):
    """(exit status, which of `HEAVY` were imported) of one command in a process of its own."""
    code = CALL % (HEAVY,)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    status, *found = done.stderr.splitlines()[-1].split(",")
    return int(status), found


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["flow", "--help"], 0),
        (["rnu"], 2),
        (["prepare", "--shrad", "1"], 2),
        (["run"], 0),
        (["run", "pare"], 1),
        (["run", "pair", "-p", "sede", "1"], 1),
        (["execute", "90_tini", "x"], 1),
        (["runs", "--state", "stale", "--json"], 0),
        (["pool", "papermill_runs"], 0),
        (["pair"], 0),
    ],
)
def test_nothing_heavy_is_imported(project, words, status):
    assert imported(words, project) == (status, [])


def test_a_trace_imports_nothing_heavy_either():
    assert imported(["trace", "mosi_lowshot"], REPOSITORY) == (0, [])


def test_what_would_be_seen_is_seen(project):
    assert "torch" in imported(["stills", "photos"], project)[1]
