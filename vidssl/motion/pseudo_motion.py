"""Pseudo motions from still images (MoSI, section 3.1 and 3.2).

A crop window slides over a source image; its speed and direction are the label. x points right,
y points down, and it is the *window* that moves: what one sees in the clip moves the other way.
A static mask then freezes everything outside one square, so that the network has to find where
something moves before it can say how.

`plan_motions` draws where the windows and squares lie, `render_motions` cuts the clips out of the
images, `pseudo_motion` does both. All sequences of all images come from two gathers: no loop over
sequences or frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

MaskRatio = tuple[float, float] | float | None


def label_pool(k: int = 2, axes: str = "xy") -> list[tuple[int, int]]:
    """Speeds (x, y) of the pretext classes, in label order (MoSI Eq. 1).

    4k + 1 labels for both axes, 2k + 1 for one: the speeds of the x axis from -k to k, those of
    the y axis, and the still one last.

    >>> label_pool(1)
    [(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)]
    """
    if not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
    if axes not in ("x", "y", "xy"):
        raise ValueError(f"axes must be 'x', 'y' or 'xy', got {axes!r}")
    speeds = [s for s in range(-k, k + 1) if s]
    moving = [(s, 0) if axis == "x" else (0, s) for axis in axes for s in speeds]
    return [*moving, (0, 0)]


def source_side(frames: int, size: int) -> int:
    """Side of the source image that keeps the paper's motion per frame, relative to ``size``.

    The paper cuts 16 frames of 112 px from a 320 px image: at full speed the window moves
    208 / 15 px a frame, 12.4 % of its side. Table 2 keeps that distance when ``frames`` changes.
    """
    return size + round(size * (208 / 15 / 112) * (frames - 1))


def mask_ratio_at(
    progress: float, target: tuple[float, float] = (0.3, 0.5), ramp: float = 0.6
) -> tuple[float, float]:
    """Curriculum on the mask: the moving square shrinks from the whole frame to ``target``.

    ``progress`` in [0, 1] is the trained share; both ends of the range fall linearly over the
    first ``ramp`` of it. Small networks do not start to learn with the final mask from the outset.
    """
    done = 1.0 if ramp <= 0 else min(max(progress / ramp, 0.0), 1.0)
    low, high = (1.0 - done * (1.0 - end) for end in target)
    return low, high


@dataclass(frozen=True)
class Motions:
    """Where windows and moving squares lie, for B images and M sequences of N frames each.

    ``position`` (B, M, N, 2) int64: left and top of each frame's window in the image, px.
    ``square`` (B, M, 3) int64: left, top and side of the moving square in the window, px;
    None where no mask is used. ``still`` (B, M) int64: the frame that fills the rest.
    ``size``: side of the window, px. ``label`` (M,) int64.
    """

    position: Tensor
    label: Tensor
    size: int
    square: Tensor | None = None
    still: Tensor | None = None

    def select(self, sequences: list[int]) -> Motions:
        """Only these of the M sequences."""
        pick = torch.as_tensor(sequences)
        return replace(
            self,
            position=self.position[:, pick],
            label=self.label[pick],
            square=None if self.square is None else self.square[:, pick],
            still=None if self.still is None else self.still[:, pick],
        )


def plan_motions(
    height: int,
    width: int,
    *,
    batch: int = 1,
    frames: int = 16,
    size: int = 112,
    k: int = 2,
    axes: str = "xy",
    mask_ratio: MaskRatio = (0.3, 0.5),
    generator: torch.Generator | None = None,
) -> Motions:
    """Draw the windows and masks of every label for ``batch`` images of ``height`` x ``width`` px.

    Distances are MoSI's Eq. 2: (W - L) x / K and (H - L) y / K from the first frame to the last,
    passed in ``frames`` uniform steps and truncated to whole pixels. The start is uniform over
    the area that keeps the end inside the image. Raises ValueError for impossible arguments.
    """
    pool = torch.tensor(label_pool(k, axes))
    _check_geometry(height, width, frames=frames, size=size, k=k, axes=axes)
    device = generator.device if generator is not None else "cpu"
    room = torch.tensor([width - size, height - size], dtype=torch.float64)
    distance = room * pool / k  # (M, 2)
    free = torch.floor(room - distance.abs())
    draw = torch.rand((batch, len(pool), 2), generator=generator, device=device).cpu().double()
    start = torch.floor(draw * (free + 1)) + torch.ceil((-distance).clamp_min(0))
    time = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None]
    # the small term keeps 103.99999 from being truncated to 103
    position = (start[:, :, None] + distance[:, None] * time + 1e-6).floor().long()
    motions = Motions(position=position, label=torch.arange(len(pool)), size=size)
    if mask_ratio is None:
        return motions
    square, still = _draw_masks(batch, len(pool), frames, size, mask_ratio, generator, device)
    return replace(motions, square=square, still=still)


def render_motions(images: Tensor, motions: Motions) -> Tensor:
    """Cut the planned clips out of ``images`` (B, C, H, W): (B, M, C, N, L, L), same dtype."""
    size = motions.size
    windows = images.unfold(2, size, 1).unfold(3, size, 1)  # a view: (B, C, top, left, L, L)
    position = motions.position.to(images.device)
    left, top = (position[..., axis][:, :, None] for axis in (0, 1))  # (B, M, 1, N)
    image = torch.arange(images.shape[0], device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, 1, -1, 1)
    clips = windows[image, channel, top, left]
    if motions.square is None:
        return clips
    return _freeze_outside(clips, motions)


def pseudo_motion(
    image: Tensor,
    *,
    frames: int = 16,
    size: int = 112,
    k: int = 2,
    axes: str = "xy",
    mask_ratio: MaskRatio = (0.3, 0.5),
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Every pseudo motion of one image, or of a batch of images, on their device.

    Args:
        image: source image (C, H, W) in [0, 1], or a batch (B, C, H, W). Its sides are H and W
            of Eq. 2.
        frames: N, frames of a clip. size: L, side of a clip in px.
        k: speeds in each direction. axes: 'x', 'y' or 'xy'.
        mask_ratio: side of the moving square relative to ``size``, drawn uniformly from
            (low, high) for each sequence; one number fixes it; None leaves everything moving.
        generator: source of the draws.

    Returns:
        clips (4k+1, C, N, L, L) and labels (4k+1,) int64, with a leading B for a batch. One axis
        gives 2k+1 sequences. No colour jitter is applied.

    Raises:
        ValueError: for arguments that allow no such motion.
    """
    if image.ndim not in (3, 4) or not image.is_floating_point():
        raise ValueError(
            f"image must be float (C, H, W) or (B, C, H, W), got {image.dtype} {tuple(image.shape)}"
        )
    images = image if image.ndim == 4 else image[None]
    batch, _, height, width = images.shape
    motions = plan_motions(
        height,
        width,
        batch=batch,
        frames=frames,
        size=size,
        k=k,
        axes=axes,
        mask_ratio=mask_ratio,
        generator=generator,
    )
    clips = render_motions(images, motions)
    labels = motions.label.to(image.device).expand(batch, -1)
    return (clips, labels) if image.ndim == 4 else (clips[0], labels[0])


