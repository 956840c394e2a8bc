"""A training step of the mini scale, beside the same step as torch does it by itself.

Each measurement is a process of its own, since what a process has freed before decides what it
keeps; the two ways take turns, and processor seconds of one core are compared.
"""

import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

import pytest
import torch
from torch.nn.functional import cross_entropy

from vidssl import models
from vidssl.core import keep_freed_memory
from vidssl.training import TrainConfig, make_optimizer

STEPS, ROUNDS = 16, 3
CLIPS = {"r2plus1d_10": (16, 72), "r3d_10_dilated": (16, 80), "r3d_18": (16,), "s3dg": (16,)}


def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def step_seconds(backbone, clips, plain):
    """Median seconds of a step of so many clips of 8 x 32 x 32."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = models.build(backbone, num_classes=16, width=0.125)
    inputs, labels = torch.rand(clips, 3, 8, 32, 32), torch.randint(16, (clips,))
    if plain:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    else:
        keep_freed_memory()
        optimizer = make_optimizer(model, TrainConfig(1, clips))
    taken = []
    for _ in range(STEPS):
        begun = seconds()
        cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        taken.append(seconds() - begun)
    return median(taken[3:])


@pytest.mark.bench
@pytest.mark.parametrize(("backbone", "clips"), [(b, n) for b in CLIPS for n in CLIPS[b]])
def test_step_beside_torchs_own(backbone, clips, ratio):
    taken = {True: [], False: []}
    for _ in range(ROUNDS):
        for plain, found in taken.items():
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                found.append(process.submit(step_seconds, backbone, clips, plain).result())
    plain, ours = median(taken[True]), median(taken[False])
    print(f"\n{backbone}, {clips} clips: {1e3 * ours:.0f} ms, {plain / ours:.2f} times as fast")
    ratio(f"a step of {backbone}, {clips} clips", plain / ours, "times as fast as", "torch's own")
    assert ours < 1.1 * plain
