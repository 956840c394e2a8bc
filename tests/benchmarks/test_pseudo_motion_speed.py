"""Pseudo motions cut as a batch, with one colour matrix a frame, against the plain way.

The plain way is a loop over sequences and frames with torchvision's jitter. Both cut the same
pixels, which is asserted; how much faster ours is, and what share of a training step it takes, is
printed by `make bench`.
"""

import time
from itertools import pairwise
from statistics import median

import pytest
import torch
from torchvision import transforms

from vidssl import models
from vidssl.data import ImageDataset, collate, read_images
from vidssl.data.color import ColorJitter
from vidssl.data.stills import make_stills
from vidssl.methods import mosi
from vidssl.motion import plan_motions, render_motions
from vidssl.training import TrainConfig, fit


def plain_loop(image, motions, jitter=None):
    """Clips (M, 3, N, L, L) of one image, sequence by sequence and frame by frame."""
    size = motions.size
    clips = []
    for sequence in range(len(motions.label)):
        frames = [
            image[:, top : top + size, left : left + size]
            for left, top in motions.position[0, sequence].tolist()
        ]
        left, top, side = motions.square[0, sequence].tolist()
        still = frames[int(motions.still[0, sequence])]
        masked = []
        for frame in frames:
            picture = still.clone()
            area = (slice(None), slice(top, top + side), slice(left, left + side))
            picture[area] = frame[area]
            masked.append(jitter(picture) if jitter else picture)
        clips.append(torch.stack(masked, dim=1))
    return torch.stack(clips)


@pytest.fixture
def image():
    return torch.rand(3, 320, 320, generator=torch.Generator().manual_seed(0))


def test_both_ways_cut_the_same_pixels(image):
    motions = plan_motions(320, 320, generator=torch.Generator().manual_seed(1))
    assert torch.equal(render_motions(image[None], motions)[0], plain_loop(image, motions))


@pytest.fixture
def one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.bench
def test_ratio_to_the_plain_loop_on_one_core(image, one_core, ratio):
    generator = torch.Generator().manual_seed(1)
    ours, reference = ColorJitter(grey=0), transforms.ColorJitter(0.5, 0.5, 0.5, 0.25)

    def fast():
        motions = plan_motions(320, 320, generator=generator)
        render_motions(image[None], motions, ours.draw(9, 16, generator))

    def slow():
        plain_loop(image, plan_motions(320, 320, generator=generator), reference)

    ratios = []
    for _ in range(5):  # in turn, so that both meet the same machine
        fastest = min(seconds(fast) for _ in range(4))
        ratios.append(seconds(slow) / fastest)
    shown = ", ".join(f"{each:.0f}" for each in sorted(ratios))
    ratio("pseudo motions as a batch", median(ratios), "times as fast as", "a plain loop")
    print(f"\n9 masked sequences of 16 x 112 x 112 with jitter: {sorted(ratios)[2]:.0f} times the")
    print(f"plain loop (median of {shown}); ours takes {fastest * 1e3:.0f} ms")


@pytest.mark.bench
def test_share_of_the_training_step_on_one_core(tmp_path, monkeypatch, one_core, ratio):
    """The paper's clips and network; a step is one image, so 9 clips, with all that `fit` does."""
    config, generate, moments = mosi.MoSIConfig(), mosi.pretext_batch, []

    def timed(*arguments, **options):
        began = time.process_time()  # of this process alone, whoever else is computing
        made = generate(*arguments, **options)
        moments.append((began, time.process_time()))
        return made

    monkeypatch.setattr(mosi, "pretext_batch", timed)
    images = read_images(make_stills(tmp_path, source="photographs", count=3, side=320))
    fit(
        models.build("r2plus1d_10", num_classes=config.num_classes),
        ImageDataset(images, side=config.source_side),
        mosi.training_step(config),
        TrainConfig(epochs=1, batch_size=1),
        collate=collate,
    )
    steps = list(pairwise(moments))
    share = median((end - began) / (later - began) for (began, end), (later, _) in steps)
    step = median(later - began for (began, _), (later, _) in steps)
    ratio("making 9 pseudo motions", share, "of", "a training step of R(2+1)D-10")
    print(f"\ngenerating 9 clips of 16 x 112 x 112 takes {share:.1%} of a training step of")
    print(f"R(2+1)D-10 ({step:.1f} s of one core; median of {len(steps)} steps)")


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
