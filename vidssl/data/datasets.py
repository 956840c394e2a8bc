"""Map-style data sets of clips and images, with exact, restartable randomness.

``dataset[key]`` is a sample as its docstring says. A loader's workers make the same samples packed
(uint8, see `vidssl.data.transforms`); `vidssl.core.unpack` finishes a batch where it is computed.

One data set of clips serves every method: a *source* reads what is asked for (`RGBFrames`,
`StoredFlow`), a *choice* names the frames of each clip (`vidssl.data.sampling`), a *transform*
makes the network's clips of them (`vidssl.data.transforms`).

A key is ``(epoch, index)`` or a plain ``index`` (epoch 0). Each sample's random numbers come from
``derive_seed(seed, epoch, index)``, so they depend neither on the number of workers nor on where
a run was stopped and continued. All data sets refuse to start when files are missing; a file that
cannot be decoded is named in the sample's ``failed`` list as "path: reason".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidssl.core import UnreadableVideo, VideoRecord, derive_seed, one_of, unpack
from vidssl.data.decode import read_clip, read_image
from vidssl.data.flow_files import (
    decode_flow,
    flow_about,
    flow_path,
    read_flow,
    resize_flow_short_side,
)
from vidssl.data.frame_store import FrameStore
from vidssl.data.readers.folder import is_image
from vidssl.data.resize import resize
from vidssl.data.splits import require_files
from vidssl.data.transforms import ClipTransform, random_crop, resize_short_side

Key = int | tuple[int, int]
Choose = Callable[[int], np.ndarray]
Source = Callable[[VideoRecord, Choose], np.ndarray]

SIDES = ("labelled", "unlabelled")  # of a `PairedDataset`

_TRIES = 20


# --- sources -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RGBFrames:
    """Source of frames (N, T, H, W, 3) uint8 at ``short_side``, of ``store`` or decoded.

    ``whole`` squeezes them to squares, so that a crop keeps what stands at the sides.
    """

    short_side: int
    store: FrameStore | None = None
    whole: bool = False

    def __call__(self, record: VideoRecord, choose: Choose) -> np.ndarray:
        """Frames of ``record`` at the indices (N, T) that ``choose(num_frames)`` names."""
        frames = resized_frames(record.path, choose, self.short_side, self.store)
        return squeezed(frames, self.short_side) if self.whole else frames


def squeezed(frames: np.ndarray, side: int) -> np.ndarray:
    """Whole frames (..., H, W, 3) as squares (..., side, side, 3), whatever their shape was."""
    squares = resize(frames.reshape(-1, *frames.shape[-3:]), side, side)
    return squares.reshape(*frames.shape[:-3], side, side, -1)


@dataclass(frozen=True)
class StoredFlow:
    """Source of flow extracted before: (N, T, H, W, 2) float32, pixels a frame at ``short_side``.

    ``folder`` holds the flow of the videos below ``root``, see `flow_files.flow_path`. Field t
    leads from frame t to frame t + 1, so a flow clip and an RGB clip at the same indices show the
    same stretch of time; the flow of a video of one frame is one field of no motion. Raises
    `UnreadableVideo` for a file that is missing or damaged.
    """

    folder: str | os.PathLike
    root: str | os.PathLike
    short_side: int

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


# --- data sets -----------------------------------------------------------------------------------


class _Packing(Dataset):
    """``packed(key)`` is a sample as it travels: whole by itself, packed in a loader."""

    def __getitem__(self, key: Key) -> dict:
        return unpack(self.packed(key))

    def __getitems__(self, keys: Sequence[Key]) -> list[dict]:
        """What torch's loaders ask for in place of one sample after the other."""
        return [self.packed(key) for key in keys]

    def packed(self, key: Key) -> dict:
        raise NotImplementedError


class _RecordDataset(_Packing):
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


