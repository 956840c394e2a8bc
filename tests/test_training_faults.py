"""Training that is killed, or whose disk is full or closed to it, loses nothing written before."""

import multiprocessing
import os
import resource
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vidssl import models
from vidssl.data import Augmentation, collate, read_folder
from vidssl.methods import supervised
from vidssl.protocol import Clips
from vidssl.training import Checkpoints, TrainConfig, TrainResult, fit

CONFIG = TrainConfig(epochs=6, batch_size=4, lr=0.01, warmup_epochs=1, checkpoint_every=3)
STEPS = 24
MOMENTS = ("half written", "written", "between the two names")


# --- a real training in a process of its own, killed and started again ----------------------------


def train(videos, folder, config=CONFIG, progress=None):
    """Supervised training on videos: decoder, augmentation, dropout, batch norm, Adam."""
    torch.manual_seed(0)
    model = models.build("r2plus1d_10", num_classes=2, width=0.125)
    augmentation = Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25), grey=0.3)
    data = Clips(4, 2, size=16, short_side=20, augmentation=augmentation).training(
        read_folder(videos), seed=0
    )
    learn = supervised.training_step()

    def step(model, batch, context):
        if progress is not None:
            progress.send(context.step)
        return learn(model, batch, context)

    fit(model, data, step, config, folder=folder, collate=collate, report=lambda *_: None)
    return model


def train_in_process(progress, videos, folder, config, moment):
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of loading workers, as in any run
    if moment:
        die_while_writing(*moment)
    train(videos, folder, config, progress)


