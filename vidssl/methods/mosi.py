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

Differs from the paper and its release
--------------------------------------
- No random flip of the generated clips (``flip``): the release's flip turns +x into -x under an
  unchanged label.
- The mask comes before the colour jitter (``mask_order``). The release's order makes the moving
  square flicker before a steady background, which gives its place away even for the still label.
- A curriculum on the mask ratio (`mask_curriculum`): at small scale the final mask is too hard
  a start. Off, the mask ratio is the paper's from the first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vidssl.core import expect_shape, normalise, one_of
from vidssl.data import Augmentation, ColorJitter
from vidssl.inference import place
from vidssl.motion import (
    FLIPS,
    MOTIONS,
    MaskRatio,
    Motions,
    flip_clips,
    freeze_outside,
    label_pool,
    mask_range,
    mask_ratio_at,
    plan_motions,
    render_motions,
    source_side,
)
from vidssl.training import Batch, Metrics, StepContext

MASK_ORDERS = ("mask_first", "jitter_first")


@dataclass(frozen=True)
class MoSIConfig:
    """The pretext task. Defaults are the paper's, except for flip and order of mask and jitter.

    ``mask_ratio`` (low, high), one number, or None for unmasked MoSI. ``mask_curriculum`` is the
    share of the training over which the moving square shrinks from the whole frame to
    ``mask_ratio``; 0 turns the curriculum off. ``motion`` 'integer' or 'subpixel' positions.
    ``jitter`` None leaves the colours alone; ``colors_per`` 'frame' or 'clip' is what gets a draw
    of its own. ``mask_order`` 'mask_first', or 'jitter_first' as in the release. ``flip`` 'none',
    'mirror_label', or 'release' (clips are mirrored under an unchanged label; see `flip_clips`).
    """

    frames: int = 16
    size: int = 112
    k: int = 2
    axes: str = "xy"
    mask_ratio: MaskRatio = (0.3, 0.5)
    mask_curriculum: float = 0.0
    motion: str = "integer"
    jitter: ColorJitter | None = field(default_factory=ColorJitter)
    colors_per: str = "frame"
    mask_order: str = "mask_first"
    flip: str = "none"

    def __post_init__(self) -> None:
        label_pool(self.k, self.axes)
        one_of("motion", self.motion, MOTIONS)
        one_of("colors_per", self.colors_per, ("frame", "clip"))
        one_of("mask_order", self.mask_order, MASK_ORDERS)
        one_of("flip", self.flip, FLIPS)
        if self.mask_ratio is not None:
            mask_range(self.mask_ratio)

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> MoSIConfig:
        """That of a page's parameters: each field's name; of ``augmentation``, only the colours.

        ValueError for other augmentations: a clip is a crop already, and ``flip`` has a label.
        """
        told = {each.name: params[each.name] for each in fields(cls) if each.name in params}
        told["mask_ratio"] = params.get("mask_ratio") or None
        colors = Augmentation.of(params.get("augmentation", {}))
        if colors != Augmentation(color=colors.color, grey=colors.grey,
                                  color_probability=colors.color_probability):  # fmt: skip
            raise ValueError(
                f"augmentation={dict(params['augmentation'])}: a pseudo motion takes color, grey "
                "and color_probability alone; flip is a parameter of its own"
            )
        return cls(**{**told, "jitter": colors.jitter})

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
    motions = plan_motions(
        *images.shape[2:],
        batch=len(images),
        frames=config.frames,
        size=config.size,
        k=config.k,
        axes=config.axes,
        mask_ratio=config.mask_ratio_at(progress),
        motion=config.motion,
        generator=generator,
    )
    clips = _jittered_clips(images, motions, config, generator)
    labels = motions.label.to(images.device, non_blocking=True).expand(len(images), -1)
    clips, labels = flip_clips(
        clips, labels, flip=config.flip, k=config.k, axes=config.axes, generator=generator
    )
    return clips.flatten(0, 1), labels.flatten()


def _jittered_clips(images: Tensor, motions: Motions, config: MoSIConfig, generator) -> Tensor:
    if config.jitter is None:
        return render_motions(images, motions)
    count, frames = motions.position[..., 0, 0].numel(), config.frames
    colors = config.jitter.draw(count, frames if config.colors_per == "frame" else 1, generator)
    if config.mask_order == "mask_first" or motions.square is None:
        return render_motions(images, motions, colors)
    return freeze_outside(render_motions(images, motions.unmasked(), colors), motions)


def training_step(config: MoSIConfig):
    """The step that `vidssl.training.fit` calls on batches of ``image`` (B, 3, Ls, Ls)."""

    def step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
        clips, labels = pretext_batch(
            batch["image"], config, context.generator, progress=context.progress
        )
        logits = model(normalise(clips))
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return cross_entropy(logits, labels), {"pretext_accuracy": accuracy}

    return step


@torch.inference_mode()
def pretext_predictions(
    model: nn.Module, images: Tensor, config: MoSIConfig, seed: int = 0, batch_images: int = 8
) -> tuple[Tensor, Tensor]:
    """Predicted and true labels, (V * M,) each, on pseudo motions of held-out ``images``.

    The mask ratio is the configured one (no curriculum), the draws come from ``seed``.
    """
    device = place(model)
    generator = torch.Generator().manual_seed(seed)
    predicted, true = [], []
    for part in images.split(batch_images):
        clips, labels = pretext_batch(part.to(device), config, generator)
        predicted.append(model(normalise(clips)).argmax(dim=1).cpu())
        true.append(labels.cpu())
    return torch.cat(predicted), torch.cat(true)
