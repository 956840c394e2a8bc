"""GPUs and cores shared among runs, a watch over each, and a run that is asked for twice."""

import json
import multiprocessing
import os
import threading
import time
from contextlib import ExitStack

import pytest
from tiny_project import NOTEBOOK, REPOSITORY, make_project

from vidssl import cli, runs
from vidssl.runs import cards, machine
from vidssl.runs.cards import VISIBLE, _taken, _took, loader_workers, own_cards
from vidssl.runs.execute import locked
from vidssl.runs.provenance import device_name

USES = "from vidssl import runs\n\nif publish is None:\n    from vidssl import motion\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of a page that computes, and can do so in several processes."""
    made = make_project(tmp_path / "project")
    page = NOTEBOOK.replace(
        "publish = False\n", "publish = False\nprocesses = 1\nnum_workers = 0\n"
    )
    page = page.replace("from vidssl import runs\n", USES)
    (made / "notebooks" / "90_tiny.py").write_text(page)
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def own_locks(tmp_path, monkeypatch):
    """Locks of cards that no other test of this machine holds."""
    monkeypatch.setattr(cards.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def pretend(monkeypatch, count):
    names = [str(i) for i in range(count)]
    monkeypatch.setattr(cards, "visible_cards", lambda: names)


# --- cards ---------------------------------------------------------------------------------------


def hold(count, place, seconds, told):
    cards.tempfile.tempdir = place
    os.environ[VISIBLE] = "4,5,6"
    with own_cards(count) as mine:
        told.put((time.monotonic(), mine, os.environ[VISIBLE]))
        time.sleep(seconds)
        told.put((time.monotonic(), mine, None))


def test_no_two_runs_hold_the_same_card(tmp_path):
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    asked = [1, 2, 3, 2, 1, 1]
    started = [
        context.Process(target=hold, args=(count, str(tmp_path), 0.2, told)) for count in asked
    ]
    for process in started:
        process.start()
    events = sorted(told.get(timeout=60) for _ in range(2 * len(asked)))
    for process in started:
        process.join()
    held: list[str] = []
    for _, mine, visible in events:
        if visible is None:
            held = [name for name in held if name not in mine]
        else:
            assert visible == ",".join(mine)
            assert not set(mine) & set(held), "a card was given twice"
            held += mine
    assert sorted(len(mine) for _, mine, visible in events if visible) == sorted(asked)


def test_a_shared_card_has_as_many_places_as_asked_and_is_nobodys_alone(own_locks, tmp_path):
    names = ["a", "b"]
    with ExitStack() as held:
        taken = [_taken(names, 1, 2, held) for _ in range(4)]
        assert taken == [["a"], ["b"], ["a"], ["b"]], "not one card filled before the next"
        folder = tmp_path / f"vidssl-cards-{os.getuid()}"
        for place, is_shared in ((0, True), (1, True), (0, False)):
            assert not _took(folder, "a", place, is_shared, held)
    assert _took(folder, "a", 0, False, held)
    assert not _took(folder, "a", 0, True, held)
    held.close()


def test_a_run_sees_what_it_was_given_and_then_what_there_was(own_locks, monkeypatch):
    monkeypatch.setenv(VISIBLE, "GPU-a,GPU-b")
    with own_cards(1) as mine:
        assert (mine, os.environ[VISIBLE]) == (["GPU-a"], "GPU-a")
    assert os.environ[VISIBLE] == "GPU-a,GPU-b"
    with own_cards(0):
        assert os.environ[VISIBLE] == ""
    with pytest.raises(ValueError, match="gpus=3, but this run may use 2 GPUs"), own_cards(3):
        pass
    monkeypatch.delenv(VISIBLE)
    pretend(monkeypatch, 1)
    with own_cards(1):
        assert os.environ[VISIBLE] == "0"
    assert VISIBLE not in os.environ


def test_a_record_says_that_a_card_was_shared(own_locks, monkeypatch):
    """Its seconds are not those of a run that has the card alone."""
    monkeypatch.setenv(VISIBLE, "GPU-a")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    for sharing, told in [(1, "a GPU"), (16, "a GPU, 16 runs at a time")]:
        with own_cards(1, sharing):
            assert device_name() == told
    assert device_name() == "a GPU"


@pytest.mark.parametrize(("count", "runs_per_gpu"), [(1, 0), (1, -2), (-1, 1)])
def test_numbers_that_no_card_could_meet_are_refused(count, runs_per_gpu, own_locks, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    with pytest.raises(ValueError, match="at least"), own_cards(count, runs_per_gpu):
        pass


def test_a_card_is_the_same_however_it_is_spaced(own_locks, monkeypatch):
    """Two engines, of which one was told a list with a space in it."""
    monkeypatch.setenv(VISIBLE, " 1")
    with own_cards(1) as mine:
        monkeypatch.setenv(VISIBLE, "1, 0")
        with own_cards(1) as others:
            assert (mine, others) == (["1"], ["0"])


def test_runs_of_several_cards_share_them(own_locks):
    names = ["a", "b", "c"]
    with ExitStack() as held:
        taken = [_taken(names, 2, 3, held) for _ in range(4)]
        assert all(len(set(mine)) == 2 for mine in taken)
        each = [sum(mine.count(name) for mine in taken) for name in names]
        assert sum(each) == 8
        assert max(each) == 3


def test_runs_say_what_they_wait_for(own_locks, monkeypatch, capfd):
    """A batch of two runs a card beside one of eighteen: it waits for them, and they behind it."""
    monkeypatch.setattr(cards, "PATIENCE", 0.1)

    def told(text):
        seen, latest = "", time.monotonic() + 60
        while text not in seen and time.monotonic() < latest:
            time.sleep(0.05)
            seen += capfd.readouterr().out
        return text in seen

    with ExitStack() as many, ExitStack() as few, ExitStack() as more:
        for _ in range(2):
            _taken(["a"], 1, 18, many)
        asked = [(["a"], 1, 2, few), (["a"], 1, 18, more)]
        first, second = (threading.Thread(target=_taken, args=one, daemon=True) for one in asked)
        first.start()
        assert told("waits for 1 GPU out of a that fewer than 2 runs hold")
        second.start()
        assert told("waits behind another run that waits for a GPU")
        assert first.is_alive()
        many.close()
        for each in (first, second):
            each.join(60)
            assert not each.is_alive()


@pytest.mark.parametrize(
    ("cores", "jobs", "threads"), [(16, 12, 1), (3, 2, 1), (16, 5, 3), (2, 4, 1), (6, None, 6)]
)
def test_no_more_runs_at_once_than_asked(cores, jobs, threads, project, monkeypatch):
    """Snakemake starts as many as have their threads: a rest of cores would start one more."""
    monkeypatch.setattr(machine, "cores_here", lambda: cores)
    pretend(monkeypatch, 0)
    share = machine.Machine(jobs=jobs).share(project, [])
    given = int(share.options[share.options.index("--cores") + 1])
    assert share.config["threads"] == threads
    assert given // threads == (jobs or 1)


@pytest.mark.parametrize(
    ("there", "words", "told"),
    [
        (0, ["--gpus", "2"], "gpus=2, but torch sees 0 GPUs here"),
        (1, ["--gpus", "2"], "gpus=2, but torch sees 1 GPU here"),
        (
            2,
            ["--gpus-per-run", "4"],
            "asks for 4 GPUs (--gpus-per-run, or its page's processes), but",
        ),
        (0, ["--gpus-per-run", "4"], "asks for 4 GPUs"),
        (8, ["--gpus", "2", "-p", "processes", "3"], "asks for 3 GPUs"),
        (8, ["--gpus-per-run", "0"], "gpus_per_run=0 must be at least 1"),
        (8, ["--runs-per-gpu", "0"], "runs_per_gpu=0 must be at least 1"),
        (8, ["-j", "0"], "jobs=0 must be at least 1"),
        (8, ["--gpus", "-1"], "gpus=-1 must be at least 0"),
        (8, ["--profile", "slum"], "profile='slum' is unknown; did you mean 'slurm'"),
        (8, ["--profile", "./here"], "there is no"),
        (8, ["--profile", "slurm"], "there is no sbatch here"),
    ],
)
def test_what_there_is_not_is_refused_in_one_line(there, words, told, project, monkeypatch, capsys):
    pretend(monkeypatch, there)
    monkeypatch.setattr(machine.shutil, "which", lambda program: None)
    assert cli.main(["run", "pair", *words]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (project / "papermill_runs" / "mini").exists()


@pytest.mark.parametrize(
    ("words", "cards"),
    [(["--gpus", "2"], ["0", "1"]), (["--gpus", "1", "--runs-per-gpu", "2"], ["0", "0"])],
)
def test_runs_at_once_share_cards_and_cores(words, cards, project, own_locks, monkeypatch, capfd):
    """Snakemake counts the cards, the locks hand them out; two runs meet to prove it."""
    meet = """\
        import os, time
        from pathlib import Path
        (run.folder / "card").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        (run.folder / "workers").write_text(str(num_workers))
        while len(list(run.folder.parent.glob("*/card"))) < 2:
            time.sleep(0.1)
        """.replace("        ", "")
    page = project / "notebooks" / "90_tiny.py"
    page.write_text(page.read_text().replace("for step in range", f"{meet}\nfor step in range"))
    (project / "papermill_runs" / "tiny.smk").write_text(
        "@graph.target\ndef both():\n"
        "    return [graph.run('90_tiny', f'run{i}', seed=i) for i in range(2)]\n"
    )
    pretend(monkeypatch, 3)
    monkeypatch.setattr(machine, "cores_here", lambda: 6)
    assert cli.main(["run", "both", "-j", "2", *words]) == 0, capfd.readouterr().err
    folders = [project / "papermill_runs" / "mini" / f"run{i}" for i in range(2)]
    assert sorted((folder / "card").read_text() for folder in folders) == cards
    assert [(folder / "workers").read_text() for folder in folders] == ["3", "3"]


def test_each_job_is_told_its_own(project, capfd):
    """Snakemake works a command out when its job runs, after all rules have been read."""
    (project / "papermill_runs" / "smoke.yaml").write_text("data: {train: 1, test: 1}\n")

    def made(seeds):
        (project / "papermill_runs" / "tiny.smk").write_text(
            f"@graph.target\ndef all():\n    return [graph.data('smoke', 3), "
            f"*(graph.run('90_tiny', f'run{{i}}', seed={seeds}[i]) for i in range(2))]\n"
        )
        assert cli.main(["run", "all"]) == 0, capfd.readouterr().err
        homes = [project / "papermill_runs" / "mini" / f"run{i}" for i in range(2)]
        runs = [json.loads((home / "run.json").read_text()) for home in homes]
        return [run["parameters"]["seed"] for run in runs]

    assert made([1, 1]) == [1, 1]
    assert made([2, 1]) == [2, 1], "though what the last one is made of is the same"


def test_what_a_job_is_given_follows_from_its_page(project):
    graph = runs.load_graph(config={"gpus": "slurm"}, project=project)
    [second] = graph.behind("pair")[:1]
    assert graph.resources(second) == {"cards": 1, "gres": "gpu:1"}
    four = {"gpus": "own", "overrides": {"processes": "4"}}
    graph = runs.load_graph(config=four, project=project)
    [second] = graph.behind("pair")[:1]
    assert graph.resources(second) == {"cards": 4}
    assert "--gpus 4" in graph.options(second)
    graph = runs.load_graph("mini", {"gpus": "own"}, REPOSITORY)
    behind = graph.behind("mosi_lowshot")
    needs = {job.name.partition("-")[0]: job.gpus for job in behind}
    assert needs["mosi_transfer"] == needs["mosi_pretrain"] == 1
    assert needs["mosi_lowshot"] == needs["data"] == 0, "tables and the making of data compute less"


def test_loader_workers_share_the_cores():
    assert [loader_workers(8, n) for n in (1, 2, 4, 16)] == [8, 4, 2, 1]
    assert loader_workers(96, 1) == cards.LOADERS


# --- a watch over runs, and runs that are asked for twice -----------------------------------------

FOLDER = "papermill_runs/mini/x"


def with_cell(project, code):
    path = project / "notebooks" / "90_tiny.py"
    path.write_text(
        path.read_text().replace("for step in range(3):", f"{code}\nfor step in range(3):")
    )


def test_a_run_that_hangs_is_stopped_and_shows_where(project, capfd):
    with_cell(project, "import threading\n\nthreading.Event().wait()")
    assert cli.main(["execute", "90_tiny", FOLDER, "--stall-limit", "0.1"]) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert "stopped after 6 s without output, a new file or work of a processor" in line
    assert "Event().wait()" in (project / FOLDER / "90_tiny.ipynb").read_text()


def test_a_run_that_gets_on_in_any_way_is_left_alone(project):
    ways = """\
    import time
    end = time.monotonic() + 5
    while time.monotonic() < end:
        pass
    for step in range(5):
        time.sleep(1)
        print(step, flush=True)
    for step in range(5):
        time.sleep(1)
        run.log(step=step, loss=1.0)
    """.replace("    ", "", 1).replace("\n    ", "\n")
    with_cell(project, ways)
    assert cli.main(["execute", "90_tiny", FOLDER, "--stall-limit", "0.05"]) == 0


def test_a_cell_has_no_limit_but_one_that_is_asked_for(project, capfd):
    with_cell(project, "import time\n\ntime.sleep(60)")
    assert cli.main(["execute", "90_tiny", FOLDER, "--cell-limit", "0.05"]) == 1
    [line] = [x for x in capfd.readouterr().err.splitlines() if x.startswith("vidssl: ")]
    assert "a cell took longer than --cell-limit allows" in line


def test_what_is_asked_for_twice_is_made_once(project, capfd):
    words = ["execute", "90_tiny", FOLDER, "--once"]
    made = project / FOLDER / "run.json"
    assert cli.main([*words, "a"]) == 0
    first = json.loads(made.read_text())
    made.unlink()  # as Snakemake does before it asks again
    assert cli.main([*words, "a"]) == 0
    assert "[x] is finished already" in capfd.readouterr().out
    assert json.loads(made.read_text()) == first
    assert cli.main([*words, "b"]) == 0, "other code or parameters"
    assert cli.main([*words, "b", "--after", "notebooks/90_tiny.py"]) == 0, "another input"
    assert "finished already" not in capfd.readouterr().out


def hold_folder(folder, held, let_go):
    with locked(folder):
        held.set()
        let_go.wait(60)


def test_whoever_is_to_make_it_once_waits_for_whoever_is_at_it(tmp_path, capsys):
    context = multiprocessing.get_context("fork")
    held, let_go = context.Event(), context.Event()
    other = context.Process(target=hold_folder, args=(tmp_path, held, let_go))
    other.start()
    assert held.wait(60)
    with pytest.raises(runs.RunLocked, match=f"in use by process {other.pid} on"), locked(tmp_path):
        pass
    threading.Timer(1, let_go.set).start()
    with locked(tmp_path, wait=True):
        assert let_go.is_set()
    other.join()
    assert f"waits for process {other.pid} on" in capsys.readouterr().out


TRAINS = """
import os
import signal
import sys

import torch

sys.path.insert(0, os.environ["VIDSSL_TESTS"])
from test_training import Blobs, collate, make_model, training_step

from vidssl.training import TrainConfig, fit

model, seen = make_model(), []


def step(model, batch, context):
    seen.append(context.step)
    if run.folder.name == "cut" and context.step == 17 and not (run.folder / "again").exists():
        (run.folder / "again").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return training_step(model, batch, context)


config = TrainConfig(epochs=10, batch_size=8, lr=0.01, checkpoint_every=4)
fit(model, Blobs(), step, config, folder=run.checkpoint_folder, collate=collate)
weights = [value.flatten().tolist() for value in model.state_dict().values()]
(run.folder / "made.json").write_text(json.dumps({"steps": seen, "weights": weights}))
"""


@pytest.mark.slow
def test_a_run_cut_off_goes_on_by_itself_to_the_same_numbers(project, capfd, monkeypatch):
    monkeypatch.setenv("VIDSSL_TESTS", str(REPOSITORY / "tests"))
    with_cell(project, f"import json\n{TRAINS}")
    (project / "papermill_runs" / "tiny.smk").write_text(
        "@graph.target\ndef both():\n"
        "    return [graph.run('90_tiny', name, seed=1) for name in ('whole', 'cut')]\n"
    )
    assert cli.main(["run", "both"]) == 1
    told = capfd.readouterr().err
    assert "its kernel died" in told
    assert cli.main(["run", "both"]) == 0, "nothing is to be unlocked or deleted"
    home = project / "papermill_runs" / "mini"
    whole, cut = (json.loads((home / name / "made.json").read_text()) for name in ("whole", "cut"))
    assert whole["steps"][0] == 0
    assert cut["steps"][0] in (12, 16), "it goes on from the last checkpoint, written beside steps"
    assert cut["weights"] == whole["weights"]
