"""How long a mini-scale training waits for its clips: decoded each time, or from the frame store.

Embedded videos of the mini scale (64 frames of 96 x 128, short side 40), its network and its batch.
`make bench` prints the shares of the training's time and the processor time of a clip.
"""

import time
from statistics import median

import pytest
import torch

from vidssl import models
from vidssl.data import ClipDataset, TrainTransform, ViewsDataset, ViewTransform, collate, synthetic
from vidssl.data.frame_store import FrameStore
from vidssl.data.records import open_dataset
from vidssl.methods import supervised
from vidssl.training import TrainConfig, fit

pytest.importorskip("av")

STEPS, BATCH = 60, 16
SIDE = 40


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Training videos, and the store that holds their frames."""
    root = tmp_path_factory.mktemp("mini") / "data"
    numbers = {"train": 4, "test": 1, "workers": 1, "progress": False}
    records = open_dataset("embedded", synthetic.make_dataset(root, scale="mini", **numbers)).train
    store = FrameStore(root.parent / "frames", root, SIDE)
    assert store.add([r.path for r in records], 1, progress=False).held == len(records)
    return records, store


def clips(records, store):
    transform = TrainTransform(size=32, short_side=SIDE)
    return ClipDataset(records, frames=8, stride=7, transform=transform, store=store)


def views(records, store):
    transform = ViewTransform(size=32, short_side=SIDE)
    settings = {"frames": 8, "global_stride": 8, "locals_count": 4, "transform": transform}
    return ViewsDataset(records, **settings, store=store)


def trained(dataset):
    torch.manual_seed(0)
    model = models.build("r2plus1d_10", num_classes=16, width=0.125)
    config = TrainConfig.for_steps(STEPS, len(dataset), batch_size=BATCH)
    return fit(
        model, dataset, supervised.training_step, config, collate=collate, report=lambda *_: None
    )


@pytest.mark.bench
def test_waiting_share(embedded):
    records, store = embedded
    decoding, stored = (trained(clips(records, each)) for each in (None, store))
    losses = [[row["loss"] for row in result.history] for result in (decoding, stored)]
    assert losses[0] == losses[1]
    print(f"\n{STEPS} steps of {BATCH} clips, share of the time that the training waits for them:")
    for name, result in (("decoded", decoding), ("from the store", stored)):
        print(f"{name:16} {result.waiting_share:6.1%} of {result.seconds:.0f} s")


@pytest.mark.bench
@pytest.mark.parametrize("make", [clips, views], ids=lambda make: make.__name__)
def test_processor_time_of_a_sample(embedded, make):
    records, store = embedded
    ways = {"decoded": make(records, None), "from the store": make(records, store)}
    rounds = {name: [] for name in ways}
    for epoch in range(5):  # in turn, so that all meet the same machine
        for name, dataset in ways.items():
            began = time.process_time()
            for i in range(32):
                dataset[(epoch, i)]
            rounds[name].append((time.process_time() - began) / 32)
    ratio = median(a / b for a, b in zip(rounds["decoded"], rounds["from the store"]))
    shown = ", ".join(f"{name} {1e3 * median(times):.1f} ms" for name, times in rounds.items())
    print(f"\na sample of {make.__name__}: {shown}; the store is {ratio:.1f} times as fast")
