"""Copies of a data set that training reads fast: small frames and a key frame every few of them.

A copy holds its original's frames one for one, as `read_frames` gives them (turned upright), in
H.264 without sound. Sizes, stated once: the short side becomes ``short_side``, a smaller one stays
(nothing is enlarged), and an odd last row or column is cut off, because H.264 needs even sides. A
variable frame rate becomes its average.

A copy lies below its folder under its original's own name, ending included: a copy of ``x.avi`` is
called ``x.avi`` though it is an mp4 file inside, which every decoder sees for itself. So official
lists and all readers work on the copies as they are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from vidssl.core import UnreadableVideo
from vidssl.data.decode import read_frames, video_length, write_video
from vidssl.data.records import read_folder
from vidssl.data.transforms import resize_short_side
from vidssl.data.workers import LOCK, alone, end_with, remove_leftovers, write_text, writing

MANIFEST = "prepared.jsonl"  # a line of settings, then one for each video as it is finished
FAILURES = "failures.txt"
LIST_SUFFIXES = (".txt", ".csv", ".json")
CHUNK_BYTES = 256 * 2**20  # decoded frames a worker holds at once
IDLE_SECONDS = 20  # then a worker gives its memory back

Entry = dict[str, Any]


@dataclass(frozen=True)
class CopySettings:
    """How copies are made: ``short_side`` in pixels, ``gop`` in frames, ``crf`` as x264 has it."""

    short_side: int = 128
    gop: int = 12
    crf: int = 18

    def __post_init__(self) -> None:
        if self.short_side < 2 or self.short_side % 2:
            raise ValueError(
                f"short_side={self.short_side} must be even and at least 2 (H.264 needs even sides)"
            )
        if self.gop < 1:
            raise ValueError(f"gop={self.gop} must be at least 1 frame")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf={self.crf} must be in 0..51; lower is better")


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did: copies ``made`` and ``kept``, and ``failed``, {file: reason}."""

    folder: Path
    made: int
    kept: int
    failed: dict[str, str]

    def __str__(self) -> str:
        videos = self.made + self.kept + len(self.failed)
        line = f"{self.folder}: {videos} videos, {self.made} copied, {self.kept} kept"
        if not self.failed:
            return line
        first = [f"  {file}: {reason}" for file, reason in list(self.failed.items())[:3]]
        more = f"have no copy; all are listed in {self.folder / FAILURES}"
        return "\n".join([line, f"{len(self.failed)} failed and {more}:", *first])


@dataclass(frozen=True)
class _Job:
    root: Path
    folder: Path
    file: str  # below both
    settings: CopySettings

    @property
    def source(self) -> Path:
        return self.root / self.file

    @property
    def target(self) -> Path:
        return self.folder / self.file


def prepare(
    root: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    short_side: int = 128,
    gop: int = 12,
    crf: int = 18,
    workers: int = 2,
    progress: bool = True,
) -> Prepared:
    """Copy every video below ``root`` to the same place below ``folder``, as stated above.

    Lists beside the videos (.txt, .csv, .json) are copied along. Files appear whole or not at all;
    a run that was stopped goes on where it was, and copies are kept while ``prepared.jsonl``
    confirms their size and their original's. A video that cannot be read gets no copy: it is named
    with the reason there and in ``failures.txt``, and tried again by the next run. The copy of an
    original that is gone stays.

    Raises FileNotFoundError for a missing ``root``, ValueError for one without videos or for
    impossible settings, FileExistsError where ``folder`` holds anything else, OSError where it
    cannot be written.
    """
    settings = CopySettings(short_side, gop, crf)
    root, folder = Path(root), Path(folder)
    videos = [Path(record.path).relative_to(root) for record in read_folder(root, labelled=False)]
    _require_apart(root, folder)
    jobs = [_Job(root, folder, file.as_posix(), settings) for file in videos]
    with writing(folder, "the copies"):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            entries = _read_manifest(folder, settings)
            remove_leftovers(folder)
            _copy_lists(root, folder)
            todo = [job for job in jobs if not _is_finished(job, entries.get(job.file))]
            _make_copies(todo, entries, workers, progress)
            failed = {j.file: why for j in jobs if (why := entries[j.file].get("failed"))}
            _write_failures(folder, failed)
    return Prepared(folder, len(todo) - len(failed), len(jobs) - len(todo), failed)


