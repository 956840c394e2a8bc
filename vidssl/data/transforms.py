"""From decoded frames or stored flow to a network's clips: resize, crop, flip, colour, erase.

Frames are uint8 (..., T, H, W, 3), flow is float (..., T, H, W, 2) in px. Each random draw is made
once a clip and holds for all its frames. Frames are cut here, as uint8; colours and erasing are
drawn here and done where the clip arrives (`PackedClips`), for a whole batch at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidssl.core import as_floats, one_of, unpack
from vidssl.data.color import ColorJitter, ColorMaps
from vidssl.data.flow_files import flip_flow, resize_flow_short_side
from vidssl.data.resize import resize, short_side_size

ERASED_AREA = (0.02, 0.33)  # share of the frame; Zhong et al., "Random Erasing", AAAI 2020
ERASED_ASPECT = (0.3, 3.3)


def resize_short_side(frames: np.ndarray, side: int) -> np.ndarray:
    """Resize uint8 (T, H, W, 3) so that the shorter of H and W is ``side`` (antialiased bilinear).

    The other side is rounded to the nearest pixel. Frames that fit already are returned as they
    are.
    """
    _expect_frames(frames)
    return resize(frames, *short_side_size(*frames.shape[1:3], side))


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
class Augmentation:
    """What a training clip goes through; what is not named is not done.

    One draw a clip for all its frames. Of flow, ``scale`` and ``flip`` alone are used (a mirrored
    field's u is negated): it has no colours.

    Args:
        scale: (low, high), the side of the square crop as a share of the shorter side, which is
            then resized to the clip's size. Empty: a window of the clip's size as it stands.
        flip: probability of mirroring left and right.
        color: strengths of brightness, contrast, saturation (in [0, 1]) and hue (in turns, up to
            0.5), see `ColorJitter`.
        color_probability: that of the jitter; else the colours stay as they are.
        grey: probability of losing all colour.
        erase: probability of each of ``erasings`` black rectangles of 2 to 33 % of the area.

    Raises:
        ValueError: for a probability outside [0, 1], or an impossible scale.

    >>> Augmentation.of({"flip": 0.5, "color": [0.1, 0.1, 0.1, 0.0]}).flip
    0.5
    """

    scale: tuple[float, ...] = ()
    flip: float = 0.0
    color: tuple[float, ...] = ()
    color_probability: float = 1.0
    grey: float = 0.0
    erase: float = 0.0
    erasings: int = 1

    def __post_init__(self) -> None:
        for name in ("flip", "color_probability", "grey", "erase"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f"{name}={value!r} must be a probability in [0, 1]")
        if not isinstance(self.scale, tuple) or not _is_range(self.scale or (1, 1)):
            raise ValueError(f"scale={self.scale} must be (low, high) with 0 < low <= high <= 1")
        if not isinstance(self.color, tuple) or len(self.color) not in (0, 4):
            raise ValueError(
                f"color={self.color} must be brightness, contrast, saturation and hue, or empty"
            )
        if self.erasings < 1:
            raise ValueError(f"erasings={self.erasings} must be 1 or more; erase=0 erases nothing")
        self.jitter  # noqa: B018 (refuses impossible strengths)

    @classmethod
    def of(cls, given: Mapping) -> Augmentation:
        """That of a page's dictionary; ValueError naming the nearest for an unknown key."""
        known = [field.name for field in fields(cls)]
        for name in given:
            one_of("augmentation", name, known)
        return cls(**{k: tuple(v) if isinstance(v, (list, tuple)) else v for k, v in given.items()})

    @property
    def jitter(self) -> ColorJitter | None:
        if not any(self.color) and not self.grey:
            return None
        return ColorJitter(
            *(self.color or (0.0,) * 4), grey=self.grey, probability=self.color_probability
        )


def _is_range(scale: tuple[float, ...]) -> bool:
    return len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1


NOT_AUGMENTED = Augmentation()


class PackedClips(NamedTuple):
    """Clips on their way to where a network is: pixels, and what is yet to be done to them.

    ``pixels`` (..., 3, T, H, W) uint8; ``colors`` as drawn, or None; ``erased`` (..., E, 4) int16,
    top, left, bottom and right of rectangles that become black, or None.
    """

    pixels: Tensor
    colors: ColorMaps | None
    erased: Tensor | None

    def unpacked(self, device: torch.device | str | None = None) -> Tensor:
        """The clips (..., 3, T, H, W) float32 in [0, 1]."""
        clips = as_floats(self.pixels, device)
        if self.colors is not None:
            clips = self.colors(clips)
        if self.erased is not None:
            black = _inside(self.erased, *clips.shape[-2:])
            clips.masked_fill_(black[..., None, None, :, :], 0)
        return clips


class PackedViews(NamedTuple):
    """Two views of the same N clips, one after the other along the axis N once unpacked."""

    weak: Tensor | PackedClips
    strong: Tensor | PackedClips

    def unpacked(self, device: torch.device | str | None = None) -> Tensor:
        return torch.cat([unpack(view, device) for view in self], dim=-5)


class ClipTransform:
    """What makes a network's clips of frames uint8 (N, T, H, W, 3) or flow (N, T, H, W, 2).

    Called with them and a NumPy generator it returns float32 (N, C, T, size, size): RGB in [0, 1],
    flow in px. Without the axis N, one clip. ``packed`` is the same before `vidssl.core.unpack`.
    """

    def __call__(self, clips: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
        if clips.ndim == 4:
            return self(clips[None], rng)[0]
        return unpack(self.packed(clips, rng))

    def packed(
        self, clips: np.ndarray, rng: np.random.Generator | None = None
    ) -> Tensor | PackedClips | PackedViews:
        raise NotImplementedError


@dataclass(frozen=True)
class TrainTransform(ClipTransform):
    """Random square crops of clips with an `Augmentation`, each clip with its own draws.

    ``short_side`` is what frames are resized to before the crop.
    """

    size: int
    short_side: int
    augmentation: Augmentation = NOT_AUGMENTED

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side, bool(self.augmentation.scale))

    def packed(self, clips: np.ndarray, rng: np.random.Generator) -> Tensor | PackedClips:
        cut = _stacked([self._cut(clip, rng) for clip in clips])
        jitter, colors, erased = self.augmentation.jitter, None, None
        if cut.shape[1] != 3:
            return cut
        if jitter:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            colors = jitter.draw(len(cut), generator=generator)
        if self.augmentation.erase:
            erased = torch.tensor([self._erasings(rng) for _ in cut], dtype=torch.int16)
        return PackedClips(cut, colors, erased) if jitter or self.augmentation.erase else cut

    def _erasings(self, rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
        """Rectangles of a clip; those that are not drawn are empty."""
        drawn = (rng.random() < self.augmentation.erase for _ in range(self.augmentation.erasings))
        return [_rectangle(self.size, rng) if erase else (0, 0, 0, 0) for erase in drawn]

    def _cut(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        frames, scale = _resized(frames, self.short_side), self.augmentation.scale
        if scale:
            side = max(1, round(rng.uniform(*scale) * min(frames.shape[1:3])))
            frames = _resized(window(frames, side, rng), self.size)
        else:
            frames = window(frames, self.size, rng)
        mirrored = rng.random() < self.augmentation.flip
        return _mirrored(frames) if mirrored else frames


@dataclass(frozen=True)
class TestTransform(ClipTransform):
    """Resize and centre crop; draws nothing."""

    __test__ = False  # its name makes pytest take it for a test class

    size: int
    short_side: int

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side)

    def packed(self, clips: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
        return _stacked([window(_resized(clip, self.short_side), self.size) for clip in clips])


@dataclass(frozen=True)
class TwoViews(ClipTransform):
    """Two augmentations of the same clips: all of the first (weak), then all of the second."""

    weak: TrainTransform
    strong: TrainTransform

    def packed(self, clips: np.ndarray, rng: np.random.Generator) -> PackedViews:
        return PackedViews(self.weak.packed(clips, rng), self.strong.packed(clips, rng))


def _resized(frames: np.ndarray, side: int) -> np.ndarray:
    flow = frames.shape[-1] == 2
    return resize_flow_short_side(frames, side) if flow else resize_short_side(frames, side)


def _mirrored(frames: np.ndarray) -> np.ndarray:
    return flip_flow(frames) if frames.shape[-1] == 2 else flip(frames)


def _stacked(cut: Sequence[np.ndarray]) -> Tensor:
    """N times frames (T, H, W, 3) or flow (T, H, W, 2) -> (N, C, T, H, W) of the same type."""
    return torch.from_numpy(np.stack(cut)).movedim(-1, 1).contiguous()


def _rectangle(size: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what is erased of a frame of ``size`` x ``size`` px."""
    area = rng.uniform(*ERASED_AREA) * size**2
    aspect = np.exp(rng.uniform(*np.log(ERASED_ASPECT)))
    tall = min(size, max(1, round((area * aspect) ** 0.5)))
    wide = min(size, max(1, round((area / aspect) ** 0.5)))
    top, left = rng.integers(size - tall + 1), rng.integers(size - wide + 1)
    return top, left, top + tall, left + wide


def _inside(rectangles: Tensor, height: int, width: int) -> Tensor:
    """Whether a pixel is in one of the ``rectangles`` (..., E, 4): (..., height, width) bool."""
    top, left, bottom, right = rectangles[..., None].unbind(-2)
    row, column = (torch.arange(n, device=rectangles.device) for n in (height, width))
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    return (rows[..., :, None] & columns[..., None, :]).any(dim=-3)


def _check_sizes(size: int, short_side: int, scaled: bool = False) -> None:
    if not size >= 1 or not (scaled or size <= short_side):
        raise ValueError(
            f"size={size} must be between 1 and short_side={short_side}: the crop is cut from "
            "frames resized to short_side"
        )
