"""Outlines and arrows over the frames of a clip: as numbers for a player, or drawn in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vidssl.visualize.clips import Clip, as_frames
from vidssl.visualize.flow import arrows_over

SMOOTH = 3  # marks in pixels are drawn so many times larger and reduced
ENLARGED = 224  # px: narrower clips are enlarged before lines are drawn on them
YELLOW = "#ffeb3c"  # seen on dark and, with a black rim, on bright pictures

Points = tuple[tuple[float, float], tuple[float, float]]
Square = tuple[float, float, float]  # left, top, side


@dataclass(frozen=True)
class Marks:
    """Lines that a player draws over a clip, in the clip's pixels, sharp at any size.

    Args:
        squares: (left, top, side), one for all frames or one for each.
        arrow: its two ends (x, y), the same for all frames.
        field: (T, H, W, 2) px, drawn as an arrow every ``spacing`` px, ``gain`` times as long as
            the motion.
        color: of the squares and of the field's arrows.
    """

    squares: Sequence[Square] = ()
    arrow: Points | None = None
    field: np.ndarray | None = None
    spacing: int = 8
    gain: float = 4.0
    color: str = YELLOW

    def packed(self, width: int) -> dict[str, Any]:
        """For the browser; ``width`` of the clip in px."""
        packed = {"width": width, "color": self.color, "squares": [list(s) for s in self.squares]}
        if self.arrow:
            packed["arrow"] = [list(point) for point in self.arrow]
        if self.field is not None:
            start = self.spacing // 2
            sampled = self.field[:, start :: self.spacing, start :: self.spacing]
            values = np.ascontiguousarray(sampled, np.float32)
            about = {"spacing": self.spacing, "gain": self.gain, "values": values.tobytes()}
            packed["field"] = about | {"rows": values.shape[1], "columns": values.shape[2]}
        return packed

    def drawn_over(self, clip: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """The ``chosen`` frames of ``clip`` (T, H, W, 3) with the marks in their pixels."""
        frames = clip[np.minimum(chosen, len(clip) - 1)]
        if self.field is not None:
            field = self.field[np.minimum(chosen, len(self.field) - 1)]
            return arrows_over(frames, field, spacing=self.spacing, gain=self.gain, zoom=2)
        squares = self.squares
        if len(squares) > 1:
            squares = [squares[min(index, len(squares) - 1)] for index in chosen]
        side = max(ENLARGED, clip.shape[2])
        return marked_frames(
            frames, side, squares=squares or None, arrow=self.arrow, color=self.color
        )


def marked_frames(
    clip: Clip,
    side: int,
    *,
    squares: Sequence[Square] | None = None,
    arrow: Points | None = None,
    color: str = YELLOW,
) -> np.ndarray:
    """A clip's frames enlarged, with outlines of squares and an arrow drawn on them.

    Args:
        clip: uint8 (T, H, W, 3), or a float tensor (3, T, H, W) in [0, 1].
        side: width of the result, px.
        squares: one for all frames or one for each, in pixels of the clip.
        arrow: its two ends (x, y), in pixels of the clip; one without length is left out.
        color: of the squares.

    Returns:
        uint8 (T, side * H / W, side, 3).
    """
    from PIL import Image

    frames = as_frames(clip)
    height, width = frames.shape[1:3]
    size, scale = (side, round(side * height / width)), side / width
    squares = [None] * len(frames) if squares is None else list(squares)
    squares *= len(frames) if len(squares) == 1 else 1
    if len(squares) != len(frames):
        raise ValueError(f"squares must be 1 or one for each of {len(frames)}, got {len(squares)}")
    drawn = []
    for frame, square in zip(frames, squares):
        picture = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC).convert("RGBA")
        marks = _marks(size, scale, square and tuple(square), arrow, color)
        drawn.append(np.asarray(Image.alpha_composite(picture, marks).convert("RGB")))
    return np.stack(drawn)


@lru_cache(maxsize=128)  # most frames of a clip carry the same marks
def _marks(size: tuple[int, int], scale: float, square: Square | None, arrow, color: str):
    """A transparent picture of ``size`` with the marks, whose pixels are ``scale`` times larger."""
    from PIL import Image, ImageDraw

    layer = Image.new("RGBA", tuple(SMOOTH * length for length in size))
    pen = ImageDraw.Draw(layer)
    if square is not None:
        left, top, side = (SMOOTH * scale * number for number in square)
        box = (left, top, left + side - 1, top + side - 1)
        for ink, width in (("black", 3.5), (color, 2.5)):  # a dark rim inside
            pen.rectangle(box, outline=ink, width=round(width * SMOOTH))
    if arrow is not None:
        start, end = SMOOTH * scale * np.asarray(arrow, float)
        _draw_arrow(pen, start, end, SMOOTH)
    return layer.resize(size, Image.Resampling.BOX)


def _draw_arrow(pen, start: np.ndarray, end: np.ndarray, unit: float) -> None:
    """White on a dark rim; ``unit`` is a screen pixel's size."""
    length = np.linalg.norm(end - start)
    if length < unit:
        return
    ahead = (end - start) / length
    aside = ahead[::-1] * (-1, 1)
    for color, rim in (("black", 1.5 * unit), ("white", 0)):
        neck = end - ahead * min(9 * unit, length)
        tail, tip = start - ahead * rim, end + 2 * ahead * rim
        pen.line([*tail, *neck], fill=color, width=round(3 * unit + 2 * rim))
        wing = aside * (5.5 * unit + 1.5 * rim)
        back = neck - ahead * rim
        pen.polygon([*tip, *(back + wing), *(back - wing)], fill=color)
