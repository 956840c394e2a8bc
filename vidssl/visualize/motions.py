"""How a pseudo motion and a static mask are made (MoSI, figures 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vidssl.visualize.clips import as_frames
from vidssl.visualize.style import COLORS, PAGE_WIDTH, add_note, new_figure, paper_style

WINDOW, MOVING = COLORS[5], COLORS[1]


def pseudo_motion_figure(
    image: Tensor,
    positions: Sequence[tuple[int, int]],
    clip: Tensor,
    masked: Tensor,
    square: tuple[int, int, int],
    still: int,
    *,
    shown: int = 5,
    note: str = "",
) -> Figure:
    """The window's path over the source image, the clip it cuts out, and the clip with its mask.

    Args:
        image: source image (3, H, W) in [0, 1].
        positions: left and top of the window in each frame, px.
        clip: the unmasked clip (3, N, L, L); masked: the same with its static mask.
        square: left, top and side of the moving square, px. still: the frame that fills the rest.
        shown: number of frames drawn of each clip.
    """
    frames = np.linspace(0, clip.shape[1] - 1, shown).round().astype(int)
    whole, parts = as_frames(clip), as_frames(masked)
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 2.3 + 0.15 * bool(note))
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.02)
        grid = figure.add_gridspec(2, shown + 1, width_ratios=[2.1] + [1] * shown)
        source = figure.add_subplot(grid[:, 0])
        _draw_source(source, image, positions, clip.shape[-1], frames)
        for row, (pictures, name) in enumerate(((whole, "no mask"), (parts, "static mask"))):
            axes = [figure.add_subplot(grid[row, 1 + column]) for column in range(shown)]
            for axis, frame in zip(axes, frames):
                _draw_frame(axis, pictures[frame], f"frame {frame}" if row == 0 else "")
                if row:
                    left, top, side = square
                    _outline(axis, left, top, side, MOVING)
            axes[0].set_ylabel(name)
        words = f"outside the square: frame {still} throughout"
        below = {"transform": axes[0].transAxes, "va": "top", "color": MOVING, "fontsize": 7.5}
        axes[0].text(0, -0.06, words, in_layout=False, **below)
        add_note(figure, note)
    return figure


def _draw_source(axis: Axes, image: Tensor, positions, size: int, frames: np.ndarray) -> None:
    picture = as_frames(image[:, None])[0]
    axis.imshow(picture)
    for order, frame in enumerate(frames):
        left, top = positions[frame]
        _outline(axis, left, top, size, WINDOW, alpha=0.35 + 0.65 * order / max(len(frames) - 1, 1))
    (x0, y0), (x1, y1) = positions[0], positions[-1]
    centre = size / 2
    if (x0, y0) != (x1, y1):
        axis.annotate(
            "",
            xy=(x1 + centre, y1 + centre),
            xytext=(x0 + centre, y0 + centre),
            arrowprops={"arrowstyle": "-|>", "color": "white", "lw": 2.2, "mutation_scale": 14},
        )
    axis.set_title(f"source, {picture.shape[1]} x {picture.shape[0]} px", fontsize=7.5, pad=2)
    _bare(axis)


def _draw_frame(axis: Axes, picture: np.ndarray, title: str) -> None:
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, fontsize=7.5, pad=2)
    _bare(axis)


def _outline(
    axis: Axes, left: float, top: float, side: float, color: str, alpha: float = 1
) -> None:
    box = Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=color, lw=1.4, alpha=alpha)
    axis.add_patch(box)


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
