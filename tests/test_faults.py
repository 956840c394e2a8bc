"""What goes wrong at night, in each of the three pipelines: the numbers of an undisturbed one come
out, or it stops in words that say why, and started again it ends with those numbers.

`make test` kills TimeBalance's twice, which has the most to go on from: three trainings, the last
with averaged weights. `make test-full` kills each, and prints the whole table, fault by pipeline.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pipelines import PIPELINES, Lives

from vidssl.core import derive_seed
from vidssl.data import open_dataset, synthetic, validation_split

NAMES = list(PIPELINES)
ONE_QUICK = ["TimeBalance", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[:2])]
TINY = {"scale": "smoke", "train": 4, "test": 1, "frames": 32, "height": 48, "width": 64}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """20 embedded videos."""
    folder = tmp_path_factory.mktemp("faults") / "data" / "smoke-seed0"
    return synthetic.make_dataset(folder, **TINY, workers=1, progress=False)


@pytest.fixture(scope="module")
def undisturbed(videos):
    """Pipeline -> its life that nothing disturbed, how long it took, and its numbers."""
    known = {}

    def of(name):
        if name not in known:
            lives = Lives(name, videos.parents[1] / name, videos)
            began = time.monotonic()
            assert lives.to_the_end() == "", lives.log()[-3000:]
            known[name] = lives, time.monotonic() - began, lives.numbers()
        return known[name]

    return of


@pytest.fixture
def tell(record_property, request):
    """Put how a fault ended into the table that is printed at the end."""

    def told(fault, pipeline, how):
        record_property("fault", (fault, pipeline, how))

    return told


# --- SIGKILL --------------------------------------------------------------------------------------


def killed_again_and_again(name, kills, undisturbed, place):
    """Kill a pipeline ``kills`` times at random moments; what is whole after that is begun anew."""
    lives, seconds, numbers = undisturbed(name)
    rng = np.random.default_rng(derive_seed(0, name))
    life, ends = Lives(name, place / "0", lives.root), 0
    while kills:
        if life.killed_after(rng.uniform(0, 0.7 * seconds)):
            kills -= 1
        else:
            assert life.to_the_end() == "", life.log()[-3000:]
            assert life.numbers() == numbers
            ends += 1
            life = Lives(name, place / str(ends), lives.root)
    assert life.to_the_end() == "", life.log()[-3000:]
    assert life.numbers() == numbers


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ONE_QUICK)
def test_killed_twice_it_ends_with_the_same_numbers(name, undisturbed, tmp_path, tell):
    killed_again_and_again(name, 2, undisturbed, tmp_path)
    tell("SIGKILL, 2 moments", name, "same numbers")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_twenty_moments_it_ends_with_the_same_numbers(name, undisturbed, tmp_path, tell):
    killed_again_and_again(name, 20, undisturbed, tmp_path)
    tell("SIGKILL, 20 moments", name, "same numbers")


# --- disks ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """``small_disk(bytes)``: a file system of its own; None where mounting is not allowed."""
    places = []

    def mounted(size):
        place = tmp_path / "disk"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            return None
        places.append(place)
        return place

    yield mounted
    for place in places:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class SmallFiles:
    """No file may grow beyond ``size`` bytes in the process that calls it."""

    def __init__(self, size):
        self.size = size

    def __call__(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


def bytes_below(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(name, undisturbed, small_disk, tmp_path, tell):
    lives, _, numbers = undisturbed(name)
    disk = small_disk(bytes_below(lives.life) // 3)
    life = Lives(name, (disk or tmp_path) / "life", lives.root)
    said = life.to_the_end(bool if disk else SmallFiles(20_000))
    assert re.search(
        r"/\S+ cannot be written \((No space left|File too large).*\): make room", said
    )
    if disk:
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
    assert life.to_the_end() == "", life.log()[-3000:]
    assert life.numbers() == numbers
    tell("full disk", name, f"clear stop: {said}")


# --- files that are damaged -----------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2])
def test_a_corrupted_checkpoint(name, count, undisturbed, tell):
    lives, _, numbers = undisturbed(name)
    found = sorted(lives.forget_last().rglob("checkpoint*.pt"))
    assert found
    for path in found[:count]:
        cut(path)
    assert lives.to_the_end() == "", lives.log()[-3000:]
    assert lives.numbers() == numbers
    tell(f"corrupted checkpoint, newest {count}", name, "same numbers")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_corrupted_results_of_an_earlier_page(name, undisturbed, tell):
    lives, _, numbers = undisturbed(name)
    before = lives.life / "smoke" / PIPELINES[name][-2][1]
    [*_, path] = sorted([*before.glob("*.npz"), *before.glob("*.pt")])
    whole = path.read_bytes()
    lives.forget_last()
    cut(path)
    said = lives.to_the_end()
    assert path.name in said
    path.write_bytes(whole)
    assert lives.to_the_end() == "", lives.log()[-3000:]
    assert lives.numbers() == numbers
    tell("result of an earlier page cut off", name, f"clear stop: {said}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_truncated_shards(name, undisturbed, tell):
    """Of decoded frames, and of flow."""
    lives, _, numbers = undisturbed(name)
    shards = [*(lives.life / "frames").rglob("*.npy"), *(lives.life / "flow").rglob("*.npz")]
    assert shards
    for path in shards:
        cut(path)
    lives.forget_last()
    assert lives.to_the_end() == "", lives.log()[-3000:]
    assert lives.numbers() == numbers
    tell("truncated shards", name, "same numbers")


def spoil(path):
    """A video that opens, and of which some frames can be read."""
    content = bytearray(path.read_bytes())
    first, after = content.find(b"mdat") + 4, content.find(b"moov") - 4
    middle, length = (6 * first + 4 * after) // 10, (after - first) // 5
    content[middle : middle + length] = bytes(length)
    path.write_bytes(content)


LACKING = {  # what the records count of two training videos, of which MotionFit holds one out
    "MoSI": {},
    "MotionFit": {
        "labels": {"without_features": 2},
        "student": {"without_target": 1, "validation_without_target": 1},
    },
    "TimeBalance": {"student": {"without_similarity": 2}},
}
DENOMINATORS = ("test_videos", "validation_clips", "labelled", "unlabelled")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [cut, spoil])
def test_corrupt_videos(name, damage, undisturbed, tmp_path, tell):
    """They are counted and named: the numbers are those of the others, and say so."""
    lives, _, numbers = undisturbed(name)
    root = tmp_path / "data" / "smoke-seed0"
    shutil.copytree(lives.root, root)
    splits = open_dataset("embedded", root)
    sides = (*validation_split(splits.train, 0.25, 0), splits.test)
    victims = {Path(side[0].path).name for side in sides}
    for side in sides:
        damage(Path(side[0].path))
    life = Lives(name, tmp_path / "life", root)
    assert life.to_the_end() == "", life.log()[-3000:]

    paths = sorted(life.life.glob("smoke/*/run.json"))
    told = {path.parent.name: json.loads(path.read_bytes()) for path in paths}
    named = {page: [line.split(": ")[0] for line in run["failed"]] for page, run in told.items()}
    of_video = {v for paths in named.values() for v in victims if v in "".join(paths)}
    assert of_video == victims
    for page, paths in named.items():
        assert len(paths) == len(set(paths)) == told[page]["failed_count"] > 0
        metrics = told[page]["metrics"]
        for key in (key for key in DENOMINATORS if key in metrics):
            assert metrics[key] == numbers[page][key], f"{key} of {page} shrank"
        assert LACKING[name].get(page, {}).items() <= metrics.items()
    assert life.numbers() != numbers
    tell(f"3 of 20 videos corrupt, {damage.__name__}", name, f"named in {len(told)} records")


# --- a loading worker out of memory ---------------------------------------------------------------


def die_in_a_worker():
    """The second batch that a loading worker makes kills it, as memory that runs out does."""
    fetcher = torch.utils.data._utils.fetch._MapDatasetFetcher
    real, made = fetcher.fetch, []

    def fetch(self, index):
        made.append(index)
        if torch.utils.data.get_worker_info() and len(made) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, index)

    fetcher.fetch = fetch


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_a_worker_out_of_memory(name, undisturbed, tmp_path, tell):
    lives, _, numbers = undisturbed(name)
    life = Lives(name, tmp_path / "life", lives.root)
    said = life.to_the_end(die_in_a_worker, num_workers=1)
    assert "a loading worker was killed, most likely since memory ran out: lower" in said
    assert life.to_the_end() == "", life.log()[-3000:]
    assert life.numbers() == numbers
    tell("loading worker out of memory", name, f"clear stop: {said}")
