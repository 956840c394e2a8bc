"""`vidssl run` as processes: stopped by Ctrl-C, killed, and started again; settings kept apart."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest
from tiny_project import NOTEBOOK, REPOSITORY, make_project

from vidssl import cli, runs
from vidssl.runs import launch
from vidssl.runs.execute import is_held
from vidssl.runs.launch import variant_name

WAITS = """\
import os
import time
from pathlib import Path

(run.folder / "kernel").write_text(str(os.getpid()))
while not Path("go").exists():
    time.sleep(0.1)
"""
RUNS = {"pair": ["first", "second"], "alone": ["alone"]}  # of each target, in their order
ALONE = """

@graph.target
def alone():
    return graph.run("90_tiny", "alone", publish=True, seed=3)
"""


@pytest.fixture
def project(tmp_path):
    """A project whose runs wait for the file "go"."""
    made = make_project(tmp_path / "project")
    waiting = NOTEBOOK.replace("for step in range(3):", f"{WAITS}\nfor step in range(3):")
    (made / "notebooks" / "90_tiny.py").write_text(waiting)
    with (made / "papermill_runs" / "tiny.smk").open("a") as file:
        file.write(ALONE)
    return made


def vidssl(project, *words):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "vidssl.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def finished(project, *words):
    """(exit status, what stderr's last line says) of a command."""
    process = vidssl(project, *words)
    _, told = process.communicate(timeout=500)
    return process.returncode, told.splitlines()[-1] if told else ""


def until(condition, seconds=500):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def at_work(project, target="alone"):
    """A `vidssl run` whose first run's kernel is at work, and that kernel's process."""
    kernel = project / "papermill_runs" / "mini" / RUNS[target][0] / "kernel"
    return kernel_of(vidssl(project, "run", target), kernel)


def kernel_of(started, kernel):
    """A command, and the process whose number stands in the file ``kernel``, once it does."""
    until(lambda: started.poll() is not None or (kernel.exists() and kernel.read_text()))
    assert started.poll() is None, started.communicate()[1]
    return started, psutil.Process(int(kernel.read_text()))


def assert_it_goes_on(project, *words, target="alone"):
    (project / "go").touch()
    assert finished(project, "run", target, *words)[0] == 0
    for name in RUNS[target]:
        assert (project / f"papermill_runs/mini/{name}/run.json").exists()


def test_ctrl_c_ends_all_in_one_line_and_the_same_command_goes_on(project):
    """And a second engine on the folder is refused, while the first is left alone."""
    started, kernel = at_work(project, "pair")
    status, told = finished(project, "run", "pair")
    assert status == 1
    assert f"process {started.pid} on" in told
    assert started.poll() is None
    assert kernel.is_running()
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=500)
    assert started.returncode == 130
    said = "vidssl: stopped; what is done is kept, and the same command goes on"
    assert told.splitlines()[-1] == said
    assert "Traceback" not in told
    until(lambda: not kernel.is_running())
    assert not is_held(project / "papermill_runs/mini/first")
    assert_it_goes_on(project, target="pair")


@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_on_a_single_run_says_where_it_goes_on(project, kept):
    """Whether there is a checkpoint is not known to the user, who would wait for it."""
    started = vidssl(project, "execute", "90_tiny", "my_runs/wide")
    kernel_of(started, project / "my_runs" / "wide" / "kernel")
    if kept:
        (part := project / "my_runs/wide/checkpoints/scratch").mkdir(parents=True)
        (part / "checkpoint.pt").touch()
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=500)
    assert started.returncode == 130
    last = "goes on from its last checkpoint" if kept else "begins anew: it had no checkpoint yet"
    assert told.splitlines()[-1] == f"vidssl: stopped; the same command {last}"


def test_after_a_kill_nobody_writes_twice_and_the_same_command_goes_on(project):
    started, kernel = at_work(project)
    [engine] = psutil.Process(started.pid).children()
    started.kill()
    started.wait()
    status, told = finished(project, "run", "alone")
    assert status == 1
    assert f"in use by process {started.pid} on" in told, "the engine still is at work"
    assert "which was killed, and what it had started goes on; wait for that" in told
    engine.kill()
    writer = kernel.parent()
    for words in ([], ["--unlock"]):
        status, told = finished(project, "run", "alone", *words)
        assert status == 1
        assert f"runs that it started go on: mini/alone by process {writer.pid} on" in told
    writer.kill()
    until(lambda: not kernel.is_running())
    assert_it_goes_on(project)


