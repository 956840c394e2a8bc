"""Runs as jobs of a real Slurm, two nodes on this machine: engine and node die, none is lost."""

import json
import subprocess
import sys
import time

import psutil
import pytest
import two_nodes
import yaml
from tiny_project import NOTEBOOK, REPOSITORY, make_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(two_nodes.lacking()), reason=f"no Slurm: {two_nodes.lacking()}"),
]

TOLD = """\
import os
import time
from pathlib import Path

if publish is None:  # a page that uses this room asks for a GPU
    from vidssl import motion


def tell(word):
    with open("told", "a") as file:
        words = [word, run.folder.name, os.environ["SLURMD_NODENAME"]]
        print(*words, os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)


tell("began")
time.sleep(5)
"""
SWEEP = """\
@graph.target
def sweep():
    '''Twelve runs in three generations.'''
    first = [graph.run("90_tiny", f"first{i}", seed=i) for i in range(4)]
    second = [graph.run("90_tiny", f"second{i}", after=[first[i]], seed=i) for i in range(4)]
    return [graph.run("90_tiny", f"third{i}", after=second[i:], seed=i) for i in range(4)]
"""
QUICK = {"runtime": 60, "cpus_per_task": 1}
RUNS = {f"{name}{i}" for name in ("first", "second", "third") for i in range(4)}


@pytest.fixture
def project(tmp_path):
    made = make_project(tmp_path / "project")
    page = NOTEBOOK.replace("for step in range(3):", f"{TOLD}\nfor step in range(3):")
    page = page.replace("publish = False\n", "publish = False\nprocesses = 1\n")
    page = page.replace("run.finish(", 'tell("ended")\nrun.finish(')
    (made / "notebooks" / "90_tiny.py").write_text(page)
    (made / "papermill_runs" / "tiny.smk").write_text(SWEEP)
    profile = made / "papermill_runs" / "profiles" / "slurm" / "config.yaml"
    settings = yaml.safe_load(profile.read_text()) | {"default-resources": QUICK}
    settings |= {"slurm-no-account": True, "slurm-init-seconds-before-status-checks": 2}
    profile.write_text(yaml.safe_dump(settings))
    return made


@pytest.fixture
def cluster(tmp_path):
    with two_nodes.two_nodes(tmp_path / "slurm") as made:
        yield made


def run(project, cluster, *words):
    command = [sys.executable, "-m", "vidssl.cli", "run", "sweep", "--profile", "slurm", *words]
    environment = {**cluster.environment, "PYTHONPATH": str(REPOSITORY)}
    with open(project / "output", "a") as output:
        return subprocess.Popen(
            command, cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def told(project, word):
    """Names and nodes of the runs that said ``word``."""
    path = project / "told"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(name, node, cards) for said, name, node, cards in lines if said == word]


def until(condition, started, project, seconds=1500):
    end = time.monotonic() + seconds
    while not condition():
        assert started.poll() is None, (project / "output").read_text()[-3000:]
        assert time.monotonic() < end, (project / "output").read_text()[-3000:]
        time.sleep(0.2)


def finished(project):
    """Names of the runs that are marked as finished."""
    attempts = (project / "papermill_runs" / "mini").glob("*/.attempt.json")
    states = {path.parent.name: json.loads(path.read_text())["status"] for path in attempts}
    return {name for name, state in states.items() if state == "finished"}


def test_a_sweep_survives_its_engine_and_a_node(project, cluster):
    started = run(project, cluster)
    until(lambda: len(told(project, "began")) > 5, started, project)
    for process in [*psutil.Process(started.pid).children(recursive=True), started]:
        process.kill()
    started.wait()
    before = len(told(project, "ended"))
    again = run(project, cluster)
    until(lambda: cluster.work_on("n2") and len(told(project, "ended")) > before, again, project)
    cluster.fail("n2")
    done, begun = finished(project), len(told(project, "began"))
    assert again.wait(3000) == 0, (project / "output").read_text()[-3000:]

    runs = told(project, "began")
    first, second = runs[:begun], runs[begun:]
    assert {name for name, *_ in runs} == {name for name, *_ in told(project, "ended")} == RUNS
    assert len({name for name, *_ in first}) == len(first), "the killed engine doubled none"
    assert len({name for name, *_ in second}) == len(second)
    lost = {name for name, node, _ in first if node == "n2"} - done
    assert {name for name, *_ in first} & {name for name, *_ in second} <= lost, "by the node"
    assert {cards for *_, cards in runs} <= {"0", "1"}, "one GPU each"
    folder = project / "papermill_runs"
    assert {path.stem for path in (folder / "records").glob("*.json")} == {
        f"mini-{name}" for name in RUNS
    }
    for name in RUNS:
        assert json.loads((folder / "mini" / name / "run.json").read_text())["status"]
    assert "goes on where a `vidssl run` was killed" in (project / "output").read_text()
    assert not list((folder / ".snakemake").glob("locks/*"))


def test_more_gpus_than_a_node_has_are_refused_in_slurm_s_own_words(project, cluster):
    assert run(project, cluster, "--gpus-per-run", "3").wait(600) == 1
    assert "Requested node configuration is not available" in (project / "output").read_text()
    assert not told(project, "began")


def at_work_until_it_is_stopped(place):
    """An engine and a job, and all that runs for the cluster then; it ends as by Ctrl-C."""
    with two_nodes.two_nodes(place / "slurm") as cluster:
        waits = [sys.executable, "-c", "import time; time.sleep(600)"]
        engine = subprocess.Popen(waits, env=cluster.environment)
        cluster.says("sbatch", "--chdir", str(place), "--wrap", "sleep 600")
        cluster.until(lambda: (place / "slurm-1.out").exists())
        yield engine, cluster.started()
        raise KeyboardInterrupt


def test_a_test_that_fails_leaves_nothing_running(tmp_path):
    """Neither an engine, nor a job and what watches over it, nor a daemon."""
    stopped = at_work_until_it_is_stopped(tmp_path)
    engine, started = next(stopped)
    names = {process.name() for process in started}
    assert {"slurmctld", "slurmd", "slurmstepd", "munged", "sleep"} <= names
    with pytest.raises(KeyboardInterrupt):
        next(stopped)
    assert engine.wait(60) == -9
    assert not psutil.wait_procs(started, 60)[1]
