"""What moves in a notebook: curves that grow during training, controls that redraw."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

from vidssl.visualize.style import PAGE_WIDTH, paper_style
from vidssl.visualize.tables import learning_curves

if TYPE_CHECKING:
    from ipywidgets import ValueWidget, VBox


def in_live_notebook() -> bool:
    """Whether a person looks on: the kernel was started by JupyterLab and not by a batch run.

    The environment variable VIDSSL_LIVE decides where it is set: 1 is live, 0 is not.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return False
    wish = os.environ.get("VIDSSL_LIVE", "")
    return wish == "1" if wish else bool(os.environ.get("JPY_SESSION_NAME"))


class LiveCurves:
    """Called with each step's metrics; redraws `learning_curves` in the notebook now and then.

    Outside a live notebook it only keeps ``history``.

    Args:
        seconds: at most one redraw in so many seconds; fewer where drawing is slow, so that it
            takes no more than a tenth of the time.
        note: a grey line at the bottom right, e.g. scale and data set.
        live: draw or not; None asks `in_live_notebook`.

    Attributes:
        history: the rows seen so far, each with ``step``.
        image: the ipywidgets.Image with the curves; None where nothing is drawn.

    >>> curves = LiveCurves()
    >>> curves(step=0, metrics={"train_loss": 2.8})
    >>> curves.history
    [{'step': 0, 'train_loss': 2.8}]
    """

    def __init__(self, *, seconds: float = 2.0, note: str = "", live: bool | None = None):
        self.history: list[dict] = []
        self.image = None
        self._seconds = seconds
        self._pause = 0.0
        self._note = note
        self._drawn = -float("inf")
        if in_live_notebook() if live is None else live:
            self._put_image()

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take a step's metrics; draw if the last picture is old enough."""
        self.history.append({"step": int(step), **metrics})
        if self.image is not None and time.monotonic() - self._drawn >= self._pause:
            self.refresh()

    def refresh(self) -> None:
        """Draw now; call it after the last step, so that the picture shows the end."""
        if self.image is None:
            return
        begun = time.monotonic()
        try:
            figure = learning_curves(self.history, note=self._note, width=PAGE_WIDTH)
        except ValueError:
            return  # no loss or accuracy so far
        buffer = io.BytesIO()
        with paper_style():
            figure.savefig(buffer, format="png", dpi=110)
        self.image.value = buffer.getvalue()
        self._drawn = time.monotonic()
        self._pause = max(self._seconds, 10 * (self._drawn - begun))

    def _put_image(self) -> None:
        import ipywidgets
        from IPython.display import display

        self.image = ipywidgets.Image(format="png")
        display(self.image)


def progress_report(note: str = "") -> LiveCurves | None:
    """What to give a training loop as its ``report``: live curves where a person looks on.

    Elsewhere None: the loop then prints plain lines.
    """
    return LiveCurves(note=note, live=True) if in_live_notebook() else None


def controls(update: Callable[..., str | None], **widgets: ValueWidget) -> VBox:
    """A column of controls; each change calls ``update(**values)``. No Output widget is involved:
    those hang now and then when a notebook runs unattended.

    ``update`` is called once right away, and an error of this first call is raised, so that a
    notebook run unattended stops at its cell. An error of a later call is shown in a line below
    the controls. A text that ``update`` returns is shown there, too.

    Args:
        update: takes a value for each control under its name; redraws other widgets, such as a
            `FramePlayer` by its ``show``.
        **widgets: the controls; one without a description is described by its name.

    Returns:
        ipywidgets.VBox of the controls and the line.

    >>> import ipywidgets
    >>> speed = ipywidgets.IntSlider(value=2, min=0, max=4)
    >>> box = controls(lambda speed: f"{speed} pixels a frame", speed=speed)
    >>> speed.value = 3
    >>> box.children[-1].value
    '<div role="status">3 pixels a frame</div>'
    """
    import ipywidgets

    line = ipywidgets.HTML()

    def refresh() -> None:
        said = update(**{name: widget.value for name, widget in widgets.items()})
        line.value = f'<div role="status">{escape(said)}</div>' if said else ""

    def on_change(_: dict) -> None:
        try:
            refresh()
        except Exception as error:  # shown, for a callback's error would vanish in the log
            words = escape(f"{type(error).__name__}: {error}")
            line.value = f'<div role="alert" style="color: #b00020">{words}</div>'

    for name, widget in widgets.items():
        widget.description = widget.description or name.replace("_", " ")
        widget.style.description_width = "9em"
        widget.observe(on_change, names="value")
    refresh()
    return ipywidgets.VBox([*widgets.values(), line])
