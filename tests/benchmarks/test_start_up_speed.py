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

from vidssl import runs

TRIES = 3
MANY = 10_000


def cpu_seconds(*words, tries=TRIES):
    """User and system time of a Python process, the least of a few: fair on a busy machine."""
    found = []
    for _ in range(tries):
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


@pytest.fixture(scope="module")
def all_made(tmp_path_factory):
    """A folder in which every run of `reproduce` counts as made, and how many these are."""
    root = tmp_path_factory.mktemp("made") / "runs"
    jobs = runs.load_graph("mini", {"runs_root": str(root)}, REPOSITORY).behind("reproduce")
    for job in jobs:
        (root / job.marker).parent.mkdir(parents=True, exist_ok=True)
        (root / job.marker).write_text('{"figures": {}}')
    profile = root.parent / "profile"
    profile.mkdir()
    local = REPOSITORY / "papermill_runs" / "profiles" / "local" / "config.yaml"
    (profile / "config.yaml").write_text(f"{local.read_text()}\ntouch: true\nforceall: true\n")
    cpu_seconds(*reproduce(root), "--profile", str(profile), tries=1)
    return root, len(jobs)


def reproduce(root):
    return "-m", "vidssl.cli", "run", "reproduce", "--runs-root", str(root)


@pytest.mark.bench
def test_a_batch_with_nothing_to_do(all_made, ratio):
    root, count = all_made
    torch = cpu_seconds("-c", "import torch")
    graph = "from vidssl import runs; runs.load_graph('mini').behind('reproduce')"
    read, asked = cpu_seconds("-c", graph), cpu_seconds(*reproduce(root))
    assert not list(root.glob("records/*"))
    print(f"\n{count} runs: {read:.2f} s to read the graph, {asked:.2f} s to find all made")
    ratio(f"reading a graph of {count} runs", read / torch, "times as long as", "import torch")
    ratio(f"finding {count} runs made", asked / torch, "times as long as", "import torch")
    assert read < torch
    assert asked < 4 * torch
