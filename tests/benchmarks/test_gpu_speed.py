"""A training on a GPU at the gpu scale's size, beside a plain float32 loop as torch sets it up."""

from itertools import cycle, islice
from statistics import median
from time import perf_counter

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from vidssl import models
from vidssl.core import normalise
from vidssl.data import Augmentation, TrainTransform, collate
from vidssl.methods import supervised
from vidssl.training import TrainConfig, fit

CLIPS, STEPS, WARM = 32, 48, 16
FRAMES, SHORT_SIDE, SIZE = 16, 128, 112

pytestmark = [
    pytest.mark.bench,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or not by -m bench"),
]


class Frames(torch.utils.data.Dataset):
    """Decoded frames, coloured and cropped for each step as pages do it."""

    def __init__(self):
        self.transform = TrainTransform(SIZE, SHORT_SIDE, Augmentation(color=(0.4, 0.4, 0.4, 0.1)))
        shape = (8, FRAMES, SHORT_SIDE, 172, 3)
        self.frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def __len__(self):
        return CLIPS * STEPS

    def __getitem__(self, key):
        rng = np.random.default_rng(key)
        clip = self.transform.packed(self.frames[key[1] % len(self.frames)][None], rng)
        about = {"label": key[1] % 16, "video_id": str(key[1]), "failed": []}
        return {"clips": clip, "times": torch.zeros(1, 2), **about}


def train(backbone, report, log_every):
    """As pages do it: loader, colours and transfer are among it."""
    model = models.build(backbone, num_classes=16)
    config = TrainConfig(1, CLIPS, precision="bf16", num_workers=12)
    told = {"collate": collate, "report": report, "log_every": log_every}
    fit(model, Frames(), supervised.training_step(), config, **told)


def ours(backbone):
    """Seconds of each step of `fit`, loader, colours and transfer among them."""
    ends = []

    def clock(step, metrics):
        torch.cuda.synchronize()
        ends.append(perf_counter())

    train(backbone, clock, WARM // 2)
    rests = np.diff(ends)[2:] / (WARM // 2)
    return median(rests)


def plain(backbone):
    """Seconds of a step of a loop that does nothing but learn, on clips that are there already."""
    torch.manual_seed(0)
    model = models.build(backbone, num_classes=16).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    clips = [torch.rand(CLIPS, 3, FRAMES, SIZE, SIZE, device="cuda") for _ in range(2)]
    labels = torch.arange(CLIPS, device="cuda") % 16
    taken = []
    for batch in islice(cycle(clips), STEPS):
        torch.cuda.synchronize()
        began = perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(normalise(batch)), labels).backward()
        optimizer.step()
        torch.cuda.synchronize()
        taken.append(perf_counter() - began)
    return median(taken[WARM:])


def busy(backbone):
    """Which share of a training's time the GPU computes, as its own clock tells."""
    from torch.profiler import ProfilerActivity, profile

    marks = []
    recorder = profile(activities=[ProfilerActivity.CUDA])

    def watch(step, metrics):
        if step == WARM:
            recorder.start()
            marks.append(perf_counter())
        elif step == STEPS:
            torch.cuda.synchronize()
            marks.append(perf_counter())
            recorder.stop()

    train(backbone, watch, WARM)
    kernels = sum(event.self_device_time_total for event in recorder.key_averages())
    return 1e-6 * kernels / (marks[1] - marks[0])


@pytest.mark.parametrize("backbone", ["r2plus1d_18", "r3d_18_dilated", "s3dg"])
def test_a_training_beside_a_plain_loop(backbone, ratio):
    slow, fast, share = plain(backbone), ours(backbone), busy(backbone)
    print(f"\n{backbone}: {CLIPS / fast:.0f} clips/s, the plain loop {CLIPS / slow:.0f},")
    print(f"the GPU computes {share:.0%} of the time")
    ratio(f"a training of {backbone} on a GPU, bf16", slow / fast, "times as fast as", "fp32 alone")
    ratio(f"the GPU's work, {backbone}", share, "of", "the time of its training")
    assert fast < 1.25 * slow  # S3D-G's many small layers wait for Python, not for the GPU
