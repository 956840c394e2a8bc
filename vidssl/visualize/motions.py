"""How a pseudo motion and a static mask are made (MoSI, figures 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke
from torch import Tensor

from vidssl.visualize.clips import as_frames, evenly
from vidssl.visualize.marks import Marks, Points, Square, draw_arrow, draw_square
from vidssl.visualize.style import COLORS, FAINT, PAGE_WIDTH, bare, new_figure, paper_style

SHOWN = 6  # frames drawn of each clip
WINDOW, MOVING, FROZEN = COLORS[5], COLORS[1], COLORS[2]

# --- the figure ----------------------------------------------------------------------------------


def pseudo_motion_figure(
    image: Tensor,
    pool: Sequence[tuple[int, int]],
    paths: Sequence[tuple[int, Sequence[Sequence[float]]]],
    clip: Tensor,
    masked: Tensor,
    square: Square,
    still: int,
) -> Figure:
    """The labels, ways of the window over a source image, and a clip without and with its mask.

    Args:
        image: source image (3, H, W) in [0, 1].
        pool: speeds (x, y) of the labels, in their order.
        paths: some labels, each with left and top of its window in each frame, px. The clips
            are those of the first one.
        clip: the unmasked clip (3, N, L, L); masked: the same with its static mask.
        square: the moving square, px. still: index of the frame that fills the rest.
    """
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 4.75)
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.02)
        above, below = figure.subfigures(2, 1, height_ratios=[2.1, 2.65])
        axes = above.subplots(1, 1 + len(paths))
        _draw_pool(axes[0], pool)
        for axis, letter, (label, positions) in zip(axes[1:], "bcdefgh", paths):
            _draw_path(axis, image, np.asarray(positions, float), clip.shape[-1])
            speed = ", ".join(_signed(number) for number in pool[label])
            axis.set_title(f"$\\bf{{{letter}}}$  label {label}: ({speed})", pad=3)
        letter = "bcdefgh"[len(paths)]
        first, last = (np.asarray(paths[0][1][i], float) for i in (0, -1))
        _draw_clips(below, (clip, masked), first - last, square, still, letter)
    return figure


def _draw_pool(axis: Axes, pool: Sequence[tuple[int, int]]) -> None:
    """A cross of numbered labels, each at its speed; y points down, as in the image."""
    k = max(abs(speed) for pair in pool for speed in pair)
    reach, ends = k + 0.75, {"arrowstyle": "<|-|>", "color": FAINT, "lw": 0.8}
    for column in {tuple(int(bool(s)) for s in pair) for pair in pool} - {(0, 0)}:
        end = np.array(column) * reach
        axis.annotate("", end, -end, arrowprops={**ends, "shrinkA": 0, "shrinkB": 0}, zorder=1)
    axis.text(reach, 0.2, "x", color=FAINT, ha="right", va="top")
    axis.text(0.15, reach, "y", color=FAINT, va="bottom")
    for label, (x, y) in enumerate(pool):
        moving = bool(x or y)
        face = COLORS[0] if moving else "white"
        axis.plot(x, y, "o", ms=13, mfc=face, mec=COLORS[0], zorder=3)
        color = "white" if moving else COLORS[0]
        axis.text(x, y, label, color=color, ha="center", va="center_baseline", zorder=4)
    axis.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axis.set_title(f"$\\bf{{a}}$  {len(pool)} labels, K = {k}", pad=3)
    axis.set_xlabel("speed of the window", color=FAINT, fontsize=7.5)
    bare(axis)


def _draw_path(axis: Axes, image: Tensor, positions: np.ndarray, size: int) -> None:
    """Where the window may start, where it starts and ends, and the way between."""
    picture = as_frames(image[:, None])[0]
    axis.imshow(picture)
    start, end = positions[0], positions[-1]
    way, room = end - start, np.array(picture.shape[1::-1]) - size
    low = np.maximum(-way, 0)
    area = np.minimum(room - way, room) - low + size
    shade = np.full((*picture.shape[:2], 4), (0, 0, 0, 0.5))
    (left, top), (right, bottom) = low.round().astype(int), (low + area).round().astype(int)
    shade[top:bottom, left:right, 3] = 0
    axis.imshow(shade)
    for corner, dashes in ((start, "-"), (end, (0, (3, 1.5)))):
        draw_square(axis, (*corner, size), WINDOW, ls=dashes)
    draw_arrow(axis, start + size / 2, end + size / 2)
    across = int(abs(way[0]) >= abs(way[1]))
    words = f"$D_{'xy'[1 - across]}$ = {_signed(way[1 - across])} px"
    place = (start + end) / 2 + size / 2 + ((0, -0.14 * size) if across else (0.1 * size, 0))
    text = axis.text(*place, words, color="white", fontsize=7.5, clip_on=True)
    text.set(ha="center" if across else "left", va="bottom" if across else "center")
    text.set_path_effects([withStroke(linewidth=2, foreground="black")])
    axis.set_xlabel("bright: may start here", color=FAINT, fontsize=7.5)
    bare(axis)


def _draw_clips(
    figure: SubFigure,
    clips: tuple[Tensor, Tensor],
    moved: np.ndarray,
    square: Square,
    still: int,
    letter: str,
) -> None:
    """Frames of both clips in rows; ``moved``: how far the content moves in all, (x, y) px."""
    length, size = clips[0].shape[1], clips[0].shape[-1]
    frames = evenly(length, SHOWN)
    frames[np.abs(frames - still).argmin()] = still
    axes = figure.subplots(2, SHOWN)
    direction = np.sign(moved)
    middle = np.array(square[:2]) + square[2] / 2 - 0.5
    for column, frame in enumerate(frames):
        frozen = {"color": FROZEN, "fontweight": "bold"} if frame == still else {}
        for axis, clip in zip(axes[:, column], clips):
            axis.imshow(as_frames(clip[:, frame, None])[0], interpolation="nearest")
            bare(axis)
        axes[0, column].set_title(f"frame {frame}", loc="center", pad=2, **frozen)
        if frame == still:
            draw_square(axes[0, column], (0, 0, size), FROZEN, lw=2.5)
        draw_square(axes[1, column], square, MOVING)
        whole, inside = direction * size / 6, direction * square[2] / 4
        draw_arrow(axes[0, column], size / 2 - whole, size / 2 + whole)
        draw_arrow(axes[1, column], middle - inside, middle + inside)
    axes[0, 0].set_ylabel("no mask")
    axes[1, 0].set_ylabel("static mask")
    words = f"inside the square: the frame itself; around it: frame {still} throughout"
    figure.supxlabel(words, fontsize=7.5, color=FAINT)
    figure.suptitle(
        f"$\\bf{{{letter}}}$  the clip of panel b; arrows: its content moves against the window",
        x=0.005, ha="left", fontsize=8,
    )  # fmt: skip


def _signed(number: float) -> str:
    """With its sign, and a minus as wide as the plus."""
    return f"{number:+.0f}".replace("-", "\N{MINUS SIGN}") if number else "0"


# --- what a player shows -------------------------------------------------------------------------


def motion_panels(
    image: Tensor,
    clip: Tensor,
    masked: Tensor,
    positions: np.ndarray,
    square: Square | None,
) -> tuple[list[np.ndarray], list[Marks]]:
    """Three clips for a `FramePlayer`, with their marks: window on the image, its clip, the mask.

    Args:
        image: square source image (3, H, H) in [0, 1], shown as one still picture.
        clip: the unmasked clip (3, N, L, L); masked: what a network is given of it.
        positions: left and top of the window in each frame (N, 2), px.
        square: the moving square, px. With it, arrows in the clips show how far the content moves
            in three frames; None leaves these marks away.
    """
    length, size = clip.shape[1:3]
    windows = [(*corner, size) for corner in positions.tolist()]
    path = _points(positions[0] + size / 2, positions[-1] + size / 2)
    panels = [as_frames(each) for each in (image[:, None], clip, masked)]
    marks = [Marks(windows, path, color=WINDOW)]
    if square is None:
        return panels, [*marks, Marks(), Marks()]
    reach = 1.5 * (positions[0] - positions[-1]) / (length - 1)
    for (left, top, width), drawn in (((0, 0, size), []), (square, [square])):
        centre = np.array([left, top]) + width / 2
        marks.append(Marks(drawn, _points(centre - reach, centre + reach), color=MOVING))
    return panels, marks


def _points(start: np.ndarray, end: np.ndarray) -> Points:
    return tuple(start.tolist()), tuple(end.tolist())