def _check_geometry(height: int, width: int, *, frames: int, size: int, k: int, axes: str) -> None:
    if frames < 2:
        raise ValueError(f"frames must be at least 2 to show a motion, got {frames}")
    if size < 1:
        raise ValueError(f"size must be at least 1 px, got {size}")
    for axis, side, name in (("x", width, "width"), ("y", height, "height")):
        if side < size:
            raise ValueError(f"the image's {name} of {side} px is smaller than the crop, {size} px")
        if axis in axes and side - size < k:
            raise ValueError(
                f"the image's {name} of {side} px leaves {side - size} px to move a crop of {size} "
                f"px; {k} speeds need at least {k} px: use a larger image or a smaller crop"
            )


def _draw_masks(batch, sequences, frames, size, mask_ratio, generator, device):
    """Moving squares (B, M, 3) = left, top, side and still frames (B, M), drawn per sequence."""
    low, high = mask_ratio if isinstance(mask_ratio, tuple | list) else (mask_ratio, mask_ratio)
    if not 0 < low <= high <= 1:
        raise ValueError(f"mask_ratio must lie in (0, 1] with low <= high, got {mask_ratio!r}")
    draw = torch.rand((4, batch, sequences), generator=generator, device=device).cpu().double()
    side = ((low + (high - low) * draw[0]) * size).round().clamp(1, size)
    left, top = (torch.floor(draw[i] * (size - side + 1)) for i in (1, 2))
    still = torch.floor(draw[3] * frames).long()
    return torch.stack([left, top, side], dim=-1).long(), still


def _freeze_outside(clips: Tensor, motions: Motions) -> Tensor:
    """MoSI Eq. 3: outside its square, every frame of a sequence shows the still frame."""
    square, still = motions.square.to(clips.device), motions.still.to(clips.device)
    pixel = torch.arange(motions.size, device=clips.device)
    near, side = square[..., :2, None], square[..., 2, None, None]
    inside = (pixel >= near) & (pixel < near + side)  # (B, M, 2, L)
    moving = inside[:, :, 1, :, None] & inside[:, :, 0, None, :]  # (B, M, L, L)
    index = still[:, :, None, None, None, None].expand(*clips.shape[:3], 1, *clips.shape[4:])
    frozen = clips.gather(3, index)
    return torch.where(moving[:, :, None, None], clips, frozen)
