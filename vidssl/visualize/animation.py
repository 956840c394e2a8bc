"""Clips that play together, as the frames of one moving picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from vidssl.visualize.clips import Clip, as_frames
from vidssl.visualize.style import COLORS, PAGE_WIDTH, bare, new_figure, paper_style

SCREEN_DPI = 110
Square = Sequence[float]  # left, top, side, px


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
    outlines = [None] * len(clips) + list(squares)
    width = max(PAGE_WIDTH, len(clips) * side / SCREEN_DPI)
    names = ["no mask", "static mask"]
    return animated_grid([clips, masked], titles, names, outlines=outlines, width=width)


def animated_grid(
    rows: Sequence[Sequence[Clip]],
    titles: Sequence[str],
    names: Sequence[str] = (),
    *,
    outlines: Sequence[Square | None] = (),
    width: float = PAGE_WIDTH,
) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 of clips in rows and columns, all playing at once.

    Args:
        rows: clips of one length and size; each uint8 (T, H, W, 3) or a float tensor
            (3, T, H, W) in [0, 1].
        titles: one a column. names: one a row.
        outlines: a square drawn on each clip, row after row; None for none.
        width: of the picture, in inches of `SCREEN_DPI` pixels.

    Raises:
        ValueError: for rows without clips, clips of several shapes, or other numbers of titles
            or names than of columns and rows.
    """
    clips = np.array([[as_frames(clip) for clip in row] for row in rows])
    names = list(names) or [""] * len(rows)
    if clips.ndim != 6 or (len(names), len(titles)) != clips.shape[:2]:
        raise ValueError(
            f"rows must hold clips of one shape, with a title a column and a name a row, got "
            f"{clips.shape[:2]} clips, {len(titles)} titles and {len(names)} names"
        )
    with paper_style():
        canvas, shown = _laid_out(clips, titles, names, width)
        for image, square in zip(shown, outlines):
            if square is not None:
                image.axes.add_patch(_outline(*square))
        return np.stack([_drawn(canvas, shown, _pictures(clips, t)) for t in range(clips.shape[2])])


def _laid_out(clips: np.ndarray, titles, names, width: float):
    """A canvas with the first frame of clips (rows, columns, T, H, W, 3), and its images."""
    down, across, _, high, wide = clips.shape[:5]
    figure = new_figure(width, width / across * high / wide * down + 0.2)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    figure.set_dpi(SCREEN_DPI)
    axes = figure.subplots(down, across, squeeze=False)
    shown = [
        axis.imshow(clip, interpolation="bicubic")
        for axis, clip in zip(axes.flat, _pictures(clips, 0))
    ]
    for axis in axes.flat:
        bare(axis)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, pad=3)
    for axis, name in zip(axes[:, 0], names):
        axis.set_ylabel(name)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")  # laid out anew, each frame would lie a bit elsewhere
    return canvas, shown


def _outline(left: float, top: float, side: float) -> Rectangle:
    return Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=COLORS[1], lw=2)


def _pictures(clips: np.ndarray, frame: int) -> np.ndarray:
    """One frame of every clip (rows, columns, T, H, W, 3), row after row."""
    return clips[:, :, frame].reshape(-1, *clips.shape[3:])


def _drawn(canvas: FigureCanvasAgg, shown: Sequence, pictures: np.ndarray) -> np.ndarray:
    for image, picture in zip(shown, pictures):
        image.set_data(picture)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
