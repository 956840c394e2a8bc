"""What every job that fills a folder with files needs: a lock, whole files, mortal workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from errno import ENOLCK
from functools import lru_cache
from pathlib import Path
from typing import Any

from vidssl.processes import end_when

LOCK = ".lock"
WAITING_SECONDS = 300  # from one sign of life to the next; a run that shows none is stopped
IDLE_SECONDS = 20  # then a worker gives its memory back


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
        reason = os.strerror(error.errno) if error.errno else error  # its own words may advise, too
        raise OSError(
            error.errno,
            f"cannot write {what} below {folder}: {reason}; "
            "free some space or choose another folder, then run again (it goes on where it was)",
        ) from error


@contextmanager
def alone(
    folder: Path, name: str = LOCK, *, unless: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """Hold a lock of the folder (True), so that two runs never write it at once; give up waiting
    for it (False) once ``unless()``, which is asked only while another run holds it.

    OSError where the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise OSError(ENOLCK, "there are no file locks on this system") from None

    def is_free() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    told = time.monotonic()
    with open(folder / name, "wb") as lock:
        while not (is_mine := is_free()) and not unless():
            time.sleep(0.1)
            if time.monotonic() - told > WAITING_SECONDS:
                told = time.monotonic()
                print(f"waits for another run, which writes {folder}", flush=True)
        yield is_mine


def remove_leftovers(folder: Path, of: set[Path] | None = None) -> None:
    """Remove the partial files of a run that was killed: all, or those ``of`` some targets."""
    for leftover in folder.rglob(".*.part"):
        name = leftover.name[1:].rsplit(".", 2)[0]  # .<name>.<process>.part
        if of is None or leftover.with_name(name) in of:
            leftover.unlink(missing_ok=True)


def results_of(work: Callable, jobs: list, workers: int) -> Iterator[tuple[Any, Any]]:
    """(job, ``work(job)``) for hashable jobs, in the order they finish, in worker processes.

    These are fresh interpreters (loky), so no ``__main__`` guard is needed in a script.

    A worker that is killed (out of memory, a decoder that crashes) costs no other job: those it
    may have had in hand are tried again one by one, and a job that kills its worker then has the
    result None. One worker is this process itself.
    """
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting = dict.fromkeys(jobs)  # leaving a list of 200,000 takes long
    while waiting:
        begun: set[Any] = set()
        try:
            for job, result in _parallel(work, waiting, workers, begun):
                begun.discard(job)
                del waiting[job]
                yield job, result
        except TerminatedWorkerError:
            for job in [job for job in waiting if job in begun]:
                del waiting[job]
                yield job, _alone_in_a_worker(work, job)


def _parallel(
    work: Callable, jobs: Collection, workers: int, begun: set
) -> Iterator[tuple[Any, Any]]:
    from joblib import Parallel, delayed

    def calls() -> Iterator:
        for job in list(jobs):
            begun.add(job)
            yield delayed(_with_job)(work, job, os.getpid(), os.getcwd())

    return Parallel(
        n_jobs=max(1, min(workers, len(jobs))),
        batch_size=1,  # a job takes seconds
        return_as="generator_unordered",
        idle_worker_timeout=IDLE_SECONDS,
    )(calls())


def _alone_in_a_worker(work: Callable, job: Any) -> Any:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:  # two workers, of which one gets nothing: one would be this process
        return Parallel(n_jobs=2)([delayed(_with_job)(work, job, os.getpid(), os.getcwd())])[0][1]
    except TerminatedWorkerError:
        return None


def _with_job(work: Callable, job: Any, caller: int, place: str) -> tuple[Any, Any]:
    """In a worker: it ends when its caller is gone, and stands where the caller stands now, who
    may have gone elsewhere since the worker began."""
    if os.getpid() != caller:
        _end_with(caller)
        os.chdir(place)
    return job, work(job)


@lru_cache(maxsize=1)
def _end_with(parent: int) -> None:
    end_when(lambda: os.getppid() != parent)
