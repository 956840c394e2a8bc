"""What a protocol's numbers are held against: linear classifiers that see no learned feature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate
from torch.utils.data import Dataset

from vidssl.core import one_of
from vidssl.evaluation import linear_probe
from vidssl.inference import Outputs, run_videos

KINDS = ("static_frame", "frame_difference")
GRID = 16  # features are images of GRID x GRID cells


def linear_baseline(
    kind: str, train: Dataset, test: Dataset, num_classes: int, progress: bool = True
) -> Outputs:
    """Class probabilities (V, K) on ``test`` of a linear classifier fitted on ``train``.

    ``kind`` 'static_frame' sees the grey middle frame of each clip, 'frame_difference' the mean
    absolute difference of neighbouring frames; both shrunk to 16 x 16. ``train`` and ``test`` are
    `vidssl.data.ClipDataset`s of fixed clips: every clip is fitted, the clips of a test video are
    averaged.
    """
    fitted = pictures(kind, train, progress)
    tested = pictures(kind, test, progress)
    probabilities = linear_probe(
        np.concatenate(fitted.values),
        np.repeat(fitted.labels, fitted.values.shape[1]),
        np.concatenate(tested.values),
        num_classes,
        c=0.01,
        max_iter=500,
    )
    return replace(
        tested, values=probabilities.reshape(len(tested.labels), -1, num_classes).mean(1)
    )


def pictures(kind: str, dataset: Dataset, progress: bool = True) -> Outputs:
    """What `linear_baseline` sees: flat pictures (V, N, 256) of the clips of every readable video.

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
