"""Plots of numbers: learning curves, accuracies with intervals, classes, confusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from vidssl.core import did_you_mean
from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    DASHES,
    FAINT,
    PAGE_WIDTH,
    REFERENCE,
    describe,
    method_name,
    new_figure,
    paper_style,
    series_style,
)

PLOTTED = ("loss", "error", "accuracy", "score")  # last words of the names of plotted metrics
CHANCE_ROW = "chance"  # the row of a table that is drawn as a dashed line
CHANCE_LOOK = {"color": FAINT, "marker": "none"}
LABEL_HEIGHT = 0.125  # inches a line of 7.5 pt letters takes
LEAST_SPAN = 22  # points on a panel's y axis: below that, noise would look like a difference


def learning_curves(
    history: Iterable[Mapping],
    *,
    metrics: Sequence[str] = (),
    by: str = "",
    note: str = "",
    width: float = COLUMN_WIDTH,
) -> Figure:
    """Metrics over training steps: one panel a kind (loss, accuracy, ...), one line a metric.

    Args:
        history: rows such as those of ``metrics.jsonl``: ``step`` and any of the metrics. Missing
            and non-finite values leave a gap in a line.
        metrics: names to plot; by default all that end in loss, error, accuracy or score.
        by: name of a column whose values are told apart by colour, e.g. "start".
        note: a grey line at the bottom right, e.g. scale and data set.
        width: of the figure, in inches.

    Raises:
        ValueError: no row has a ``step`` and one of the metrics, or a name is unknown.
    """
    rows = [row for row in _as_rows(history) if _number(row.get("step")) is not None]
    panels = _panels(rows, metrics)
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
        panel: name of a further column; its values stand in panels side by side, each with its
            own y axis, of 22 points or more.
        note: the grey line at the bottom right; by default the table's scale and data set.
        width: of the figure, in inches.

    Raises:
        ValueError: nothing to plot, or the rows mix scales or data sets.
    """
    rows = _measured(table)
    names = _in_order(row["row"] for row in rows if row["row"] != CHANCE_ROW)
    columns, ordered = _columns(rows)
    if not names:
        raise ValueError("table has no row with a mean: nothing to plot")
    note = _data_and_scale(rows) if note is None else note
    kinds = _in_order(row.get(panel) for row in rows) if panel else [None]
    letters = int(11 * width / (len(kinds) * len(columns)))  # 7.5 pt ones that stand side by side
    height = max(2.2, LABEL_HEIGHT * (len(names) + 1) + 0.8)  # all names have room at the edge
    with paper_style():
        figure = new_figure(width, height, note)
        axes = figure.subplots(1, len(kinds), squeeze=False)[0]
        ends = []
        for axis, kind in zip(axes, kinds):
            part = [row for row in rows if row.get(panel) == kind]
            ends.append(_draw_settings(axis, part, names, columns, ordered))
            axis.set_xticks(range(len(columns)), [_wrapped(column, letters) for column in columns])
            axis.set(xlabel=setting, title=kind or "", xlim=(-0.35, len(columns) - 0.65))
            axis.set_ylim(*_honest_span(*axis.get_ylim()))
            axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes[0].set_ylabel(metric)
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
        groups: the group of each class; classes of a group are drawn together.
        chance: a dashed line at this fraction.
        note: a grey line at the bottom right.
    """
    named = dict(accuracy) if isinstance(accuracy, Mapping) else {"": np.asarray(accuracy)}
    values = 100.0 * np.array([np.asarray(a, dtype=float) for a in named.values()])
    if values.shape[1:] != (len(class_names),) or (groups and len(groups) != len(class_names)):
        raise ValueError(
            f"accuracy, class_names and groups must have one entry a class, got {values.shape[1:]}"
            f", {len(class_names)} and {len(groups)}"
        )
    order, places = _class_places(groups, len(class_names))
    with paper_style():
        rows = max(places[-1] + 1, 4)  # less leaves no room beside the axis' names
        figure = new_figure(COLUMN_WIDTH, 0.155 * rows + 0.45 + 0.2 * (len(named) > 1), note)
        axis = figure.subplots()
        axis.hlines(places, *_range(values[:, order]), color="0.8", lw=1.2, zorder=1)
        for index, (name, row) in enumerate(zip(named, values)):
            look = {"zorder": 2, "clip_on": False, "s": 16, **series_style(index)}
            axis.scatter(row[order], places, label=name, **look)
        if chance is not None:
            _mark_chance(axis, chance)
        axis.set_yticks(places, [class_names[k] for k in order])
        _name_groups(axis, [groups[k] for k in order] if groups else [], places)
        axis.set(xlabel="accuracy (%)", xlim=(-2, 102), ylim=(places[-1] + 0.7, -0.7))
        axis.tick_params(axis="y", length=0)
        if len(named) > 1:
            figure.legend(loc="outside upper center", ncols=min(len(named), 3))
    of = f" of {', '.join(map(method_name, named))}" if len(named) > 1 else ""
    describe(figure, f"Accuracy{of} in each of {len(class_names)} classes")
    return figure


def confusion_matrix(
    confusion: np.ndarray, class_names: Sequence[str], *, note: str = ""
) -> Figure:
    """Counts as numbers, shares of each true class as shades; rows are true, columns predicted.

    Args:
        confusion: (K, K) counts of videos.
        class_names: K names; beyond 26 classes only some are written, beyond 20 no counts.
        note: a grey line at the bottom right.
    """
    counts = np.asarray(confusion)
    number = len(class_names)
    if counts.shape != (number, number):
        raise ValueError(f"confusion must be ({number}, {number}), got {counts.shape}")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    width = COLUMN_WIDTH if number <= 8 else 0.75 * PAGE_WIDTH
    names = 0.065 * max(map(len, class_names))  # inches that the longest name takes
    side = width - names - 0.85  # of the square, beside the names, the bar and its label
    with paper_style():
        figure = new_figure(width, side + (0.75 if number <= 20 else 1) * names + 0.3, note)
        axis = figure.subplots()
        image = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
        bar = figure.colorbar(image, ax=axis, shrink=0.6, aspect=25, pad=0.02)
        bar.set_label("share of the true class (%)")
        bar.outline.set_visible(False)
        if number <= 20:
            _write_counts(axis, counts, shares)
        shown = range(0, number, -(-number // 26))
        labels = [class_names[k] for k in shown]
        turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axis.set_xticks(shown, labels, **(turn if number <= 20 else {"rotation": 90}))
        axis.set_yticks(shown, labels)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set(xlabel="predicted", ylabel="true")
    return figure


# --- reading tables ---------------------------------------------------------------------------


def _as_rows(table: Iterable[Mapping]) -> list[Mapping]:
    """Rows of a list of dicts or of a pandas DataFrame."""
    return table.to_dict("records") if hasattr(table, "to_dict") else list(table)


def _number(value: object) -> float | None:
    """A finite number, also from the text of a CSV file; None where there is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _measured(table: Iterable[Mapping]) -> list[Mapping]:
    """The rows with a mean; those without quote a paper."""
    return [row for row in _as_rows(table) if _number(row.get("mean")) is not None]


