"""How every figure looks: two widths, one palette, letters that stay legible in print."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from itertools import count
from textwrap import fill
from threading import RLock
from typing import TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

COLUMN_WIDTH = 3.35  # inches: one column of a two-column paper
PAGE_WIDTH = 6.9  # inches: both columns

# Okabe and Ito's palette, told apart with every common colour vision. Their yellow is left out:
# on white paper a line of it cannot be seen.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # a second cue beside colour
DASHES = ("-", "--", ":", "-.")  # of lines, where colours come round again
_DRAWING = RLock()
T = TypeVar("T")
FAINT = "0.35"  # grey of notes and reference lines
REFERENCE = {"color": FAINT, "ls": (0, (4, 3)), "lw": 0.8}  # of chance, means, edges
PROPER = {  # how names of methods are written
    name.lower(): name for name in ("MoSI", "MotionFit", "TimeBalance", "TCLR", "MERS", "MARS")
}
# where known rows stand in `series_style`, so that a method looks the same in every figure: blue is
# MoSI, sky other pretext tasks, black what begins from nothing; as in `framework` and `pipeline`,
# green is the invariant teacher, vermilion the distinctive one, or flow
PLACES = {
    "MoSI": 0, "MoSI, x only": 7, "MoSI, y only": 14, "MoSI unmasked": 21, "unmasked MoSI": 21,
    "MoSI, longer": 7, "distinctive": 1, "motion": 1, "motion model": 1, "flow": 1,
    "invariant": 2, "appearance": 2, "MotionFit": 3,
    "MotionFit with flow": 10, "supervised": 10, "TimeBalance": 4, "MERS": 4,
    "TCLR": 5, "MARS": 5, "3DRotNet": 12, "pace": 19, "scratch": 6, "frame difference": 13,
    "static frame": 20, "average": 7, "FixMatch": 8, "TG-FixMatch": 15, "Mean Teacher": 9,
    "Pseudo-Label": 16,
}  # fmt: skip

PAPER_RC = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.6,
    "errorbar.capsize": 2,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # letters stay text that can be searched and edited
    "svg.fonttype": "none",
}


@contextmanager
def paper_style():
    """A context manager in which figures are drawn, and saved, in the style of the project.

    The functions of this package use it themselves; wrap your own plotting and `savefig` in it.
    One thread at a time is in it: a notebook's controls may be answered by a thread of their own
    while a cell draws, and matplotlib's settings are the same for all threads.
    """
    with _DRAWING, matplotlib.rc_context(PAPER_RC):
        yield


def new_figure(width: float, height: float, note: str = "") -> Figure:
    """An empty figure of ``width`` x ``height`` inches; call it inside `paper_style`.

    The figure is not registered with pyplot: nothing is shown twice, nothing stays in memory.

    Args:
        width, height: in inches; a note has room of its own below.
        note: a grey line at the bottom right, for the scale and the data set of the numbers; as
            many lines as the figure's width asks for.
    """
    _teach_notebook_to_show_figures()
    figure = Figure(figsize=(width, height + 0.15 * bool(note)), layout="constrained")
    if note:
        _set_note(figure, _in_lines(note, width))
    return figure


def add_note(figure: Figure, note: str) -> None:
    """More lines below a figure's note, by which it grows; what it says is not said twice.

    Args:
        figure: as `new_figure` made it.
        note: as there.
    """
    before = figure.get_supxlabel()
    if note not in before.replace("\n", " "):
        told = _in_lines(note, figure.get_figwidth())
        figure.set_figheight(figure.get_figheight() + 0.12 * len(told.splitlines()))
        _set_note(figure, "\n".join(filter(None, (before, told))))


def _in_lines(note: str, width: float) -> str:
    """A note broken for so many inches, between its parts alone."""
    whole = note.replace(" ", "\xa0").replace("\xa0·\xa0", "\xa0· ").replace(",\xa0", ", ")
    lines = [fill(line, int(17 * width), break_long_words=False) for line in whole.splitlines()]
    return "\n".join(lines).replace("\xa0", " ")


def _set_note(figure: Figure, note: str) -> None:
    figure.supxlabel(note, x=0.995, ha="right", fontsize=7, color=FAINT)


def bare(axis: Axes) -> None:
    """Of a picture's axes: no ticks and no frame."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def name_rows(axis: Axes, names: Sequence[str], heights: Sequence[float] = ()) -> None:
    """Rows from top to bottom at ``heights``, by default 0, 1, ..., and their names."""
    places = heights or range(len(names))
    axis.set_yticks(places, names)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(places[-1] + 0.6, -0.6)


