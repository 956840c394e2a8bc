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

import os
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from vidssl.core import UnreadableVideo
from vidssl.data.decode import frame_rate, write_video
from vidssl.data.per_video import (
    WHOLE,
    Entry,
    Job,
    Manifest,
    Outcome,
    jobs_below,
    make_all,
    small_chunks,
)
from vidssl.files import whole

LIST_SUFFIXES = (".txt", ".csv", ".json")


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


class Prepared(Outcome):
    """What `prepare` did: copies ``made`` and ``kept``, and ``failed``, {file: reason}."""

    verb = "copied"
    lacking = "have no copy"


def prepare(
    root: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    short_side: int = 128,
    gop: int = 12,
    crf: int = 18,
    shard: tuple[int, int] = WHOLE,
    workers: int = 2,
    progress: bool = True,
) -> Prepared:
    """Copy every video below ``root`` to the same place below ``folder``, as stated above.

    Lists beside the videos (.txt, .csv, .json) are copied along. A shard (i, n) takes every n-th
    video; shards may run at once, on one machine or several. Files appear whole or not at all; a
    run that was stopped goes on where it was, and copies are kept while ``prepared.jsonl``
    (``prepared.3of8.jsonl`` for a shard) confirms their size and their original's. A video that
    cannot be read gets no copy: it is named with the reason there and in ``failures.txt``, and
    tried again by the next run. The copy of an original that is gone stays.

    Raises FileNotFoundError for a missing ``root``, ValueError for one without videos or for
    impossible settings, FileExistsError where ``folder`` holds anything else, OSError where it
    cannot be written.
    """
    settings = CopySettings(short_side, gop, crf)
    root, folder = Path(root), Path(folder)
    jobs = jobs_below(root, folder, settings, shard=shard)
    manifest = Manifest(folder, "prepared", asdict(settings), what="copies", shard=shard)
    return make_all(
        jobs,
        _copy,
        manifest,
        workers=workers,
        progress=progress,
        outcome=Prepared,
        before=partial(_copy_lists, root, manifest),
    )


def _copy_lists(root: Path, manifest: Manifest) -> None:
    ours = {manifest.path.name, manifest.failures.name}
    for place, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            target = manifest.folder / Path(place).relative_to(root) / name
            is_ours = name in ours and Path(place) == root
            if target.suffix.lower() in LIST_SUFFIXES and not is_ours and not target.exists():
                with whole(target) as part:
                    shutil.copyfile(Path(place, name), part)


def _copy(job: Job) -> Entry:
    shape, length = None, 0
    # Small frames wait in a file without a name, which is gone with this process: an hour of
    # video would not fit into memory.
    with TemporaryFile(dir=job.target.parent) as store:
        for frames in small_chunks(job.source, job.settings.short_side):
            frames = _even(frames)
            if 0 in frames.shape:
                raise UnreadableVideo(job.source, "its frames are 1 pixel wide")
            length, shape = length + len(frames), frames.shape[1:]
            store.write(np.ascontiguousarray(frames).data)
        store.flush()
        frames = np.memmap(store, np.uint8, "r", shape=(length, *shape))
        fps = frame_rate(job.source)
        write_video(job.target, frames, fps=fps, gop=job.settings.gop, crf=job.settings.crf)
    numbers = {"frames": length, "height": shape[0], "width": shape[1]}
    return {**numbers, "fps": round(float(fps), 3)}


def _even(frames: np.ndarray) -> np.ndarray:
    height, width = frames.shape[1:3]
    return frames[:, : height - height % 2, : width - width % 2]
