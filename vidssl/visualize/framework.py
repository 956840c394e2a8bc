"""TimeBalance as a drawing: how a video is weighed, and what its student learns from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from matplotlib.figure import Figure

from vidssl.core import expect_shape
from vidssl.visualize.clips import Clip, as_frames
from vidssl.visualize.sketch import Sketch
from vidssl.visualize.style import COLORS, paper_style
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
    expect_shape(np.asarray(matrices), "teachers N N", "matrices", teachers=2, N=len(clips))
    said = [np.asarray(p, dtype=float) for p in probabilities]
    blend = score * said[0] + (1 - score) * said[1]
    top = np.argsort(-blend, kind="stable")[:SHOWN]
    middles = [frames[len(frames) // 2] for frames in map(as_frames, clips)]
    with paper_style():
        sketch = Sketch(HEIGHT)
        _weighing(sketch, middles, matrices, score)
        _distilling(sketch, middles[0], score, [p[top] for p in said], blend[top])
    return sketch.figure


def _weighing(sketch: Sketch, pictures, matrices, score: float) -> None:
    """Above: clips, both self-supervised teachers, C_I and C_D, their mean, s."""
    sketch.title(0.04, HEIGHT - 0.05, "1  how alike are its times?", "each video once, no label")
    side = min(0.42, 1.6 / len(pictures) - 0.04)
    for place, picture in enumerate(pictures):
        sketch.picture(picture, 0.04 + place * (side + 0.04), UPPER - side / 2, side)
    end = 0.04 + len(pictures) * (side + 0.04)
    named = {"$f_I$": (INVARIANT, "$C_I$"), "$f_D$": (DISTINCTIVE, "$C_D$")}
    for (name, (color, called)), matrix, y in zip(
        named.items(), matrices, (UPPER + 0.27, UPPER - 0.27)
    ):
        sketch.arrow((end, UPPER), (NETWORKS - 0.03, y))
        _network(sketch, y, color, name)
        sketch.arrow((NETWORKS + 0.68, y), (SAID - 0.03, y))
        _matrix(sketch, matrix, SAID, y - 0.21, 0.42, called)
        sketch.arrow((SAID + 0.72, y), (WEIGHED - 0.03, UPPER))
    _matrix(sketch, np.mean(matrices, axis=0), WEIGHED, UPPER - 0.27, 0.54, "$C$")
    sketch.arrow((WEIGHED + 0.76, UPPER), (WEIGHED + 1.0, UPPER))
    sketch.axis.text(WEIGHED + 1.05, UPPER, f"s = {score:.2f}", va="center", weight="bold")
    sketch.words(WEIGHED + 1.05, UPPER - 0.17, "mean over different times")


def _distilling(sketch: Sketch, picture, score: float, said, blend) -> None:
    """Below: a clip, three networks, their probabilities, the blend that the student learns."""
    sketch.title(
        0.04,
        LOWER + 0.73,
        "2  what is learned",
        "every step, labelled or not;\nteachers are frozen",
    )
    sketch.picture(picture, 0.55, LOWER - 0.52, 0.62)
    student_y = LOWER - 0.48
    rows = {
        "$f_I$": (LOWER + 0.42, INVARIANT, "$p_I$"),
        "$f_D$": (LOWER, DISTINCTIVE, "$p_D$"),
        "student": (student_y, STUDENT, "$p$"),
    }
    for (name, (y, color, called)), p in zip_longest(rows.items(), said, fillvalue=()):
        sketch.arrow((1.2, LOWER - 0.21), (NETWORKS - 0.03, y))
        _network(sketch, y, color, name)
        sketch.arrow((NETWORKS + 0.78, y), (SAID - 0.03, y))
        _bars(sketch, p, SAID, y - 0.15, color, called)
    target = LOWER + 0.21
    for share, y, name in ((score, LOWER + 0.42, "s"), (1 - score, LOWER, "1 − s")):
        sketch.arrow((SAID + 0.75, y), (WEIGHED - 0.03, target), width=0.5 + 2 * share)
        sketch.words(SAID + 0.95, (y + target) / 2 + (0.14 if y > target else -0.14), name)
    _bars(sketch, blend, WEIGHED, target - 0.15, BLEND, "$p_T = s\\,p_I + (1 - s)\\,p_D$")
    sketch.arrow((WEIGHED + 0.25, target - 0.19), (SAID + 0.78, student_y + 0.02), bend=-0.25)
    sketch.words(WEIGHED + 0.3, LOWER - 0.16, "distilled into the student")
    sketch.words(
        WEIGHED + 0.3, student_y, "and, where there is a label,\nthe cross-entropy with it"
    )
    sketch.arrow((WEIGHED + 0.26, student_y), (SAID + 0.78, student_y))


def _matrix(sketch: Sketch, matrix: np.ndarray, x: float, y: float, side: float, name: str) -> None:
    sketch.picture(matrix, x, y, side, cmap=MATRICES, vmin=-1, vmax=1, interpolation="nearest")
    sketch.words(x + side + 0.05, y + side / 2, name)


def _network(sketch: Sketch, y: float, color: str, name: str) -> None:
    sketch.network(NETWORKS, y, 0.35, 0.36, color)
    sketch.words(NETWORKS + 0.38, y, name)


def _bars(sketch: Sketch, values: np.ndarray, x: float, y: float, color: str, name: str) -> None:
    """Probabilities as bars on a line of 0.5 inches; a bar of 1 is 0.32 inches high."""
    wide = 0.5 / SHOWN
    for place, value in enumerate(values):
        high = max(0.32 * value, 0.008)
        sketch.box(x + place * wide, y, 0.8 * wide, high, fc=color, ec="none")
    sketch.axis.plot([x, x + 0.5], [y, y], color="0.4", lw=0.6)
    sketch.words(x + 0.55, y + 0.15, name)
