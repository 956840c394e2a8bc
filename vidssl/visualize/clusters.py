"""Pictures of clustered features: maps coloured in several ways, sizes and purity of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vidssl.core import expect_shape
from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    FAINT,
    PAGE_WIDTH,
    REFERENCE,
    name_kinds,
    new_figure,
    paper_style,
)

MANY = colormaps["tab20"].colors


def embedding_panels(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: Sequence[str] = (),
    *,
    note: str = "",
) -> Figure:
    """Maps side by side, each point in the colour of its label.

    Args:
        panels: title -> points (V, 2), e.g. of t-SNE, and labels (V,) from 0. Twenty colours are
            used in turn: beyond twenty labels only neighbours are told apart.
        names: of the labels of those panels whose labels are classes; they make the legend.
        note: a grey line at the bottom right.
    """
    if not panels:
        raise ValueError("panels is empty: give at least one map")
    side = PAGE_WIDTH / len(panels)
    rows = -(-len(names) // 6) + bool(len(names))  # of the legend, with its title
    with paper_style():
        figure = new_figure(PAGE_WIDTH, side + 0.15 + 0.16 * rows, note)
        axes = figure.subplots(1, len(panels), squeeze=False).ravel()
        for axis, (title, (points, labels)) in zip(axes, panels.items()):
            check_points(points, labels)
            colors = np.take(_palette(labels), labels, axis=0, mode="wrap")
            axis.scatter(*points.T, c=colors, s=5, linewidths=0)
            axis.set_title(title)
            frame_map(axis)
        named = dict(zip(names, cycle(_palette(range(len(names))))))
        look = {"handlelength": 0.7, "columnspacing": 0.8, "fontsize": 7, "title": "classes"}
        name_kinds(figure, named, ncols=6, **look)
    return figure


def cluster_sizes(sizes: np.ndarray, commonest: np.ndarray, *, note: str = "") -> Figure:
    """Clusters from the largest to the smallest: how many members, and how many of one class.

    Args:
        sizes: (K,) members of each cluster.
        commonest: (K,) members of each cluster's commonest class.
        note: a grey line at the bottom right.
    """
    sizes, commonest = np.asarray(sizes), np.asarray(commonest)
    expect_shape(sizes, "K", "sizes", K=len(commonest))
    order = np.argsort(sizes)[::-1]
    places = np.arange(len(order))
    with paper_style():
        figure = new_figure(COLUMN_WIDTH, 1.8, note)
        axis = figure.subplots()
        axis.bar(places, sizes[order], width=1, color="0.8", label="all members")
        axis.bar(places, commonest[order], width=1, color=COLORS[0], label="of the commonest class")
        _mark_mean(axis, float(sizes.mean()))
        axis.set(xlabel="cluster, by size", ylabel="members", xlim=(-0.6, len(order) - 0.4))
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.legend()
    return figure


def _palette(labels: Sequence[int]) -> Sequence:
    """The project's colours where they suffice."""
    return COLORS if max(labels, default=0) < len(COLORS) else MANY


def _mark_mean(axis: Axes, mean: float) -> None:
    axis.axhline(mean, **REFERENCE)
    edge = axis.get_yaxis_transform()
    axis.text(0.99, mean, "mean", color=FAINT, fontsize=7, ha="right", va="bottom", transform=edge)


def check_points(points: np.ndarray, labels: np.ndarray) -> None:
    """ValueError unless these are points (V, 2) and their labels (V,)."""
    expect_shape(np.asarray(points), "V xy", "points", V=len(labels), xy=2)


def frame_map(axis: Axes) -> None:
    """Of a map, whose axes have no unit: a grey frame."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.8")
