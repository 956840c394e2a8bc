"""Two teachers in pictures: where each is better, how alike a video's times look to them, and what
weight follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vidssl.core import expect_shape
from vidssl.visualize.clips import Clip, as_frames, draw_strip, evenly, join_frames
from vidssl.visualize.style import (
    COLORS,
    COLUMN_WIDTH,
    FAINT,
    PAGE_WIDTH,
    REFERENCE,
    bare,
    name_kinds,
    name_rows,
    new_figure,
    paper_style,
    places_of,
    series_style,
)
from vidssl.visualize.tables import CHANCE_ROW, measured

if TYPE_CHECKING:
    from pandas import DataFrame

MATRICES = "viridis"  # even steps of lightness, also without colours
LOOK = {"cmap": MATRICES, "vmin": -1, "vmax": 1, "cbar": False, "square": True, "rasterized": True}
SHADES = {"label": "cosine similarity", "pad": 0.02}  # of their bar
WEIGHT = "s (weight of the invariant teacher)"
EXTREMES = 25  # classes shown at either end of a long list
FRAMES = 10  # of a film strip
SIDES = {"invariant": -0.13, "distinctive": 0.13}  # of a line, or equal dots would hide each other
ABOVE = {"xycoords": "axes fraction", "textcoords": "offset points"}  # of words above a panel
CLOSE = {"handletextpad": 0.3, "columnspacing": 1.2}  # of a legend in one line
FROZEN = rf"^(?P<teacher>{'|'.join(SIDES)}), frozen, (?P<group>.+)$"  # names of a table's rows


def class_differences(
    difference: Sequence[float],
    class_names: Sequence[str],
    *,
    half_width: Sequence[float] = (),
    groups: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """One teacher's accuracy minus the other's, class by class, sorted: the motivation plot.

    Args:
        difference: (K,) fractions, the distinctive teacher's minus the invariant one's.
        class_names: K names.
        half_width: (K,) of 95 % intervals over seeds; NaN where there is none.
        groups: the group of each class, told by colour.
        note: a grey line at the bottom right.
    """
    values = 100 * np.asarray(difference, dtype=float)
    bars = 100 * np.nan_to_num(half_width if len(half_width) else 0 * values)
    for name, each in (("difference", values), ("half_width", bars)):
        expect_shape(each, "K", name, K=len(class_names))
    order = np.argsort(-values, kind="stable")
    if len(order) > 2 * EXTREMES:
        order = np.concatenate([order[:EXTREMES], order[-EXTREMES:]])
    colors = _group_colors(groups)
    with paper_style():
        figure = new_figure(COLUMN_WIDTH, 0.145 * len(order) + 0.75 + 0.2 * bool(groups), note)
        axis = figure.subplots()
        places = np.arange(len(order))
        shades = [colors[groups[k]] if groups else COLORS[0] for k in order]
        ends = {"ecolor": "0.2", "elinewidth": 0.7, "capsize": 0}
        axis.barh(places, values[order], 0.72, color=shades, xerr=bars[order], error_kw=ends)
        axis.axvline(0, color="0.2", lw=0.6)
        name_rows(axis, [class_names[k] for k in order])
        far = 1.05 * max(np.max(np.abs(values[order]) + bars[order]), 1)
        axis.set(xlim=(-far, far), xlabel="distinctive minus invariant (points)")
        for text, side in (("← invariant", "left"), ("distinctive →", "right")):
            axis.set_title(text, loc=side, color=FAINT)
        name_kinds(figure, colors)
    return figure


def teachers_by_group(
    table: Iterable[Mapping],
    *,
    chance: float | None = None,
    setting: str = "",
    metric: str = "accuracy (%)",
    note: str = "",
) -> Figure:
    """What both teachers' frozen features tell of each group of classes: a panel a group, a line a
    candidate, the teachers' dots joined.

    Args:
        table: rows as in `accuracy_by_setting`. Drawn are those called "invariant, frozen, ordered"
            and the like, whose ``column`` is the candidate; of a candidate, a group or a teacher
            that has none, nothing is drawn. Blends are left out: they are of teachers that were
            fine-tuned on few labels, so their accuracies do not compare with these.
        chance: a dashed line at this fraction.
        setting: what the candidates are, above their names.
        metric: label of the x axis, which all panels share.
        note: a grey line at the bottom right.

    Raises:
        ValueError: no teacher has a mean.
    """
    rows = measured(table)
    rows = rows.join(rows["row"].astype(str).str.extract(FROZEN)).dropna(subset="teacher")
    if rows.empty:
        raise ValueError("table has no mean of a teacher's frozen features: nothing to plot")
    candidates, groups = rows["column"].unique(), rows["group"].unique()
    teachers = [name for name in SIDES if name in {*rows["teacher"]}]
    several = len(groups) > 1
    with paper_style():
        width = PAGE_WIDTH if several else COLUMN_WIDTH
        figure = new_figure(width, 0.22 * len(candidates) + 1.05 + 0.12 * bool(setting), note)
        axes = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
        name_rows(axes[0], candidates)
        for axis, group in zip(axes, groups):
            _join_teachers(axis, rows[rows["group"] == group], teachers, candidates)
            axis.set_title("all classes" if group == "all" else group, loc="center")
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="x")
            if chance is not None:
                axis.axvline(100 * chance, **REFERENCE, zorder=0, label=CHANCE_ROW)
        highest = min(100.0, max(axis.dataLim.x1 for axis in axes))  # an interval may be wider
        axes[0].set_xlim(-0.04 * highest, 1.06 * highest)
        axes[0].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        # below the middle panel, or between the two in the middle
        label = fill(metric, 100 if several else 30)
        axes[len(axes) // 2].set_xlabel(label, x=len(axes) % 2 / 2)
        look = {"color": FAINT, "ha": "right", "va": "bottom", "fontsize": 7}
        axes[0].annotate(fill(setting, 16), (0, 1), (-4, 3), **ABOVE, **look)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3, **CLOSE)
    return figure


def contrasts(
    rows: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    *,
    note: str = "",
) -> Figure:
    """What contrastive losses compare: similarities in colour, positives framed.

    Args:
        rows: name of a row, e.g. "before" -> name of a loss -> cosine similarities (R, C) and
            which of them are positives (R, C).
        note: a grey line at the bottom right.
    """
    import seaborn

    columns = max(map(len, rows.values()))
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 1.8 * len(rows), note)
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for place, (row, losses) in enumerate(rows.items()):
            for axis, (name, (similarity, positive)) in zip(grid[place], losses.items()):
                seaborn.heatmap(similarity, ax=axis, **LOOK)
                colors = axis.collections[0]
                axis.add_collection(_outlines(positive))
                bare(axis)
                axis.set_title("" if place else name)
            grid[place, 0].set_ylabel(row)
        figure.colorbar(colors, ax=grid, shrink=0.6, aspect=25, **SHADES).outline.set_visible(False)
    return figure


def temporal_similarity(
    clips: Sequence[Sequence[Clip]],
    invariant: np.ndarray,
    distinctive: np.ndarray,
    scores: Sequence[float],
    *,
    titles: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Film strips beside their temporal similarity matrices; a row is a video.

    Args:
        clips: V lists of N clips, each uint8 (T, H, W, 3) or float (3, T, H, W); of each clip its
            first, middle and last frame are shown, one below the other.
        invariant, distinctive: C_I and C_D, (V, N, N).
        scores: s of each video.
        titles: a line above each row.
        note: a grey line at the bottom right.
    """
    import seaborn

    count = len(clips)
    for name, each in (("invariant", invariant), ("distinctive", distinctive)):
        expect_shape(np.asarray(each), "V N N", name, V=count, N=len(clips[0]) if count else 0)
    strips = [first_middle_last(video) for video in clips]
    ratio = strips[0].shape[1] / strips[0].shape[0]
    with paper_style():
        side = PAGE_WIDTH / (ratio + 3.9)
        figure = new_figure(PAGE_WIDTH, count * (side + 0.32) + 0.35, note)
        grid = figure.subplots(count, 4, squeeze=False, width_ratios=(ratio, 1, 1, 1))
        times = [*range(1, len(clips[0]) + 1)]
        look = {"xticklabels": times, "yticklabels": times, "annot_kws": {"size": 6.5}, **LOOK}
        for line, strip, c_i, c_d, s in zip(grid, strips, invariant, distinctive, scores):
            draw_strip(line[0], strip, times)
            named = {"$C_I$": c_i, "$C_D$": c_d, f"$C$,  s = {s:.2f}": np.mean([c_i, c_d], axis=0)}
            for axis, (name, matrix) in zip(line[1:], named.items()):
                numbers = np.round(matrix, 1) + 0.0 if len(times) <= 6 else None  # no "-0.0"
                seaborn.heatmap(matrix, annot=numbers, fmt=".1f", ax=axis, **look)
                axis.tick_params(length=0, pad=1, rotation=0)
                axis.set_title(name)
        for axis, title in zip(grid[:, 0], titles):
            axis.set_title(title)
        bar = {"shrink": 0.7, "aspect": 14 * count, **SHADES}
        colors = grid[-1, -1].collections[0]
        figure.colorbar(colors, ax=grid[:, 3], **bar).outline.set_visible(False)
    return figure


