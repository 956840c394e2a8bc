"""Clips of stored optical flow or of RGB frames that know their place in time.

What a motion model and its RGB student are trained on: the same records, the same choice of clips,
another source of their content. `RGBFrames` decodes a video, `StoredFlow` reads the files of
`vidssl.data.flow_files`; `TimedClipsDataset` draws clips for training, `ChosenClipsDataset` gives
fixed ones for evaluation and for dense features. Flow field t leads from frame t to frame t + 1,
so a flow clip and an RGB clip at the same indices show the same stretch of time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vidssl.core import UnreadableVideo, VideoRecord
from vidssl.data.datasets import Choose, Key, Sampler, _RecordDataset, resized_frames
from vidssl.data.flow_files import (
    decode_flow,
    flip_flow,
    flow_about,
    flow_path,
    read_flow,
    resize_flow_short_side,
)
from vidssl.data.frame_store import FrameStore
from vidssl.data.transforms import _check_sizes, window

Source = Callable[[VideoRecord, Choose], np.ndarray]
ClipTransform = Callable[[np.ndarray, np.random.Generator | None], Tensor]


class RGBFrames:
    """Source of frames (N, T, H, W, 3) uint8 at ``short_side``, of ``store`` or decoded."""

    def __init__(self, short_side: int, store: FrameStore | None = None):
        self.short_side, self.store = short_side, store

    def __call__(self, record: VideoRecord, choose: Choose) -> np.ndarray:
        """Frames of ``record`` at the indices (N, T) that ``choose(num_frames)`` names."""
        return resized_frames(record.path, choose, self.short_side, self.store)


class StoredFlow:
    """Source of flow extracted before: (N, T, H, W, 2) float32, pixels a frame at ``short_side``.

    ``folder`` holds the flow of the videos below ``root``, see `flow_files.flow_path`. The flow of
    a video of a single frame is one field of no motion. Raises `UnreadableVideo` for a file that
    is missing or damaged.
    """

    def __init__(self, folder: str | os.PathLike, root: str | os.PathLike, short_side: int):
        self.folder, self.root, self.short_side = folder, root, short_side

    def __call__(self, record: VideoRecord, choose: Choose) -> np.ndarray:
        """Flow of ``record`` at the indices (N, T) that ``choose(num_fields)`` names."""
        path = flow_path(self.folder, self.root, record.path)
        length, height, width, _ = flow_about(path)["shape"]
        indices = choose(max(length, 1))
        wanted, places = np.unique(indices, return_inverse=True)
        if length:
            flow = decode_flow(read_flow(path, wanted))
        else:
            flow = np.zeros((1, height, width, 2), np.float32)
        return resize_flow_short_side(flow, self.short_side)[places.reshape(indices.shape)]


@dataclass(frozen=True)
class FlowTrainTransform:
    """Random square crop of flow (T, H, W, 2) in px and, with probability ``flip``, its mirror
    image, u negated; returns (2, T, size, size) float32.

    ``flip`` is 0 by default: a mirrored motion is another motion.
    """

    size: int
    short_side: int
    flip: float = 0.0

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side)
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip={self.flip} must be a probability in [0, 1]")

    def __call__(self, flow: np.ndarray, rng: np.random.Generator) -> Tensor:
        flow = window(flow, self.size, rng)
        return _as_clip(flip_flow(flow) if rng.random() < self.flip else flow)


@dataclass(frozen=True)
class FlowTestTransform:
    """Centre crop of flow; same in and out as `FlowTrainTransform`, nothing is random."""

    size: int
    short_side: int

    def __post_init__(self) -> None:
        _check_sizes(self.size, self.short_side)

    def __call__(self, flow: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
        return _as_clip(window(flow, self.size))


def _as_clip(flow: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(flow.transpose(3, 0, 1, 2)))


class TimedClipsDataset(_RecordDataset):
    """Several clips of each video with their place in time, for training.

    ``sample(num_frames, rng)`` gives the indices (N, T), for example a partial of
    `sampling.random_clips`, which draws clips in order of time and without overlap where the video
    is long enough. A sample is ``{"clips": (N, C, T, H, W) float32, "times": (N, 2) int64, "label",
    "video_id", "failed"}``; ``times`` are the first frame and the one after the last. A video that
    the source cannot read is replaced by the next readable one and named in ``failed``.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        source: Source,
        *,
        sample: Sampler,
        transform: ClipTransform,
        seed: int = 0,
    ):
        super().__init__(records, seed)
        self.source, self.sample, self.transform = source, sample, transform

    def __getitem__(self, key: Key) -> dict:
        return self._first_readable(key, self._read)

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> dict:
        clips, times = _timed_clips(self.source, record, partial(self.sample, rng=rng))
        clips = torch.stack([self.transform(clip, rng) for clip in clips])
        return {"clips": clips, "times": times, "label": record.label}


class ChosenClipsDataset(_RecordDataset):
    """The clips that ``choose(num_frames)`` names in each video; nothing is random.

    ``choose`` gives the indices (N, T), for example a partial of `sampling.uniform_clips` or
    `sampling.dense_clips`. Samples are those of `TimedClipsDataset`. No video replaces an
    unreadable one: its clips are empty and its reason is in ``failed``.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        source: Source,
        *,
        choose: Choose,
        transform: ClipTransform,
    ):
        super().__init__(records)
        self.source, self.choose, self.transform = source, choose, transform

    def __getitem__(self, key: Key) -> dict:
        record = self.records[key[1] if isinstance(key, tuple) else key]
        about = {"label": record.label, "video_id": record.video_id}
        try:
            clips, times = _timed_clips(self.source, record, self.choose)
        except UnreadableVideo as error:
            nothing = {"clips": torch.zeros(0), "times": torch.zeros(0, 2, dtype=torch.int64)}
            return {**nothing, **about, "failed": [str(error)]}
        clips = torch.stack([self.transform(clip, None) for clip in clips])
        return {"clips": clips, "times": times, **about, "failed": []}


def _timed_clips(source: Source, record: VideoRecord, choose: Choose) -> tuple[np.ndarray, Tensor]:
    """The clips, and (N, 2) the first frame of each and the one after its last."""
    chosen: list[np.ndarray] = []

    def remember(num_frames: int) -> np.ndarray:
        chosen.append(choose(num_frames))
        return chosen[-1]

    clips = source(record, remember)
    return clips, torch.from_numpy(np.stack([chosen[-1].min(1), chosen[-1].max(1) + 1], axis=1))
