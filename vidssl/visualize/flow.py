"""Optical flow as colours, and the known truth of an embedded video drawn over its frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from vidssl.visualize.style import COLORS, PAGE_WIDTH, add_note, new_figure, paper_style


def flow_to_rgb(flow: np.ndarray, largest: float = 0.0) -> np.ndarray:
    """Flow (2, H, W) in px as (H, W, 3) uint8: hue is the direction, saturation the speed.

    Zero is white, ``largest`` (px; 0: the field's own largest speed) and beyond are full colour;
    right is red, down is yellow-green, left is cyan, up is violet.
    """
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f"flow must be (2, H, W), got {flow.shape}")
    speed = np.hypot(flow[0], flow[1])
    largest = largest or float(speed.max()) or 1.0
    hue = np.arctan2(flow[1], flow[0]) / (2 * np.pi) % 1.0
    saturation = np.clip(speed / largest, 0, 1)
    return (hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], -1)) * 255).astype(np.uint8)


def truth_strip(
    frames: np.ndarray,
    flow: np.ndarray,
    mask: np.ndarray,
    boundaries: Sequence[int] = (),
    *,
    shown: int = 8,
    note: str = "",
) -> Figure:
    """Frames with the sprite outlined, above the true flow; a mark where a segment begins.

    Args:
        frames: (T, H, W, 3) uint8. flow: (T-1, 2, H, W) px. mask: (T, H, W) bool.
        boundaries: frames at which another sub-action begins.
        shown: number of frames drawn, evenly spread.
    """
    chosen = np.linspace(0, len(flow) - 1, shown).round().astype(int)
    largest = float(np.quantile(np.hypot(flow[:, 0], flow[:, 1]), 0.995))
    height = PAGE_WIDTH / (shown + 0.9) * frames.shape[1] / frames.shape[2]
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 2 * height + 0.55 + 0.15 * bool(note))
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
        grid = figure.add_gridspec(3, shown + 1, height_ratios=[1, 1, 0.14 / height])
        for column, frame in enumerate(chosen):
            top, bottom = (figure.add_subplot(grid[row, column]) for row in (0, 1))
            top.imshow(frames[frame])
            top.contour(mask[frame], levels=[0.5], colors=[COLORS[4]], linewidths=1.0)
            bottom.imshow(flow_to_rgb(flow[frame], largest))
            top.set_title(str(frame), pad=2)
            for axis in (top, bottom):
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_color("0.7")
        _draw_wheel(figure.add_subplot(grid[1, shown]), largest)
        _draw_timeline(figure.add_subplot(grid[2, :shown]), len(frames), chosen, boundaries)
        add_note(figure, note)
    return figure


def _draw_wheel(axis: Axes, largest: float) -> None:
    ramp = np.linspace(-1, 1, 101)
    v, u = np.meshgrid(ramp, ramp, indexing="ij")
    colors = flow_to_rgb(np.stack([u, v]), 1.0)
    colors[np.hypot(u, v) > 1] = 255
    axis.imshow(colors)
    axis.set_axis_off()
    axis.set_title(f"{largest:.1f} px", fontsize=7, pad=1)


def _draw_timeline(axis: Axes, length: int, chosen: np.ndarray, boundaries: Sequence[int]) -> None:
    edges = [0, *boundaries, length - 1]
    for index, (start, end) in enumerate(pairwise(edges)):
        axis.axvspan(start, end, color=COLORS[(0, 4)[index % 2]], alpha=0.35, lw=0)
        axis.text((start + end) / 2, 0.5, f"segment {index + 1}", ha="center", va="center")
    axis.plot(chosen, np.zeros(len(chosen)), "|", color="black", ms=5, clip_on=False)
    axis.set(xlim=(0, length - 1), ylim=(0, 1), yticks=[], xticks=[0, *boundaries, length - 1])
    axis.spines[:].set_visible(False)