def die_while_writing(moment, checkpoint):
    """SIGKILL at a moment of writing the ``checkpoint``-th checkpoint of this process."""
    real = {"save": torch.save, "replace": os.replace}
    written = []

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def save(state, file):
        real["save"](state, file)
        written.append(file)
        if len(written) == checkpoint and moment in ("half written", "written"):
            file.truncate(file.tell() // 2) if moment == "half written" else file.flush()
            die()

    def rename(source, target):
        real["replace"](source, target)
        if len(written) == checkpoint and Path(target).name == "checkpoint.previous.pt":
            die()

    torch.save, os.replace = save, rename


class Killer:
    """Starts the training again and again in one folder, and kills it each time."""

    def __init__(self, videos, folder, config=CONFIG):
        self.arguments = (videos, folder, config)
        self.context = multiprocessing.get_context("forkserver")  # imports once, then forks
        self.context.set_forkserver_preload(["accelerate", "torch._dynamo", __name__])
        self.kills = []

    def start(self, moment=None):
        """A running training and the pipe on which it names each step that it begins."""
        steps, progress = self.context.Pipe(duplex=False)
        arguments = (progress, *self.arguments, moment)
        process = self.context.Process(target=train_in_process, args=arguments, daemon=False)
        process.start()
        progress.close()
        return process, steps

    def kill_while_writing(self, moment, checkpoint):
        process, steps = self.start((moment, checkpoint))
        self._note(process, steps, last_step(steps, STEPS))

    def kill_after(self, count, seconds):
        """SIGKILL ``seconds`` after the training began its ``count``-th step of this start."""
        process, steps = self.start()
        begun = last_step(steps, count)
        time.sleep(seconds)
        process.kill()
        self._note(process, steps, begun)

    def finish(self):
        process, steps = self.start()
        last_step(steps, STEPS)
        process.join()
        assert process.exitcode == 0

    def _note(self, process, steps, begun):
        process.join()
        last_step(steps, STEPS)  # ends when the last loading worker has let go of the pipe as well
        if process.exitcode == -signal.SIGKILL:
            self.kills.append(begun)


def last_step(steps, count):
    """Wait for ``count`` steps to begin, or for the end of the training; the last one begun."""
    step = None
    try:
        for _ in range(count):
            step = steps.recv()
    except EOFError:
        pass
    return step


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def assert_same_weights(folder, undisturbed):
    ours, theirs = weights(folder), weights(undisturbed)
    for name, value in theirs["model"].items():
        assert torch.equal(ours["model"][name], value), name
    for key, state in theirs["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(ours["optimizer"]["state"][key][name], value), (key, name)
    assert {path.name for path in folder.iterdir()} == {"checkpoint.pt", "checkpoint.previous.pt"}


@pytest.fixture(scope="module")
def undisturbed(moving_videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    train(moving_videos, folder)
    assert weights(folder)["result"]["steps"] == STEPS
    return folder


def test_killed_runs_end_with_the_same_weights(moving_videos, undisturbed, tmp_path):
    killer = Killer(moving_videos, tmp_path)
    rng = np.random.default_rng(0)
    for moment in MOMENTS:
        killer.kill_while_writing(moment, checkpoint=2)
    for _ in range(3):
        killer.kill_after(int(rng.integers(1, 5)), rng.uniform(0, 0.05))
    killer.finish()
    assert len(killer.kills) >= 5, "the training ended before it was killed"
    assert_same_weights(tmp_path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(("num_workers", "attempts"), [(0, 6), (1, 2)])
def test_runs_killed_many_times(moving_videos, undisturbed, tmp_path, num_workers, attempts):
    rng = np.random.default_rng(num_workers)
    kills = []
    for attempt in range(attempts):
        folder = tmp_path / str(attempt)
        config = replace(CONFIG, num_workers=num_workers)
        killer = Killer(moving_videos, folder, config)
        for _ in range(6):
            if rng.random() < 0.4:
                killer.kill_while_writing(str(rng.choice(MOMENTS)), int(rng.integers(1, 4)))
            else:
                killer.kill_after(int(rng.integers(1, 6)), rng.uniform(0, 0.1))
        killer.finish()
        kills += killer.kills
        assert_same_weights(folder, undisturbed)
    assert len(kills) >= 3 * attempts


# --- disks ----------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path):
    """``mounted(options)``: a small file system of its own, in memory."""
    places = []

    def mount(options):
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount command: a full disk cannot be made here")
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


def checkpoints(folder, bias):
    """Write a checkpoint of 40 kB whose model has this bias."""
    model = nn.Linear(100, 100)
    nn.init.constant_(model.bias, bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Checkpoints(folder, CONFIG) as kept:
        kept.save(model, optimizer, TrainResult(steps=round(bias)))


def bias_kept(folder):
    return weights(folder)["model"]["bias"][0].item()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_full_disk_keeps_the_earlier_checkpoint(mounted):
    disk = mounted("size=108k")
    checkpoints(disk, bias=1.0)
    checkpoints(disk, bias=2.0)
    with pytest.raises(OSError, match=r"checkpoint\.pt cannot be written \(No space left.*make"):
        checkpoints(disk, bias=3.0)
    assert bias_kept(disk) == 2.0
    assert files(disk) == ["checkpoint.previous.pt", "checkpoint.pt"]


@contextmanager
def largest_file(size):
    """No file may grow beyond ``size`` bytes: writing stops half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_stops_half_way_keeps_the_earlier_checkpoint(tmp_path):
    checkpoints(tmp_path, bias=1.0)
    with (
        largest_file(20_000),
        pytest.raises(OSError, match=r"checkpoint\.pt cannot be written \(File too large\): make"),
    ):
        checkpoints(tmp_path, bias=2.0)
    assert bias_kept(tmp_path) == 1.0
    assert files(tmp_path) == ["checkpoint.pt"]


def test_a_training_goes_on_once_there_is_room(moving_videos, undisturbed, mounted):
    """As it happens: the disk fills up during a training, room is made, it is started again."""
    size = (undisturbed / "checkpoint.pt").stat().st_size
    disk = mounted(f"size={round(2.6 * size)}")  # room for two checkpoints, not for a third
    with pytest.raises(OSError, match=r"disk0/checkpoint\.pt cannot be written"):
        train(moving_videos, disk)
    assert weights(disk)["result"]["steps"] == 6
    subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(disk)], check=True)
    train(moving_videos, disk)
    assert_same_weights(disk, undisturbed)


def test_a_read_only_folder_is_refused_before_training(mounted, moving_videos):
    disk = mounted("size=1m")
    (disk / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for folder, message in [
        ("run", "run is not writable"),
        ("new", "new cannot be written .*Read"),
    ]:
        with pytest.raises(OSError, match=message):
            train(moving_videos, disk / folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path, moving_videos):
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError, match="is not writable, so no checkpoint"):
        train(moving_videos, tmp_path)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OSError, match="run cannot be written"):
        Checkpoints(tmp_path / "run", CONFIG)
