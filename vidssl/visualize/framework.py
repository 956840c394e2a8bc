"""TimeBalance as a drawing: how a video is weighed, and what its student learns from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from vidssl.visualize.clips import Clip, as_frames
from vidssl.visualize.style import COLORS, FAINT, PAGE_WIDTH, new_figure, paper_style
from vidssl.visualize.teachers import MATRICES

HEIGHT = 2.75  # inches, as are all places below
INVARIANT, DISTINCTIVE, STUDENT, BLEND = COLORS[2], COLORS[1], COLORS[0], "0.3"
NETWORKS = 1.95  # left edge of all networks
SAID = 3.05  # left edge of what they say
WEIGHED = 4.45  # left edge of what is made of it
UPPER, LOWER = 2.0, 0.72  # middle heights of the two halves
SHOWN = 6  # classes of a bar chart


def timebalance_framework(
    clips: Sequence[Clip],
    matrices: Sequence[np.ndarray],
    score: float,
    probabilities: Sequence[np.ndarray],
) -> Figure:
    """Both halves of the method with the pictures and numbers of one video.

    Args:
        clips: its N consecutive clips, uint8 (T, H, W, 3) or float (3, T, H, W).
        matrices: C_I and C_D (N, N) of the self-supervised teachers.
        score: s, the weight that follows from them.
        probabilities: (K,) each, what the invariant teacher, the distinctive one and, if there is
            one, the student say of it; the likeliest classes of the blend are drawn.
    """
    if [np.shape(matrix) for matrix in matrices] != [(len(clips),) * 2] * 2:
        raise ValueError(f"matrices must be two of ({len(clips)}, {len(clips)}), one row a clip")
    said = [np.asarray(p, dtype=float) for p in probabilities]
    blend = score * said[0] + (1 - score) * said[1]
    top = np.argsort(-blend, kind="stable")[:SHOWN]
    middles = [frames[len(frames) // 2] for frames in map(as_frames, clips)]
    with paper_style():
        figure = new_figure(PAGE_WIDTH, HEIGHT)
        figure.get_layout_engine().set(w_pad=0, h_pad=0)
        axis = figure.subplots()
        axis.set_axis_off()
        _weighing(axis, middles, matrices, score)
        _distilling(axis, middles[0], score, [p[top] for p in said], blend[top])
        axis.set(xlim=(0, PAGE_WIDTH), ylim=(0, HEIGHT))  # imshow takes the limits for itself
    return figure


def _weighing(axis: Axes, pictures, matrices, score: float) -> None:
    """Above: clips, both self-supervised teachers, C_I and C_D, their mean, s."""
    _title(axis, 0.04, HEIGHT - 0.05, "1  how alike are its times?", "each video once, no label")
    side = min(0.42, 1.6 / len(pictures) - 0.04)
    for place, picture in enumerate(pictures):
        _image(axis, picture, 0.04 + place * (side + 0.04), UPPER - side / 2, side)
    end = 0.04 + len(pictures) * (side + 0.04)
    named = {"$f_I$": (INVARIANT, "$C_I$"), "$f_D$": (DISTINCTIVE, "$C_D$")}
    for (name, (color, called)), matrix, y in zip(
        named.items(), matrices, (UPPER + 0.27, UPPER - 0.27)
    ):
        _arrow(axis, (end, UPPER), (NETWORKS - 0.03, y))
        _network(axis, NETWORKS, y, color, name)
        _arrow(axis, (NETWORKS + 0.68, y), (SAID - 0.03, y))
        _image(axis, matrix, SAID, y - 0.21, 0.42, called)
        _arrow(axis, (SAID + 0.72, y), (WEIGHED - 0.03, UPPER))
    _image(axis, np.mean(matrices, axis=0), WEIGHED, UPPER - 0.27, 0.54, "$C$")
    _arrow(axis, (WEIGHED + 0.76, UPPER), (WEIGHED + 1.0, UPPER))
    axis.text(WEIGHED + 1.05, UPPER, f"s = {score:.2f}", va="center", weight="bold")
    _words(axis, WEIGHED + 1.05, UPPER - 0.17, "mean over different times")


def _distilling(axis: Axes, picture, score: float, said, blend) -> None:
    """Below: a clip, three networks, their probabilities, the blend that the student learns."""
    _title(
        axis,
        0.04,
        LOWER + 0.73,
        "2  what is learned",
        "every step, labelled or not;\nteachers are frozen",
    )
    _image(axis, picture, 0.55, LOWER - 0.52, 0.62)
    student_y = LOWER - 0.48
    rows = {
        "$f_I$": (LOWER + 0.42, INVARIANT, "$p_I$"),
        "$f_D$": (LOWER, DISTINCTIVE, "$p_D$"),
        "student": (student_y, STUDENT, "$p$"),
    }
    for (name, (y, color, called)), p in zip_longest(rows.items(), said, fillvalue=()):
        _arrow(axis, (1.2, LOWER - 0.21), (NETWORKS - 0.03, y))
        _network(axis, NETWORKS, y, color, name)
        _arrow(axis, (NETWORKS + 0.78, y), (SAID - 0.03, y))
        _bars(axis, p, SAID, y - 0.15, color, called)
    target = LOWER + 0.21
    for share, y, name in ((score, LOWER + 0.42, "s"), (1 - score, LOWER, "1 − s")):
        _arrow(axis, (SAID + 0.75, y), (WEIGHED - 0.03, target), width=0.5 + 2 * share)
        _words(axis, SAID + 0.95, (y + target) / 2 + (0.14 if y > target else -0.14), name)
    _bars(axis, blend, WEIGHED, target - 0.15, BLEND, "$p_T = s\\,p_I + (1 - s)\\,p_D$")
    _arrow(axis, (WEIGHED + 0.25, target - 0.19), (SAID + 0.78, student_y + 0.02), bend=-0.25)
    _words(axis, WEIGHED + 0.3, LOWER - 0.16, "distilled into the student")
    _words(
        axis, WEIGHED + 0.3, student_y, "and, where there is a label,\nthe cross-entropy with it"
    )
    _arrow(axis, (WEIGHED + 0.26, student_y), (SAID + 0.78, student_y))


def _title(axis: Axes, x: float, y: float, title: str, below: str) -> None:
    axis.text(x, y, title, va="top", weight="bold")
    axis.text(x, y - 0.17, below, va="top", fontsize=7, color=FAINT)


def _words(axis: Axes, x: float, y: float, text: str) -> None:
    axis.text(x, y, text, va="center", fontsize=7)


def _image(
    axis: Axes, picture: np.ndarray, x: float, y: float, side: float, name: str = ""
) -> None:
    """The square middle of a picture, or a matrix, with its lower left corner at (x, y)."""
    edge = min(picture.shape[:2])
    top, left = ((length - edge) // 2 for length in picture.shape[:2])
    look = {"cmap": MATRICES, "vmin": -1, "vmax": 1} if picture.ndim == 2 else {}
    axis.imshow(
        picture[top : top + edge, left : left + edge],
        extent=(x, x + side, y, y + side), aspect="auto", interpolation="nearest", **look,
    )  # fmt: skip
    axis.add_patch(Rectangle((x, y), side, side, fill=False, ec="0.4", lw=0.6))
    _words(axis, x + side + 0.05, y + side / 2, name)


def _network(axis: Axes, x: float, y: float, color: str, name: str) -> None:
    """Stages as bars that get lower."""
    for stage in range(5):
        height = 0.36 - 0.05 * stage
        axis.add_patch(Rectangle((x + 0.07 * stage, y - height / 2), 0.055, height, fc=color))
    _words(axis, x + 0.38, y, name)


def _bars(axis: Axes, values: np.ndarray, x: float, y: float, color: str, name: str) -> None:
    """Probabilities as bars on a line of 0.5 inches; a bar of 1 is 0.32 inches high."""
    wide = 0.5 / SHOWN
    for place, value in enumerate(values):
        corner = (x + place * wide, y)
        axis.add_patch(Rectangle(corner, 0.8 * wide, max(0.32 * value, 0.008), fc=color, ec="none"))
    axis.plot([x, x + 0.5], [y, y], color="0.4", lw=0.6)
    _words(axis, x + 0.55, y + 0.15, name)


def _arrow(axis: Axes, start, end, width: float = 0.8, bend: float = 0.0) -> None:
    axis.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=6,
            lw=width,
            color="0.25",
            connectionstyle=f"arc3,rad={bend}",
        )
    )
