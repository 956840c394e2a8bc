"""Several views of a video: global and local clips, weak and strong augmentations, labelled and
unlabelled side by side.

Videos shorter than what is asked for are mirrored at their ends, see `vidssl.data.sampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidssl.core import VideoRecord, frames_to_clip
from vidssl.data.color import ColorJitter
from vidssl.data.datasets import (
    ClipsDataset,
    Key,
    MultiClipDataset,
    Transform,
    resized_frames,
)
from vidssl.data.frame_store import FrameStore
from vidssl.data.sampling import clip_span, global_local_clips, mirror_index
from vidssl.data.transforms import flip, random_crop, resize_short_side

ERASED_AREA = (0.02, 0.33)  # share of the frame; Zhong et al., "Random Erasing", AAAI 2020
ERASED_ASPECT = (0.3, 3.3)


@dataclass(frozen=True)
class ViewTransform:
    """Random square crop, flip, colour jitter and random erasing: TCLR's and TimeBalance's views.

    The crop's side is uniform in ``scale`` times the shorter side and is resized to ``size``; with
    probability ``erase`` a rectangle (2 to 33 % of the area) becomes black. Each draw holds for
    all frames of a clip. In and out as in `TrainTransform`.
    """

    size: int
    short_side: int
    scale: tuple[float, float] = (0.5, 1.0)
    flip: float = 0.5
    jitter: ColorJitter = field(default_factory=lambda: ColorJitter(grey=0.175))
    erase: float = 0.7

    def __post_init__(self) -> None:
        if self.size < 1 or self.short_side < 1:
            raise ValueError(f"size={self.size} and short_side={self.short_side} must be 1 or more")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale={self.scale} must be (low, high) with 0 < low <= high <= 1")
        for name in ("flip", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be a probability in [0, 1]")

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> Tensor:
        return self.all(frames[None], rng)[0]

    def all(self, clips: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Clips (N, T, H, W, 3), each with its own draw: (N, 3, T, size, size) in [0, 1]."""
        cut = torch.stack([frames_to_clip(self._cut(frames, rng)) for frames in clips])
        # the colours of all clips at once: drawing them one by one costs more than the crops
        out = self.jitter(cut, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
        for clip in out:
            if rng.random() < self.erase:
                _erase(clip, rng)
        return out

    def _cut(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        frames = resize_short_side(frames, self.short_side)
        side = max(1, round(rng.uniform(*self.scale) * min(frames.shape[1:3])))
        frames = resize_short_side(random_crop(frames, side, rng), self.size)
        return np.ascontiguousarray(flip(frames) if rng.random() < self.flip else frames)


def _erase(clip: Tensor, rng: np.random.Generator) -> None:
    """Blacken one rectangle of (3, T, H, W), in place."""
    height, width = clip.shape[-2:]
    area = rng.uniform(*ERASED_AREA) * height * width
    aspect = np.exp(rng.uniform(*np.log(ERASED_ASPECT)))
    tall = min(height, max(1, round((area * aspect) ** 0.5)))
    wide = min(width, max(1, round((area / aspect) ** 0.5)))
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    clip[..., top : top + tall, left : left + wide] = 0


@dataclass(frozen=True)
class WeakStrong:
    """Two augmentations of the same frames: in as in `TrainTransform`, out (2, 3, T, size, size).

    The weak view comes first. ``strong`` must begin with the same ``short_side`` as ``weak``.
    """

    weak: Transform
    strong: Transform | ViewTransform

    def __post_init__(self) -> None:
        if self.weak.short_side != self.strong.short_side:
            raise ValueError(
                f"weak and strong must share one short_side, got {self.weak.short_side} and "
                f"{self.strong.short_side}"
            )

    @property
    def short_side(self) -> int:
        return self.weak.short_side

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> Tensor:
        return torch.stack([self.weak(frames, rng), self.strong(frames, rng)])


class ViewsDataset(ClipsDataset):
    """One global and N local clips of each video, each in two augmentations, from one decode.

    A sample is ``{"views": (2, 1 + N, 3, T, H, W), "label", "video_id", "failed"}``: the global
    clip first, then the local clips in order of time (`sampling.global_local_clips`). Each of the
    2 (1 + N) clips has its own draw of ``transform``.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        frames: int,
        global_stride: int,
        locals_count: int,
        transform: ViewTransform,
        seed: int = 0,
        store: FrameStore | None = None,
    ):
        sample = partial(
            _views, frames=frames, global_stride=global_stride, locals_count=locals_count
        )
        super().__init__(records, sample=sample, transform=transform, seed=seed, store=store)

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> dict:
        choose = partial(self.sample, rng=rng)
        frames = resized_frames(record.path, choose, self.transform.short_side, self.store)
        views = self.transform.all(frames, rng).unflatten(0, (2, -1))
        return {"views": views, "label": record.label}


def _views(
    num_frames: int, rng: np.random.Generator, frames: int, global_stride: int, locals_count: int
) -> np.ndarray:
    sparse, dense = global_local_clips(num_frames, frames, global_stride, locals_count, rng)
    return np.tile(np.concatenate([sparse[None], dense]), (2, 1))


def consecutive_clips(
    num_frames: int, frames: int, stride: int, count: int, start: int | None = None
) -> np.ndarray:
    """``count`` clips that follow each other without a gap: (count, frames) int64.

    They begin at frame ``start``, by default so that they stand in the middle of the video.

    >>> consecutive_clips(10, 3, 1, 2).tolist()
    [[2, 3, 4], [5, 6, 7]]
    """
    if start is None:
        start = max(0, num_frames - clip_span(count * frames, stride)) // 2
    if min(frames, stride, count) < 1 or start < 0:
        raise ValueError(
            f"frames, stride and count must be 1 or more and start 0 or more, got {frames}, "
            f"{stride}, {count} and {start}"
        )
    timeline = start + stride * np.arange(count * frames)
    return mirror_index(timeline, num_frames).reshape(count, frames)


class ConsecutiveClipsDataset(MultiClipDataset):
    """`MultiClipDataset` with clips that follow each other: `consecutive_clips`."""

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        frames: int,
        stride: int,
        count: int,
        transform: Transform,
        start: int | None = None,
        store: FrameStore | None = None,
    ):
        super().__init__(
            records, frames=frames, stride=stride, count=count, transform=transform, store=store
        )
        self.choose = partial(
            consecutive_clips, frames=frames, stride=stride, count=count, start=start
        )


class PairedDataset(Dataset):
    """A labelled and an unlabelled clip in each sample, for semi-supervised training.

    An epoch is a pass over ``unlabelled``; ``labelled`` goes round as often as it takes, with new
    augmentations each time. A sample is the labelled one, ``clip``, ``label``, ``video_id``, with
    ``unlabelled`` (the other's clip), ``unlabelled_id`` and the ``failed`` of both.
    """

    def __init__(self, labelled: Dataset, unlabelled: Dataset):
        self.labelled, self.unlabelled = labelled, unlabelled

    def __len__(self) -> int:
        return len(self.unlabelled)

    def __getitem__(self, key: Key) -> dict:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        sample = self.labelled[divmod(epoch * len(self) + index, len(self.labelled))]
        other = self.unlabelled[epoch, index]
        return {
            **sample,
            "unlabelled": other["clip"],
            "unlabelled_id": other["video_id"],
            "failed": sample["failed"] + other["failed"],
        }
