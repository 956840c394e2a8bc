"""MotionFit as a drawing: what each of its steps sees, and what it hands to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from vidssl.core import expect_shape
from vidssl.visualize.clips import as_frames, evenly
from vidssl.visualize.flow import flow_to_rgb, largest_speed
from vidssl.visualize.sketch import Sketch
from vidssl.visualize.style import COLORS, paper_style

HEIGHT = 1.6  # inches, as are all places below
MIDDLE = 0.78  # height of the networks and arrows
TOP, TEXT = HEIGHT - 0.04, 0.16
FROZEN = 3  # stages, in the last step
FLOW, RGB = COLORS[1], COLORS[0]


def motionfit_pipeline(frames: np.ndarray, flow: np.ndarray, labels: Sequence[int]) -> Figure:
    """The four steps side by side, with the pictures of one video.

    Args:
        frames: (T, H, W, 3) uint8, one of each of T >= 4 clips along a video.
        flow: (T, H, W, 2) px, that at each frame.
        labels: the pseudo-label of each of the clips; a colour stands for one.
    """
    frames = as_frames(frames)
    length, height, width, _ = frames.shape
    expect_shape(flow, "T H W uv", "flow", T=length, H=height, W=width, uv=2)
    if length < 4 or len(labels) != length:
        raise ValueError(f"{length} frames and {len(labels)} labels: give 4 or more, a label each")
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    colors = [COLORS[(order[label] + 2) % 7] for label in labels]
    largest = largest_speed(flow)
    fields = [flow_to_rgb(field, largest) for field in flow]
    with paper_style():
        sketch = Sketch(HEIGHT)
        _motion_model(sketch, 0.04, fields)
        _pseudo_labels(sketch, 1.9, fields, colors)
        _student(sketch, 3.76, frames[0], colors[0])
        _fine_tuning(sketch, 5.33, frames[0])
    return sketch.figure


def _motion_model(sketch: Sketch, left: float, fields: list[np.ndarray]) -> None:
    sketch.title(left, TOP, "1  motion model", "optical flow, few labelled videos")
    for place, field in enumerate(fields[:3]):
        sketch.picture(field, left + 0.07 * place, MIDDLE - 0.2 - 0.07 * place, 0.5)
    sketch.arrow((left + 0.68, MIDDLE), (left + 0.82, MIDDLE))
    sketch.network(left + 0.84, MIDDLE, 0.5, 0.72, FLOW)
    sketch.arrow((left + 1.34, MIDDLE), (left + 1.47, MIDDLE))
    sketch.words(left + 1.5, MIDDLE, "class")
    sketch.words(left, TEXT, "clips of one video\nvote together")


def _pseudo_labels(
    sketch: Sketch, left: float, fields: list[np.ndarray], colors: list[str]
) -> None:
    sketch.title(left, TOP, "2  pseudo-labels", "every video, no label")
    side = 0.4
    for place, clip in enumerate(evenly(len(fields), 4)):
        x = left + place * (side + 0.03)
        sketch.picture(fields[clip], x, MIDDLE + 0.02, side)
        _label(sketch, x + side / 2 - 0.08, MIDDLE - 0.4, colors[clip])
        sketch.arrow((x + side / 2, MIDDLE - 0.02), (x + side / 2, MIDDLE - 0.21))
    sketch.words(left, TEXT, "the motion model's features of\ndense clips, in k-means clusters")


def _student(sketch: Sketch, left: float, frame: np.ndarray, color: str) -> None:
    sketch.title(left, TOP, "3  RGB student", "every video, no label")
    _rgb_network(sketch, left, frame)
    _label(sketch, left + 1.29, MIDDLE - 0.08, color)
    sketch.words(left, TEXT, "tells the cluster of a clip\nby its pictures")


def _fine_tuning(sketch: Sketch, left: float, frame: np.ndarray) -> None:
    sketch.title(left, TOP, "4  fine-tuning", "few labelled videos, no flow")
    _rgb_network(sketch, left, frame, frozen=FROZEN)
    sketch.words(left + 1.29, MIDDLE, "class")
    sketch.words(left, TEXT, "early stages stay as\nthe student's (grey)")


def _rgb_network(sketch: Sketch, left: float, frame: np.ndarray, frozen: int = 0) -> None:
    """A picture, the network that sees it, and an arrow to what it says."""
    sketch.picture(frame, left, MIDDLE - 0.25, 0.5)
    sketch.arrow((left + 0.53, MIDDLE), (left + 0.65, MIDDLE))
    sketch.network(left + 0.67, MIDDLE, 0.5, 0.72, RGB, frozen=frozen)
    sketch.arrow((left + 1.17, MIDDLE), (left + 1.27, MIDDLE))


def _label(sketch: Sketch, x: float, y: float, color: str) -> None:
    sketch.box(x, y, 0.16, 0.16, fc=color, ec="0.2", lw=0.5)
