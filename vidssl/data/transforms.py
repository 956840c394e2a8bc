"""From decoded frames to a network's clip: resize and crop as uint8, then float, then colour.

Each random draw is made once a clip and holds for all its frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vidssl.core import expect_shape, frames_to_clip

BRIGHTNESS = CONTRAST = SATURATION = 0.5
HUE = 0.25
GREY_PROBABILITY = 0.3


def resize_short_side(frames: np.ndarray, side: int) -> np.ndarray:
    """Resize uint8 (T, H, W, 3) so that the shorter of H and W is ``side`` (antialiased bilinear).

    The other side is rounded to the nearest pixel. Frames that fit already are returned as they
    are.
    """
    _expect_frames(frames)
    height, width = frames.shape[1:3]
    short = min(height, width)
    if short == side:
        return frames
    size = [side if length == short else round(length * side / short) for length in (height, width)]
    stacked = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    resized = interpolate(stacked, size=size, mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1).numpy()


def random_crop(frames: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A size x size window of (T, H, W, 3), the same for all frames, anywhere it fits."""
    top, left = (rng.integers(room + 1) for room in _room(frames, size))
    return frames[:, top : top + size, left : left + size]


def centre_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """The middle size x size window of (T, H, W, 3)."""
    top, left = (room // 2 for room in _room(frames, size))
    return frames[:, top : top + size, left : left + size]


def flip(frames: np.ndarray) -> np.ndarray:
    """Mirror left and right."""
    return frames[:, :, ::-1]


def _room(frames: np.ndarray, size: int) -> tuple[int, int]:
    _expect_frames(frames)
    height, width = frames.shape[1:3]
    if min(height, width) < size:
        raise ValueError(f"crop size={size} exceeds the frames' {height} x {width}: resize first")
    return height - size, width - size


def _expect_frames(frames: np.ndarray) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")


def color_jitter(clip: Tensor, rng: np.random.Generator) -> Tensor:
    """Change the colours of a clip (3, T, H, W) in [0, 1]; one draw for all frames.

    Brightness, contrast and saturation by factors in [0.5, 1.5], hue by up to a quarter turn
    either way, in random order; then grey with probability 0.3.
    """
    expect_shape(clip, "C T H W", "clip", C=3)
    from torchvision.transforms.v2 import functional

    adjustments = [
        (functional.adjust_brightness, rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS)),
        (functional.adjust_contrast, rng.uniform(1 - CONTRAST, 1 + CONTRAST)),
        (functional.adjust_saturation, rng.uniform(1 - SATURATION, 1 + SATURATION)),
        (functional.adjust_hue, rng.uniform(-HUE, HUE)),
    ]
    grey = rng.random() < GREY_PROBABILITY
    images = clip.transpose(0, 1)
    for place in rng.permutation(len(adjustments)):
        adjust, amount = adjustments[place]
        images = adjust(images, amount)
    if grey:
        images = functional.rgb_to_grayscale(images, num_output_channels=3)
    return images.transpose(0, 1).contiguous()


@dataclass(frozen=True)
class TrainTransform:
    """Resize, random square crop, flip with probability ``flip``, colour jitter.

    Called with frames uint8 (T, H, W, 3) and a NumPy generator; returns a clip float32
    (3, T, size, size) in [0, 1].
    """

    size: int
    short_side: int
    flip: float = 0.5
    jitter: bool = True

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side)
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip={self.flip} must be a probability in [0, 1]")

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> Tensor:
        frames = random_crop(resize_short_side(frames, self.short_side), self.size, rng)
        if rng.random() < self.flip:
            frames = flip(frames)
        clip = frames_to_clip(np.ascontiguousarray(frames))
        return color_jitter(clip, rng) if self.jitter else clip.contiguous()


@dataclass(frozen=True)
class TestTransform:
    """Resize and centre crop. Same in and out as `TrainTransform`; draws nothing."""

    __test__ = False  # its name makes pytest take it for a test class

    size: int
    short_side: int

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side)

    def __call__(self, frames: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
        frames = centre_crop(resize_short_side(frames, self.short_side), self.size)
        return frames_to_clip(np.ascontiguousarray(frames)).contiguous()


def _check_sizes(size: int, short_side: int) -> None:
    if not 1 <= size <= short_side:
        raise ValueError(
            f"size={size} must be between 1 and short_side={short_side}: the crop is cut from "
            "frames resized to short_side"
        )
