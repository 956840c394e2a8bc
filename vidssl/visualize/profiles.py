"""Where the time and the memory of a training step go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from vidssl.visualize.style import (
    COLORS,
    FAINT,
    PAGE_WIDTH,
    name_kinds,
    name_rows,
    new_figure,
    paper_style,
)

Span = tuple[str, float, float]  # what, from, to (s)


def timeline(lanes: Mapping[str, Sequence[Span]], *, note: str = "") -> Figure:
    """What each thread does when: a lane a thread, a colour a kind of work, gaps where it waits."""
    names = dict.fromkeys(name for spans in lanes.values() for name, _, _ in spans)
    colors = dict(zip(names, COLORS))
    zero = min(begin for spans in lanes.values() for _, begin, _ in spans)
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 0.45 * len(lanes) + 0.9, note)
        axis = figure.subplots()
        for lane, spans in enumerate(lanes.values()):
            bars = [(1000 * (begin - zero), 1000 * (end - begin)) for _, begin, end in spans]
            shades = [colors[name] for name, _, _ in spans]
            axis.broken_barh(bars, (lane - 0.35, 0.7), color=shades, lw=0)
        name_rows(axis, list(lanes))
        axis.set_xlabel("ms")
        axis.spines["left"].set_visible(False)
        name_kinds(figure, colors, ncols=len(colors))
    return figure


def costs(
    shares: Mapping[str, float],
    rates: Mapping[str, float],
    peak: float,
    memory: Mapping[str, float],
    *,
    note: str = "",
) -> Figure:
    """Three panels of bars: share of a step's time by kind of work, GFLOP/s of convolutions by
    kernel beside a plain matrix product's (``peak``), MB kept for the backward pass by stage."""
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 2.3, note)
        left, middle, right = figure.subplots(1, 3)
        _bars(left, {name: 100 * share for name, share in shares.items()}, "time of a step (%)", 0)
        _bars(middle, rates, "convolutions, forward (GFLOP/s)", 1)
        middle.axvline(peak, color=FAINT, lw=0.8, ls="--")
        middle.set_title(f"dashed: matrix product, {peak:.0f}", color=FAINT)
        _bars(right, memory, "kept for backward (MB)", 2)
    return figure


def _bars(axis, values: Mapping[str, float], label: str, color: int) -> None:
    drawn = axis.barh(range(len(values)), list(values.values()), color=COLORS[color], height=0.65)
    name_rows(axis, list(values))
    axis.bar_label(drawn, fmt=_length, padding=2, fontsize=7)
    axis.margins(x=0.25)
    axis.set_xlabel(label)


def _length(value: float) -> str:
    """A bar's length in words, one decimal for all but the long and the shortest."""
    if 0 < value < 0.05:
        return "< 0.1"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
