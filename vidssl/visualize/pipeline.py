"""MotionFit as a drawing: what each of its steps sees, and what it hands to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from vidssl.visualize.clips import as_frames
from vidssl.visualize.flow import flow_to_rgb, largest_speed
from vidssl.visualize.style import COLORS, FAINT, PAGE_WIDTH, new_figure, paper_style

HEIGHT = 1.6  # inches, as are all places below
MIDDLE = 0.78  # height of the networks and arrows
TEXT = 0.16
STAGES = 5  # stem and conv2 to conv5
FROZEN = 3  # of them, in the last step
PANELS = (0.04, 1.9, 3.76, 5.33)  # left edges of the four steps
FLOW, RGB = COLORS[1], COLORS[0]


def motionfit_pipeline(frames: np.ndarray, flow: np.ndarray, labels: Sequence[int]) -> Figure:
    """The four steps side by side, with the pictures of one video.

    Args:
        frames: (T, H, W, 3) uint8, one of each of T >= 4 clips along a video.
        flow: (T, H, W, 2) px, that at each frame.
        labels: the pseudo-label of each of the clips; a colour stands for one.
    """
    frames = as_frames(frames)
    if len(frames) < 4 or flow.shape != (*frames.shape[:3], 2):
        raise ValueError(
            f"frames must be (T, H, W, 3) with T >= 4 and flow (T, H, W, 2) of them, got "
            f"{frames.shape} and {flow.shape}"
        )
    if len(labels) != len(frames):
        raise ValueError(f"{len(labels)} labels for {len(frames)} clips")
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    colors = [COLORS[(order[label] + 2) % 7] for label in labels]
    largest = largest_speed(flow)
    fields = [flow_to_rgb(field, largest) for field in flow]
    with paper_style():
        figure = new_figure(PAGE_WIDTH, HEIGHT)
        figure.get_layout_engine().set(w_pad=0, h_pad=0)
        axis = figure.subplots()
        axis.set(xlim=(0, PAGE_WIDTH), ylim=(0, HEIGHT))
        axis.set_axis_off()
        steps = (_motion_model, _pseudo_labels, _student, _fine_tuning)
        for draw, left in zip(steps, PANELS):
            draw(axis, left, frames, fields, colors)
    return figure


def _motion_model(axis: Axes, left: float, frames, fields, colors) -> None:
    _title(axis, left, "1  motion model", "optical flow, few labelled videos")
    for place, field in enumerate(fields[:3]):
        _picture(axis, field, left + 0.07 * place, MIDDLE - 0.2 - 0.07 * place, 0.5)
    _arrow(axis, (left + 0.68, MIDDLE), (left + 0.82, MIDDLE))
    _network(axis, left + 0.84, MIDDLE, FLOW)
    _arrow(axis, (left + 1.34, MIDDLE), (left + 1.47, MIDDLE))
    _words(axis, left + 1.5, MIDDLE, "class")
    _words(axis, left, TEXT, "clips of one video\nvote together")


def _pseudo_labels(axis: Axes, left: float, frames, fields, colors) -> None:
    _title(axis, left, "2  pseudo-labels", "every video, no label")
    side, count = 0.4, 4
    chosen = np.linspace(0, len(fields) - 1, count).round().astype(int)
    for place, clip in enumerate(chosen):
        x = left + place * (side + 0.03)
        _picture(axis, fields[clip], x, MIDDLE + 0.02, side)
        _square(axis, x + side / 2 - 0.08, MIDDLE - 0.4, colors[clip])
        _arrow(axis, (x + side / 2, MIDDLE - 0.02), (x + side / 2, MIDDLE - 0.21))
    _words(axis, left, TEXT, "the motion model's features of\ndense clips, in k-means clusters")


def _student(axis: Axes, left: float, frames, fields, colors) -> None:
    _title(axis, left, "3  RGB student", "every video, no label")
    _rgb_network(axis, left, frames[0])
    _square(axis, left + 1.29, MIDDLE - 0.08, colors[0])
    _words(axis, left, TEXT, "tells the cluster of a clip\nby its pictures")


def _fine_tuning(axis: Axes, left: float, frames, fields, colors) -> None:
    _title(axis, left, "4  fine-tuning", "few labelled videos, no flow")
    _rgb_network(axis, left, frames[0], frozen=FROZEN)
    _words(axis, left + 1.29, MIDDLE, "class")
    _words(axis, left, TEXT, "early stages stay as\nthe student's (grey)")


def _rgb_network(axis: Axes, left: float, frame: np.ndarray, frozen: int = 0) -> None:
    """A picture, the network that sees it, and an arrow to what it says."""
    _picture(axis, frame, left, MIDDLE - 0.25, 0.5)
    _arrow(axis, (left + 0.53, MIDDLE), (left + 0.65, MIDDLE))
    _network(axis, left + 0.67, MIDDLE, RGB, frozen)
    _arrow(axis, (left + 1.17, MIDDLE), (left + 1.27, MIDDLE))


def _title(axis: Axes, x: float, title: str, below: str) -> None:
    axis.text(x, HEIGHT - 0.04, title, va="top", weight="bold")
    axis.text(x, HEIGHT - 0.22, below, va="top", fontsize=7, color=FAINT)


def _words(axis: Axes, x: float, y: float, text: str) -> None:
    axis.text(x, y, text, va="center", fontsize=7)


def _picture(axis: Axes, picture: np.ndarray, x: float, y: float, side: float) -> None:
    """The square middle of a picture, with its lower left corner at (x, y)."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    place = (x, x + side, y, y + side)
    axis.imshow(
        picture[top : top + edge, left : left + edge], extent=place, aspect="auto", zorder=2 + x
    )
    rim = Rectangle((x, y), side, side, fill=False, ec="0.4", lw=0.6, zorder=2 + x)
    axis.add_patch(rim)  # pictures further right cover the others
    axis.set(xlim=(0, PAGE_WIDTH), ylim=(0, HEIGHT))  # imshow takes the limits for itself


def _network(axis: Axes, x: float, y: float, color: str, frozen: int = 0) -> None:
    """Stages as bars that get lower; the first ``frozen`` ones are grey."""
    for stage in range(STAGES):
        height = 0.72 - 0.1 * stage
        fill = "0.8" if stage < frozen else color
        corner = (x + 0.1 * stage, y - height / 2)
        axis.add_patch(Rectangle(corner, 0.08, height, fc=fill, ec="none"))


def _square(axis: Axes, x: float, y: float, color: str) -> None:
    axis.add_patch(Rectangle((x, y), 0.16, 0.16, fc=color, ec="0.2", lw=0.5))


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=6, lw=0.8, color="0.25")
    )
