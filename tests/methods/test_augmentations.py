"""How far the pages' augmentations move pixels: a weak view must be weak, at every scale."""

from dataclasses import replace

import numpy as np
import pytest

from vidssl import runs
from vidssl.data import Augmentation, TrainTransform
from vidssl.data.synthetic import render_split

STUDENT = "32_timebalance_student"
SCALES = [name for name in runs.scale_names() if name != "demo"]


@pytest.fixture(scope="module")
def videos():
    """Four frames of each of twelve videos, (V, T, H, W, 3)."""
    frames, _ = render_split("smoke", workers=1, progress=False, train=3)
    return frames[:, ::8]


def pixel_change(augmentation, videos):
    """Mean absolute change of a pixel, in [0, 1], by colours and erasing: where it lies is kept."""
    side = min(videos.shape[2:4])
    colours = replace(Augmentation.of(augmentation), scale=(), flip=0.0)
    plain, changed = (
        TrainTransform(side, side, each)(videos, np.random.default_rng(0))
        for each in (Augmentation(), colours)
    )
    return (changed - plain).abs().mean().item()


@pytest.mark.parametrize("scale", SCALES)
def test_a_weak_view_is_weak(videos, scale):
    """FixMatch labels the weak view: it must keep what the strong one is to be told by."""
    path = runs.notebook_path(STUDENT)
    given = {**runs.declared_parameters(path), **runs.parameters_for(STUDENT, scale)}
    weak = pixel_change(given["weak_augmentation"], videos)
    strong = pixel_change(given["strong_augmentation"], videos)
    print(f"\n{scale}: mean change of a pixel {weak:.3f} weak, {strong:.3f} strong")
    assert 0 < weak < 0.05
    assert strong > 3 * weak
    assert given["strong_augmentation"]["scale"][0] <= 0.5
