"""Outlines and arrows over the frames of a clip: as numbers for a player, or drawn on axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

YELLOW = "#ffeb3c"  # seen on dark and, with a black rim, on bright pictures

Points = tuple[tuple[float, float], tuple[float, float]]
Square = Sequence[float]  # left, top, side


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

    def draw(self, axis: Axes, frame: int) -> None:
        """Draw what lies over a frame on the axes that show it."""
        if self.field is not None:
            field = self.field[min(frame, len(self.field) - 1)]
            draw_field(axis, field, spacing=self.spacing, gain=self.gain, color=self.color)
        if self.squares:
            draw_square(axis, self.squares[min(frame, len(self.squares) - 1)], self.color)
        if self.arrow:
            draw_arrow(axis, *self.arrow)


def draw_square(axis: Axes, square: Square, color: str, *, lw: float = 1.4, ls: Any = "-") -> None:
    """The outline of a square over a picture, ``lw`` points wide, on a dark rim."""
    left, top, side = square
    box = Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=color, lw=lw, ls=ls)
    box.set_path_effects([withStroke(linewidth=lw + 1.4, foreground="black")])
    axis.add_patch(box)


def draw_arrow(axis: Axes, start: Sequence[float], end: Sequence[float]) -> None:
    """A white arrow with a dark rim, seen on any picture; none where nothing moves."""
    if np.allclose(start, end):
        return
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    rim = [withStroke(linewidth=2.6, foreground="black")]
    arrow = axis.annotate(
        "", end, start, arrowprops={**style, "color": "white", "lw": 1.3, "path_effects": rim}
    )
    arrow.set_in_layout(False)


def draw_field(
    axis: Axes,
    field: np.ndarray,
    *,
    spacing: int,
    gain: float,
    color: str = YELLOW,
    least: float = 0.0,
) -> None:
    """Arrows of a flow (H, W, 2) px every ``spacing`` px, ``gain`` times as long as the motion, a
    dot where next to nothing moves; motions of ``least`` px and below are left out."""
    rows, columns = (np.arange(spacing // 2, side, spacing) for side in field.shape[:2])
    u, v = np.moveaxis(field[rows[:, None], columns], -1, 0)
    drawn = np.hypot(u, v) >= least
    x, y = np.meshgrid(columns, rows)
    where = {"angles": "xy", "scale_units": "xy", "scale": 1 / gain}
    look = {"width": 0.012, "headwidth": 4, "headlength": 4, "headaxislength": 3.5}
    arrows = (x[drawn], y[drawn], u[drawn], v[drawn])
    axis.quiver(*arrows, **where, **look, color=color, ec="black", lw=0.3)