def test_what_another_machine_left_locked_is_freed_by_a_person(project, capfd, monkeypatch):
    monkeypatch.chdir(project)
    home = project / "papermill_runs"
    lock = home / ".snakemake" / "locks" / "0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    (home / ".config.json").write_text(json.dumps({"engine_of": "process 7 on elsewhere"}))
    assert cli.main(["run", "alone"]) == 1
    assert "a `vidssl run` elsewhere (process 7 on elsewhere). If it" in capfd.readouterr().err
    assert lock.exists()
    assert_it_goes_on(project, "--unlock")


@pytest.mark.slow
def test_a_killed_engine_takes_its_runs_with_it(project):
    started, kernel = at_work(project)
    [engine] = psutil.Process(started.pid).children()
    engine.kill()
    _, told = started.communicate(timeout=500)
    assert started.returncode == 1
    assert told.splitlines()[-1].startswith("vidssl: the engine was killed (SIGKILL)")
    until(lambda: not kernel.is_running())
    assert_it_goes_on(project)


def test_a_promised_figure_that_does_not_come_costs_no_run(project, capfd, monkeypatch):
    notebook = NOTEBOOK.replace("# %%\nrun.finish", "# %%\nrun.figures.clear()\nrun.finish")
    (project / "notebooks" / "90_tiny.py").write_text(notebook)
    monkeypatch.chdir(project)
    assert cli.main(["run", "alone"]) == 0
    assert "figures not made:\n  figures/tiny.png" in capfd.readouterr().out
    assert (project / "papermill_runs/mini/alone/run.json").exists()
    assert cli.main(["run", "alone"]) == 0
    assert "Nothing to be done" in capfd.readouterr().err


# --- settings apart ------------------------------------------------------------------------------

OPTION = "dataset_options."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"root": "a b"}, {"root": "a+b"}),
        ({"root": "x" * 200 + "1"}, {"root": "x" * 200 + "2"}),
        ({"root": "1" + "x" * 200}, {"root": "2" + "x" * 200}),
        ({OPTION + "group_pattern": "(a)"}, {OPTION + "group_pattern": "[a]"}),
        ({"root": "a,seed=1"}, {"root": "a", "seed": "1"}),
        ({"root": ""}, {OPTION + "annotations": ""}),
        ({"root": "Ä"}, {"root": "ä"}),
    ],
)
def test_two_settings_never_share_a_folder(one, other):
    names = [variant_name(runs.Given(v, project=REPOSITORY).settings()) for v in (one, other)]
    assert names[0].lower() != names[1].lower()
    assert all(len(name) < 80 for name in names)


def test_equal_settings_share_a_folder_that_says_what_they_change():
    written = [{"lr": "1e-3", "root": "/a b"}, {"root": "/a b", "lr": "0.001"}]
    one, other = (variant_name(runs.Given(v, project=REPOSITORY).settings()) for v in written)
    assert one == other
    assert one.startswith("lr=0.001,root=_a_b-")


def test_other_settings_in_a_folder_of_finished_runs_are_refused(tmp_path, monkeypatch, capsys):
    project = make_project(tmp_path / "project")
    monkeypatch.chdir(project)
    words = ["run", "pair", "--runs-root", "mine", "-p", "lr"]
    (project / "mine" / "records").mkdir(parents=True)
    kept = {"settings": {"mini": {"lr": [0.5]}}}
    (project / "mine" / ".config.json").write_text(json.dumps(kept))
    (project / "mine" / "records" / "mini-first.json").write_text("{}")
    assert cli.main([*words, "0.25", "--dry-run"]) == 1
    told = capsys.readouterr().err
    assert "mine: holds runs with -p lr '0.5', not -p lr '0.25': give another --runs-root" in told
    assert cli.main([*words, "5e-1", "--dry-run"]) == 0


def test_the_start_of_a_target_does_as_much_for_each_page_of_many_as_of_few(tmp_path):
    graph = runs.load_graph("mini", {"runs_root": str(tmp_path)}, REPOSITORY)
    pages = [job for job in graph.behind("reproduce") if job.log]
    few = pages[::8]
    assert len(few) > 40
    launch._pages(graph, few)  # what is read once, each page's parameters, is read now
    for_few, for_all = (calls_in(launch._pages, graph, jobs) / len(jobs) for jobs in (few, pages))
    assert for_all < 1.3 * for_few


def calls_in(work, *args):
    """How many calls a function makes, of Python and of C: what it takes, on any machine."""
    counter = Counter()
    sys.setprofile(lambda frame, event, about: counter.update([event]))
    try:
        work(*args)
    finally:
        sys.setprofile(None)
    return counter["call"] + counter["c_call"]
