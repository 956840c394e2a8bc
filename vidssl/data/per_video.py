"""Files made from every video of a folder (small copies, flow): parallel, whole, resumable.

Each made file lies below its folder where the video lies below its root. A manifest beside them
has a line of settings, then one for each video as it is finished; a run that was stopped goes on
where it was. A shard (i of n) takes every n-th video and keeps its own manifest, list of failures
and lock, so that several machines can fill one folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidssl.core import UnreadableVideo
from vidssl.data.decode import read_in_order
from vidssl.data.folder_jobs import alone, remove_leftovers, results_of, writing
from vidssl.data.readers.folder import read_folder
from vidssl.data.transforms import resize_short_side
from vidssl.files import write_atomic
from vidssl.progress import reporting

CHUNK_BYTES = 256 * 2**20  # decoded frames a worker holds at once
WHOLE = (1, 1)  # the shard that is everything

Entry = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One video below ``root`` and the file below ``folder`` that is made from it."""

    root: Path
    folder: Path
    file: str  # the video's name below root
    settings: Any = field(hash=False)
    suffix: str = ""  # what the made file's name has in addition

    @property
    def source(self) -> Path:
        """The video."""
        return self.root / self.file

    @property
    def target(self) -> Path:
        """The file that is made."""
        return self.folder / f"{self.file}{self.suffix}"


@dataclass(frozen=True)
class Outcome:
    """What a run did: files ``made`` and ``kept``, and ``failed``, {video: reason}."""

    folder: Path
    made: int
    kept: int
    failed: dict[str, str]
    failures: Path
    verb: ClassVar[str] = "made"
    lacking: ClassVar[str] = "have no file"

    def __str__(self) -> str:
        videos = self.made + self.kept + len(self.failed)
        line = f"{self.folder}: {videos} videos, {self.made} {self.verb}, {self.kept} kept"
        if not self.failed:
            return line
        first = [f"  {file}: {reason}" for file, reason in list(self.failed.items())[:3]]
        more = f"{self.lacking}; all are listed in {self.failures}"
        return "\n".join([line, f"{len(self.failed)} failed and {more}:", *first])


def jobs_below(
    root: Path, folder: Path, settings: Any, suffix: str = "", shard: tuple[int, int] = WHOLE
) -> list[Job]:
    """A job for each video below ``root`` that belongs to the shard, sorted by name.

    ValueError where one folder lies in the other, or for a shard that cannot be.
    """
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard={part} of {parts} cannot be; count from 1 of {max(parts, 1)}")
    inner, outer = root.resolve(), folder.resolve()
    if inner == outer or inner in outer.parents or outer in inner.parents:
        raise ValueError(
            f"folder={str(folder)!r} and root={str(root)!r} lie in each other; "
            "choose a folder of its own for what is made"
        )
    videos = [Path(record.path).relative_to(root) for record in read_folder(root, labelled=False)]
    files = sorted(video.as_posix() for video in videos)[part - 1 :: parts]
    return [Job(root, folder, file, settings, suffix) for file in files]


# --- the manifest --------------------------------------------------------------------------------


class Manifest:
    """``entries`` by video: those of this shard's file, and of others where it has none.

    Args:
        folder: where the made files lie.
        stem: the manifest is called ``<stem>.jsonl``, or ``<stem>.1of8.jsonl`` for a shard.
        settings: what decides the made files; a folder made with others is refused.
        what: the made files in one word, for messages.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        settings: dict[str, Any],
        *,
        what: str,
        shard: tuple[int, int] = WHOLE,
    ):
        mark = "" if shard == WHOLE else f".{shard[0]}of{shard[1]}"
        self.folder, self.settings, self.what = folder, settings, what
        self.is_shard = shard != WHOLE
        self.path = folder / f"{stem}{mark}.jsonl"
        self.failures = folder / f"failures{mark}.txt"
        self.lock = f".lock{mark}"
        self.entries: dict[str, Entry] = {}
        self._own: dict[str, Entry] = {}
        self._pattern = f"{stem}*.jsonl"

    def open(self) -> None:
        """Read what is there, begin a new one; FileExistsError in a folder of something else."""
        others = sorted(set(self.folder.glob(self._pattern)) - {self.path})
        if not others and not self.path.is_file():
            self._require_empty()
        for path in others:
            self.entries |= self._read(path)
        self._own = self._read(self.path) if self.path.is_file() else {}
        self.entries |= self._own
        self.write()

    def add(self, entry: Entry) -> None:
        """Note a finished video at once."""
        self.entries[entry["file"]] = self._own[entry["file"]] = entry
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def write(self) -> None:
        """Write the file anew, sorted and without lines that were replaced."""
        lines = [{"settings": self.settings}, *(self._own[file] for file in sorted(self._own))]
        write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def write_failures(self, failed: dict[str, str]) -> None:
        """List the videos that failed in a text file; none, no file."""
        lines = [f"{file}: {reason}\n" for file, reason in failed.items()]
        if lines:
            write_atomic(self.failures, "".join(lines))
        else:
            self.failures.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Entry]:
        header = json.dumps({"settings": self.settings})
        text = path.read_text(encoding="utf-8", errors="replace")
        first, *lines = text.split("\n") if text else ["{}"]
        if first != header:
            raise FileExistsError(
                f"{self.folder} holds {self.what} made with {first}, asked for are {header}; "
                "choose another folder or delete it"
            )
        return {entry["file"]: entry for line in lines if (entry := _parsed(line))}

    def _require_empty(self) -> None:
        names = sorted(p.name for p in self.folder.iterdir() if not p.name.startswith("."))
        if names:
            raise FileExistsError(
                f"{self.folder} holds something else ({names[0]}); give a new or empty folder, or "
                f"one of earlier {self.what} ({self.path.name} is not there)"
            )


def _parsed(line: str) -> Entry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # cut short when a run was killed: it is made again
        return None
    told = isinstance(entry, dict) and isinstance(entry.get("file"), str)
    whole = told and ("failed" in entry or entry.keys() >= {"source_bytes", "bytes"})
    return entry if whole else None


def size_of(path: Path) -> int:
    """Bytes of a file, -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def _is_finished(job: Job, entry: Entry | None) -> bool:
    if entry is None or "failed" in entry:
        return False
    return entry["source_bytes"] == size_of(job.source) and entry["bytes"] == size_of(job.target)


