"""Colour jitter as one affine map of RGB per frame: out = M rgb + offset.

Brightness, contrast and saturation are affine in RGB as they stand; hue is a rotation of the
chroma plane of YIQ. Without the clamps between them the four commute (the rotation keeps luma, and
contrast's grey mean scales with brightness), so the random order of the usual chain does not
matter and one matrix a frame does the work of four passes over the pixels. A test states how far
that is from torchvision's chain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as torchvision's grey
_RGB_TO_YIQ = torch.tensor(
    [LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)], dtype=torch.float64
)
_YIQ_TO_RGB = torch.linalg.inv(_RGB_TO_YIQ)


@dataclass(frozen=True)
class ColorJitter:
    """Strengths of the jitter; the defaults are MoSI's (appendix, and its release).

    A factor is uniform in [1 - strength, 1 + strength]; ``hue`` is in turns of the colour circle,
    uniform in [-hue, hue]; with probability ``grey`` the clip loses its colour. ``probability`` is
    that of jittering a clip at all, apart from greying.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.25
    grey: float = 0.3
    probability: float = 1.0

    def __post_init__(self):
        for name, largest in vars(self).items():
            top = 0.5 if name == "hue" else 1.0
            if not 0.0 <= largest <= top:
                raise ValueError(f"{name} must lie in [0, {top}], got {largest}")

    def __call__(
        self, clips: Tensor, *, per_frame: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        """Jitter ``clips`` (..., 3, T, H, W) in [0, 1]; the result is a new tensor in [0, 1].

        Each clip gets one draw for all its frames, or with ``per_frame`` one for each frame
        (greying is always drawn per clip). Draws come from ``generator``.
        """
        if clips.ndim < 4 or clips.shape[-4] != 3:
            raise ValueError(f"clips must be (..., 3, T, H, W), got {tuple(clips.shape)}")
        count, frames = clips.shape[:-4].numel(), clips.shape[-3]
        return self.draw(count, frames if per_frame else 1, generator)(clips)

    def draw(
        self, count: int, frames: int = 1, generator: torch.Generator | None = None
    ) -> ColorMaps:
        """Colours for ``count`` clips: one draw for each of ``frames``, or one a clip."""
        device = generator.device if generator is not None else "cpu"
        draw = torch.rand((4, count, frames), generator=generator, device=device).double()
        brightness, contrast, saturation = (
            1 + strength * (2 * draw[i] - 1)
            for i, strength in enumerate((self.brightness, self.contrast, self.saturation))
        )
        grey = torch.rand((count, 1), generator=generator, device=device) < self.grey
        if self.probability < 1:  # not drawn where it is certain
            chosen = torch.rand((count, 1), generator=generator, device=device) < self.probability
            brightness, contrast, saturation = (
                torch.where(chosen, factor, torch.ones_like(factor))
                for factor in (brightness, contrast, saturation)
            )
            draw[3] = torch.where(chosen, draw[3], torch.full_like(draw[3], 0.5))
        saturation = torch.where(grey, torch.zeros_like(saturation), saturation)
        matrix = _hue_rotation(self.hue * (2 * draw[3] - 1)) @ _saturation(saturation)
        matrix = matrix * (brightness * contrast)[..., None, None]
        return ColorMaps(matrix.float(), contrast.float())


class ColorMaps(NamedTuple):
    """Drawn colours of clips (...), one for each of T frames or (T = 1) one a clip.

    ``matrix`` (..., T, 3, 3), ``contrast`` (..., T): factors. What contrast adds depends on a
    frame's mean colour, so the offsets are known once the frames are.
    """

    matrix: Tensor
    contrast: Tensor

    def affine(self, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Matrix (B, T, 3, 3) and offset (B, T) for frames whose mean colour is (B, T, 3)."""
        matrix, contrast = (
            each.flatten(0, -kept).to(mean, non_blocking=True)
            for each, kept in ((self.matrix, 4), (self.contrast, 2))
        )
        matrix = matrix.expand(*mean.shape, 3)
        # contrast pulls towards the frame's grey mean as the other operations leave it
        red, green, blue = (matrix @ mean[..., None]).squeeze(-1).unbind(-1)
        grey = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        return matrix, grey * (1 / contrast.clamp_min(1e-3) - 1)

    def __call__(self, clips: Tensor) -> Tensor:
        """Clips (..., 3, T, H, W) with these colours, clamped to [0, 1]: a new tensor."""
        folded = clips.reshape(-1, *clips.shape[-4:])
        matrix, offset = self.affine(folded.mean(dim=(-2, -1)).transpose(1, 2))
        if self.matrix.shape[-3] == 1:  # one product a clip
            out = (matrix[:, 0] @ folded.flatten(2)).view(folded.shape)
        else:
            frames = folded.transpose(1, 2)
            out = (matrix @ frames.flatten(3)).view(frames.shape).transpose(1, 2)
        return out.add_(offset[:, None, :, None, None]).clamp_(0, 1).reshape(clips.shape)


def _hue_rotation(turns: Tensor) -> Tensor:
    """Rotations (..., 3, 3) of the chroma plane of YIQ by ``turns`` of the full circle."""
    angle = 2 * math.pi * turns
    cos, sin = torch.cos(angle), torch.sin(angle)
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    rows = [one, zero, zero, zero, cos, sin, zero, -sin, cos]  # turns the way HSV's hue does
    rotation = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    there, back = (x.to(turns.device, non_blocking=True) for x in (_RGB_TO_YIQ, _YIQ_TO_RGB))
    return back @ rotation @ there


def _saturation(factor: Tensor) -> Tensor:
    """Blends (..., 3, 3) of identity (factor 1) and luma (factor 0)."""
    identity = torch.eye(3, dtype=factor.dtype, device=factor.device)
    luma = torch.tensor(LUMA, dtype=factor.dtype, device=factor.device).expand(3, 3)
    factor = factor[..., None, None]
    return factor * identity + (1 - factor) * luma
