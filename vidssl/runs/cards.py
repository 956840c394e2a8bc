"""The GPUs of this machine, shared among runs: a card has one at a time, or as many as asked."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import product
from pathlib import Path

from vidssl.core import counted

VISIBLE = "CUDA_VISIBLE_DEVICES"  # a list of numbers or names, as CUDA reads it
SHARED = "VIDSSL_RUNS_PER_GPU"  # told to the run, for its record: its times are no others'
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # without one of them torch need not be asked
LOADERS = 16  # processes that read for one training, at most
PATIENCE = 5.0  # seconds in the queue before a run says so


def visible_cards() -> list[str]:
    """The GPUs that torch sees, as `VISIBLE` names them; none where there is no driver."""
    if not any(os.path.exists(driver) for driver in DRIVERS):
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = _named(os.environ.get(VISIBLE, ""))
    return named[:count] if len(named) >= count and named[0] else [str(i) for i in range(count)]


def _named(cards: str) -> list[str]:
    """The cards in a list as `VISIBLE` has it; " 1" and "1" are one card, and so share its lock."""
    return [name.strip() for name in cards.split(",")]


def chosen_cards(asked: int | None) -> list[str]:
    """The first ``asked`` GPUs of this machine, all of them for None. ValueError for too many."""
    there = visible_cards()
    if asked is not None and not 0 <= asked <= len(there):
        raise ValueError(f"gpus={asked}, but torch sees {counted(len(there), 'GPU')} here")
    return there[:asked]


@contextmanager
def own_cards(count: int, runs_per_gpu: int = 1) -> Iterator[list[str]]:
    """Let this process and what it starts see ``count`` GPUs that no other run holds; with 0, none.

    With ``runs_per_gpu`` above 1, GPUs that fewer than so many others hold, who share them alike.
    Chosen among those that `VISIBLE` names, or all. Waits while too few are free. The locks belong
    to this machine and user, so that several engines share its cards, too; they go with the
    process. ValueError for more than there are, or numbers that would be waited for without end.
    """
    if count < 0 or runs_per_gpu < 1:
        raise ValueError(
            f"gpus={count} must be at least 0 and runs_per_gpu={runs_per_gpu} at least 1"
        )
    before = {name: os.environ[name] for name in (VISIBLE, SHARED) if name in os.environ}
    given = before.get(VISIBLE)
    names = _named(given) if given else visible_cards() if count else []
    if count > len(names):
        raise ValueError(f"gpus={count}, but this run may use {counted(len(names), 'GPU')}")
    with ExitStack() as held:
        mine = _taken(names, count, runs_per_gpu, held) if count else []
        os.environ |= {VISIBLE: ",".join(mine), SHARED: str(runs_per_gpu)}
        try:
            yield mine
        finally:
            del os.environ[VISIBLE], os.environ[SHARED]
            os.environ |= before


def _taken(names: Sequence[str], count: int, runs_per_gpu: int, held: ExitStack) -> list[str]:
    """``count`` of the cards, locked as long as ``held``; who came first is served first."""
    folder = Path(tempfile.gettempdir(), f"vidssl-cards-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    told = False
    says = ["waits behind another run that waits for a GPU"]
    behind = threading.Timer(PATIENCE, print, says, {"flush": True})
    behind.daemon = True
    behind.start()
    with _locked(folder / "queue", fcntl.LOCK_EX):
        behind.cancel()
        while True:
            with ExitStack() as tried:
                mine: list[str] = []
                for place, name in product(range(runs_per_gpu), names):
                    if name not in mine and _took(folder, name, place, runs_per_gpu > 1, tried):
                        mine.append(name)
                    if len(mine) == count:
                        held.enter_context(tried.pop_all())
                        return mine
            if not told:
                print(
                    f"waits for {counted(count, 'GPU')} out of {','.join(names)} that fewer than "
                    f"{counted(runs_per_gpu, 'run')} hold; later ones wait behind this one",
                    flush=True,
                )
            told = True
            time.sleep(0.5)


def _took(folder: Path, name: str, place: int, is_shared: bool, held: ExitStack) -> bool:
    """Whether a place on the card was free. Its own lock keeps those apart who share a card from
    one who wants it alone."""
    path = folder / name.replace("/", "_")
    with suppress(BlockingIOError), ExitStack() as tried:
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        tried.enter_context(_locked(path, kind | fcntl.LOCK_NB))
        if is_shared:
            tried.enter_context(_locked(path.with_name(f"{path.name}-{place}")))
        held.enter_context(tried.pop_all())
        return True
    return False


@contextmanager
def _locked(path: Path, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> Iterator[None]:
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, how)
        yield


def loader_workers(cores: int | None, processes: int) -> int:
    """Processes that read for each of ``processes`` that train on GPUs, of a share of ``cores``."""
    return max(1, min(LOADERS, (cores or cores_here()) // processes))


def cores_here() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # fewer than there are, where a batch system says so
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