def _in_order(words: Iterable) -> list:
    """Each word once, in order of first appearance."""
    return list(dict.fromkeys(words))


def _only(rows: list[Mapping], key: str) -> str:
    """The one value all rows have under ``key``; rows of two scales do not share a plot."""
    values = _in_order(str(row[key]) for row in rows if row.get(key))
    if len(values) > 1:
        raise ValueError(f"rows mix {key} {' and '.join(values)}: plot them one at a time")
    return values[0] if values else ""


def _data_and_scale(rows: list[Mapping]) -> str:
    """The note of a figure: the one data set and the one scale of its rows."""
    return " · ".join(_only(rows, key) for key in ("dataset", "scale") if _only(rows, key))


def _columns(rows: list[Mapping]) -> tuple[list[str], bool]:
    """The settings as texts, and whether they are numbers (then sorted)."""
    columns = _in_order(str(row["column"]) for row in rows)
    ordered = all(_number(column) is not None for column in columns)
    return (sorted(columns, key=float) if ordered else columns), ordered and len(columns) > 1


def _wrapped(words: str, letters: int) -> str:
    """Lines of so many letters, as far as words allow; line breaks of their own are kept."""
    return words if "\n" in words else fill(words, max(letters, 7), break_long_words=False)


def _series(rows: list[Mapping], name: str, columns: list[str]) -> np.ndarray:
    """(2, columns): mean and half-width of one row in per cent; NaN where there is none."""
    values = np.full((2, len(columns)), np.nan)
    for row in rows:
        if row["row"] == name:
            numbers = (_number(row["mean"]), _number(row.get("ci95")))
            values[:, columns.index(str(row["column"]))] = [
                np.nan if number is None else 100.0 * number for number in numbers
            ]
    return values


