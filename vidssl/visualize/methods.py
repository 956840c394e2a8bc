"""Methods beside each other: their accuracies with intervals, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    FAINT,
    PAGE_WIDTH,
    method_name,
    name_rows,
    new_figure,
    paper_style,
    series_style,
)
from vidssl.visualize.tables import (
    CHANCE_ROW,
    _as_rows,
    _data_and_scale,
    _honest_span,
    _in_order,
    _mark_chance,
    _measured,
    _number,
    _only,
)


def accuracy_by_method(
    table: Iterable[Mapping],
) -> Figure:
    """A dot a method (``row``) with its 95 % interval, the best on top.

    Args:
        table: rows as in `accuracy_by_setting`, of one column; those without a mean are left out,
            a row named "chance" becomes the dashed line.

    Raises:
        ValueError: nothing to plot, a method twice, or rows of several scales or data sets.
    """
    rows = _measured(table)
    names = [str(row["row"]) for row in rows if row["row"] != CHANCE_ROW]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"table must have one row with a mean for each method, got {names}")
    note = _data_and_scale(rows)
    with paper_style():
        figure = new_figure(COLUMN_WIDTH, 0.19 * len(names) + 0.5, note)
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
    rows = _as_rows(table)
    own = _measured(rows)
    quoted = [row for row in rows if _number(row.get("paper")) is not None]
    if not own or not quoted:
        raise ValueError(f"table has {len(own)} own and {len(quoted)} quoted rows; it needs both")
    panels = {f"ours: {_only(own, 'dataset')}, {_only(own, 'scale')} scale": own}
    for name in _in_order(row["dataset"] for row in quoted):
        panels[f"as printed: {name}"] = [row for row in quoted if row["dataset"] == name]
    longest = max(len(part) for part in panels.values())
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 0.19 * longest + 0.7)
        axes = figure.subplots(1, len(panels))
        for axis, (title, part) in zip(axes, panels.items()):
            _draw_methods(axis, part, "mean" if part is own else "paper")
            axis.set_title(title, fontsize=8, pad=11)
            axis.set_xlabel(metric)
    return figure


def _draw_methods(axis: Axes, rows: list[Mapping], value: str) -> None:
    """A dot a row at its ``value``, the best on top; own ones filled, with their interval."""
    named = [row for row in rows if row["row"] != CHANCE_ROW]
    named.sort(key=lambda row: float(row[value]), reverse=True)
    style = {"color": COLORS[0], "elinewidth": 0.9}
    axis.errorbar(
        [100 * float(row[value]) for row in named],
        range(len(named)),
        xerr=[100 * (_number(row.get("ci95")) or 0.0) for row in named],
        fmt="o",
        mfc=COLORS[0] if value == "mean" else "white",
        **style,
    )
    for row in rows:
        if row["row"] == CHANCE_ROW:
            _mark_chance(axis, float(row[value]))
    name_rows(axis, [method_name(row["row"]) for row in named])
    axis.set_xlim(0, 1.08 * axis.dataLim.x1)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
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
    rows = [row for row in _measured(table) if row["metric"] in panels]
    known = {str(row["row"]) for row in rows}
    kept = {name: [row for row in its if row in known] for name, its in families.items()}
    kept = {name: its for name, its in kept.items() if its}
    if not kept:
        raise ValueError("table has no mean of any method in families: nothing to plot")
    places, names = _family_places(kept)
    with paper_style():
        height = 0.15 * (max(places.values()) + 2) + 0.6
        figure = new_figure(PAGE_WIDTH, height, note)
        axes = figure.subplots(1, len(panels) + bool(cost), sharey=True, squeeze=False)[0]
        for axis, (metric, title) in zip(axes, panels.items()):
            own = [row for row in rows if row["metric"] == metric]
            _draw_in_families(axis, own, kept, places)
            highest = max(5.0, axis.dataLim.x1)
            axis.set(xlabel=title, xlim=(-0.04 * highest, 1.06 * highest))
            axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        if cost:
            _draw_costs(axes[-1], cost, kept, places)
            axes[-1].set_xlabel(cost_title)
        lines = [*places, *names]
        axes[0].set_yticks([*places.values(), *names.values()], [method_name(n) for n in lines])
        for label in axes[0].get_yticklabels()[len(places) :]:
            label.set_fontweight("bold")
        axes[0].set_ylim(max(places.values()) + 0.7, -0.7)
    return figure


def _family_places(families: Mapping[str, Sequence[str]]) -> tuple[dict[str, int], dict[str, int]]:
    """The height of each method, and of the name above each family."""
    places: dict[str, int] = {}
    names: dict[str, int] = {}
    for family, rows in families.items():
        names[family] = len(places) + len(names)
        for row in rows:
            places[row] = len(places) + len(names)
    return places, names


def _draw_in_families(
    axis: Axes,
    rows: Iterable[Mapping],
    families: Mapping[str, Sequence[str]],
    places: Mapping[str, int],
) -> None:
    colors = {row: COLORS[i] for i, rows in enumerate(families.values()) for row in rows}
    for row in rows:
        mean, name = 100 * float(row["mean"]), str(row["row"])
        if name == CHANCE_ROW:
            _mark_chance(axis, mean / 100)
        elif name not in places:
            axis.axvline(mean, color=FAINT, ls=":", lw=0.9, zorder=0)
        else:
            axis.errorbar(
                mean, places[name], xerr=100 * (_number(row.get("ci95")) or 0.0), fmt="o",
                ms=3, color=colors[name], elinewidth=0.9, capsize=0,
            )  # fmt: skip
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y")


def _draw_costs(
    axis: Axes,
    cost: Mapping[str, float],
    families: Mapping[str, Sequence[str]],
    places: Mapping[str, int],
) -> None:
    for color, rows in zip(COLORS, families.values()):
        told = [row for row in rows if cost.get(row)]
        axis.plot([cost[r] for r in told], [places[r] for r in told], "D", ms=3, color=color)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y")


def accuracy_by_cost(
    accuracy: Mapping[str, float],
    seconds: Mapping[str, float],
    *,
    note: str = "",
    cost: str = "seconds a video at inference, flow included",
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
        for place, name in enumerate(sorted(accuracy, key=accuracy.get, reverse=True)):
            label = method_name(name)
            axis.plot(
                seconds[name], 100 * accuracy[name], ls="", label=label, **series_style(place)
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.margins(x=0.15, y=0.2)
        axis.set_ylim(*_honest_span(*axis.get_ylim()))
        axis.set(xlabel=cost, ylabel="top-1 accuracy (%)")
        axis.grid()
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.3)
    return figure
