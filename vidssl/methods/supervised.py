"""Supervised training: fine-tuning of any initialisation, and the from-scratch baseline.

Augmentation and schedule follow MoSI's fine-tuning (section 4 and appendix): random crop, flip,
clip-wise colour jitter, Adam with cosine decay after a warm-up, dropout before the classifier.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vidssl.core import normalise
from vidssl.training import Batch, Metrics, StepContext


def training_step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
    """Cross-entropy on ``batch['clip']`` (B, 3, T, H, W) and ``batch['label']`` (B,)."""
    logits = model(normalise(batch["clip"]))
    label = batch["label"]
    accuracy = (logits.argmax(dim=1) == label).float().mean().item()
    return cross_entropy(logits, label), {"train_accuracy": accuracy}
