"""Clusters of features: a map of the videos, and what is seen in each cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vidssl.visualize.clips import Clip, as_clips, draw_strip, evenly, join_frames
from vidssl.visualize.clusters import check_points, frame_map
from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    PAGE_WIDTH,
    new_figure,
    paper_style,
    series_style,
)

SHOWN = 4  # frames drawn of each clip, evenly spread


def embedding_figure(points: np.ndarray, clusters: np.ndarray, *, note: str = "") -> Figure:
    """Points (V, 2) on the plane, coloured and marked by their cluster (V,), counted from 0."""
    points, clusters = _check(points, clusters)
    with paper_style():
        figure = new_figure(COLUMN_WIDTH, 0.85 * COLUMN_WIDTH, note)
        _draw_points(figure.subplots(), points, clusters)
    return figure


def cluster_figure(
    points: np.ndarray,
    clusters: np.ndarray,
    members: Sequence[Sequence[Clip]],
    *,
    captions: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """The points of `embedding_figure`, and beside them film strips of each cluster.

    Args:
        points: (V, 2), e.g. of t-SNE. clusters: (V,) int from 0, at most 7 of them.
        members: for each cluster the clips to show, as many for each, all of one shape.
        captions: one line above the strips of each cluster.
    """
    points, clusters = _check(points, clusters)
    if len(members) != clusters.max() + 1:
        raise ValueError(f"members must be those of {clusters.max() + 1} clusters: {len(members)}")
    strips = [_strip(as_clips(list(clips))) for clips in members]
    wide = 0.62 * PAGE_WIDTH
    height = sum(wide * strip.shape[0] / strip.shape[1] + 0.2 for strip in strips)
    with paper_style():
        figure = new_figure(PAGE_WIDTH, max(height, 2.3), note)
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.01)
        left, right = figure.subfigures(1, 2, width_ratios=[0.38, 0.62])
        _draw_points(left.subplots(), points, clusters)
        axes = right.subplots(len(strips), squeeze=False).ravel()
        for number, (axis, strip) in enumerate(zip(axes, strips)):
            draw_strip(axis, strip)
            axis.set_title(captions[number] if captions else "", pad=2, fontsize=7.5)
            side = {"rotation": 0, "ha": "right", "va": "center", "fontweight": "bold"}
            axis.set_ylabel(str(number + 1), color=COLORS[number], fontsize=10, **side)
    return figure


def _draw_points(axis: Axes, points: np.ndarray, clusters: np.ndarray) -> None:
    """Cluster k is called k + 1; its number stands at the median of its points."""
    for cluster in range(clusters.max() + 1):
        own = points[clusters == cluster]
        look = {"s": 9, "alpha": 0.75, "linewidths": 0, **series_style(cluster)}
        axis.scatter(*own.T, label=f"{cluster + 1}", **look)
    frame_map(axis)
    axis.legend(
        title="cluster", loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=7,
        handletextpad=0.1, columnspacing=0.8,
    )  # fmt: skip


def _check(points: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, clusters = np.asarray(points), np.asarray(clusters)
    check_points(points, clusters)
    if not len(clusters) or clusters.min() < 0 or clusters.max() >= len(COLORS):
        raise ValueError(f"clusters must be numbers from 0 to {len(COLORS) - 1}, for V > 0 videos")
    return points, clusters


def _strip(clips: list[np.ndarray]) -> np.ndarray:
    """Some frames of each clip from left to right, clips apart by a wider gap than frames."""
    each = [join_frames(clip[evenly(len(clip), SHOWN)], SHOWN) for clip in clips]
    return join_frames(np.stack(each), len(each))
