"""Map-style data sets of clips and images, with exact, restartable randomness.

A key is ``(epoch, index)`` or a plain ``index`` (epoch 0). Each sample's random numbers come from
``derive_seed(seed, epoch, index)``, so they depend neither on the number of workers nor on where
a run was stopped and continued. All data sets refuse to start when files are missing; a file that
cannot be decoded is named in the sample's ``failed`` list as "path: reason".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidssl.core import UnreadableVideo, VideoRecord, derive_seed, frames_to_clip
from vidssl.data.decode import read_clip, read_image
from vidssl.data.frame_store import FrameStore
from vidssl.data.records import is_image, require_files
from vidssl.data.sampling import random_clip, uniform_clips
from vidssl.data.transforms import TestTransform, TrainTransform, random_crop, resize_short_side

Key = int | tuple[int, int]
Transform = TrainTransform | TestTransform
Choose = Callable[[int], np.ndarray]
Sampler = Callable[[int, np.random.Generator], np.ndarray]

_TRIES = 20


class _RecordDataset(Dataset):
    """What the data sets share: the records, the keys and the replacing of unreadable videos."""

    def __init__(self, records: Sequence[VideoRecord], seed: int = 0):
        if not records:
            raise ValueError("records is empty: a data set needs at least one video")
        require_files(records)
        self.records = list(records)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def _first_readable(self, key: Key, read: Callable) -> dict:
        """``read(record, rng)`` for the record at ``key``, else for the next one that works."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside a data set of {len(self)} videos")
        failed: list[str] = []
        for step in range(min(_TRIES, len(self))):
            place = (index + step) % len(self)
            rng = np.random.default_rng(derive_seed(self.seed, epoch, place))
            try:
                sample = read(self.records[place], rng)
            except UnreadableVideo as error:
                failed.append(str(error))
                continue
            return {**sample, "video_id": self.records[place].video_id, "failed": failed}
        raise RuntimeError(
            f"none of {len(failed)} videos in a row can be read; the first: {failed[0]}"
        )


class ClipsDataset(_RecordDataset):
    """Several clips of each video, for training.

    ``sample(num_frames, rng)`` gives the frame indices (N, T), for example a partial of
    `sampling.random_clips`; each clip gets its own draw of ``transform``. A sample is
    ``{"clips": (N, 3, T, H, W) float32, "label": int, "video_id": str, "failed": list[str]}``.
    An unreadable video is replaced by the next readable one and named in ``failed``; RuntimeError
    after 20 in a row. Frames come from ``store`` where they are in it.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        sample: Sampler,
        transform: Transform,
        seed: int = 0,
        store: FrameStore | None = None,
    ):
        super().__init__(records, seed)
        self.sample = sample
        self.transform = transform
        self.store = store

    def __getitem__(self, key: Key) -> dict:
        return self._first_readable(key, self._read)

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> dict:
        choose = partial(self.sample, rng=rng)
        frames = resized_frames(record.path, choose, self.transform.short_side, self.store)
        clips = torch.stack([self.transform(clip, rng) for clip in frames])
        return {"clips": clips, "label": record.label}


class ClipDataset(ClipsDataset):
    """One random clip of each video, for training: `ClipsDataset` with N = 1 taken away.

    A sample is ``{"clip": (3, T, H, W) float32, "label": int, "video_id": str, "failed": list}``.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        frames: int,
        stride: int,
        transform: Transform,
        seed: int = 0,
        store: FrameStore | None = None,
    ):
        sample = partial(_one_clip, frames=frames, stride=stride)
        super().__init__(records, sample=sample, transform=transform, seed=seed, store=store)

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> dict:
        sample = super()._read(record, rng)
        return {"clip": sample.pop("clips")[0], **sample}


def _one_clip(num_frames: int, rng: np.random.Generator, frames: int, stride: int) -> np.ndarray:
    return random_clip(num_frames, frames, stride, rng)[None]


