"""From decoded frames to a network's clip: resize and crop as uint8, then float, then colour.

Each random draw is made once a clip and holds for all its frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vidssl.core import frames_to_clip
from vidssl.data.color import ColorJitter


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
    _expect_frames(frames)
    return window(frames, size, rng)


def centre_crop(frames: np.ndarray, size: int) -> np.ndarray:
    """The middle size x size window of (T, H, W, 3)."""
    _expect_frames(frames)
    return window(frames, size)


def window(frames: np.ndarray, size: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """A size x size window of (T, H, W, C), anywhere it fits; without ``rng`` the middle one."""
    room = np.array(_room(frames, size))
    top, left = room // 2 if rng is None else [rng.integers(length + 1) for length in room]
    return frames[:, top : top + size, left : left + size]


def flip(frames: np.ndarray) -> np.ndarray:
    """Mirror left and right."""
    return frames[:, :, ::-1]


def _room(frames: np.ndarray, size: int) -> tuple[int, int]:
    height, width = frames.shape[1:3]
    if min(height, width) < size:
        raise ValueError(f"crop size={size} exceeds the frames' {height} x {width}: resize first")
    return height - size, width - size


def _expect_frames(frames: np.ndarray) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")


@dataclass(frozen=True)
class TrainTransform:
    """Resize, random square crop, flip with probability ``flip``, colour jitter (None: none).

    Called with frames uint8 (T, H, W, 3) and a NumPy generator; returns a clip float32
    (3, T, size, size) in [0, 1].
    """

    size: int
    short_side: int
    flip: float = 0.5
    jitter: ColorJitter | None = field(default_factory=ColorJitter)

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side)
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip={self.flip} must be a probability in [0, 1]")

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> Tensor:
        frames = random_crop(resize_short_side(frames, self.short_side), self.size, rng)
        if rng.random() < self.flip:
            frames = flip(frames)
        clip = frames_to_clip(np.ascontiguousarray(frames))
        if self.jitter is None:
            return clip.contiguous()
        return self.jitter(clip, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))


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
