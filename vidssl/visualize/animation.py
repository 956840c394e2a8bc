"""Pseudo motions that play together, as the frames of one moving picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from vidssl.visualize.clips import Clip, as_frames
from vidssl.visualize.marks import Square, draw_square
from vidssl.visualize.style import (
    COLORS,
    PAGE_WIDTH,
    bare,
    figure_pixels,
    new_figure,
    paper_style,
)

SCREEN_DPI = 110


def masked_motions(
    clips: Sequence[Clip],
    masked: Sequence[Clip],
    squares: Sequence[Square],
    titles: Sequence[str],
    side: int,
) -> np.ndarray:
    """Frames (T, H, W, 3) uint8: pseudo motions side by side, below each the same one masked.

    Args:
        clips: unmasked, each (3, N, L, L) in [0, 1]; masked: the same with their static masks.
        squares: left, top and side of each moving square, px: it is outlined.
        titles: one a motion.
        side: of a clip as it is drawn, px; larger where a page leaves more room.
    """
    played = [as_frames(clip) for clip in (*clips, *masked)]
    width = max(PAGE_WIDTH, len(clips) * side / SCREEN_DPI)
    with paper_style():
        figure = new_figure(width, 2 * width / len(clips) + 0.2)
        figure.set_dpi(SCREEN_DPI)
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
        axes = figure.subplots(2, len(clips), squeeze=False)
        shown = [
            axis.imshow(frames[0], interpolation="bicubic")
            for axis, frames in zip(axes.flat, played)
        ]
        for axis in axes.flat:
            bare(axis)
        for (above, below), title, square in zip(axes.T, titles, squares, strict=True):
            above.set_title(title, pad=3)
            draw_square(below, square, COLORS[1], lw=2)
        for axis, name in zip(axes[:, 0], ("no mask", "static mask")):
            axis.set_ylabel(name)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out anew, each frame would lie a bit elsewhere
        return np.stack([_drawn(figure, shown, pictures) for pictures in zip(*played)])


def _drawn(figure: Figure, shown: Sequence[AxesImage], pictures: Iterable) -> np.ndarray:
    for image, picture in zip(shown, pictures):
        image.set_data(picture)
    return figure_pixels(figure)
