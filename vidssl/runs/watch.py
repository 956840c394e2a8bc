"""A watch over a notebook at work: one that does not get on is stopped, and said to be."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

IDLE = 0.02  # of a core: what an idle kernel and its pollers stay below
PATIENCE = 30.0  # seconds for an interrupted kernel to say where it was
LOOKS = 20  # in the time after which a run is stopped


class Watch:
    """Signs of life of the processes below this one, for the time of a run: what they print and
    write, and their work.

    ``stopped``: whether they showed none for ``minutes``, if these are not 0, and were interrupted.
    """

    def __init__(self, folder: Path, minutes: float):
        self.folder, self.seconds = folder, 60 * minutes
        self.stopped = False
        self._heard = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        if self.seconds:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.seconds:
            self._thread.join()

    def hear(self) -> None:
        """Something was printed."""
        self._heard.set()

    def _look(self) -> None:
        pause = min(30.0, self.seconds / LOOKS)
        last, seen, worked = time.monotonic(), self._written(), _work()
        while not self._over.wait(pause):
            written, work = self._written(), _work()
            if self._heard.is_set() or written != seen or work - worked > IDLE * pause:
                last = time.monotonic()
            elif time.monotonic() - last >= self.seconds:
                self._stop()
                return
            self._heard.clear()
            seen, worked = written, work

    def _written(self) -> float:
        """When a file of the run was last written."""
        times = [0.0]
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # it was there a moment ago
                times.append(path.stat().st_mtime)
        return max(times)

    def _stop(self) -> None:
        """Interrupt the kernel, so that its notebook shows where it was; kill it if that fails."""
        self.stopped = True
        kernels = psutil.Process().children()
        for number in (signal.SIGINT, signal.SIGKILL):
            for kernel in kernels:
                with suppress(psutil.Error):
                    kernel.send_signal(number)
            if self._over.wait(PATIENCE):
                return


def _work() -> float:
    """Seconds of a processor that the living processes below this one took so far."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
