"""Galleries of clips: what a query finds, and what a cluster holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from matplotlib.figure import Figure

from vidssl.visualize.clips import Clip, as_frames, join_frames
from vidssl.visualize.style import COLORS, PAGE_WIDTH, add_note, new_figure, paper_style

RIGHT, WRONG = COLORS[2], COLORS[1]  # green and vermilion; a tick or a cross says the same
TITLE = 0.16  # inches above each strip


def neighbour_gallery(
    queries: Sequence[Clip],
    query_names: Sequence[str],
    neighbours: Sequence[Sequence[Clip]],
    neighbour_names: Sequence[Sequence[str]],
    *,
    frames: int = 3,
    note: str = "",
    width: float = PAGE_WIDTH,
) -> Figure:
    """Film strips of queries and, to the right, of their nearest neighbours, the nearest first.

    A neighbour of the query's class has a green frame and a tick, another a red one and a cross.

    Args:
        queries: one clip a row; each uint8 (T, H, W, 3) or a float tensor (3, T, H, W) in [0, 1].
        query_names: class names of the queries.
        neighbours: for each query its neighbours, as many for all.
        neighbour_names: class names of the neighbours.
        frames: shown of each clip, from its first to its last.
        note: a grey line at the bottom right, e.g. the protocol and the data set.
        width: of the figure, in inches.

    Raises:
        ValueError: for lists of unequal lengths.
    """
    lists = {"query_names": query_names, "neighbours": neighbours}
    _check_counts(len(queries), **lists, neighbour_names=neighbour_names)
    rows = [[query, *found] for query, found in zip(queries, neighbours)]
    names = [[wanted] for wanted in query_names]
    colors = [[None] for _ in query_names]
    for wanted, found, line, frame in zip(query_names, neighbour_names, names, colors):
        line += [f"{'✓' if name == wanted else '✗'} {name}" for name in found]
        frame += [RIGHT if name == wanted else WRONG for name in found]
    titles = ["query"] * len(rows)
    return _strips(rows, names, frames, note, width, titles=titles, colors=colors)


def cluster_gallery(
    clusters: Sequence[Sequence[Clip]],
    names: Sequence[Sequence[str]],
    *,
    titles: Sequence[str] = (),
    frames: int = 3,
    note: str = "",
    width: float = PAGE_WIDTH,
) -> Figure:
    """Film strips of clips by cluster, one cluster a row; classes above each.

    Args:
        clusters: for each its clips (as in `neighbour_gallery`), as many for all.
        names: class names of the clips.
        titles: one word or number a cluster, left of its row.
        frames: shown of each clip, from its first to its last.
        note: a grey line at the bottom right.
        width: of the figure, in inches.

    Raises:
        ValueError: for lists of unequal lengths.
    """
    _check_counts(len(clusters), names=names, **({"titles": titles} if titles else {}))
    return _strips(clusters, names, frames, note, width, titles=titles)


def _strips(
    rows: Sequence[Sequence[Clip]],
    names: Sequence[Sequence[str]],
    frames: int,
    note: str,
    width: float,
    *,
    titles: Sequence[str] = (),
    colors: Sequence[Sequence[str | None]] = (),
) -> Figure:
    """Strips in rows with a name above each, a title left of each row and maybe coloured frames."""
    columns = {len(row) for row in (*rows, *names)}
    if len(columns) != 1 or 0 in columns:
        raise ValueError(
            f"every row must have as many clips and names, at least one, got {sorted(columns)}"
        )
    if frames < 1:
        raise ValueError(f"frames must be 1 or more, got {frames}")
    strips = [[_strip(clip, frames) for clip in row] for row in rows]
    cell = width / columns.pop()
    tallest = [max(cell * s.shape[0] / s.shape[1] for s in row) for row in strips]
    with paper_style():
        figure = new_figure(width, sum(tallest) + TITLE * len(rows) + 0.15 * bool(note) + 0.06)
        figure.get_layout_engine().set(w_pad=0.015, h_pad=0.01, wspace=0.03, hspace=0)
        axes = figure.subplots(len(rows), len(strips[0]), squeeze=False, height_ratios=tallest)
        for axis, strip, name in zip(axes.flat, chain(*strips), chain(*names)):
            axis.imshow(strip, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.set_title(name, pad=2)
        for axis, title in zip(axes[:, 0], titles):
            axis.set_ylabel(title, labelpad=3)
        for axis, color in zip(axes.flat, chain(*colors)):
            if color:
                axis.spines[:].set(visible=True, color=color, linewidth=1.6)
        add_note(figure, note)
    return figure


def _strip(clip: Clip, frames: int) -> np.ndarray:
    """Frames of one clip, evenly from its first to its last, side by side."""
    shown = as_frames(clip)
    chosen = np.linspace(0, len(shown) - 1, min(frames, len(shown))).round().astype(int)
    return join_frames(shown[chosen], frames)


def _check_counts(count: int, **lists: Sequence) -> None:
    for name, given in lists.items():
        if isinstance(given, str) or len(given) != count:
            raise ValueError(f"{name} must have one entry for each of {count} rows")