def _require_apart(root: Path, folder: Path) -> None:
    inner, outer = root.resolve(), folder.resolve()
    if inner == outer or inner in outer.parents or outer in inner.parents:
        raise ValueError(
            f"folder={str(folder)!r} and root={str(root)!r} lie in each other; "
            "choose a folder of its own for the copies"
        )


# --- the manifest -------------------------------------------------------------------------------


def _read_manifest(folder: Path, settings: CopySettings) -> dict[str, Entry]:
    """Entries by file; begins the manifest of a new folder, refuses a folder of something else."""
    path, header = folder / MANIFEST, {"settings": asdict(settings)}
    if path.is_file():
        found, *lines = path.read_text().splitlines() or ["{}"]
        if found != json.dumps(header):
            raise FileExistsError(
                f"{folder} holds copies made with {found}, asked for are {json.dumps(header)}; "
                "choose another folder or delete it"
            )
        entries = {entry["file"]: entry for line in lines if (entry := _parsed(line))}
    else:
        others = sorted(p.name for p in folder.iterdir() if not p.name.startswith((LOCK, ".nfs")))
        if others:
            raise FileExistsError(
                f"{folder} holds something else ({others[0]}); give a new or empty folder, or one "
                f"of earlier copies ({MANIFEST} is not there)"
            )
        entries = {}
    _write_manifest(folder, settings, entries)
    return entries


def _parsed(line: str) -> Entry | None:
    try:
        return json.loads(line)
    except json.JSONDecodeError:  # cut short when a run was killed: that copy is made again
        return None


def _write_manifest(folder: Path, settings: CopySettings, entries: dict[str, Entry]) -> None:
    lines = [{"settings": asdict(settings)}, *(entries[file] for file in sorted(entries))]
    write_text(folder / MANIFEST, "".join(json.dumps(line) + "\n" for line in lines))


def _is_finished(job: _Job, entry: Entry | None) -> bool:
    if entry is None or "failed" in entry:
        return False
    return entry["source_bytes"] == _size(job.source) and entry["bytes"] == _size(job.target)


