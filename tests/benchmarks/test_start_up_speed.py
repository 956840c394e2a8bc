"""How soon commands answer that only read text, against importing torch; ratios of CPU time.

That they import nothing heavy is asserted by `make test`.
"""

import json
import os
import resource
import subprocess
import sys

import pytest
from tiny_project import REPOSITORY, leave_record

TRIES = 3
MANY = 10_000


def cpu_seconds(*words):
    """User and system time of a Python process, the least of a few: fair on a busy machine."""
    found = []
    for _ in range(TRIES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, *words]
        subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


@pytest.fixture(scope="module")
def many_records(tmp_path_factory):
    """A folder of all runs with 10,000 records of the usual size."""
    root = tmp_path_factory.mktemp("many")
    usual = json.loads(next((REPOSITORY / "papermill_runs" / "records").glob("*.json")).read_text())
    fields = {name: usual[name] for name in usual if name not in ("run", "parameters")}
    for seed in range(MANY):
        leave_record(root, f"mini-many-s{seed}", usual["parameters"], **fields)
    return root


@pytest.mark.bench
def test_commands_that_read_text_against_importing_torch(many_records, ratio):
    torch = cpu_seconds("-c", "import torch")
    vidssl = ("-m", "vidssl.cli")
    start = cpu_seconds(*vidssl, "--help")
    listed = cpu_seconds(*vidssl, "runs")
    traced = cpu_seconds(*vidssl, "trace", "mosi_lowshot")
    many = cpu_seconds(*vidssl, "runs", "--runs-root", str(many_records))
    print(f"\nimport torch takes {torch:.2f} s; vidssl --help {start / torch:.2f} of that,")
    print(f"runs {listed / torch:.2f}, trace {traced / torch:.2f}; {MANY} records take")
    print(f"{many - start:.2f} s more than --help, {(many - start) / torch:.2f} of it")
    for name, spent in (("--help", start), ("runs", listed), ("trace", traced)):
        ratio(f"vidssl {name}", spent / torch, "times as long as", "import torch")
    ratio(f"vidssl runs, {MANY} records", many - start, "of", "a second beyond vidssl --help")
    assert start < 0.3 * torch
    assert listed < 0.5 * torch
    assert many - start < torch
