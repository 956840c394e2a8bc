"""How long a mini-scale training waits for its clips: decoded each time, or from the frame store.

Embedded videos of the mini scale (64 frames of 96 x 128, short side 40), its network and its batch.
`make bench` prints the shares of the training's time and the processor time of a clip.
"""

import time
from functools import partial
from statistics import median

import pytest
import torch

from vidssl import models
from vidssl.data import Augmentation, ClipDataset, RGBFrames, collate, synthetic, two_scale_views
from vidssl.data.frame_store import FrameStore
from vidssl.data.registry import open_dataset
from vidssl.methods import supervised
from vidssl.protocol import Clips
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


def settings(store):
    augmentation = Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25), grey=0.3)
    return Clips(8, 7, size=32, short_side=SIDE, augmentation=augmentation, store=store)


def clips(records, store):
    return settings(store).training(records, seed=0)


def views(records, store):
    choose = partial(two_scale_views, frames=8, global_stride=8, locals_count=4)
    scaled = Augmentation(scale=(0.5, 1.0), flip=0.5, color=(0.5, 0.5, 0.5, 0.25), erase=0.25)
    transform = settings(store).augmented(scaled)
    return ClipDataset(records, RGBFrames(SIDE, store), choose, transform, seed=0)


def trained(dataset):
    torch.manual_seed(0)
    model = models.build("r2plus1d_10", num_classes=16, width=0.125)
    config = TrainConfig.for_steps(STEPS, len(dataset), batch_size=BATCH)
    return fit(
        model, dataset, supervised.training_step(), config, collate=collate, report=lambda *_: None
    )


@pytest.mark.bench
def test_waiting_share(embedded, ratio):
    records, store = embedded
    decoding, stored = (trained(clips(records, each)) for each in (None, store))
    losses = [[row["loss"] for row in result.history] for result in (decoding, stored)]
    assert losses[0] == losses[1]
    print(f"\n{STEPS} steps of {BATCH} clips, share of the time that the training waits for them:")
    for name, result in (("decoded", decoding), ("from the store", stored)):
        ratio(f"waiting for clips, {name}", result.waiting_share, "of", "a mini training")
        print(f"{name:16} {result.waiting_share:6.1%} of {result.seconds:.0f} s")


@pytest.mark.bench
@pytest.mark.parametrize("make", [clips, views], ids=lambda make: make.__name__)
def test_processor_time_of_a_sample(embedded, make, ratio):
    records, store = embedded
    ways = {"decoded": make(records, None), "from the store": make(records, store)}
    rounds = {name: [] for name in ways}
    for epoch in range(5):  # in turn, so that all meet the same machine
        for name, dataset in ways.items():
            began = time.process_time()
            for i in range(32):
                dataset[(epoch, i)]
            rounds[name].append((time.process_time() - began) / 32)
    faster = median(a / b for a, b in zip(rounds["decoded"], rounds["from the store"]))
    shown = ", ".join(f"{name} {1e3 * median(times):.1f} ms" for name, times in rounds.items())
    print(f"\na sample of {make.__name__}: {shown}; the store is {faster:.1f} times as fast")
    ratio(f"{make.__name__} from the frame store", faster, "times as fast as", "decoded")
