"""How far a long job is: a plain line now and then, in terminals, notebooks and logs alike.

A bar that rewrites itself is a red box in a notebook, freezes in a saved one, and is a page of
half-bars in a log. Lines survive all three. A job of a few seconds prints nothing.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TextIO, TypeVar

from vidssl.core import counted

FIRST, NEXT = 5.0, 20.0  # seconds before the first line, and from one to the next
Item = TypeVar("Item")


def in_words(seconds: float) -> str:
    """A duration, as exact as one wants to know it.

    >>> in_words(8.3), in_words(95), in_words(272), in_words(7500)
    ('8 s', '95 s', '5 min', '2 h 5 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class Lines:
    """The plain lines of one job of ``total`` things called ``unit``; None: nobody knows."""

    def __init__(self, total: int | None, title: str, unit: str, file: TextIO | None = None):
        self.total, self.title, self.unit, self.file = total, title, unit, file
        self.done, self.note = 0, ""
        self.start: tuple[float, int] | None = None  # pace is counted from the first update on
        self.began = time.monotonic()
        self.due = self.began + FIRST

    def update(self, count: int = 1) -> None:
        """``count`` more are done; prints a line if one is due."""
        self.done += count
        now = time.monotonic()
        self.start = self.start or (now, self.done)
        if now >= self.due and self.done != self.total:
            self.due = now + NEXT
            self._print(f"{self._so_far()}{self._left(now)}")

    def set_note(self, note: str) -> None:
        """Words for the end of the line, such as a number of failures."""
        self.note = note

    def close(self) -> None:
        """A last line, if there was a first one."""
        if self.began + FIRST < self.due < inf:
            self._print(f"{self._so_far()}, {in_words(time.monotonic() - self.began)}")

    def _so_far(self) -> str:
        if self.total is None or self.done == self.total:
            return counted(self.done, self.unit)
        return f"{self.done:,} of {counted(self.total, self.unit)}"

    def _left(self, now: float) -> str:
        began, before = self.start
        if self.total is None or self.done == before:
            return ""  # the first one takes the start of the workers, too
        left = (now - began) / (self.done - before) * (self.total - self.done)
        return f", about {in_words(left)} left"

    def _print(self, text: str) -> None:
        note = f" ({self.note})" if self.note else ""
        print(f"{self.title}: {text}{note}", file=self.file or sys.stdout, flush=True)


@contextmanager
def reporting(
    total: int | None, title: str, unit: str = "video", *, shown: bool = True
) -> Iterator[Lines]:
    """`Lines` for the time of a job: in a notebook among its output, elsewhere on the error stream,
    so that what a command prints stays what it was asked for. None at all unless ``shown``."""
    lines = Lines(total, title, unit, sys.stdout if in_notebook() else sys.stderr)
    lines.due = lines.due if shown else inf
    try:
        yield lines
    finally:
        lines.close()


def tracked(
    items: Iterable[Item],
    title: str,
    unit: str = "video",
    *,
    total: int | None = None,
    shown: bool = True,
) -> Iterator[Item]:
    """``items``, one after the other, with their progress; ``total`` where they have no length."""
    total = len(items) if hasattr(items, "__len__") else total
    with reporting(total, title, unit, shown=shown) as lines:
        for item in items:
            yield item
            lines.update()


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, live or executed in a batch."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def quiet_interrupts() -> None:
    """Let a kernel that is interrupted between two cells say nothing of it: each one is, a moment
    before it is shut down. What it says of other things stays."""
    log = sys.modules["IPython"].get_ipython().kernel.log
    getattr(log, "logger", log).addFilter(_is_no_interrupt)


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("KeyboardInterrupt caught in kernel")


def warnings_as_lines() -> None:
    """Show warnings as lines among the output: a notebook puts what is on the error stream into red
    boxes, with the path of the code in front."""

    def shown(message, category, filename, lineno, file=None, line=None) -> None:
        print(f"note: {' '.join(str(message).split())}", file=file or sys.stdout, flush=True)

    warnings.showwarning = shown
