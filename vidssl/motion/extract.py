"""Optical flow of a whole data set as 8-bit files: parallel, in shards, resumable.

The flow of ``<root>/clap/a.mp4`` is ``<folder>/clap/a.mp4.npz`` (`vidssl.data.flow_files`). It is
computed at the stored size: frames are resized first, because TV-L1 takes time in proportion to
their pixels. The short side becomes ``short_side``, a smaller one stays; so sizes may differ
inside a set.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vidssl.core import UnreadableVideo
from vidssl.data.decode import frame_rate
from vidssl.data.flow_files import encode_flow, write_flow
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
from vidssl.motion.flow import SMALLEST, method_settings, optical_flow

SUFFIX = ".npz"


@dataclass(frozen=True)
class FlowSettings:
    """What decides the flow of a video; ``parameters`` are those of the method."""

    method: str
    short_side: int
    parameters: dict[str, Any]

    def __post_init__(self) -> None:
        if self.short_side < SMALLEST:
            raise ValueError(f"short_side={self.short_side} must be at least {SMALLEST} px")


@dataclass(frozen=True)
class Extracted(Outcome):
    """What `extract_flow` did; videos ``too_short`` for flow have one frame and an empty file."""

    too_short: list[str] = field(default_factory=list)
    verb = "extracted"
    lacking = "have no flow"

    def __str__(self) -> str:
        if not self.too_short:
            return super().__str__()
        named = ", ".join(self.too_short[:3]) + (", ..." if len(self.too_short) > 3 else "")
        return f"{super().__str__()}\n{len(self.too_short)} too short for flow (1 frame): {named}"


def extract_flow(
    root: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    method: str = "fast",
    short_side: int = 128,
    shard: tuple[int, int] = WHOLE,
    workers: int = 2,
    progress: bool = True,
    **parameters: Any,
) -> Extracted:
    """Write the flow of every video below ``root`` to the same place below ``folder``.

    A shard (i, n) takes every n-th video, i from 1 to n; shards may run at once, on one machine or
    several, and another n goes on with what is there. Files appear whole or not at all; a run that
    was stopped goes on where it was. ``flow.jsonl`` (``flow.3of8.jsonl`` for a shard) lists what
    was made. A video that cannot be read has no file: it is named with the reason there and in
    ``failures.txt``, and tried again by the next run.

    Args:
        root: folder of videos in any layout.
        method: one of `vidssl.motion.METHODS`; ``parameters`` replace some of its own.
        short_side: px of the stored flow, at least 16.
        workers: processes; "torch" on a GPU needs one.

    Raises:
        ValueError: no videos, an unknown method, impossible settings. FileNotFoundError: no
        ``root``. FileExistsError: ``folder`` holds anything else, or flow of other settings.
        OSError: it cannot be written.
    """
    root, folder = Path(root), Path(folder)
    settings = FlowSettings(method, short_side, method_settings(method, parameters))
    jobs = jobs_below(root, folder, settings, SUFFIX, shard)
    manifest = Manifest(folder, "flow", asdict(settings), what="flow", shard=shard)
    done = make_all(jobs, _extract, manifest, workers=workers, progress=progress, outcome=Extracted)
    done.too_short.extend(j.file for j in jobs if manifest.entries[j.file].get("frames") == 1)
    return done


def _extract(job: Job) -> Entry:
    settings: FlowSettings = job.settings
    codes, last, length = [], None, 0
    for frames in small_chunks(job.source, settings.short_side):
        if min(frames.shape[1:3]) < SMALLEST:
            size = " x ".join(map(str, frames.shape[1:3]))
            raise UnreadableVideo(
                job.source, f"its frames of {size} px are too small for flow; leave it out"
            )
        length += len(frames)
        joined = frames if last is None else np.concatenate([last, frames])
        codes.append(encode_flow(optical_flow(joined, settings.method, **settings.parameters)))
        last = frames[-1:]
    about = {"fps": round(float(frame_rate(job.source)), 3), **asdict(settings)}
    flow = np.concatenate(codes)
    write_flow(job.target, flow, **about)
    return {"frames": length, "height": flow.shape[1], "width": flow.shape[2], "fps": about["fps"]}
