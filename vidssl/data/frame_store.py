"""Decoded frames on disk: a video is decoded once, not again for every clip, seed and run.

A `FrameStore` holds the videos of one folder at one short side: of each an .npy file of uint8
frames, as `resize_short_side` leaves them. Readers map it, so the processes of a machine share its
pages. The file's name tells what the video's file was like (size, time of change): of a file that
is another one by now nothing is given out. Files appear whole, so a maker that is killed leaves
whole videos or none, and the next one goes on from there. What another decoder, version or code
made lies in another folder, and goes when this one is filled.

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
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from math import inf, prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.lib import format as npy

from vidssl.core import UnreadableVideo
from vidssl.data.bitstream import begins_afresh
from vidssl.data.decode import backend, read_clip, read_image
from vidssl.data.folder_jobs import LOCK, alone, remove_leftovers, results_of
from vidssl.data.frame_index import frame_index
from vidssl.data.readers.folder import is_image
from vidssl.data.transforms import resize_short_side
from vidssl.files import read_json, write_atomic
from vidssl.progress import reporting

BEHIND = (begins_afresh, frame_index, read_clip, resize_short_side)  # their modules make the pixels
GIGABYTE = 10**9
FIRST_FRAMES = 16  # read to learn how large a video's frames are
PIECE_BYTES = 256 * 2**20  # of frames as decoded, which a process holds at once
LEFT_FREE = 2**30  # bytes of the disk that stay free: checkpoints and records need them
PATIENCE = 60.0  # seconds without a new file, then another run's maker is not waited for
WORTH_A_WORKER = 8 * 2**20  # bytes of video files; starting a worker takes as long as these
MOST_MAPPED = 10_000  # files at once: systems allow a process some 65,000
USED = ".used"  # bytes in the store so far, for workers
KILLED = "a process that reads it is killed (memory?)"


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

    It can be handed to data-loader workers, forked or spawned: each maps the files for itself and
    copies nothing.
    """

    def __init__(self, folder: str | os.PathLike, root: str | os.PathLike, short_side: int):
        if short_side < 1:
            raise ValueError(f"short_side={short_side} must be at least 1 pixel")
        self.folder, self.root, self.short_side = Path(folder), Path(root), short_side
        self._prefix = os.path.join(self.root, "")
        self._mapped: dict[Path, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_mapped": {}}  # pickled, a mapped file would be all its bytes

    def frames(self, path: str, side: int) -> np.ndarray | None:
        """All frames of a video, uint8 (T, H, W, 3), mapped and read-only; None: decode it.

        ValueError unless ``side`` is the store's ``short_side``.
        """
        if side != self.short_side:
            raise ValueError(
                f"the frame store holds frames of short_side={self.short_side} px, asked for are "
                f"{side} px: open one with the transform's short_side"
            )
        file = self._file(path)
        if file not in self._mapped:
            try:
                mapped = _mapped(file)
            except OSError:
                return None
            except Exception:  # damaged, in one of many ways: it is made anew
                file.unlink(missing_ok=True)
                return None
            if len(self._mapped) >= MOST_MAPPED:
                self._mapped.clear()
            self._mapped[file] = mapped
        return self._mapped[file]

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
        files = {path: self._file(path) for path in paths}
        limit, trouble = int(gigabytes * GIGABYTE), ""
        if self._lacking(files, limit):
            try:
                trouble = self._add_in_turn(files, limit, workers, progress)
            except OSError as error:
                trouble = error.strerror or str(error)
        sizes = _sizes(self._versioned)
        known = {path: _note_of(file) for path, file in files.items() if file.name not in sizes}
        return Stored(
            self.folder,
            self.short_side,
            videos=len(files),
            held=len(files) - len(known),
            left_out=sum("left_out" in note for note in known.values()),
            failed={path: note["failed"] for path, note in known.items() if "failed" in note},
            size=sum(sizes.values()),
            trouble=trouble,
        )

    @property
    def _versioned(self) -> Path:
        return self.folder / _digest(json.dumps(made_with()))

    def _file(self, path: str) -> Path:
        """Where the frames of a video lie, as long as its file stays what it is."""
        inside = path.startswith(self._prefix)
        name = path[len(self._prefix) :] if inside else os.path.relpath(path, self.root)
        size, changed = _state(path)
        return self._versioned / f"{_digest(name)}.{size}-{changed}.npy"

    def _add_in_turn(self, files: dict[str, Path], limit: int, workers: int, progress: bool) -> str:
        folder = self._versioned
        folder.mkdir(parents=True, exist_ok=True)
        waiting = f"frames: another run adds to {self.folder}; waiting for it"
        with alone(self.folder, unless=_stuck(folder, waiting)) as is_mine:
            if not is_mine:
                return "another run is making it and does not get on"
            for other in set(self.folder.iterdir()) - {folder, self.folder / LOCK}:
                if other.is_dir():  # of another version; who has mapped its files keeps them
                    shutil.rmtree(other, ignore_errors=True)
                else:
                    other.unlink()
            remove_leftovers(folder)
            self._forget_changed(files.values())
            limit = min(limit, sum(_sizes(folder).values()) + _spare_bytes(folder))
            self._decode(self._lacking(files, limit), limit, workers, progress)
        return ""

    def _forget_changed(self, files: Iterable[Path]) -> None:
        """Remove what there is of earlier versions of these videos."""
        now = {file.name.partition(".")[0]: file.stem for file in files}
        for file in self._versioned.iterdir():
            if now.get(file.name.partition(".")[0], file.stem) != file.stem:
                file.unlink()

    def _decode(self, files: dict[str, Path], limit: int, workers: int, progress: bool) -> None:
        used = sum(_sizes(self._versioned).values())
        jobs = [_Job(path, self.short_side, file, limit) for path, file in files.items()]
        useful = max(1, sum(_state(path)[0] for path in files) // WORTH_A_WORKER)
        (self._versioned / USED).write_text(str(used), encoding="utf-8")
        title = f"frames of {self.short_side} px"
        with reporting(len(jobs), title, shown=progress and bool(jobs)) as lines:
            for job, note in results_of(_decoded, jobs, min(workers, useful)):
                used += _taken_over(job, note or {"failed": KILLED}, limit - used)
                (self._versioned / USED).write_text(str(used), encoding="utf-8")
                lines.update()

    def _lacking(self, files: dict[str, Path], limit: int) -> dict[str, Path]:
        """The videos that are worth a try: new, changed, or with room for them now."""
        sizes = _sizes(self._versioned)
        room = limit - sum(sizes.values())

        def lacks(file: Path) -> bool:
            note = {} if file.name in sizes else _note_of(file)
            return file.name not in sizes and (not note or note.get("left_out", inf) <= room)

        return {path: file for path, file in files.items() if lacks(file)}


# --- what is in a store --------------------------------------------------------------------------


def _mapped(file: Path) -> np.ndarray:
    mapped = np.load(file, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    if mapped.dtype != np.uint8 or mapped.ndim != 4 or mapped.shape[-1] != 3:
        raise ValueError(f"{mapped.dtype} {mapped.shape} are no frames")
    return mapped


def _sizes(folder: Path) -> dict[str, int]:
    """File name -> bytes, of the frames that a folder holds."""
    try:
        with os.scandir(folder) as entries:
            return {e.name: e.stat().st_size for e in entries if e.name.endswith(".npy")}
    except OSError:
        return {}


def _note_of(file: Path) -> dict[str, Any]:
    """Why there are no frames: "failed" and the reason, or "left_out" and how many bytes."""
    try:
        note = read_json(file.with_suffix(".json"))
    except (OSError, ValueError):
        return {}
    fits = isinstance(note.get("left_out", 0), int) and isinstance(note.get("failed", ""), str)
    return note if fits else {}


def _state(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in ns; (-1, 0) of a file that is not there."""
    try:
        about = os.stat(path)
    except OSError:
        return -1, 0
    return about.st_size, about.st_mtime_ns


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="surrogateescape"), digest_size=12).hexdigest()


def _stuck(folder: Path, waiting: str) -> Callable[[], bool]:
    """Whether ``folder`` has stayed as it is for `PATIENCE`; the first question prints a line."""
    state, since = None, time.monotonic()

    def ask() -> bool:
        nonlocal state, since
        if state is None:
            print(waiting, flush=True)
        if state != (state := _state(folder)):
            since = time.monotonic()
        return time.monotonic() - since >= PATIENCE

    return ask


def _spare_bytes(folder: Path) -> int:
    return max(0, shutil.disk_usage(folder).free - LEFT_FREE)


def made_with() -> dict[str, str]:
    """Whatever decides the bytes of a decoded and resized frame."""
    return {"decoder": backend(), **_made_with()}


@cache
def _made_with() -> dict[str, str]:
    versions = {"cpu": torch.backends.cpu.get_cpu_capability()}  # resizing uses what there is
    for package in ("av", "decord", "pillow", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    code = b"".join(Path(sys.modules[f.__module__].__file__).read_bytes() for f in BEHIND)
    return {**versions, "code": blake2b(code, digest_size=8).hexdigest()}


# --- making it -----------------------------------------------------------------------------------


class _Job(NamedTuple):
    """A video whose frames are to become ``file``, if they fit below ``limit`` bytes in all."""

    path: str
    side: int
    file: Path
    limit: int

    @property
    def part(self) -> Path:
        """Where a worker leaves them."""
        return self.file.with_name(f".{self.file.name}.0.part")

    @property
    def room(self) -> int:
        return self.limit - int((self.file.parent / USED).read_text(encoding="utf-8") or 0)


class _TooLarge(Exception):
    """A video of at least so many bytes, which do not fit."""


def _decoded(job: _Job) -> dict[str, Any]:
    """Write a video's frames to ``job.part``; how many bytes, or why there are none."""
    try:
        with open(job.part, "wb") as part:
            _write_frames(job, part)
            part.flush()
            os.fsync(part.fileno())  # a name must not outlive its frames when the power fails
            return {"bytes": part.tell()}
    except _TooLarge as error:
        return {"left_out": error.args[0]}
    except UnreadableVideo as error:
        return {"failed": error.reason}
    except OSError as error:  # PyAV's own kind does not find its way out of a worker
        raise OSError(error.errno, error.strerror or str(error)) from None


def _write_frames(job: _Job, part: BinaryIO) -> None:
    shape: tuple[int, ...] = ()
    for length, frames in _pieces(job):
        if not shape:
            shape = (length, *frames.shape[1:])
            about = {"descr": "|u1", "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(part, about)
            if part.tell() + prod(shape) > job.room:
                raise _TooLarge(part.tell() + prod(shape))
        if frames.shape[1:] != shape[1:]:
            raise UnreadableVideo(job.path, "its frames change size")
        part.write(np.ascontiguousarray(frames).data)


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


def _taken_over(job: _Job, note: dict[str, Any], room: int) -> int:
    """Give what a worker left its name, or note why there is nothing; the bytes that it takes."""
    size = note.get("bytes", 0)
    if 0 < size <= room:
        os.replace(job.part, job.file)
        job.file.with_suffix(".json").unlink(missing_ok=True)
        return size
    job.part.unlink(missing_ok=True)
    if size:  # others were quicker than this one
        note = {"left_out": size}
    write_atomic(job.file.with_suffix(".json"), json.dumps(note))
    return 0