# --- the work ------------------------------------------------------------------------------------


def make_all(
    jobs: Sequence[Job],
    make: Callable[[Job], Entry],
    manifest: Manifest,
    *,
    workers: int,
    progress: bool,
    outcome: type[Outcome] = Outcome,
    before: Callable[[], None] | None = None,
) -> Outcome:
    """Make what is missing in worker processes; ``make(job)`` writes the target whole.

    It returns numbers for the manifest and raises `UnreadableVideo` for a video that cannot be
    read, which is then noted with the reason and tried again by the next run. ``before`` runs
    once the folder is locked.
    """
    folder = manifest.folder
    with writing(folder, f"the {manifest.what}"):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder, manifest.lock):
            manifest.open()
            remove_leftovers(folder, {job.target for job in jobs} if manifest.is_shard else None)
            if before:
                before()
            todo = [job for job in jobs if not _is_finished(job, manifest.entries.get(job.file))]
            _make(todo, make, manifest, workers, progress)
            entries = manifest.entries
            failed = {j.file: why for j in jobs if (why := entries[j.file].get("failed"))}
            manifest.write_failures(failed)
    kept = len(jobs) - len(todo)
    return outcome(folder, len(todo) - len(failed), kept, failed, manifest.failures)


def _make(todo: list[Job], make: Callable, manifest: Manifest, workers: int, progress: bool):
    failures = 0
    with reporting(len(todo), manifest.what, shown=progress) as lines:
        for job, entry in results_of(partial(_attempt, make), todo, workers):
            if entry is None:
                entry = _failure(job, "a process that reads it is killed (memory?); leave it out")
            manifest.add(entry)
            failures += "failed" in entry
            lines.set_note(f"{failures} failed" if failures else "")
            lines.update()
    manifest.write()


def _attempt(make: Callable[[Job], Entry], job: Job) -> Entry:
    """The manifest's entry for one video: the numbers of what was made, or why there is nothing."""
    job.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        numbers = make(job)
    except UnreadableVideo as error:
        job.target.unlink(missing_ok=True)  # of a video that was readable once
        return _failure(job, error.reason)
    except OSError as error:  # PyAV's own kind does not find its way out of a worker
        raise OSError(error.errno, error.strerror or str(error)) from None
    sizes = {"source_bytes": size_of(job.source), "bytes": size_of(job.target)}
    return {"file": job.file, **sizes, **numbers}


def _failure(job: Job, reason: str) -> Entry:
    return {"file": job.file, "source_bytes": size_of(job.source), "failed": reason}


# --- reading videos of any length ----------------------------------------------------------------


def small_chunks(source: Path, short_side: int) -> Iterator[np.ndarray]:
    """A video's frames, uint8 (T, H, W, 3) in pieces that fit into memory, one after the other.

    The short side becomes ``short_side``; a smaller one stays. Raises `UnreadableVideo`.
    """
    shape = None
    for frames in read_in_order(source, CHUNK_BYTES):
        if min(frames.shape[1:3]) > short_side:
            frames = resize_short_side(frames, short_side)
        if 0 in frames.shape or shape not in (None, frames.shape[1:]):
            raise UnreadableVideo(source, "its frames change size, or are 1 pixel wide")
        shape = frames.shape[1:]
        yield frames
