"""What every job that fills a folder with files needs: a lock, whole files, mortal workers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

LOCK = ".lock"


@contextmanager
def writing(folder: Path, what: str) -> Iterator[None]:
    """Turn whatever the file system says into one line that names ``what`` and the folder."""
    try:
        yield
    except FileExistsError as error:
        if error.errno is None:
            raise  # our own line
        raise OSError(error.errno, f"{folder} is a file, not a folder") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"cannot write {what} below {folder}: {reason}; "
            "free some space or choose another folder, then run again (it goes on where it was)",
        ) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two runs never write it at once (POSIX only)."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock; files still appear whole
        yield
        return
    with open(folder / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_text(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text)
    os.replace(partial, path)


def remove_leftovers(folder: Path) -> None:
    """Remove the partial files of a run that was killed."""
    for leftover in folder.rglob(".*.part"):
        leftover.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def end_with(parent: int) -> None:
    """Let this worker end when its parent is gone: one that was killed cannot say goodbye."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
