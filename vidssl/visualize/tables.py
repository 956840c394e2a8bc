"""Plots of numbers: learning curves, accuracies with intervals, classes, confusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from vidssl.core import expect_shape
from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    FAINT,
    PAGE_WIDTH,
    REFERENCE,
    describe,
    method_name,
    name_groups,
    new_figure,
    paper_style,
    places_of,
    series_dash,
    series_style,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series

PLOTTED = ("loss", "error", "accuracy", "score")  # last words of the names of plotted metrics
CHANCE_ROW = "chance"  # the row of a table that is drawn as a dashed line
CHANCE_LOOK = {"color": FAINT, "marker": "none"}
LABEL_HEIGHT = 0.125  # inches a line of 7.5 pt letters takes
LEAST_SPAN = 22  # points on a panel's y axis: below that, noise would look like a difference
NUMBERS = ["mean", "ci95", "paper"]  # columns of a table that are fractions in [0, 1]


def learning_curves(
    history: Iterable[Mapping],
    *,
    by: str = "",
    note: str = "",
    width: float = COLUMN_WIDTH,
) -> Figure:
    """Metrics over training steps: one panel a kind (loss, accuracy, ...), one line a metric.

    Args:
        history: rows such as those of ``metrics.jsonl``: ``step`` and any metrics, of which those
            are drawn whose names end in loss, error, accuracy or score. Missing and non-finite
            values leave a gap in a line.
        by: name of a column whose values are told apart by colour, e.g. "start".
        note: a grey line at the bottom right, e.g. scale and data set.
        width: of the figure, in inches.

    Raises:
        ValueError: no row has a ``step`` and one of the metrics.
    """
    rows = [row for row in history if row.get("step") is not None]
    panels = _panels(rows)
    wide = width > 1.5 * COLUMN_WIDTH
    height = 1.9 if wide else 1.55 * len(panels) + 0.2
    with paper_style():
        figure = new_figure(width, height, note)
        shape = (1, len(panels)) if wide else (len(panels), 1)
        axes = figure.subplots(*shape, squeeze=False, sharex=True).ravel()
        for axis, (kind, names) in zip(axes, panels.items()):
            _draw_curves(axis, rows, names, by)
            title = kind if len(names) > 1 else names[0].replace("_", " ")
            axis.set_ylabel(f"{title} (%)" if kind == "accuracy" else title)
            if len(names) > 1 or (by and axis is axes[0]):
                axis.legend(loc="best")
        for axis in axes if wide else axes[-1:]:
            axis.set_xlabel("step")
            axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return figure


def accuracy_by_setting(
    table: Iterable[Mapping],
    *,
    setting: str = "labelled videos a class",
    metric: str = "top-1 accuracy (%)",
    panel: str = "",
    note: str | None = None,
    width: float = COLUMN_WIDTH,
) -> Figure:
    """Accuracy of every method (``row``) at every setting (``column``) with its 95 % interval.

    Args:
        table: rows with ``row``, ``column``, ``mean`` and ``ci95`` (fractions in [0, 1]), and as
            the table files have them ``scale`` and ``dataset``. Rows without a mean (they quote a
            paper) are left out. Numeric columns are joined by lines. A row named "chance" becomes
            the dashed line.
        setting: label of the x axis.
        metric: label of the y axis.
        panel: name of a further column; its values stand in panels side by side, more than four
            in two lines, each with its own y axis, of 22 points or more.
        note: the grey line at the bottom right; by default the table's scale and data set.
        width: of the figure, in inches.

    Raises:
        ValueError: nothing to plot, or the rows mix scales or data sets.
    """
    rows = measured(table)
    names = [name for name in rows["row"].unique() if name != CHANCE_ROW]
    if not names:
        raise ValueError("table has no row with a mean: nothing to plot")
    columns, ordered = _columns(rows)
    note = data_and_scale(rows) if note is None else note
    panels = dict(list(rows.groupby(panel, sort=False))) if panel else {"": rows}
    lines = 1 + (len(panels) > 4)
    beside = -(-len(panels) // lines)
    letters = int(11 * width / (beside * len(columns)))  # 7.5 pt ones that stand side by side
    height = max(2.2, LABEL_HEIGHT * (len(names) + 1) + 0.8)  # all names have room at the edge
    with paper_style():
        figure = new_figure(width, lines * height, note)
        axes = figure.subplots(lines, beside, squeeze=False).ravel()
        for axis in axes[len(panels) :]:
            axis.remove()
        ends = []
        for axis, (title, part) in zip(axes, panels.items()):
            ends.append(_draw_settings(axis, part, names, columns, ordered))
            axis.set_xticks(range(len(columns)), [_wrapped(column, letters) for column in columns])
            if max(len(word) for column in columns for word in str(column).split()) > letters:
                axis.tick_params(axis="x", rotation=20)
            axis.set(xlabel=setting, title=title, xlim=(-0.35, len(columns) - 0.65))
            axis.set_ylim(*honest_span(*axis.get_ylim()))
            axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        for axis in axes[: len(panels) : beside]:
            axis.set_ylabel(metric)
        for axis, named in zip(axes, ends):
            _name_at_edge(figure, axis, named)
    return figure


def per_class_accuracy(
    accuracy: np.ndarray | Mapping[str, np.ndarray],
    class_names: Sequence[str],
    *,
    groups: Sequence[str] = (),
    chance: float | None = None,
    note: str = "",
) -> Figure:
    """One line a class, one dot a method: which classes are learned, and which method gains where.

    Args:
        accuracy: (K,) fractions, or several named ones; NaN where a class has no video.
        class_names: K names.
        groups: the group of each class; classes of a group are drawn together, below its name.
        chance: a dashed line at this fraction.
        note: a grey line at the bottom right.
    """
    named = accuracy if isinstance(accuracy, Mapping) else {"": accuracy}
    values = 100.0 * np.array([np.asarray(a, dtype=float) for a in named.values()])
    expect_shape(values, "methods K", "accuracy", K=len(class_names))
    in_groups = np.asarray(groups or [""] * len(class_names))
    expect_shape(in_groups, "K", "groups", K=len(class_names))
    grouped: dict[str, dict] = {group: {} for group in groups or [""]}
    for k, (name, group) in enumerate(zip(class_names, in_groups)):
        grouped[group][k] = name
    with paper_style():
        rows = max(len(class_names) + 1.4 * len(set(groups)), 4)  # less leaves the axis no room
        figure = new_figure(COLUMN_WIDTH, 0.155 * rows + 0.45 + 0.2 * (len(named) > 1), note)
        axis = figure.subplots()
        places = name_groups(axis, grouped)
        heights = [places[k] for k in range(len(class_names))]
        known = np.nan_to_num(values)
        low = known.min(0) if len(named) > 1 else np.zeros(len(class_names))
        axis.hlines(heights, low, known.max(0), color="0.8", lw=1.2, zorder=1)
        for order, (place, name, row) in enumerate(zip(places_of(named), named, values)):
            look = {"clip_on": False, "s": 16, **series_style(place)}
            beside = 0.7 * ((order + 0.5) / len(named) - 0.5)  # equal values do not hide each other
            axis.scatter(row, np.add(heights, beside), label=method_name(name), **look)
        if chance is not None:
            mark_chance(axis, 100 * chance)
        axis.set(xlabel="accuracy (%)", xlim=(-2, 102))
        if len(named) > 1:
            figure.legend(loc="outside upper center", ncols=min(len(named), 3))
    of = f" of {', '.join(map(method_name, named))}" if len(named) > 1 else ""
    describe(figure, f"Accuracy{of} in each of {len(class_names)} classes")
    return figure


def confusion_matrix(
    confusion: np.ndarray, class_names: Sequence[str], *, note: str = ""
) -> Figure:
    """Counts as numbers, shares of each true class as shades; rows are true, columns predicted. The
    row of a class without a video is grey.

    Args:
        confusion: (K, K) counts of videos.
        class_names: K names; beyond 26 classes only some are written, beyond 20 no counts.
        note: a grey line at the bottom right.
    """
    import pandas as pd
    import seaborn

    counts, number = np.asarray(confusion), len(class_names)
    expect_shape(counts, "K K", "confusion", K=number)
    tested = counts.sum(1, keepdims=True)
    shares = np.where(tested, 100 * counts / np.maximum(tested, 1), np.nan)
    few = number <= 20
    width = COLUMN_WIDTH if number <= 8 else 0.75 * PAGE_WIDTH
    names = 0.065 * max(map(len, class_names))  # inches that the longest name takes
    side = width - names - 0.85  # of the square, beside the names, the bar and its label
    with paper_style():
        figure = new_figure(width, side + (0.75 if few else 1) * names + 0.3, note)
        axis = figure.subplots()
        high = 0.6 if number > 8 else 1  # the label wants room
        bar = {"label": "share of the true class (%)", "shrink": high, "aspect": 25, "pad": 0.02}
        every = -(-number // 26)
        seaborn.heatmap(
            pd.DataFrame(shares, [*class_names], [*class_names]),
            cmap="Blues",
            vmin=0,
            vmax=100,
            annot=np.where(counts, counts.astype(str), "") if few else None,
            fmt="",
            annot_kws={"size": 7},
            cbar_kws=bar,
            square=True,
            xticklabels=every,
            yticklabels=every,
            rasterized=True,
            ax=axis,
        )
        axis.tick_params(length=0, rotation=0)
        turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        for label in axis.get_xticklabels():
            label.set(**(turn if few else {"rotation": 90}))
        axis.set(xlabel="predicted", ylabel="true" if tested.all() else "true (grey: no video)")
        axis.set_facecolor("0.88")  # behind the shades of every class that has videos
    return figure


# --- reading tables ---------------------------------------------------------------------------


def in_per_cent(table: Iterable[Mapping]) -> DataFrame:
    """Rows as a frame whose `NUMBERS` are in per cent, NaN where there is none; other columns that
    a figure asks for are there, too."""
    import pandas as pd

    frame = pd.DataFrame(table)
    asked = ["row", "column", "scale", "dataset", *NUMBERS]
    frame = frame.reindex(columns=[*dict.fromkeys([*frame, *asked])])
    shares = {key: pd.to_numeric(frame[key], errors="coerce") for key in NUMBERS}
    return frame.assign(**{key: 100.0 * share for key, share in shares.items()})


def measured(table: Iterable[Mapping]) -> DataFrame:
    """The rows with a mean, in per cent; those without quote a paper."""
    frame = in_per_cent(table)
    return frame[frame["mean"].notna()]


def only(rows: DataFrame, key: str) -> str:
    """The one value all rows have under ``key``; rows of two scales do not share a plot."""
    values = [str(value) for value in rows[key].dropna().unique() if value]
    if len(values) > 1:
        raise ValueError(f"rows mix {key} {' and '.join(values)}: plot them one at a time")
    return "".join(values)


def data_and_scale(rows: DataFrame) -> str:
    """The note of a figure: the one data set and the one scale of its rows, and whether they are of
    a single seed."""
    alone = "one seed" if "seeds" in rows and rows["seeds"].max() == 1 else ""
    return " · ".join(filter(None, (only(rows, "dataset"), only(rows, "scale"), alone)))


def _columns(rows: DataFrame) -> tuple[list, bool]:
    """The settings, and whether they are several numbers (then sorted)."""
    columns = rows["column"].unique().tolist()
    try:
        return sorted(columns, key=float), len(columns) > 1
    except ValueError:
        return columns, False


def _wrapped(words: object, letters: int) -> str:
    """Lines of so many letters, as far as words allow; line breaks of their own are kept."""
    text = str(words)
    return text if "\n" in text else fill(text, max(letters, 7), break_long_words=False)


def _panels(rows: list[Mapping]) -> dict[str, list[str]]:
    """Kind of metric (the last word of its name) -> its metrics, in order of appearance."""
    lines: dict[tuple, str] = {}  # a sum of one term is drawn once
    for name in dict.fromkeys(key for row in rows for key in row):
        values = tuple(row.get(name) for row in rows)
        if name.split("_")[-1] in PLOTTED and set(values) != {None}:
            lines.setdefault(values, name)
    if not lines:
        raise ValueError(f"history has no step with a metric ending in {', '.join(PLOTTED)}")
    panels: dict[str, list[str]] = {}
    for name in lines.values():
        panels.setdefault(name.split("_")[-1], []).append(name)
    return panels


# --- drawing ----------------------------------------------------------------------------------


def mark_chance(axis: Axes, level: float) -> None:
    """A dashed line across, at ``level`` of the x axis, with its name on top."""
    axis.axvline(level, **REFERENCE, zorder=0)
    edge = axis.get_xaxis_transform()
    axis.text(level, 1.01, CHANCE_ROW, color=FAINT, fontsize=7, transform=edge)


def honest_span(low: float, high: float) -> tuple[float, float]:
    """Limits in per cent about both, `LEAST_SPAN` apart or more, and a narrow one ends at 100.

    >>> honest_span(97.4, 100.1), honest_span(49.0, 51.0), honest_span(-9.0, 120.0)
    ((79.0, 101.0), (39.0, 61.0), (-3.0, 103.0))
    """
    low, high = max(low, -3.0), min(high, 103.0)  # of few seeds, an interval can leave
    if high - low >= LEAST_SPAN:
        return low, high
    middle = min(max((low + high) / 2, LEAST_SPAN / 2 - 1), 101 - LEAST_SPAN / 2)
    return middle - LEAST_SPAN / 2, middle + LEAST_SPAN / 2


def _draw_curves(axis: Axes, rows: list[Mapping], names: list[str], by: str) -> None:
    """Colour tells the metrics apart, or the values of ``by``; then dashes tell the metrics.

    Accuracies are fractions in the rows and per cent in the plot.
    """
    groups = list(dict.fromkeys(row.get(by) for row in rows)) if by else [None]
    places = dict(zip(groups, places_of(groups)))
    for line, (name, group) in enumerate((n, g) for n in names for g in groups):
        part = [row for row in rows if (not by or row.get(by) == group) and name in row]
        unit = 100.0 if name.split("_")[-1] == "accuracy" else 1.0
        told = [name.replace("_", " ")] * (group is None or len(names) > 1)
        color, dash = (places[group], names.index(name)) if by else (line, 0)
        axis.plot(
            [row["step"] for row in part],
            unit * np.array([row[name] for row in part], dtype=float),
            label=", ".join([str(group)] * (group is not None) + told),
            marker="o" if len(part) <= 12 else "",
            markersize=2.5,
            color=series_style(color)["color"],
            ls=series_dash(color + len(COLORS) * dash),
        )
    axis.grid(axis="y")


def _draw_settings(axis: Axes, rows: DataFrame, names: list, columns: list, joined: bool) -> list:
    """One panel: the methods, each a little beside the others, and the chance level.

    Returns (name, height, colour and marker) of each line's last point.
    """
    told = rows.drop_duplicates(["row", "column"], keep="last").set_index(["row", "column"])
    means, halves = (
        told[key].unstack().reindex(index=[*names, CHANCE_ROW], columns=columns)
        for key in ("mean", "ci95")
    )
    apart = min(0.045, 0.6 / len(names))
    places = places_of(names)
    for index, (place, name) in enumerate(zip(places, names)):
        axis.errorbar(
            np.arange(len(columns)) + apart * (index - (len(names) - 1) / 2),
            means.loc[name],
            yerr=halves.loc[name].fillna(0),
            **series_style(place),
            ls=series_dash(place) if joined else "",
            elinewidth=0.9,
        )
    axis.grid(axis="y")
    _draw_chance(axis, means.loc[CHANCE_ROW])
    looks = [*map(series_style, places), CHANCE_LOOK]
    return [
        (method_name(name), line.dropna().iloc[-1], look)
        for (name, line), look in zip(means.iterrows(), looks)
        if line.notna().any()
    ]


def _draw_chance(axis: Axes, level: Series) -> None:
    known = level.dropna()
    if len(known):  # drawn from edge to edge: chance holds between settings, too
        x = [-1.0, *np.flatnonzero(level.notna()), len(level)]
        axis.plot(x, known.iloc[[0, *range(len(known)), -1]], **REFERENCE, zorder=0)


def _name_at_edge(figure: Figure, axis: Axes, ends: Sequence[tuple[str, float, dict]]) -> None:
    """Write each (name, height, look) at the right edge, moved apart where two would touch."""
    figure.draw_without_rendering()  # only now the axes' height and limits are known
    low, high = axis.get_ylim()
    axis.set_ylim(low, high)
    inch = (high - low) / (axis.get_window_extent().height / figure.dpi)
    places = _spread([end for _, end, _ in ends], LABEL_HEIGHT * inch, low, high)
    edge = axis.get_yaxis_transform()
    beside = edge + ScaledTranslation(5 / 72, 0, figure.dpi_scale_trans)
    after = edge + ScaledTranslation(10 / 72, 0, figure.dpi_scale_trans)
    for (name, _, look), place in zip(ends, places):
        color = tuple(0.85 * c for c in to_rgb(look["color"]))  # thin letters need more contrast
        axis.scatter(1, place, s=10, clip_on=False, transform=beside, **look)
        axis.text(1, place, name, color=color, va="center", fontsize=7.5, transform=after)


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Places near ``values`` and at least ``gap`` apart, within [low, high] where they fit."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(values, kind="stable")
    room = gap * np.arange(len(order))  # without it, places need only be in order
    ordered = np.asarray(values, dtype=float)[order] - room
    places = isotonic_regression(ordered, y_min=low, y_max=high - room[-1]) + room
    return places[np.argsort(order)]
