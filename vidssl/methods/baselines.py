"""What a protocol's numbers are held against: linear classifiers that see no learned feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate
from torch.utils.data import Dataset

from vidssl.core import UnreadableVideo, VideoRecord, one_of
from vidssl.data.datasets import Choose, resized_frames
from vidssl.data.frame_store import FrameStore
from vidssl.evaluation import picture_probe
from vidssl.inference import Outputs, run_videos
from vidssl.progress import tracked

KINDS = ("static_frame", "frame_difference")
GRID = 16  # features are images of GRID x GRID cells
PICTURE = (24, 32)  # height and width that whole frames are shrunk to
QUARTERS = 4
CHANGES = 8  # pairs of neighbouring frames in each quarter
DECODED_SIDE = 48  # px, of frames that no store has


@dataclass(frozen=True)
class Yardstick(Outputs):
    """`Outputs` of a simple classifier; ``penalty`` says which one it has, and whence."""

    penalty: str = ""


def yardstick(
    kind: str,
    train_records: Sequence[VideoRecord],
    test_records: Sequence[VideoRecord],
    num_classes: int,
    *,
    store: FrameStore | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Yardstick:
    """Class probabilities (V, K) of the test videos by logistic regression on small pictures.

    ``kind`` 'static_frame' sees the middle frame in colour, 'frame_difference' the mean absolute
    difference of neighbouring grey frames in each quarter of the video, of 33 frames from its
    first to its last one; its square root, so that one fast hand does not drown the rest. Both see
    the whole frame, shrunk to 24 x 32 whatever its shape.

    The penalty is chosen on held-out groups of the training videos, see
    `vidssl.evaluation.picture_probe`. So was the rest, once, on three real sets (UTD-MHAD's depth
    videos, six classes of UCF101, UT-Interaction): roots were right more often than differences on
    all three, colour more often than grey on two, the middle frame more often than one of each
    quarter. The mean of all frames is not asked: it shows where something moved.

    Frames come from ``store`` where they are in it. Training videos without a label (-1) are left
    out, unreadable ones too; unreadable test videos are in ``failed``, to be counted as wrong.
    RuntimeError where none can be read, ValueError where the training videos are of one class.
    """
    one_of("kind", kind, KINDS)
    labelled = [record for record in train_records if record.label >= 0]
    fitted, _ = _seen(kind, labelled, store, progress)
    tested, failed = _seen(kind, test_records, store, progress)
    known = [record for record, _ in fitted]
    probabilities, penalty = picture_probe(
        np.stack([picture for _, picture in fitted]),
        [record.label for record in known],
        [record.group or record.video_id for record in known],
        np.stack([picture for _, picture in tested]),
        num_classes,
        seed=seed,
    )
    return Yardstick(
        values=probabilities,
        labels=np.array([record.label for record, _ in tested], dtype=np.int64),
        video_ids=[record.video_id for record, _ in tested],
        failed=[reason for _, reason in failed],
        failed_labels=np.array([record.label for record, _ in failed], dtype=np.int64),
        penalty=penalty.told,
    )


Seen = list[tuple[VideoRecord, np.ndarray]]


def _seen(
    kind: str, records: Sequence[VideoRecord], store: FrameStore | None, progress: bool
) -> tuple[Seen, list[tuple[VideoRecord, str]]]:
    """What a classifier sees of each readable video, and why the others could not be read."""
    picture = _static_picture if kind == "static_frame" else _difference_pictures
    seen, failed = [], []
    for record in tracked(records, kind, shown=progress):
        try:
            seen.append((record, picture(record.path, store)))
        except UnreadableVideo as error:
            failed.append((record, str(error)))
    if not seen:
        first = f"; first: {failed[0][1]}" if failed else ""
        raise RuntimeError(f"none of {len(failed)} videos could be read{first}")
    return seen, failed


def _static_picture(path: str, store: FrameStore | None) -> np.ndarray:
    """The middle frame, (3 * 24 * 32,)."""
    return _shrunk(path, _middle, store).flatten().numpy()


def _difference_pictures(path: str, store: FrameStore | None) -> np.ndarray:
    """Roots of the mean absolute changes in each quarter of the video, (4 * 24 * 32,).

    A video of fewer frames repeats some, which adds changes of 0: the sum over it stays.
    """
    grey = _shrunk(path, partial(_evenly, count=QUARTERS * CHANGES + 1), store).mean(dim=1)
    changes = grey.diff(dim=0).abs().unflatten(0, (QUARTERS, CHANGES)).mean(dim=1)
    return changes.sqrt().flatten().numpy()


def _middle(length: int) -> np.ndarray:
    return np.array([[(length - 1) // 2]])


def _evenly(length: int, count: int) -> np.ndarray:
    """``count`` frames from the first to the last of ``length``, (1, count)."""
    return np.linspace(0, length - 1, count).round().astype(np.int64)[None]


def _shrunk(path: str, choose: Choose, store: FrameStore | None) -> Tensor:
    """Whole frames at the indices that ``choose(length)`` names, in [0, 1]: (T, 3, 24, 32)."""
    side = DECODED_SIDE if store is None else store.short_side
    [frames] = resized_frames(path, choose, side, store)
    rgb = torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2) / 255
    return interpolate(rgb, size=PICTURE, mode="area")


def pictures(kind: str, dataset: Dataset, progress: bool = True) -> Outputs:
    """Flat pictures (V, N, 256) of the clips of every readable video: a grey middle frame, or the
    mean absolute difference of neighbouring frames, shrunk to 16 x 16.

    Features without learning, to hold a network's against.
    """
    one_of("kind", kind, KINDS)

    def picture(_: nn.Module, clip: Tensor) -> Tensor:
        grey = clip.mean(dim=1)  # (N, T, H, W)
        if kind == "static_frame":
            return _shrink(grey[:, grey.shape[1] // 2])
        return _shrink(grey.diff(dim=1).abs().mean(dim=1))

    return run_videos(nn.Identity(), dataset, picture, progress=progress, desc=kind)


def _shrink(pictures: Tensor) -> Tensor:
    """(N, H, W) -> (N, GRID * GRID)."""
    pictures = pictures[:, None]
    if min(pictures.shape[-2:]) < GRID:
        pictures = interpolate(pictures, size=(GRID, GRID), mode="bilinear")
    return adaptive_avg_pool2d(pictures, GRID).flatten(1)
