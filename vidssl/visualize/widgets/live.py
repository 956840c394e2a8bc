"""Curves that grow in a notebook during training."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from vidssl.visualize.style import PAGE_WIDTH, describe, description, figure_html, kernel_shell
from vidssl.visualize.tables import learning_curves


def in_live_notebook() -> bool:
    """Whether a person looks on: the kernel was started by JupyterLab and not by a batch run.

    The environment variable VIDSSL_LIVE decides where it is set: 1 is live, 0 is not.
    """
    if kernel_shell() is None:
        return False
    wish = os.environ.get("VIDSSL_LIVE", "")
    return wish == "1" if wish else bool(os.environ.get("JPY_SESSION_NAME"))


class LiveCurves:
    """Called with each step's metrics; redraws `learning_curves` in the notebook now and then.

    Args:
        seconds: at most one redraw in so many seconds; fewer where drawing is slow, so that it
            takes no more than a tenth of the time.

    Attributes:
        history: the rows seen so far, each with ``step``.
        html: the picture of the curves as it is shown, an output that is stored with the notebook;
            empty where nothing is drawn.
    """

    def __init__(self, *, seconds: float = 2.0):
        self.history: list[dict] = []
        self.html = ""
        self._output = None  # made with the first picture: no empty box before
        self._seconds = seconds
        self._pause = 0.0
        self._drawn = -float("inf")

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take a step's metrics; draw if the last picture is old enough."""
        self.history.append({"step": int(step), **metrics})
        if time.monotonic() - self._drawn >= self._pause:
            self.refresh()

    def refresh(self) -> None:
        """Draw now; call it after the last step, so that the picture shows the end."""
        from IPython.display import DisplayHandle

        begun = time.monotonic()
        try:
            figure = learning_curves(self.history, width=PAGE_WIDTH)
        except ValueError:
            return  # no loss or accuracy so far
        describe(figure, f"{description(figure)}; step {self.history[-1]['step']}")
        self.html = figure_html(figure, dpi=110)
        bundle = {"text/html": self.html, "text/plain": figure.get_label()}
        if self._output is None:
            self._output = DisplayHandle()
            self._output.display(bundle, raw=True)
        else:
            self._output.update(bundle, raw=True)
        self._drawn = time.monotonic()
        self._pause = max(self._seconds, 10 * (self._drawn - begun))


def progress_report() -> LiveCurves | None:
    """What to give a training loop as its ``report``: live curves where a person looks on.

    Elsewhere None: the loop then prints plain lines.
    """
    return LiveCurves() if in_live_notebook() else None
