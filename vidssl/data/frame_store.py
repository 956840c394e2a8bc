"""Decoded frames on disk: a video is decoded once, not again for every clip, seed and run.

A `FrameStore` holds videos of one folder at one short side, uint8 as `resize_short_side` leaves
them, one after the other in one file. Readers map that file, so the processes of a machine share
its pages. ``index.jsonl`` beside it says where a video lies and what its file was like (size, time
of change): of a file that is another one by now nothing is given out. A video enters the index
after its frames are written, so a maker that is killed leaves whole videos or none, and the next
one goes on from there. A store made by another decoder, version or code is begun anew.

The folder may be deleted whenever no run is starting: what is missing is made again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from errno import EIO
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from math import inf, prod
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from vidssl.core import UnreadableVideo
from vidssl.data.decode import backend, read_clip, read_image
from vidssl.data.records import is_image
from vidssl.data.transforms import resize_short_side
from vidssl.data.workers import alone, remove_leftovers, results_of
from vidssl.files import write_atomic
from vidssl.progress import reporting

INDEX = "index.jsonl"
GIGABYTE = 10**9
FIRST_FRAMES = 16  # read to learn how large a video's frames are
PIECE_BYTES = 256 * 2**20  # of frames as decoded, which a process holds at once
LEFT_FREE = 2**30  # bytes of the disk that stay free: checkpoints and records need them
NOTED_EVERY = 1.0  # seconds from one writing of the index to the next
PATIENCE = 60.0  # seconds without a new entry, then another run's maker is not waited for
LEAST_USED = 0.9  # share of the file; where less is of current videos, it is begun anew
WORTH_A_WORKER = 8 * 2**20  # bytes of video files; starting a worker takes as long as these
KILLED = "a process that reads it is killed (memory?)"

Entry = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """What a store has of the ``videos`` asked for: ``held``, and ``left_out`` for lack of room.

    ``failed`` maps unreadable ones to the reason; ``trouble`` says what kept the store from being
    written, if anything did. All but those held are decoded by whoever reads them.
    """

    folder: Path
    short_side: int
    videos: int
    held: int
    left_out: int
    failed: dict[str, str]
    size: int
    trouble: str = ""

    def __str__(self) -> str:
        place = os.path.relpath(self.folder)
        place = str(self.folder) if place.startswith("..") else place
        line = f"frames: {self.held} of {self.videos} videos at {self.short_side} px in {place}"
        line += f" ({self.size / GIGABYTE:.2g} GB)"
        if self.left_out:
            line += f"; {self.left_out} do not fit (frame_store_gb, free disk) and are decoded"
        if self.failed:
            line += f"; {len(self.failed)} cannot be read"
        return line + (f"; {self.trouble}: what is missing is decoded" if self.trouble else "")


class FrameStore:
    """Frames of the videos below ``root``, resized to ``short_side`` px, kept in ``folder``.

    It can be handed to data-loader workers, forked or spawned: each maps the file for itself and
    copies nothing. What it holds is looked up once, at the first use and after `add`.
    """

    def __init__(self, folder: str | os.PathLike, root: str | os.PathLike, short_side: int):
        if short_side < 1:
            raise ValueError(f"short_side={short_side} must be at least 1 pixel")
        self.folder, self.root, self.short_side = Path(folder), Path(root), short_side
        self._prefix = os.path.join(self.root, "")
        self._held: _Held | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_held": None}  # pickled, a mapped file would be all its bytes

    def frames(self, path: str, side: int) -> np.ndarray | None:
        """All frames of a video, uint8 (T, H, W, 3), mapped and read-only; None: decode it.

        ValueError unless ``side`` is the store's ``short_side``.
        """
        if side != self.short_side:
            raise ValueError(
                f"the frame store holds frames of short_side={self.short_side} px, asked for are "
                f"{side} px: open one with the transform's short_side"
            )
        if self._held is None:
            self._held = self._look()
        entry = self._held.entries.get(self._name(path))
        if entry is None or "at" not in entry or not _is_of(entry, path):
            return None
        return self._held.pixels[entry["at"] : _end(entry)].reshape(entry["shape"])

    def add(
        self, paths: Iterable[str], gigabytes: float, *, workers: int = 1, progress: bool = True
    ) -> Stored:
        """Decode into the store what it lacks of the videos (or still images) ``paths``.

        The store grows to ``gigabytes`` (10^9 bytes) at most, and a gigabyte of the disk stays
        free: videos that do not fit are left out, and tried again where there is room. One that
        cannot be read is noted, and tried again when its file changes. While another run adds
        frames this one waits, unless nothing comes of it. Nothing is raised where the store cannot
        be written: data sets decode what they do not find here.
        """
        paths, limit, trouble = list(dict.fromkeys(paths)), int(gigabytes * GIGABYTE), ""
        if self._lacking(paths, self._look(), limit):
            try:
                trouble = self._add_in_turn(paths, limit, workers, progress)
            except OSError as error:
                trouble = getattr(error, "strerror", None) or str(error)
        held = self._held = self._look()
        found = [held.entries.get(self._name(path), {}) for path in paths]
        return Stored(
            self.folder,
            self.short_side,
            videos=len(paths),
            held=sum("at" in entry for entry in found),
            left_out=sum("left_out" in entry for entry in found),
            failed={p: e["failed"] for p, e in zip(paths, found) if "failed" in e},
            size=len(held.pixels),
            trouble=trouble,
        )

    def _add_in_turn(self, paths: list[str], limit: int, workers: int, progress: bool) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = f"frames: another run adds to {self.folder}; waiting for it"
        with alone(self.folder, unless=_stuck(self.folder / INDEX, told)) as is_mine:
            if not is_mine:
                return "another run is making it and does not get on"
            remove_leftovers(self.folder)
            with _Maker(self.folder, self.root, self._header()) as maker:
                limit = min(limit, maker.end + _spare_bytes(self.folder))
                lacking = self._lacking(paths, maker.held, limit)
                self._decode(lacking, maker, limit, workers, progress)
        return ""

    def _decode(
        self, paths: list[str], maker: _Maker, limit: int, workers: int, progress: bool
    ) -> None:
        jobs = [
            _Job(path, self._name(path), self.short_side, maker.part(i), maker.data, limit)
            for i, path in enumerate(paths)
        ]
        useful = max(1, sum(_state(path)[0] for path in paths) // WORTH_A_WORKER)
        title = f"frames of {self.short_side} px"
        with reporting(len(jobs), title, shown=progress and bool(jobs)) as told:
            for job, entry in results_of(_decoded, jobs, min(workers, useful)):
                maker.add(job, entry or _entry(job.path, job.name, failed=KILLED))
                told.update()

    def _lacking(self, paths: list[str], held: _Held, limit: int) -> list[str]:
        """The paths that are worth a try: new, changed, or with room for them now."""
        room = limit - held.end

        def lacks(path: str) -> bool:
            entry = held.entries.get(self._name(path))
            return entry is None or not _is_of(entry, path) or entry.get("left_out", inf) <= room

        return [path for path in paths if lacks(path)]

    def _look(self) -> _Held:
        return _look(self.folder, self._header())

    def _header(self) -> Entry:
        return {"short_side": self.short_side, "made_with": made_with()}

    def _name(self, path: str) -> str:
        inside = path.startswith(self._prefix)
        return path[len(self._prefix) :] if inside else os.path.relpath(path, self.root)


# --- what is in a store --------------------------------------------------------------------------


class _Held(NamedTuple):
    """Entries by name, and the mapped bytes that they point into."""

    entries: dict[str, Entry]
    pixels: np.ndarray
    data: str = ""

    @property
    def end(self) -> int:
        """Where the next video goes."""
        return max(map(_end, self.entries.values()), default=0)


def _look(folder: Path, header: Entry) -> _Held:
    """What ``folder`` holds now, or nothing where it was made with anything but ``header``."""
    nothing = np.zeros(0, np.uint8)
    try:
        text = (folder / INDEX).read_text(encoding="utf-8", errors="replace")
        first, *lines = map(_parsed, text.splitlines(keepends=True) or [""])
        if first is None or {**first, **header} != first:
            return _Held({}, nothing)
        data = first["data"]
        size = os.path.getsize(folder / data)
        pixels = np.memmap(folder / data, np.uint8, "r").view(np.ndarray) if size else nothing
    except OSError:  # none yet, or begun anew at this moment
        return _Held({}, nothing)
    entries = {entry["file"]: entry for entry in lines if entry is not None}
    whole = {name: entry for name, entry in entries.items() if _end(entry) <= len(pixels)}
    return _Held(whole, pixels, data)


def _parsed(line: str) -> Entry | None:
    """A line of an index; None for one cut short when its maker was killed."""
    try:
        return json.loads(line) if line.endswith("\n") else None
    except json.JSONDecodeError:
        return None


def _entry(path: str, name: str, **found: Any) -> Entry:
    size, changed = _state(path)
    return {"file": name, "bytes": size, "changed": changed, **found}


def _is_of(entry: Entry, path: str) -> bool:
    """Whether the file is still the one that the entry tells of."""
    return (entry["bytes"], entry["changed"]) == _state(path)


def _state(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in ns; (-1, 0) of a file that is not there."""
    try:
        about = os.stat(path)
    except OSError:
        return -1, 0
    return about.st_size, about.st_mtime_ns