class ClipDataset(_RecordDataset):
    """Clips of each video: what ``choose`` names, as ``source`` reads it, through ``transform``.

    A sample is ``{"clips": (N, C, T, H, W) float32, "times": (N, 2) int64, "label": int,
    "video_id": str, "failed": list[str]}``; ``times`` are a clip's first frame and the one after
    its last.

    With a ``seed`` the data set is for training: ``choose(num_frames, rng=rng)`` draws the indices
    (N, T), each clip gets its own draw of ``transform``, and an unreadable video is replaced by the
    next readable one (RuntimeError after 20 in a row). Without, it is for evaluation: nothing is
    random, ``choose(num_frames)`` fixes the clips, and an unreadable video has none: `collate`
    leaves it out of the batch, its reason stays in ``failed``, and the caller counts it.

    ``transform(clips, rng)`` may give more clips than it takes (two views of each), which then
    stand in ``clips`` view by view; ``times`` stay those of the clips read.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        source: Source,
        choose: Callable[..., np.ndarray],
        transform: ClipTransform,
        *,
        seed: int | None = None,
    ):
        super().__init__(records, seed or 0)
        self.training = seed is not None
        self.source, self.choose, self.transform = source, choose, transform

    def packed(self, key: Key) -> dict:
        if self.training:
            return self._first_readable(key, self._read)
        record = self.records[key[1] if isinstance(key, tuple) else key]
        try:
            return {**self._read(record), "video_id": record.video_id, "failed": []}
        except UnreadableVideo as error:
            nothing = {"clips": torch.zeros(0), "times": torch.zeros(0, 2, dtype=torch.int64)}
            about = {"label": record.label, "video_id": record.video_id}
            return {**nothing, **about, "failed": [str(error)]}

    def _read(self, record: VideoRecord, rng: np.random.Generator | None = None) -> dict:
        choose = self.choose if rng is None else partial(self.choose, rng=rng)
        chosen: list[np.ndarray] = []

        def remember(num_frames: int) -> np.ndarray:
            chosen.append(choose(num_frames))
            return chosen[-1]

        clips = self.transform.packed(self.source(record, remember), rng)
        times = np.stack([chosen[-1].min(axis=1), chosen[-1].max(axis=1) + 1], axis=1)
        return {"clips": clips, "times": torch.from_numpy(times), "label": record.label}


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

    def packed(self, key: Key) -> dict:
        return self._first_readable(key, self._read)

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> dict:
        def choose(num_frames: int) -> np.ndarray:
            return np.array([[0 if is_image(record.path) else rng.integers(num_frames)]])

        [frame] = resized_frames(record.path, choose, self.side, self.store)
        crop = random_crop(frame, self.side, rng)
        return {"image": torch.from_numpy(np.ascontiguousarray(crop[0].transpose(2, 0, 1)))}


class PairedDataset(_Packing):
    """A labelled and an unlabelled video in each sample, for semi-supervised training.

    An epoch is a pass over one side, ``epoch_of``: "unlabelled", or "labelled" as where two loaders
    are zipped and the labelled one ends first. The other side goes round as often as it takes, each
    time in another order and with new augmentations. A sample is the labelled one with
    ``unlabelled`` (the other's clips), ``unlabelled_id`` and the ``failed`` of both.
    """

    def __init__(
        self, labelled: ClipDataset, unlabelled: ClipDataset, epoch_of: str = "unlabelled"
    ):
        one_of("epoch_of", epoch_of, SIDES)
        self.labelled, self.unlabelled, self.epoch_of = labelled, unlabelled, epoch_of

    def __len__(self) -> int:
        return len(getattr(self, self.epoch_of))

    def packed(self, key: Key) -> dict:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        keys = dict.fromkeys(SIDES, (epoch, index))
        [other] = {*SIDES} - {self.epoch_of}
        keys[other] = self._going_round(getattr(self, other), epoch * len(self) + index)
        sample, unlabelled = (getattr(self, side).packed(keys[side]) for side in SIDES)
        return {
            **sample,
            "unlabelled": unlabelled["clips"],
            "unlabelled_id": unlabelled["video_id"],
            "failed": sample["failed"] + unlabelled["failed"],
        }

    def _going_round(self, side: ClipDataset, place: int) -> tuple[int, int]:
        """(round, index) of the ``place``-th sample of a side that is passed again and again."""
        turn, position = divmod(place, len(side))
        return turn, int(_order(len(side), side.seed, turn)[position])


@lru_cache(maxsize=4)
def _order(count: int, seed: int, turn: int) -> np.ndarray:
    return np.random.default_rng(derive_seed(seed, "order", turn)).permutation(count)


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
        elif isinstance(example, int):
            batch[name] = torch.tensor(values, dtype=torch.int64)
        elif isinstance(example, Tensor) and not values:
            batch[name] = example.new_zeros(0, *example.shape)
        else:
            batch[name] = _stacked(values) if values else values
    return batch


def _stacked(values: list) -> Any:
    """Tensors, and packed clips field by field, along a new first axis; else the list."""
    if not isinstance(values[0], (Tensor, tuple)):
        return None if values[0] is None else values
    if isinstance(values[0], Tensor):
        return torch.stack(values)
    return type(values[0])(*(_stacked(list(fields)) for fields in zip(*values)))
