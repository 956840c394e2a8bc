"""MoSI: motion learned from static images (Huang et al., CVPR 2021).

Where what stands
-----------------
=========================  ==========================================================
section 3.1, Eq. 1 and 2   `vidssl.motion.label_pool`, `vidssl.motion.plan_motions`
section 3.2, Eq. 3         the static mask in `vidssl.motion.render_motions`
same-batch training        `pretext_batch`: all 4K+1 sequences of an image in one step
section 3.3, one frame of  `vidssl.data.ImageDataset`: another frame of each video an epoch
each video
appendix, colour jitter    `vidssl.data.color.ColorJitter`, drawn for every frame
=========================  ==========================================================

Differs from the paper
----------------------
- No random flip of the generated clips: a flip would turn +x into -x under an unchanged label.
- The mask comes before the colour jitter. The other way round the moving square flickers before a
  steady background, which gives its place away even for the still label.
- A curriculum on the mask ratio (`mask_curriculum`): at small scale the final mask is too hard
  a start. Off, the mask ratio is the paper's from the first step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vidssl.core import expect_shape, normalise
from vidssl.data.color import ColorJitter
from vidssl.motion import label_pool, mask_ratio_at, pseudo_motion, source_side
from vidssl.training import Batch, Metrics, StepContext


@dataclass(frozen=True)
class MoSIConfig:
    """The pretext task. Defaults are the paper's, except for the curriculum.

    ``mask_ratio`` (low, high) or None for unmasked MoSI. ``mask_curriculum`` is the share of the
    training over which the moving square shrinks from the whole frame to ``mask_ratio``; 0 turns
    the curriculum off. ``jitter`` None leaves the colours alone.
    """

    frames: int = 16
    size: int = 112
    k: int = 2
    axes: str = "xy"
    mask_ratio: tuple[float, float] | None = (0.3, 0.5)
    mask_curriculum: float = 0.0
    jitter: ColorJitter | None = field(default_factory=ColorJitter)

    @property
    def num_classes(self) -> int:
        return len(label_pool(self.k, self.axes))

    @property
    def source_side(self) -> int:
        """Side of the source images, px."""
        return source_side(self.frames, self.size)

    def mask_ratio_at(self, progress: float) -> tuple[float, float] | None:
        if self.mask_ratio is None:
            return None
        return mask_ratio_at(progress, self.mask_ratio, self.mask_curriculum)


def pretext_batch(
    images: Tensor, config: MoSIConfig, generator: torch.Generator, progress: float = 1.0
) -> tuple[Tensor, Tensor]:
    """All pseudo motions of ``images`` (B, 3, Ls, Ls): clips (B * M, 3, N, L, L), labels (B * M,).

    ``progress`` is the trained share, which sets the mask ratio of the curriculum.
    """
    expect_shape(images, "B C H W", "images", C=3)
    clips, labels = pseudo_motion(
        images,
        frames=config.frames,
        size=config.size,
        k=config.k,
        axes=config.axes,
        mask_ratio=config.mask_ratio_at(progress),
        generator=generator,
    )
    clips, labels = clips.flatten(0, 1), labels.flatten()
    if config.jitter is not None:
        clips = config.jitter(clips, per_frame=True, generator=generator)
    return clips, labels


def training_step(config: MoSIConfig):
    """The step that `vidssl.training.fit` calls on batches of ``image`` (B, 3, Ls, Ls)."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        clips, labels = pretext_batch(
            batch["image"], config, context.generator, progress=context.progress
        )
        logits = model(normalise(clips))
        accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
        return cross_entropy(logits, labels), {"pretext_accuracy": accuracy}

    return step


@torch.inference_mode()
def pretext_predictions(
    model: nn.Module, images: Tensor, config: MoSIConfig, seed: int = 0, batch_images: int = 8
) -> tuple[Tensor, Tensor]:
    """Predicted and true labels, (V * M,) each, on pseudo motions of held-out ``images``.

    The mask ratio is the configured one (no curriculum), the draws come from ``seed``.
    """
    model.eval()
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    predicted, true = [], []
    for part in images.split(batch_images):
        clips, labels = pretext_batch(part, config, generator)
        predicted.append(model(normalise(clips.to(device))).argmax(dim=1).cpu())
        true.append(labels)
    return torch.cat(predicted), torch.cat(true)