def _size(entry: Entry) -> int:
    return prod(entry.get("shape", [0]))


def _end(entry: Entry) -> int:
    return entry.get("at", 0) + _size(entry)


def _stuck(file: Path, told: str) -> Callable[[], bool]:
    """Whether ``file`` has stayed as it is for `PATIENCE`; the first question prints ``told``."""
    size, since = -2, time.monotonic()

    def ask() -> bool:
        nonlocal size, since
        now, before = _state(str(file))[0], size
        if before == -2:
            print(told, flush=True)
        if now != before:
            size, since = now, time.monotonic()
        return time.monotonic() - since >= PATIENCE

    return ask


def _spare_bytes(folder: Path) -> int:
    return max(0, shutil.disk_usage(folder).free - LEFT_FREE)


def made_with() -> dict[str, str]:
    """Whatever decides the bytes of a decoded and resized frame."""
    return {"decoder": backend(), **_made_with()}


@cache
def _made_with() -> dict[str, str]:
    found = {"cpu": torch.backends.cpu.get_cpu_capability()}  # resizing uses what there is
    for package in ("av", "decord", "pillow", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    digest = blake2b(digest_size=8)
    for module in sorted(_modules_behind(read_clip, read_image, resize_short_side)):
        digest.update(Path(sys.modules[module].__file__).read_bytes())
    return {**found, "code": digest.hexdigest()}


def _modules_behind(*functions: Any) -> set[str]:
    """The modules of `vidssl.data` that functions are of, and those which these import."""
    used: set[str] = set()
    waiting = [function.__module__ for function in functions]
    while waiting:
        name = waiting.pop()
        if name in used or not name.startswith(f"{__package__}."):
            continue
        used.add(name)
        for value in vars(sys.modules[name]).values():
            is_module = isinstance(value, ModuleType)
            other = value.__name__ if is_module else getattr(value, "__module__", None)
            waiting.append(other or "")
    return used


# --- making it -----------------------------------------------------------------------------------


class _Job(NamedTuple):
    """A video to decode into the file ``part``, if it fits behind what ``data`` holds by then."""

    path: str
    name: str
    side: int
    part: Path
    data: Path
    limit: int

    @property
    def room(self) -> int:
        return self.limit - os.path.getsize(self.data)


class _TooLarge(Exception):
    """A video of at least so many bytes, which do not fit."""


def _decoded(job: _Job) -> Entry:
    """Write a video's frames to ``job.part``; the entry that tells what came of it."""
    before = _entry(job.path, job.name)
    try:
        with open(job.part, "wb") as part:
            shape = _write_frames(job, part)
    except _TooLarge as error:
        return {**before, "left_out": error.args[0]}
    except UnreadableVideo as error:
        return {**before, "failed": error.reason}
    except OSError as error:  # PyAV's own kind does not find its way out of a worker
        raise OSError(error.errno, error.strerror or str(error)) from None
    return {**before, "shape": shape}


def _write_frames(job: _Job, part: BinaryIO) -> list[int]:
    shape: list[int] = []
    for length, frames in _pieces(job):
        shape = shape or [length, *frames.shape[1:]]
        if prod(shape) > job.room:
            raise _TooLarge(prod(shape))
        if list(frames.shape[1:]) != shape[1:]:
            raise UnreadableVideo(job.path, "its frames change size")
        part.write(np.ascontiguousarray(frames).data)
    return shape


def _pieces(job: _Job) -> Iterator[tuple[int, np.ndarray]]:
    """(length of the video, its next resized frames): all of them in pieces that fit in memory."""
    if is_image(job.path):
        yield 1, resize_short_side(read_image(job.path)[None], job.side)
        return
    lengths: list[int] = []

    def beginning(length: int) -> range:
        lengths.append(length)
        least = 3 * length * job.side**2  # bytes: no side is shorter
        return range(1 if least > job.room else min(length, FIRST_FRAMES))

    frames = read_clip(job.path, beginning)
    [length] = lengths
    step = max(1, PIECE_BYTES // frames[0].nbytes)
    yield length, resize_short_side(frames, job.side)
    for start in range(len(frames), length, step):
        piece = range(start, min(start + step, length))
        yield length, resize_short_side(read_clip(job.path, lambda _, piece=piece: piece), job.side)


class _Maker:
    """Adds videos to a store whose lock is held."""

    def __init__(self, folder: Path, root: Path, header: Entry):
        self.folder, self.root, self.header = folder, root, header
        self.held = _look(folder, header)
        self.end = self.held.end
        self._waiting: list[Entry] = []
        self._noted = time.monotonic()

    @property
    def data(self) -> Path:
        """The file of all frames."""
        return self.folder / self.held.data

    def part(self, number: int) -> Path:
        """Where a worker leaves the frames of a video."""
        return self.folder / f".{number}.{os.getpid()}.part"

    def __enter__(self) -> _Maker:
        current = (e for n, e in self.held.entries.items() if _is_of(e, self.root / n))
        if not self.held.data or sum(map(_size, current)) < LEAST_USED * self.end:
            self._begin_anew()
        lines = [{**self.header, "data": self.held.data}, *self.held.entries.values()]
        whole = "".join(json.dumps(line) + "\n" for line in lines)
        write_atomic(self.folder / INDEX, whole)  # the last line may have been cut short
        for other in self.folder.glob("frames-*.u8"):
            if other != self.data:  # who reads it keeps it
                other.unlink(missing_ok=True)
        self._file = open(self.data, "r+b", buffering=0)
        self._file.truncate(self.end)  # what lies behind is in no index: nobody reads it
        self._file.seek(self.end)
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._note()

    def add(self, job: _Job, entry: Entry) -> None:
        """Take over what a worker left in ``job.part``."""
        size = _size(entry)
        if size and self.end + size > job.limit:  # others were quicker than this one
            entry = {**entry, "shape": [0], "left_out": size}
        elif size:
            self._append(job.part, size)
            entry = {**entry, "at": self.end}
            self.end += size
        job.part.unlink(missing_ok=True)
        self._waiting.append(entry)
        if time.monotonic() - self._noted > NOTED_EVERY:
            self._note()

    def _append(self, part: Path, size: int) -> None:
        try:
            with open(part, "rb") as source:
                if _copy(source, self._file) != size:
                    raise OSError(EIO, f"{part} is not whole")
        except OSError:
            self._file.truncate(self.end)
            self._file.seek(self.end)
            raise

    def _note(self) -> None:
        """Put the videos added since into the index, once their frames are on the disk."""
        os.fsync(self._file.fileno())
        with open(self.folder / INDEX, "a", encoding="utf-8") as index:
            index.writelines(json.dumps(entry) + "\n" for entry in self._waiting)
        self._waiting, self._noted = [], time.monotonic()

    def _begin_anew(self) -> None:
        data = f"frames-{time.time_ns():x}.u8"
        (self.folder / data).touch()
        self.held, self.end = _Held({}, np.zeros(0, np.uint8), data), 0


def _copy(source: BinaryIO, target: BinaryIO) -> int:
    """Copy what ``source`` holds to an unbuffered file; the number of bytes."""
    copied = 0
    while piece := memoryview(source.read(2**20)):
        while piece:
            written = target.write(piece)
            piece, copied = piece[written:], copied + written
    return copied