def _panels(rows: list[Mapping], metrics: Sequence[str]) -> dict[str, list[str]]:
    """Kind of metric (the last word of its name) -> its metrics, in order of appearance."""
    known = _in_order(key for row in rows for key in row if key != "step")
    numeric = [key for key in known if any(_number(row.get(key)) is not None for row in rows)]
    for name in metrics:
        if name not in numeric:
            raise ValueError(f"metric {name!r} is not in the history{did_you_mean(name, numeric)}")
    chosen = list(metrics) or [name for name in numeric if name.split("_")[-1] in PLOTTED]
    if not chosen:
        raise ValueError(
            f"history has no step with a metric ending in {', '.join(PLOTTED)}; name the metrics "
            f"to plot; known: {', '.join(numeric) or 'none'}"
        )
    if not metrics:  # a sum of one term is drawn once
        values = {name: tuple(row.get(name) for row in rows) for name in chosen}
        chosen = [n for i, n in enumerate(chosen) if values[n] not in map(values.get, chosen[:i])]
    kinds = _in_order(name.split("_")[-1] for name in chosen)
    return {kind: [name for name in chosen if name.split("_")[-1] == kind] for kind in kinds}


# --- drawing ----------------------------------------------------------------------------------


def _draw_curves(axis: Axes, rows: list[Mapping], names: list[str], by: str) -> None:
    """Colour tells the metrics apart, or the values of ``by``; then dashes tell the metrics.

    Accuracies are fractions in the rows and per cent in the plot.
    """
    groups = _in_order(row.get(by) for row in rows) if by else [None]
    for line, (name, group) in enumerate((n, g) for n in names for g in groups):
        part = [row for row in rows if (not by or row.get(by) == group) and name in row]
        steps = [_number(row["step"]) for row in part]
        unit = 100.0 if name.split("_")[-1] == "accuracy" else 1.0
        values = [np.nan if (v := _number(row[name])) is None else unit * v for row in part]
        color, dash = (groups.index(group), names.index(name)) if by else (line, 0)
        style = {"color": COLORS[color % 7], "ls": DASHES[(dash + color // 7) % len(DASHES)]}
        axis.plot(
            steps,
            values,
            label=_curve_label(name, group, len(names) > 1),
            marker="o" if len(part) <= 12 else "",
            markersize=2.5,
            **style,
        )
    axis.grid(axis="y")


def _curve_label(name: str, group: object, several: bool) -> str:
    if group is None:
        return name.replace("_", " ")
    return f"{group}, {name.replace('_', ' ')}" if several else str(group)


def _draw_series(axis: Axes, series: np.ndarray, index: int, shift: float, joined: bool) -> None:
    """Points with intervals; ``shift`` keeps the intervals of two methods apart."""
    mean, half = series
    axis.errorbar(
        np.arange(len(mean)) + shift,
        mean,
        yerr=np.nan_to_num(half),
        **series_style(index),
        ls=DASHES[index // len(COLORS) % len(DASHES)] if joined else "",
        elinewidth=0.9,
    )
    axis.grid(axis="y")


def _draw_chance(axis: Axes, level: np.ndarray) -> None:
    known = np.flatnonzero(np.isfinite(level))
    if len(known):  # drawn from edge to edge: chance holds between settings, too
        x = np.concatenate([[-1.0], known, [len(level)]])
        y = np.concatenate([level[known[:1]], level[known], level[known[-1:]]])
        axis.plot(x, y, **REFERENCE, zorder=0)


def _mark_chance(axis: Axes, level: float) -> None:
    """A dashed line across, at a fraction of the x axis, with its name on top."""
    axis.axvline(100 * level, **REFERENCE, zorder=0)
    edge = axis.get_xaxis_transform()
    axis.text(100 * level, 1.01, CHANCE_ROW, color=FAINT, fontsize=7, transform=edge)


def _draw_settings(axis: Axes, rows, names, columns, ordered: bool) -> list:
    """One panel: the methods, each a little beside the others, and the chance level.

    Returns (name, height, colour and marker) of each line's last point.
    """
    lines = [(name, _series(rows, name, columns), series_style(k)) for k, name in enumerate(names)]
    for index, (_, series, _) in enumerate(lines):
        shift = min(0.045, 0.6 / len(names)) * (index - (len(names) - 1) / 2)
        _draw_series(axis, series, index, shift, ordered)
    level = _series(rows, CHANCE_ROW, columns)
    _draw_chance(axis, level[0])
    return [
        (method_name(name), mean[np.isfinite(mean)][-1], look)
        for name, (mean, _), look in [*lines, (CHANCE_ROW, level, CHANCE_LOOK)]
        if np.isfinite(mean).any()
    ]


def _honest_span(low: float, high: float) -> tuple[float, float]:
    """Limits in per cent about both, `LEAST_SPAN` apart or more, and a narrow one ends at 100.

    >>> _honest_span(97.4, 100.1), _honest_span(49.0, 51.0), _honest_span(-9.0, 120.0)
    ((79.0, 101.0), (39.0, 61.0), (-3.0, 103.0))
    """
    low, high = max(low, -3.0), min(high, 103.0)  # of few seeds, an interval can leave
    if high - low >= LEAST_SPAN:
        return low, high
    middle = min(max((low + high) / 2, LEAST_SPAN / 2 - 1), 101 - LEAST_SPAN / 2)
    return middle - LEAST_SPAN / 2, middle + LEAST_SPAN / 2


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
        color = _darker(look["color"])
        axis.scatter(1, place, s=10, clip_on=False, transform=beside, **look)
        axis.text(1, place, name, color=color, va="center", fontsize=7.5, transform=after)


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Places near ``values`` and at least ``gap`` apart, within [low, high] where they fit."""
    order = np.argsort(values, kind="stable")
    places = np.asarray(values, dtype=float)[order]
    blocks = [[place, 1] for place in places]  # centre and number of labels of each heap
    index = 0
    while index < len(blocks) - 1:
        (below, n), (above, m) = blocks[index], blocks[index + 1]
        if above - below >= gap * (n + m) / 2 - 1e-9:
            index += 1
            continue
        blocks[index : index + 2] = [[(below * n + above * m) / (n + m), n + m]]
        index = max(index - 1, 0)
    heaps = [centre + gap * (np.arange(n) - (n - 1) / 2) for centre, n in blocks]
    spread = np.concatenate(heaps)
    ranks = np.arange(len(spread))  # a label keeps room for those between it and the edge
    spread = np.maximum(spread, low + gap * ranks)
    spread = np.minimum(spread, high - gap * ranks[::-1])
    return spread[np.argsort(order)]


def _darker(color: str) -> tuple[float, float, float]:
    """Thin letters need more contrast than lines do."""
    return tuple(0.85 * channel for channel in to_rgba(color)[:3])


def _range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest method of each class; 0 to the dot where there is only one method."""
    filled = np.nan_to_num(values)
    return (filled.min(0) if len(values) > 1 else np.zeros(values.shape[1])), filled.max(0)


def _class_places(groups: Sequence[str], number: int) -> tuple[list[int], np.ndarray]:
    """Order of the classes, and their heights on the page with room above each group's name."""
    if not groups:
        return list(range(number)), np.arange(number)
    names = _in_order(groups)
    order = sorted(range(number), key=lambda k: names.index(groups[k]))
    above = np.array([names.index(groups[k]) + 1 for k in order])
    return order, np.arange(number) + 1.4 * above - 0.4


def _name_groups(axis: Axes, groups: Sequence[str], places: np.ndarray) -> None:
    """Bold names above the classes of each group, in the column of the class names."""
    edge = axis.get_yaxis_transform()
    for name in _in_order(groups):
        top = places[list(groups).index(name)] - 1
        style = {"ha": "right", "va": "center", "fontweight": "bold", "fontsize": 7.5}
        axis.text(-0.02, top, name, transform=edge, **style)


def _write_counts(axis: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.55 else "black"
            axis.text(column, row, f"{count:d}", ha="center", va="center", color=color, fontsize=7)
