import numpy as np
import pytest
import torch

from vidssl.core import frames_to_clip
from vidssl.data.transforms import (
    TestTransform,
    TrainTransform,
    centre_crop,
    flip,
    random_crop,
    resize_short_side,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(*shape, seed=0):
    return rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((96, 128), (40, 53)), ((128, 96), (53, 40)), ((20, 20), (40, 40)), ((240, 320), (40, 53))],
)
def test_short_side_is_met_and_the_ratio_kept(shape, expected):
    resized = resize_short_side(noise(3, *shape, 3), 40)
    assert resized.shape == (3, *expected, 3)
    assert resized.dtype == np.uint8


def test_resize_is_antialiased():
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    inner = resize_short_side(stripes, 16)[:, 2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127.5).max() <= 8


def test_resize_keeps_a_constant_and_frames_that_fit():
    frames = np.full((2, 30, 50, 3), 77, np.uint8)
    assert (resize_short_side(frames, 21) == 77).all()
    assert resize_short_side(frames, 30) is frames


def test_resize_equals_torchvision():
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    frames = noise(2, 60, 90, 3)
    expected = functional.resize(torch.from_numpy(frames).permute(0, 3, 1, 2), [24], antialias=True)
    difference = resize_short_side(frames, 24) - expected.permute(0, 2, 3, 1).int().numpy()
    assert np.abs(difference).max() <= 1


def test_crops():
    frames = noise(4, 10, 14, 3)
    assert np.array_equal(centre_crop(frames, 6), frames[:, 2:8, 4:10])
    places = set()
    generator = rng()
    for _ in range(300):
        crop = random_crop(frames, 8, generator)
        found = [
            (top, left)
            for top in range(3)
            for left in range(7)
            if np.array_equal(crop, frames[:, top : top + 8, left : left + 8])
        ]
        places.update(found)
    assert places == {(top, left) for top in range(3) for left in range(7)}


def test_flip_mirrors_left_and_right():
    frames = noise(2, 4, 5, 3)
    assert np.array_equal(flip(frames)[:, :, 0], frames[:, :, 4])


@pytest.mark.parametrize("call", [resize_short_side, centre_crop])
@pytest.mark.parametrize("frames", [np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2, 8, 8, 3))])
def test_wrong_frames(call, frames):
    with pytest.raises(ValueError, match=r"frames must be uint8 \(T, H, W, 3\)"):
        call(frames, 4)


def test_crop_larger_than_the_frames():
    with pytest.raises(ValueError, match="size=9 exceeds the frames' 8 x 12"):
        centre_crop(noise(1, 8, 12, 3), 9)


def test_test_transform_is_resize_crop_scale():
    frames = noise(3, 20, 30, 3)
    clip = TestTransform(16, 20)(frames)
    assert clip.shape == (3, 3, 16, 16)
    assert clip.dtype == torch.float32
    assert clip.is_contiguous()
    assert torch.equal(clip, frames_to_clip(frames[:, 2:18, 7:23].copy()))


def test_train_transform_without_chance_is_a_crop():
    frames = noise(3, 20, 20, 3)
    same = TrainTransform(20, 20, flip=0, jitter=None)(frames, rng())
    mirrored = TrainTransform(20, 20, flip=1, jitter=None)(frames, rng())
    assert torch.equal(same, frames_to_clip(frames))
    assert torch.equal(mirrored, same.flip(-1))


def test_train_transform_is_reproducible_and_varies():
    frames = noise(3, 30, 40, 3)
    transform = TrainTransform(16, 20)
    clip = transform(frames, rng(1))
    assert clip.shape == (3, 3, 16, 16)
    assert clip.is_contiguous()
    assert torch.equal(clip, transform(frames, rng(1)))
    assert not torch.equal(clip, transform(frames, rng(2)))


@pytest.mark.parametrize("kind", [TrainTransform, TestTransform])
@pytest.mark.parametrize("size", [0, 21])
def test_impossible_sizes(kind, size):
    with pytest.raises(ValueError, match=f"size={size} must be between 1 and short_side=20"):
        kind(size, 20)


def test_flip_is_a_probability():
    with pytest.raises(ValueError, match="flip=2 must be a probability"):
        TrainTransform(16, 20, flip=2)
