"""Methods beside each other: their accuracies with intervals, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    FAINT,
    PAGE_WIDTH,
    method_name,
    name_groups,
    name_rows,
    new_figure,
    paper_style,
    places_of,
    series_style,
)
from vidssl.visualize.tables import (
    CHANCE_ROW,
    data_and_scale,
    honest_span,
    in_per_cent,
    mark_chance,
    measured,
    only,
)

if TYPE_CHECKING:
    from pandas import DataFrame

ROUND = [1, 2, 5, 10]  # steps between the numbers of an axis


def accuracy_by_method(table: Iterable[Mapping]) -> Figure:
    """A dot a method (``row``) with its 95 % interval, the best on top.

    Args:
        table: rows as in `accuracy_by_setting`, of one column; those without a mean are left out,
            a row named "chance" becomes the dashed line.

    Raises:
        ValueError: nothing to plot, a method twice, or rows of several scales or data sets.
    """
    rows = measured(table)
    names = [name for name in rows["row"] if name != CHANCE_ROW]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"table must have one row with a mean for each method, got {names}")
    with paper_style():
        figure = new_figure(COLUMN_WIDTH, 0.19 * len(names) + 0.5, data_and_scale(rows))
        axis = figure.subplots()
        _draw_methods(axis, rows, "mean")
        axis.set_xlabel("top-1 accuracy (%)")
    return figure


def accuracy_beside_printed(table: Iterable[Mapping], *, metric: str = "accuracy (%)") -> Figure:
    """Our own rows, and apart from them those that papers print: a panel a data set.

    Args:
        table: rows as in `accuracy_by_setting`; own ones have a ``mean`` and are of one data set
            and scale, quoted ones have ``paper``, a fraction. "chance" becomes the dashed line.
        metric: label of the x axes, which differ from panel to panel.

    Raises:
        ValueError: without an own or without a quoted row.
    """
    rows = in_per_cent(table)
    own, quoted = rows[rows["mean"].notna()], rows[rows["paper"].notna()]
    if own.empty or quoted.empty:
        raise ValueError(f"table has {len(own)} own and {len(quoted)} quoted rows; it needs both")
    panels = {f"ours: {only(own, 'dataset')}, {only(own, 'scale')} scale": own}
    panels |= {f"as printed: {name}": part for name, part in quoted.groupby("dataset", sort=False)}
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 0.19 * max(map(len, panels.values())) + 0.7)
        axes = figure.subplots(1, len(panels))
        for axis, (title, part) in zip(axes, panels.items()):
            _draw_methods(axis, part, "mean" if part is own else "paper")
            axis.set_title(title, fontsize=8, pad=11)
            axis.set_xlabel(metric)
    return figure


def _draw_methods(axis: Axes, rows: DataFrame, value: str) -> None:
    """A dot a row at its ``value``, the best on top; own ones filled, with their interval."""
    is_chance = rows["row"] == CHANCE_ROW
    named = rows[~is_chance].sort_values(value, ascending=False, kind="stable")
    axis.errorbar(
        named[value],
        range(len(named)),
        xerr=named["ci95"].fillna(0),
        fmt="o",
        color=COLORS[0],
        mfc=COLORS[0] if value == "mean" else "white",
        elinewidth=0.9,
    )
    for level in rows[is_chance][value]:
        mark_chance(axis, level)
    name_rows(axis, [method_name(name) for name in named["row"]])
    axis.set_xlim(0, 1.08 * axis.dataLim.x1)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    axis.grid(axis="x")


def methods_in_panels(
    table: Iterable[Mapping],
    panels: Mapping[str, str],
    families: Mapping[str, Sequence[str]],
    *,
    cost: Mapping[str, float] = {},
    cost_title: str = "cost",
    note: str = "",
) -> Figure:
    """Many methods in small multiples: a line a method, a panel a metric, cost in the last one.

    Args:
        table: rows of one column with ``row``, ``metric``, ``mean`` and ``ci95``, fractions. A row
            named "chance" is drawn as a dashed line, one that stands in no family as a dotted one.
        panels: metric -> title.
        families: name -> its methods, both from top to bottom; those without a mean are left out.
        cost: method -> what it costs, on a logarithmic axis named ``cost_title``.
        note: a grey line at the bottom right.

    Raises:
        ValueError: none of the methods has a mean of any of the metrics.
    """
    rows = measured(table)
    rows = rows[rows["metric"].isin([*panels])]
    known = {row: method_name(row) for row in rows["row"]}
    kept = {
        name: {row: known[row] for row in its if row in known} for name, its in families.items()
    }
    kept = {name: its for name, its in kept.items() if its}
    if not kept:
        raise ValueError("table has no mean of any method in families: nothing to plot")
    with paper_style():
        lines = 1.4 * len(kept) + sum(map(len, kept.values()))
        figure = new_figure(PAGE_WIDTH, 0.15 * (lines + 1) + 0.6, note)
        axes = figure.subplots(1, len(panels) + bool(cost), sharey=True, squeeze=False)[0]
        places = name_groups(axes[0], kept)
        for axis, (metric, title) in zip(axes, panels.items()):
            _draw_in_families(axis, rows[rows["metric"] == metric], kept, places)
            highest = min(100.0, max(5.0, axis.dataLim.x1))  # an interval may be wider
            axis.set(xlabel=title, xlim=(-0.04 * highest, 1.06 * highest))
            axis.xaxis.set_major_locator(MaxNLocator(3, steps=ROUND))
        if cost:
            for color, its in zip(COLORS, kept.values()):
                told = [row for row in its if cost.get(row)]
                where = [places[row] for row in told]
                axes[-1].plot([cost[row] for row in told], where, "D", ms=3, color=color)
            _cost_axis(axes[-1], cost_title)
        for axis in axes:
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y")
    return figure


def _draw_in_families(
    axis: Axes,
    rows: DataFrame,
    families: Mapping[str, Mapping[str, str]],
    places: Mapping[str, int],
) -> None:
    for color, its in zip(COLORS, families.values()):
        own = rows[rows["row"].isin([*its])]
        axis.errorbar(
            own["mean"],
            own["row"].map(places),
            xerr=own["ci95"].fillna(0),
            fmt="o",
            ms=3,
            color=color,
            elinewidth=0.9,
            capsize=0,
        )
    for name, level in rows[~rows["row"].isin([*places])][["row", "mean"]].to_numpy():
        if name == CHANCE_ROW:
            mark_chance(axis, level)
        else:
            axis.axvline(level, color=FAINT, ls=":", lw=0.9, zorder=0)


def _cost_axis(axis: Axes, label: str) -> None:
    """What is paid, on a logarithmic x axis with its numbers written out."""
    least, most = axis.dataLim.intervalx
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 10 * least else (1, 3)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(label)


def accuracy_by_cost(
    accuracy: Mapping[str, float],
    seconds: Mapping[str, float],
    *,
    note: str = "",
    cost: str = "seconds a video at inference,\nflow included",  # in one line long names cut it
) -> Figure:
    """What a right answer costs: a dot a method, time on a logarithmic axis.

    Args:
        accuracy: method -> fraction in [0, 1]. seconds: the same methods -> what each costs.
        note: a grey line at the bottom right.
        cost: label of the x axis.
    """
    if not accuracy or set(accuracy) != set(seconds):
        raise ValueError(
            f"accuracy and seconds must name the same methods, got {sorted(accuracy)} and "
            f"{sorted(seconds)}"
        )
    with paper_style():
        figure = new_figure(COLUMN_WIDTH, 2.0, note)
        axis = figure.subplots()
        names = sorted(accuracy, key=accuracy.get, reverse=True)
        for place, name in zip(places_of(names), names):
            label = method_name(name)
            axis.plot(
                seconds[name], 100 * accuracy[name], ls="", label=label, **series_style(place)
            )
        _cost_axis(axis, cost)
        axis.margins(x=0.15, y=0.2)
        axis.set_ylim(*honest_span(*axis.get_ylim()))
        axis.set_ylabel("top-1 accuracy (%)")
        axis.grid()
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.3)
    return figure
