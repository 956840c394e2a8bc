"""Optical flow as colours or arrows, and the known truth of an embedded video over its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from vidssl.core import expect_shape
from vidssl.visualize.clips import as_frames, evenly
from vidssl.visualize.marks import draw_field
from vidssl.visualize.style import COLORS, PAGE_WIDTH, describe, new_figure, paper_style

SHOWN, TRUTH_SHOWN = 6, 8  # frames of a video, evenly spread
SPACING = 10  # px between the arrows of a figure


def flow_to_rgb(flow: np.ndarray, largest: float = 0.0) -> np.ndarray:
    """Flow (H, W, 2) in px as (H, W, 3) uint8: hue is the direction, saturation the speed.

    Zero is white, ``largest`` (px; 0: the field's own largest speed) and beyond are full colour;
    right is red, down is yellow-green, left is cyan, up is violet.
    """
    expect_shape(flow, "H W uv", "flow", uv=2)
    speed = np.hypot(flow[..., 0], flow[..., 1])
    largest = largest or float(speed.max()) or 1.0
    hue = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1.0
    saturation = np.clip(speed / largest, 0, 1)
    return (hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], -1)) * 255).astype(np.uint8)


def flow_frames(flow: np.ndarray) -> np.ndarray:
    """A clip of flow (2, T, H, W) in px in the colours of `flow_to_rgb`: (T, H, W, 3) uint8."""
    fields = np.moveaxis(flow, 0, -1)
    largest = largest_speed(fields)
    return np.stack([flow_to_rgb(field, largest) for field in fields])


def largest_speed(flow: np.ndarray) -> float:
    """The speed (px) that nearly all of a flow (..., H, W, 2) stays below: for a common scale."""
    speed = np.hypot(flow[..., 0], flow[..., 1])
    return float(np.quantile(speed, 0.995)) or 1.0


def flow_strips(
    frames: np.ndarray,
    flows: Mapping[str, np.ndarray],
    *,
    note: str = "",
) -> Figure:
    """RGB frames with the arrows of the first flow, above each flow in colours; a colour wheel.

    Args:
        frames: (T, H, W, 3) uint8. flows: row title -> (T-1, H, W, 2) px, one scale for all.
    """
    first = next(iter(flows.values()))
    chosen = evenly(len(first), SHOWN)
    largest = max(largest_speed(flow) for flow in flows.values())
    arrows = {"spacing": SPACING, "gain": 1.5 * SPACING / largest, "least": 0.1 * largest}
    frames = as_frames(frames)
    height = (PAGE_WIDTH - 0.25) / (SHOWN + 0.9) * frames.shape[1] / frames.shape[2]
    with paper_style():
        figure = new_figure(PAGE_WIDTH, (len(flows) + 1) * (height + 0.03) + 0.2, note)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
        axes = figure.subplots(len(flows) + 1, SHOWN + 1)
        for column, frame in enumerate(chosen):
            axes[0, column].imshow(frames[frame])
            draw_field(axes[0, column], first[frame], **arrows)
            axes[0, column].set_title(f"frame {frame}", pad=2)
            for axis, flow in zip(axes[1:, column], flows.values()):
                axis.imshow(flow_to_rgb(flow[frame], largest))
            for axis in axes[:, column]:
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set(visible=True, color="0.7")
        for axis, title in zip(axes[:, 0], ["RGB", *flows]):
            axis.set_ylabel(title)
        _draw_wheel(axes[1, SHOWN], largest)
        for axis in np.delete(axes[:, SHOWN], 1):
            axis.set_axis_off()
    return figure


def flow_legend(largest: float) -> Figure:
    """The colour wheel alone, for the side of a player; ``largest`` is the speed at its rim."""
    with paper_style():
        figure = new_figure(1.2, 1.35)
        axis = figure.subplots()
        _draw_wheel(axis, largest)
        axis.texts[0].set_in_layout(True)
        for words, x, y in (("right", 1, 0.5), ("left", 0, 0.5), ("down", 0.5, 0), ("up", 0.5, 1)):
            place = {"transform": axis.transAxes, "ha": "center", "va": "center", "fontsize": 7}
            axis.text(0.5 + 0.68 * (x - 0.5), 0.5 + 0.68 * (y - 0.5), words, **place)
    return figure


def truth_strip(
    frames: np.ndarray,
    flow: np.ndarray,
    mask: np.ndarray,
    boundaries: Sequence[int] = (),
    *,
    note: str = "",
) -> Figure:
    """Frames with the sprite outlined, above the true flow; a mark where a segment begins.

    Args:
        frames: (T, H, W, 3) uint8. flow: (T-1, H, W, 2) px. mask: (T, H, W) bool.
        boundaries: frames at which another sub-action begins.
    """
    chosen = evenly(len(flow), TRUTH_SHOWN)
    largest = largest_speed(flow)
    height = PAGE_WIDTH / (TRUTH_SHOWN + 0.9) * frames.shape[1] / frames.shape[2]
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 2 * height + 0.55, note)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
        grid = figure.add_gridspec(3, TRUTH_SHOWN + 1, height_ratios=[1, 1, 0.14 / height])
        for column, frame in enumerate(chosen):
            top, bottom = (figure.add_subplot(grid[row, column]) for row in (0, 1))
            top.imshow(frames[frame])
            top.contour(mask[frame], levels=[0.5], colors=[COLORS[4]], linewidths=1.0)
            bottom.imshow(flow_to_rgb(flow[frame], largest))
            top.set_title(str(frame), pad=2)
            for axis in (top, bottom):
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_color("0.7")
        _draw_wheel(figure.add_subplot(grid[1, TRUTH_SHOWN]), largest)
        _draw_timeline(figure.add_subplot(grid[2, :TRUTH_SHOWN]), len(frames), chosen, boundaries)
    words = f"{TRUTH_SHOWN} frames of a video with the sprite outlined, above the true flow"
    begin = f"; segments begin at frames {', '.join(map(str, boundaries))}" * (len(boundaries) > 0)
    describe(figure, f"{words}{begin}")
    return figure


def _draw_wheel(axis: Axes, largest: float) -> None:
    ramp = np.linspace(-1, 1, 301)
    v, u = np.meshgrid(ramp, ramp, indexing="ij")
    colors = flow_to_rgb(np.stack([u, v], -1), 1.0)
    colors[np.hypot(u, v) > 1] = 255
    axis.imshow(colors)
    axis.set_axis_off()
    above = {"transform": axis.transAxes, "ha": "center", "va": "bottom", "fontsize": 7}
    # outside the layout, or the rows of pictures would move apart for it
    axis.text(0.5, 1.01, f"rim: {largest:.1f} px", in_layout=False, **above)


def _draw_timeline(axis: Axes, length: int, chosen: np.ndarray, boundaries: Sequence[int]) -> None:
    edges = [0, *boundaries, length - 1]
    for index, (start, end) in enumerate(pairwise(edges)):
        axis.axvspan(start, end, color=COLORS[(0, 4)[index % 2]], alpha=0.35, lw=0)
        axis.text((start + end) / 2, 0.5, f"segment {index + 1}", ha="center", va="center")
    axis.plot(chosen, np.zeros(len(chosen)), "|", color="black", ms=5, clip_on=False)
    axis.set(xlim=(0, length - 1), ylim=(0, 1), yticks=[], xticks=[0, *boundaries, length - 1])
    axis.spines[:].set_visible(False)
