"""Pace prediction: a network names how fast a clip is played (Wang, Jiao and Liu, ECCV 2020).

Where what stands
-----------------
=====================  ===============================================================
a clip of each pace    `paced_clips`, the ``choose`` of a `vidssl.data.ClipDataset`
the pretext loss       `training_step`
=====================  ===============================================================

Differs from the paper
----------------------
- All paces of a video are in one step, as MoSI does with its labels; the paper draws one a clip.
- The paper's optional contrastive term is left out.
- A video too short for the slowest clip is mirrored at its ends, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from vidssl.core import normalise
from vidssl.data import random_clip, uniform_clips
from vidssl.inference import Outputs, run_videos
from vidssl.methods.supervised import place_step
from vidssl.training import Batch, Metrics, StepContext


def paced_clips(
    num_frames: int, frames: int, paces: Sequence[int], rng: np.random.Generator | None = None
) -> np.ndarray:
    """A clip of ``frames`` frames at each pace, which is its stride: (P, frames) int64.

    Each starts anywhere it fits, or without ``rng`` in the middle of the video.

    >>> paced_clips(9, 3, (1, 2)).tolist()
    [[3, 4, 5], [2, 4, 6]]
    """
    if len(set(paces)) < 2:
        raise ValueError(f"paces={list(paces)} must be two different strides or more")
    if rng is None:
        return np.concatenate([uniform_clips(num_frames, frames, pace, 1) for pace in paces])
    return np.stack([random_clip(num_frames, frames, pace, rng) for pace in paces])


def training_step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
    """Cross-entropy of the pace of ``batch["clips"]`` (B, P, 3, T, H, W), which is its place."""
    return place_step(model, batch["clips"])


def predict_paces(model: nn.Module, dataset: Dataset, **options) -> Outputs:
    """Probabilities (V, P, P) of the paces of each video's clips of `paced_clips`.

    ``options`` as in `vidssl.inference.run_videos`.
    """

    def paces(network: nn.Module, clips: Tensor) -> Tensor:
        return network(normalise(clips)).softmax(dim=-1)

    return run_videos(model, dataset, paces, desc="paces", **options)
