import numpy as np
import pytest
import torch

from vidssl.core import frames_to_clip
from vidssl.data.transforms import (
    Augmentation,
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
    same = TrainTransform(20, 20)(frames, rng())
    mirrored = TrainTransform(20, 20, Augmentation(flip=1.0))(frames, rng())
    assert torch.equal(same, frames_to_clip(frames))
    assert torch.equal(mirrored, same.flip(-1))


def test_train_transform_is_reproducible_and_varies():
    frames = noise(3, 30, 40, 3)
    transform = TrainTransform(16, 20, Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25)))
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


def test_many_clips_are_cut_one_by_one():
    frames = noise(5, 3, 30, 40, 3)
    clips = TrainTransform(16, 20, Augmentation(flip=0.5))(frames, rng(1))
    assert clips.shape == (5, 3, 3, 16, 16)
    generator = rng(1)
    alone = [TrainTransform(16, 20, Augmentation(flip=0.5))(each, generator) for each in frames]
    assert torch.equal(clips, torch.stack(alone))
    fixed = TestTransform(16, 20)
    assert torch.equal(fixed(frames), torch.stack([fixed(each) for each in frames]))


def test_erasing_blackens_one_rectangle_of_each_clip_at_most_a_third_of_it():
    white = np.full((40, 2, 20, 20, 3), 255, np.uint8)
    clips = TrainTransform(20, 20, Augmentation(erase=1.0))(white, rng())
    for clip in clips:
        black = (clip == 0).all(dim=0)
        assert torch.equal(black[0], black[1]), "the rectangle moves"
        rows, columns = black[0].any(dim=1), black[0].any(dim=0)
        assert torch.equal(black[0], rows[:, None] & columns), "not a rectangle"
        assert 0.01 < black[0].float().mean() < 0.36
    sometimes = TrainTransform(20, 20, Augmentation(erase=0.5))(white, rng())
    assert 8 < sum(bool((clip == 0).any()) for clip in sometimes) < 32
    twice = TrainTransform(20, 20, Augmentation(erase=1.0, erasings=2))(white, rng())
    assert (twice == 0).float().mean() > 1.4 * (clips == 0).float().mean()


def test_what_is_not_named_is_off():
    assert Augmentation.of({}).jitter is None
    frames = noise(2, 3, 20, 20, 3)
    assert torch.equal(TrainTransform(20, 20)(frames, rng(0)), frames_to_clip(frames))
    jitter = Augmentation.of({"color": [0.1, 0.2, 0.3, 0.05], "color_probability": 0.4}).jitter
    assert (jitter.brightness, jitter.saturation, jitter.hue) == (0.1, 0.3, 0.05)
    assert (jitter.grey, jitter.probability) == (0.0, 0.4)
    assert Augmentation.of({"grey": 0.2}).jitter.brightness == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flp": 0.5}, "augmentation='flp' is unknown; did you mean 'flip'"),
        ({"flip": 2}, "flip=2 must be a probability"),
        ({"flip": 1.5}, r"flip=1\.5"),
        ({"erase": -0.1}, r"erase=-0\.1 must be a probability"),
        ({"scale": [0.0, 1.0]}, "scale"),
        ({"scale": [0.9, 0.5]}, "scale"),
        ({"color": [0.5, 0.5]}, "must be brightness, contrast, saturation and hue"),
        ({"color": [0.5, 0.5, 0.5, 0.9]}, "hue must lie in"),
        ({"grey": 1.1}, r"grey=1\.1 must be a probability"),
        ({"erasings": 0}, "erasings=0 must be 1 or more"),
        ({"flip": "yes"}, "flip='yes' must be a probability"),
        ({"scale": 0.5}, r"scale=0\.5 must be"),
    ],
)
def test_impossible_augmentations_name_what_is_wrong(given, message):
    with pytest.raises(ValueError, match=message):
        Augmentation.of(given)


def test_scaled_crops_may_be_as_large_as_asked_for():
    scaled = TrainTransform(30, 20, Augmentation(scale=(0.5, 1.0)))
    assert scaled(noise(2, 40, 40, 3), rng()).shape == (3, 2, 30, 30)
    with pytest.raises(ValueError, match="size=0"):
        TrainTransform(0, 20, Augmentation(scale=(0.5, 1.0)))