def weights_by_class(
    scores: Sequence[float],
    video_classes: Sequence[str],
    groups: Mapping[str, str] | None = None,
    *,
    note: str = "",
) -> Figure:
    """s of every video, a row a class, sorted by the classes' means (black strokes).

    Args:
        scores: (V,) in [0, 1].
        video_classes: (V,) the class of each video.
        groups: class -> group, told by colour.
        note: a grey line at the bottom right.
    """
    values, named = np.asarray(scores, dtype=float), np.asarray(video_classes)
    expect_shape(values, "V", "scores", V=len(named) or 1)
    groups = groups or {}
    colors = _group_colors([groups[name] for name in dict.fromkeys(video_classes) if groups])
    means = {name: values[named == name].mean() for name in dict.fromkeys(video_classes)}
    order = sorted(means, key=means.get, reverse=True)
    rng = np.random.default_rng(0)  # where the dots stand within a row
    with paper_style():
        height = 0.17 * max(len(order), 4) + 0.6 + 0.2 * -(-len(colors) // 3)
        figure = new_figure(COLUMN_WIDTH, height, note)
        axis = figure.subplots()
        for place, name in enumerate(order):
            own = values[named == name]
            shade = colors[groups[name]] if groups else COLORS[0]
            shift = rng.uniform(-0.28, 0.28, len(own))
            axis.scatter(own, place + shift, s=3, color=shade, alpha=0.45, lw=0)
            axis.plot([means[name]] * 2, [place - 0.36, place + 0.36], color="black", lw=1.2)
        name_rows(axis, order)
        axis.set_xlabel(WEIGHT)
        name_kinds(figure, colors)
    return figure


def weights_along_video(
    centres: Sequence[float],
    weights: Mapping[str, Sequence[float]],
    frames: Clip,
    *,
    boundaries: Sequence[float] = (),
    title: str = "",
    note: str = "",
) -> Figure:
    """How the teachers' weight follows a video: s of windows over time, below its film strip.

    Args:
        centres: (W,) the middle frame of each window.
        weights: name -> (W,) scores of the windows, e.g. of both teachers and of their average.
        frames: the whole video, uint8 (T, H, W, 3) or float (3, T, H, W).
        boundaries: frames where one sub-action ends and another begins, as dashed lines.
        title: a line above.
        note: a grey line at the bottom right.
    """
    video = as_frames(frames)
    shown = min(FRAMES, len(video))
    places = ((np.arange(shown) + 0.5) / shown * (len(video) - 1)).round().astype(int)
    strip = np.concatenate(list(video[places]), axis=1)
    with paper_style():
        tall = (PAGE_WIDTH - 0.6) * strip.shape[0] / strip.shape[1]
        figure = new_figure(PAGE_WIDTH, tall + 1.75, note)
        top, axis = figure.subplots(2, 1, height_ratios=(tall, 1.4))
        draw_strip(top, strip, places)
        top.set(title=title, aspect="auto")
        for place, (name, values) in zip(places_of(weights), weights.items()):
            axis.plot(centres, values, label=name, markersize=3, **series_style(place))
        for boundary in boundaries:
            axis.axvline(boundary, **REFERENCE)
        axis.set(xlim=(0, len(video) - 1), ylim=(-0.03, 1.03), xlabel="frame", ylabel="s")
        axis.grid(axis="y")
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def first_middle_last(clips: Sequence[Clip]) -> np.ndarray:
    """First, middle and last frame of each clip, one below the other; clips side by side."""
    picked = [clip[evenly(len(clip), 3)] for clip in map(as_frames, clips)]
    below = [join_frames(frames.swapaxes(1, 2), 3).swapaxes(0, 1) for frames in picked]
    return join_frames(np.stack(below), len(below))


def _join_teachers(
    axis: Axes, rows: DataFrame, teachers: Sequence[str], candidates: Sequence[str]
) -> None:
    """A panel of `teachers_by_group`: dots with their intervals, those of a candidate joined."""
    told = rows.set_index(["teacher", "column"])[["mean", "ci95"]]
    means, halves = (told[key].unstack().reindex(teachers, columns=candidates) for key in told)
    lines = np.arange(len(candidates))
    axis.hlines(lines, means.min(), means.max(), color="0.75", lw=1.2)
    for place, teacher in zip(places_of(teachers), teachers):
        look, heights = series_style(place), lines + SIDES[teacher]
        values, half = means.loc[teacher], halves.loc[teacher]
        axis.hlines(heights, values - half, values + half, color=look["color"], lw=0.9)
        axis.plot(values, heights, ls="", label=f"{teacher} teacher", **look)


def _outlines(mask: np.ndarray) -> LineCollection:
    """The edges of a matrix's marked cells, towards cells that are not marked."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    across, along = np.diff(padded, axis=0), np.diff(padded, axis=1)  # (R + 1, C + 2), (R + 2, ...)
    lines = [[(x - 1, y), (x, y)] for y, x in np.argwhere(across)]
    lines += [[(x, y - 1), (x, y)] for y, x in np.argwhere(along)]
    return LineCollection(lines, colors=COLORS[1], linewidths=1.2, clip_on=False, zorder=3)


def _group_colors(groups: Sequence[str]) -> dict[str, str]:
    return {name: COLORS[index % 7] for index, name in enumerate(sorted(set(groups)))}
