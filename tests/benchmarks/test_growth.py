"""What large sets take: each in a process of its own, whose peak memory is told.

Limits that hold whoever else is computing are asserted; times are ratios or only printed.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.lib.format import open_memmap
from tiny_project import REPOSITORY

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]
ROWS, DIMENSIONS, CLUSTERS, CLASSES = 1_000_000, 512, 1000, 400
END = """
import resource, time
own = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(time.process_time(), max(int(own.split()[1]), of_children) / 1024)
"""


def measured(code, *words):
    """Processor seconds and peak MB (its own, or a child's) of a process that runs ``code`` with
    ``words``, after the numbers that it prints itself. What a process had in memory before its
    program began is not counted, as ``ru_maxrss`` would."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code + END, *map(str, words)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


# --- feature banks --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """2 GB of features of 400 classes on disk, and the class of each row."""
    folder = tmp_path_factory.mktemp("bank")
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, DIMENSIONS), dtype=np.float32)
    truth = rng.integers(0, CLASSES, ROWS)
    np.save(folder / "classes.npy", truth)
    rows = open_memmap(folder / "bank.npy", "w+", np.float32, (ROWS, DIMENSIONS))
    for first in range(0, ROWS, 50_000):
        part = slice(first, first + 50_000)
        rows[part] = centres[truth[part]] / 2
        rows[part] += rng.standard_normal((50_000, DIMENSIONS), dtype=np.float32)
    rows.flush()
    del rows
    yield folder
    (folder / "bank.npy").unlink()


OPEN = """
import sys
import numpy as np
from vidssl.evaluation import kmeans, nmi, retrieval_recall
bank = np.load(sys.argv[1] + "/bank.npy", mmap_mode="r")
classes = np.load(sys.argv[1] + "/classes.npy")
"""
USES = {
    "retrieval, 1,000 queries": """
assert retrieval_recall(bank[:1000], classes[:1000], bank, classes)[1] == 1
""",
    f"k-means, K = {CLUSTERS}": f"""
assert nmi(kmeans(bank, {CLUSTERS}, seed=0, max_iter=10).labels, classes) > 0.8
""",
}


@pytest.mark.parametrize("use", USES)
def test_a_million_features_in_4_gb(use, bank, ratio):
    seconds, peak = measured(OPEN + USES[use], bank)
    size = f"{ROWS} x {DIMENSIONS}"
    print(f"\n{use} over {size}: at most {peak:.0f} MB, {seconds:.0f} s of a core")
    ratio(f"memory of {use} over {size}", peak / 4096, "of", "4 GB; the features are 2 GB")
    assert peak < 4096


# --- lists and copies -----------------------------------------------------------------------------

LISTED = """
import csv, sys, time
root = sys.argv[1]
began = time.process_time()
rows = list(csv.DictReader(open(root + "/train.csv", newline="")))
plain = time.process_time() - began
from vidssl.data import labelled_subset, read_kinetics
from vidssl.protocol import Clips
from vidssl.training import EpochBatches
began = time.process_time()
records = read_kinetics(root + "/train.csv", root)
few = labelled_subset(records, 5, 0)
dataset = Clips(16, 4, 112, 128).training(records, seed=0)
keys = sum(len(batch) for batch in EpochBatches(len(dataset), 64, 2, 0))
assert (len(records), len(few), keys) == (240_000, 2000, 2 * 240_000)
print(plain, time.process_time() - began)
"""


def test_240000_videos_are_listed_split_and_drawn_from(tmp_path, ratio):
    with open(tmp_path / "train.csv", "w") as lists:
        lists.write("label,youtube_id,time_start,time_end,split\n")
        for i in range(240_000):
            folder, start = tmp_path / f"class {i % 400:03d}", i % 300
            lists.write(f"{folder.name},v{i:010d},{start},{start + 10},train\n")
            folder.mkdir(exist_ok=True)
            (folder / f"v{i:010d}_{start:06d}_{start + 10:06d}.mp4").touch()
    plain, ours, _, peak = measured(LISTED, tmp_path)
    print(f"\n240,000 videos: {ours:.1f} s to list, split and draw two epochs, {peak:.0f} MB")
    ratio("listing, splitting and drawing 240,000 videos", ours / plain, "times as long as",
          "reading their list")  # fmt: skip
    ratio("memory of 240,000 listed videos", peak / 4096, "of", "4 GB")
    assert peak < 2048


PREPARED = """
import sys
from vidssl.data.prepare import prepare
done = prepare(sys.argv[1], sys.argv[2], workers=1, progress=False)
assert not done.failed, done
"""


def test_memory_does_not_grow_with_the_videos_prepared(tmp_path, ratio):
    from vidssl.data import write_video

    rng = np.random.default_rng(0)
    write_video(tmp_path / "v.mp4", rng.integers(0, 256, (8, 48, 64, 3), np.uint8))
    few, many = 200, 1000
    peaks = {}
    for count in (few, many):
        root = tmp_path / f"videos{count}"
        root.mkdir()
        for i in range(count):
            os.link(tmp_path / "v.mp4", root / f"{i:04d}.mp4")
        peaks[count] = measured(PREPARED, root, tmp_path / f"copies{count}")[1]
    each = (peaks[many] - peaks[few]) / (many - few)
    print(f"\nprepare: {peaks[few]:.0f} MB for {few} videos, {peaks[many]:.0f} for {many}:")
    print(f"{each:.3f} MB each; 10,000 would take {peaks[few] + 10_000 * each:.0f} MB")
    ratio(f"memory of preparing {many} videos", peaks[many] / peaks[few], "times that of", few)
    assert each < 0.05
