"""Pictures of clustered features: maps coloured in several ways, sizes and purity of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    FAINT,
    PAGE_WIDTH,
    REFERENCE,
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
            palette = _palette(labels)
            colors = [palette[label % len(palette)] for label in labels]
            axis.scatter(*points.T, c=colors, s=5, linewidths=0)
            axis.set_title(title)
            frame_map(axis)
        palette = _palette(range(len(names)))
        handles = [
            axes[0].scatter([], [], color=palette[k % len(palette)], s=12, label=name)
            for k, name in enumerate(names)
        ]
        if handles:
            style = {"handletextpad": 0.1, "columnspacing": 0.8, "fontsize": 7, "title": "classes"}
            figure.legend(handles=handles, loc="outside upper center", ncols=6, **style)
    return figure


def cluster_sizes(sizes: np.ndarray, commonest: np.ndarray, *, note: str = "") -> Figure:
    """Clusters from the largest to the smallest: how many members, and how many of one class.

    Args:
        sizes: (K,) members of each cluster.
        commonest: (K,) members of each cluster's commonest class.
        note: a grey line at the bottom right.
    """
    sizes, commonest = np.asarray(sizes), np.asarray(commonest)
    if sizes.ndim != 1 or sizes.shape != commonest.shape:
        raise ValueError(
            f"sizes and commonest must be (K,), got {sizes.shape} and {commonest.shape}"
        )
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
    if np.ndim(points) != 2 or points.shape[1] != 2 or np.shape(labels) != points.shape[:1]:
        raise ValueError(
            f"points must be (V, 2) and labels (V,), got {np.shape(points)} and {np.shape(labels)}"
        )


def frame_map(axis: Axes) -> None:
    """Of a map, whose axes have no unit: a grey frame."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color="0.8")