class MultiClipDataset(_RecordDataset):
    """``count`` clips spread evenly over each video, for evaluation; nothing is random.

    A sample is ``{"clips": (count, 3, T, H, W) float32, "label", "video_id", "failed"}``. No video
    replaces an unreadable one: its clips are empty (0, 3, T, H, W), its reason is in ``failed``,
    and `collate` leaves it out of the batch, so that the caller counts it.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        frames: int,
        stride: int,
        count: int,
        transform: Transform,
        store: FrameStore | None = None,
    ):
        super().__init__(records)
        self.frames, self.store = frames, store
        self.choose = partial(uniform_clips, frames=frames, stride=stride, count=count)
        self.transform = transform

    def __getitem__(self, key: Key) -> dict:
        record = self.records[key[1] if isinstance(key, tuple) else key]
        failed: list[str] = []
        try:
            side = self.transform.short_side
            frames = resized_frames(record.path, self.choose, side, self.store)
            clips = torch.stack([self.transform(clip, None) for clip in frames])
        except UnreadableVideo as error:
            failed.append(str(error))
            clips = torch.zeros(0, 3, self.frames, self.transform.size, self.transform.size)
        return {
            "clips": clips,
            "label": record.label,
            "video_id": record.video_id,
            "failed": failed,
        }


class ImageDataset(_RecordDataset):
    """A square crop of one random frame of each video (another each epoch), or of a still image.

    The short side is resized to ``side``, the side x side crop slides along the other one. A
    sample is ``{"image": (3, side, side) float32 in [0, 1], "video_id": str, "failed": list}``.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        side: int,
        seed: int = 0,
        store: FrameStore | None = None,
    ):
        super().__init__(records, seed)
        if side < 1:
            raise ValueError(f"side must be at least 1 pixel, got {side}")
        self.side, self.store = side, store

    def __getitem__(self, key: Key) -> dict:
        return self._first_readable(key, self._read)

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> dict:
        def choose(num_frames: int) -> np.ndarray:
            return np.array([[0 if is_image(record.path) else rng.integers(num_frames)]])

        [frame] = resized_frames(record.path, choose, self.side, self.store)
        crop = random_crop(frame, self.side, rng)
        return {"image": frames_to_clip(np.ascontiguousarray(crop))[:, 0].contiguous()}


def resized_frames(
    path: str, choose: Choose, side: int, store: FrameStore | None = None
) -> np.ndarray:
    """Frames (N, T, H, W, 3) uint8 of a video, or of a still image, which has one frame.

    ``choose(number of frames)`` gives the indices (N, T); the short side becomes ``side``. Frames
    come from ``store`` or are decoded, each once: the bytes are the same. Raises as `read_clip`.
    """
    stored = None if store is None else store.frames(path, side)
    if stored is None:
        return _decoded_frames(path, choose, side)
    indices = choose(len(stored))
    if indices.min() < 0:  # counting from the end is not what a decoder does
        raise IndexError(f"{path}: has {len(stored)} frames, asked for {indices.min()}")
    return stored[indices]


def _decoded_frames(path: str, choose: Choose, side: int) -> np.ndarray:
    if is_image(path):
        return resize_short_side(read_image(path)[None], side)[choose(1)]
    layout: list[np.ndarray] = []

    def distinct(num_frames: int) -> np.ndarray:
        indices = choose(num_frames)
        wanted, places = np.unique(indices, return_inverse=True)
        layout.append(places.reshape(indices.shape))
        return wanted

    frames = resize_short_side(read_clip(path, distinct), side)
    return frames[layout[0]]


def collate(samples: Sequence[dict]) -> dict:
    """Join samples to a batch: tensors stacked, labels int64 (B,), names in lists.

    Samples without a tensor's content (unreadable in evaluation) are left out; what is in their
    ``failed`` stays in the batch's. If none is left, tensors have B = 0.
    """
    kept = [s for s in samples if all(len(v) for v in s.values() if isinstance(v, Tensor))]
    batch: dict = {}
    for name, example in samples[0].items():
        values = [sample[name] for sample in kept]
        if name == "failed":
            batch[name] = [reason for sample in samples for reason in sample[name]]
        elif isinstance(example, Tensor):
            batch[name] = torch.stack(values) if values else example.new_zeros(0, *example.shape)
        elif isinstance(example, int):
            batch[name] = torch.tensor(values, dtype=torch.int64)
        else:
            batch[name] = values
    return batch