def _size(path: Path) -> int:
    """Bytes of a file, -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def _write_failures(folder: Path, failed: dict[str, str]) -> None:
    lines = [f"{file}: {reason}\n" for file, reason in failed.items()]
    if lines:
        write_text(folder / FAILURES, "".join(lines))
    else:
        (folder / FAILURES).unlink(missing_ok=True)


def _copy_lists(root: Path, folder: Path) -> None:
    for place, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            target = folder / Path(place).relative_to(root) / name
            is_ours = name in (MANIFEST, FAILURES) and Path(place) == root
            if target.suffix.lower() in LIST_SUFFIXES and not is_ours and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".{name}.{os.getpid()}.part")
                shutil.copyfile(Path(place, name), partial)
                os.replace(partial, target)


# --- the work -----------------------------------------------------------------------------------


def _make_copies(jobs: list[_Job], entries: dict[str, Entry], workers: int, progress: bool) -> None:
    """Copy in parallel; each result goes to ``entries`` and to the manifest as it comes."""
    from tqdm import tqdm

    if not jobs:
        return
    folder, settings = jobs[0].folder, jobs[0].settings
    failures = 0
    with (
        open(folder / MANIFEST, "a") as manifest,
        tqdm(total=len(jobs), desc="copies", unit="video", disable=not progress) as bar,
    ):
        for job, entry in results_of(_attempt, jobs, workers):
            if entry is None:
                entry = _failure(job, "a process that reads it is killed (memory?); leave it out")
            entries[job.file] = entry
            manifest.write(json.dumps(entry) + "\n")
            manifest.flush()
            failures += "failed" in entry
            bar.set_postfix({"failed": failures} if failures else {}, refresh=False)
            bar.update()
    _write_manifest(folder, settings, entries)


def results_of(work: Callable, jobs: list, workers: int) -> Iterator[tuple[Any, Any]]:
    """(job, ``work(job)``) for hashable jobs, in the order they finish, in worker processes.

    A worker that is killed (out of memory, a decoder that crashes) costs no other job: those it
    may have had in hand are tried again one by one, and a job that kills its worker then has the
    result None. One worker is this process itself.
    """
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting = list(jobs)
    while waiting:
        begun: set[Any] = set()
        try:
            for job, result in _parallel(work, waiting, workers, begun):
                begun.discard(job)
                waiting.remove(job)
                yield job, result
        except TerminatedWorkerError:
            for job in [job for job in waiting if job in begun]:
                waiting.remove(job)
                yield job, _alone_in_a_worker(work, job)


def _parallel(work: Callable, jobs: list, workers: int, begun: set) -> Iterator[tuple[Any, Any]]:
    from joblib import Parallel, delayed

    def calls() -> Iterator:
        for job in list(jobs):
            begun.add(job)
            yield delayed(_with_job)(work, job, os.getpid())

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
        return Parallel(n_jobs=2)([delayed(_with_job)(work, job, os.getpid())])[0][1]
    except TerminatedWorkerError:
        return None


def _with_job(work: Callable, job: Any, parent: int) -> tuple[Any, Any]:
    if os.getpid() != parent:
        end_with(parent)
    return job, work(job)


def _attempt(job: _Job) -> Entry:
    """The manifest's entry for one video: its copy's numbers, or why there is no copy."""
    try:
        numbers = _copy(job.source, job.target, job.settings)
    except UnreadableVideo as error:
        job.target.unlink(missing_ok=True)  # of an original that was readable once
        return _failure(job, error.reason)
    except OSError as error:  # PyAV's own kind does not find its way out of a worker
        raise OSError(error.errno, error.strerror or str(error)) from None
    return {"file": job.file, "source_bytes": _size(job.source), **numbers}


def _failure(job: _Job, reason: str) -> Entry:
    return {"file": job.file, "source_bytes": _size(job.source), "failed": reason}


def _copy(source: Path, target: Path, settings: CopySettings) -> Entry:
    length = video_length(source)
    fps, chunk = _rate_and_chunk(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Small frames wait in a file without a name, which is gone with this process: an hour of
    # video would not fit into memory.
    with TemporaryFile(dir=target.parent) as store:
        shape = None
        for start in range(0, length, chunk):
            frames = read_frames(source, range(start, min(start + chunk, length)))
            frames = _small(frames, settings.short_side)
            if 0 in frames.shape or shape not in (None, frames.shape[1:]):
                raise UnreadableVideo(source, "its frames change size, or are 1 pixel wide")
            shape = frames.shape[1:]
            store.write(np.ascontiguousarray(frames).data)
        store.flush()
        frames = np.memmap(store, np.uint8, "r", shape=(length, *shape))
        write_video(target, frames, fps=fps, gop=settings.gop, crf=settings.crf)
    return {
        "bytes": _size(target),
        "frames": length,
        "height": shape[0],
        "width": shape[1],
        "fps": round(float(fps), 3),
    }


def _small(frames: np.ndarray, short_side: int) -> np.ndarray:
    height, width = frames.shape[1:3]
    if min(height, width) > short_side:
        frames = resize_short_side(frames, short_side)
        height, width = frames.shape[1:3]
    return frames[:, : height - height % 2, : width - width % 2]


def _rate_and_chunk(path: Path) -> tuple[Fraction, int]:
    """Average frames a second (25 where the file names none), and how many to decode at once."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate, pixels = stream.average_rate, stream.width * stream.height
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableVideo(path, f"cannot be opened by PyAV ({error})") from error
    if not rate or not 0.1 <= rate <= 1000:
        rate = Fraction(25)
    return Fraction(rate).limit_denominator(1001), max(1, CHUNK_BYTES // max(1, 3 * pixels))