def name_groups(axis: Axes, groups: Mapping[str, Mapping[T, str]]) -> dict[T, float]:
    """Rows as `name_rows` has them, those of a group below its name in bold.

    Args:
        groups: name of a group, "" for none -> key of a row -> its name.

    Returns:
        Key -> height of its row.
    """
    heights: dict[T, float] = {}
    headings: dict[str, float] = {}
    place = -1.0
    for group, rows in groups.items():
        if group:
            place += 1.4 if headings else 1
            headings[group] = place
        for key in rows:
            place += 1
            heights[key] = place
    names = [name for rows in groups.values() for name in rows.values()]
    name_rows(axis, [*headings, *names], [*headings.values(), *heights.values()])
    for label in axis.get_yticklabels()[: len(headings)]:
        label.set_fontweight("bold")
    return heights


def series_style(place: int) -> dict[str, str]:
    """Colour and marker of the series at ``place``: no two alike among the first 49."""
    turn, color = divmod(place, len(COLORS))
    return {"color": COLORS[color], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def series_dash(place: int) -> str:
    """The line of the series at ``place``: another one where colours come round again."""
    return DASHES[place // len(COLORS) % len(DASHES)]


def places_of(names: Iterable[object]) -> list[int]:
    """Where each row stands in `series_style`: its own place, if it has one that no row before it
    took, else the first that no row of the figure has.

    >>> places_of(["mosi", "scratch", "ours", "MoSI"])
    [0, 6, 1, 2]
    """
    places: dict[int, int] = {}
    wanted = [PLACES.get(method_name(str(name))) for name in names]
    for row, place in enumerate(wanted):
        if place is not None and place not in places.values():
            places[row] = place
    free = (place for place in count() if place not in places.values())
    return [places[row] if row in places else next(free) for row in range(len(wanted))]


def method_name(row: str) -> str:
    """A row's name as it is written.

    >>> method_name("mosi_unmasked"), method_name("motionfit (s3dg)")
    ('MoSI unmasked', 'MotionFit (s3dg)')
    """
    words = row.replace("_", " ").split(" ")
    return " ".join(PROPER.get(word, word) for word in words)


def name_kinds(figure: Figure, colors: Mapping[str, str], ncols: int = 3, **look) -> None:
    """A legend above the figure: what each colour stands for; ``look`` as matplotlib has it."""
    if colors:
        handles = [Patch(color=color, label=name) for name, color in colors.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=ncols, **look)


def describe(figure: Figure, alt: str) -> None:
    """Say in words what a figure shows, and its note: notebooks give it to readers who do not see
    it."""
    note = figure.get_supxlabel().replace("\n", " ")
    figure.set_label(f"{alt} ({note})" if note else alt)


def description(figure: Figure) -> str:
    """What `describe` said of a figure; else its titles and the names of its axes.

    >>> with paper_style():
    ...     figure = new_figure(3, 2)
    >>> _ = figure.subplots().set(title="Loss", xlabel="step")
    >>> description(figure)
    'Figure: Loss; x: step'
    """
    if figure.get_label():
        return figure.get_label()
    words = [figure.get_suptitle()]
    for axis in figure.axes:
        words += [axis.get_title("left") or axis.get_title()]
        named = {"x": axis.get_xlabel(), "y": axis.get_ylabel()}
        words += [f"{name}: {label}" for name, label in named.items() if label]
    return "Figure: " + "; ".join(dict.fromkeys(word for word in words if word))


def figure_png(figure: Figure, dpi: float) -> bytes:
    """A figure, drawn in `paper_style`, as PNG."""
    buffer = io.BytesIO()
    with paper_style():
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def figure_pixels(figure: Figure) -> np.ndarray:
    """A figure, drawn in `paper_style` at its own dpi, as (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def picture_html(png: bytes, alt: str, *, caption: str = "") -> str:
    """An image that carries its PNG and its description with it; a caption below."""
    data = base64.b64encode(png).decode()
    look = 'style="max-width: 100%; height: auto"'
    image = f'<img alt="{escape(alt)}" {look} src="data:image/png;base64,{data}">'
    if not caption:
        return image
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def figure_html(figure: Figure, dpi: float = 150) -> str:
    """How a notebook shows a figure: a picture with its description, which image/png would lose."""
    return picture_html(figure_png(figure, dpi), description(figure))


def _teach_notebook_to_show_figures() -> None:
    """Let a notebook draw a Figure that ends a cell, by `figure_html` alone.

    pyplot's own way, once it is set up, would add the same picture without a description.
    """
    if shell := kernel_shell():
        formatters = shell.display_formatter.formatters
        formatters["text/html"].for_type(Figure, figure_html)
        formatters["image/png"].pop(Figure, None)


def kernel_shell():
    """IPython's shell where a notebook's kernel runs it, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None
