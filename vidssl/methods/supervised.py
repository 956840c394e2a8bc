"""Supervised training: fine-tuning of any initialisation, and the from-scratch baseline.

MoSI fine-tunes on one clip of each video (section 4 and appendix: random crop, flip, clip-wise
colour jitter, Adam with cosine decay after a warm-up, dropout before the classifier), MotionFit on
R of them with the multi-clip loss; one clip is R = 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidssl.core import normalise
from vidssl.losses import multi_clip_loss
from vidssl.training import Batch, Metrics, StepContext, TrainingStep


def training_step(prepare: Callable[[Tensor], Tensor] = normalise) -> TrainingStep:
    """The multi-clip loss of ``batch["clips"]`` (B, R, C, T, H, W) and ``batch["label"]`` (B,).

    ``prepare`` makes clips the network's input, RGB by default.
    """

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        clips, label = batch["clips"], batch["label"]
        logits = model(prepare(clips.flatten(0, 1))).unflatten(0, clips.shape[:2])
        right = logits.argmax(dim=-1) == label[:, None]
        return multi_clip_loss(logits, label), {"train_accuracy": right.float().mean()}

    return step


def place_step(model: nn.Module, clips: Tensor) -> tuple[Tensor, Metrics]:
    """The multi-clip loss of clips (B, P, 3, T, H, W) whose label is their place among P."""
    logits = model(normalise(clips.flatten(0, 1))).unflatten(0, clips.shape[:2])
    places = torch.arange(clips.shape[1], device=logits.device).expand(len(clips), -1)
    accuracy = (logits.argmax(dim=-1) == places).float().mean()
    return multi_clip_loss(logits, places), {"pretext_accuracy": accuracy}
