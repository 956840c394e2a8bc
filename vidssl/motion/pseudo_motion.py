"""Pseudo motions from still images (MoSI, section 3.1 and 3.2).

A crop window slides over a source image; its speed and direction are the label. x points right,
y points down, and it is the *window* that moves: what one sees in the clip moves the other way.
A static mask then freezes everything outside one square, so that the network has to find where
something moves before it can say how.

`plan_motions` draws where the windows and squares lie, `render_motions` cuts the clips out of the
images, `pseudo_motion` does both. Plans are small and stay on the CPU; pixels are cut on the
images' device. Of a masked sequence only the square is cut in every frame, and what is frozen is
cut once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from vidssl.core import one_of
from vidssl.data.color import ColorMaps

MaskRatio = Sequence[float] | float | None
MOTIONS = ("integer", "subpixel")
FLIPS = ("none", "mirror_label", "release")


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


def mirrored_labels(k: int = 2, axes: str = "xy") -> list[int]:
    """For each label, the label of its clip mirrored left and right: x turns into -x.

    >>> mirrored_labels(1)
    [1, 0, 2, 3, 4]
    """
    pool = label_pool(k, axes)
    return [pool.index((-x, y)) for x, y in pool]


def source_side(frames: int, size: int) -> int:
    """Side of the source image that keeps the paper's motion per frame, relative to ``size``.

    The paper cuts 16 frames of 112 px from a 320 px image: at full speed the window moves
    208 / 15 px a frame, 12.4 % of its side. Table 2 keeps that distance when ``frames`` changes.
    """
    return size + round(size * (208 / 15 / 112) * (frames - 1))


def mask_range(mask_ratio: Sequence[float] | float) -> tuple[float, float]:
    """(low, high) of the moving square's side relative to the clip's; one number fixes it.

    ValueError unless 0 < low <= high <= 1.
    """
    ends = tuple(mask_ratio) if isinstance(mask_ratio, Sequence) else (mask_ratio,)
    if len(ends) not in (1, 2) or not 0 < ends[0] <= ends[-1] <= 1:
        raise ValueError(
            f"mask_ratio must lie in (0, 1] with low <= high, got {mask_ratio!r}; None is no mask"
        )
    return float(ends[0]), float(ends[-1])


def mask_ratio_at(
    progress: float, target: Sequence[float] | float = (0.3, 0.5), ramp: float = 0.6
) -> tuple[float, float]:
    """Curriculum on the mask: the moving square shrinks from the whole frame to ``target``.

    ``progress`` in [0, 1] is the trained share; both ends of the range fall linearly over the
    first ``ramp`` of it. Small networks do not start to learn with the final mask from the outset.
    """
    done = 1.0 if ramp <= 0 else min(max(progress / ramp, 0.0), 1.0)
    low, high = (1.0 - done * (1.0 - end) for end in mask_range(target))
    return low, high


@dataclass(frozen=True)
class Motions:
    """Where windows and moving squares lie, for B images and M sequences of N frames each.

    ``position`` (B, M, N, 2): left and top of each frame's window in the image, px; int64, or
    float64 for sub-pixel motion. ``square`` (B, M, 3) int64: left, top and side of the moving
    square in the window, px; None where no mask is used. ``still`` (B, M) int64: the frame that
    fills the rest. ``size``: side of the window, px. ``label`` (M,) int64.
    """

    position: Tensor
    label: Tensor
    size: int
    square: Tensor | None = None
    still: Tensor | None = None

    def unmasked(self) -> Motions:
        """The same windows without a mask."""
        return replace(self, square=None, still=None)

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
    motion: str = "integer",
    generator: torch.Generator | None = None,
) -> Motions:
    """Draw the windows and masks of every label for ``batch`` images of ``height`` x ``width`` px.

    Distances are MoSI's Eq. 2: (W - L) x / K and (H - L) y / K from the first frame to the last,
    passed in ``frames`` uniform steps. The start is uniform over the area that keeps the end
    inside the image. With ``motion`` 'integer' positions are truncated to whole pixels, as in the
    authors' release: where there are more frames than pixels to pass, the window rests for some
    of them, and distances below one pixel are refused. With 'subpixel' positions are exact.
    Raises ValueError for impossible arguments.
    """
    pool = torch.tensor(label_pool(k, axes))
    one_of("motion", motion, MOTIONS)
    least = k if motion == "integer" else 1
    _check_geometry(height, width, frames=frames, size=size, least=least, axes=axes)
    room = torch.tensor([width - size, height - size], dtype=torch.float64)
    distance = room * pool / k  # (M, 2)
    draw = _uniform((batch, len(pool), 2), generator)
    free, edge = room - distance.abs(), (-distance).clamp_min(0)
    if motion == "integer":
        start = torch.floor(draw * (torch.floor(free) + 1)) + torch.ceil(edge)
    else:
        start = draw * free + edge
    time = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None]
    position = start[:, :, None] + distance[:, None] * time
    if motion == "integer":  # the small term keeps 103.99999 from being truncated to 103
        position = (position + 1e-6).floor().long()
    motions = Motions(position=position, label=torch.arange(len(pool)), size=size)
    if mask_ratio is None:
        return motions
    square, still = _draw_masks(batch, len(pool), frames, size, mask_ratio, generator)
    return replace(motions, square=square, still=still)


def render_motions(images: Tensor, motions: Motions, colors: ColorMaps | None = None) -> Tensor:
    """Cut the planned clips out of ``images`` (B, C, H, W): (B, M, C, N, L, L), same dtype.

    ``colors``, B * M clips' worth of `ColorJitter.draw`, jitter the finished clips (mask first);
    the result is that of jittering afterwards, without a second copy of the clips in memory.
    """
    if motions.square is None:
        clips = _cut(images, motions.position, motions.size).transpose(2, 3)
        return clips if colors is None else colors(clips)
    still, boxes, corner = _cut_parts(images, motions)
    if colors is None:
        clips = still.transpose(2, 3).repeat(1, 1, 1, boxes.shape[2], 1, 1)
    else:
        clips, boxes = _color_parts(still, boxes, corner, colors)
    for clip, box, (x, y) in zip(clips.flatten(0, 1), boxes.flatten(0, 1), corner.tolist()):
        clip[..., y : y + box.shape[-1], x : x + box.shape[-1]] = box.transpose(0, 1)
    return clips


def freeze_outside(clips: Tensor, motions: Motions) -> Tensor:
    """MoSI Eq. 3 on clips (B, M, C, N, L, L) that are cut already: a new tensor.

    Outside its square every frame shows the still frame. `render_motions` does the same without
    cutting what the mask hides; this is for clips that were changed in between.
    """
    frames = clips.transpose(2, 3)
    still = _at_still_frame(frames, motions.still.to(clips.device, non_blocking=True))
    inside = _inside(motions.square, motions.size).to(clips.device, non_blocking=True)
    return torch.where(inside, frames, still).transpose(2, 3)


def flip_clips(
    clips: Tensor,
    labels: Tensor,
    *,
    flip: str = "mirror_label",
    k: int = 2,
    axes: str = "xy",
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Mirror each of clips (..., C, N, L, L) left and right with probability 1/2.

    ``flip`` 'mirror_label' turns label +x into -x with it; 'none' mirrors nothing. 'release' keeps
    the label, as the authors' code does in training and in evaluation: +x and -x can then not be
    told apart, and pretext accuracy cannot exceed (2K + 1 + K) / (4K + 1), 77.8 % for K = 2.
    """
    if one_of("flip", flip, FLIPS) == "none":
        return clips, labels
    mirrored = (_uniform(labels.shape, generator) < 0.5).to(clips.device, non_blocking=True)
    clips = torch.where(mirrored[(...,) + (None,) * 4], clips.flip(-1), clips)
    if flip == "mirror_label":
        partners = torch.tensor(mirrored_labels(k, axes)).to(labels.device, non_blocking=True)
        labels = torch.where(mirrored, partners[labels], labels)
    return clips, labels


def pseudo_motion(
    image: Tensor,
    *,
    frames: int = 16,
    size: int = 112,
    k: int = 2,
    axes: str = "xy",
    mask_ratio: MaskRatio = (0.3, 0.5),
    motion: str = "integer",
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
        motion: 'integer' positions, or 'subpixel' ones (bilinear).
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
        motion=motion,
        generator=generator,
    )
    clips = render_motions(images, motions)
    labels = motions.label.to(image.device).expand(batch, -1)
    return (clips, labels) if image.ndim == 4 else (clips[0], labels[0])


def _check_geometry(
    height: int, width: int, *, frames: int, size: int, least: int, axes: str
) -> None:
    """``least``: how far a window must be able to move along each of ``axes``, px."""
    if frames < 2:
        raise ValueError(f"frames must be at least 2 to show a motion, got {frames}")
    if size < 1:
        raise ValueError(f"size must be at least 1 px, got {size}")
    for axis, side, name in (("x", width, "width"), ("y", height, "height")):
        if side < size:
            raise ValueError(f"the image's {name} of {side} px is smaller than the crop, {size} px")
        if axis in axes and side - size < least:
            raise ValueError(
                f"the image's {name} of {side} px leaves {side - size} px to move a crop of {size} "
                f"px, but the slowest speed needs {least} px to show any motion: use a larger "
                "image, a smaller crop or fewer speeds"
            )


def _uniform(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Draws from [0, 1) on the CPU, whatever the generator's device."""
    device = generator.device if generator is not None else "cpu"
    return torch.rand(shape, generator=generator, device=device).cpu().double()


def _draw_masks(batch, sequences, frames, size, mask_ratio, generator):
    """Moving squares (B, M, 3) = left, top, side and still frames (B, M), drawn per sequence."""
    low, high = mask_range(mask_ratio)
    draw = _uniform((4, batch, sequences), generator)
    side = ((low + (high - low) * draw[0]) * size).round().clamp(1, size)
    left, top = (torch.floor(draw[i] * (size - side + 1)) for i in (1, 2))
    still = torch.floor(draw[3] * frames).long()
    return torch.stack([left, top, side], dim=-1).long(), still


def _cut(images: Tensor, position: Tensor, size: int) -> Tensor:
    """Windows at ``position`` (B, M, N, 2) of images (B, C, H, W): (B, M, N, C, size, size)."""
    position = position.to(images.device, non_blocking=True)
    if position.is_floating_point():
        return _cut_between_pixels(images, position, size)
    windows = images.unfold(2, size, 1).unfold(3, size, 1)  # a view: (B, C, top, left, size, size)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    return windows.movedim(1, 3)[image, position[..., 1], position[..., 0]]


def _cut_between_pixels(images: Tensor, position: Tensor, size: int) -> Tensor:
    """As `_cut`, bilinear: each window is a blend of four that lie on whole pixels."""
    corner = position.floor()
    right, down = (position - corner)[..., None, None, None].to(images.dtype).unbind(3)
    images = pad(images, (0, 1, 0, 1), mode="replicate")  # weighs 0 where a window ends on the rim
    wide = _cut(images, corner.long(), size + 1)
    high = torch.lerp(wide[..., :-1], wide[..., 1:], right)
    return torch.lerp(high[..., :-1, :], high[..., 1:, :], down)


def _at_still_frame(values: Tensor, still: Tensor) -> Tensor:
    """What ``values`` (B, M, N, ...) hold at frame ``still`` (B, M): (B, M, 1, ...)."""
    index = still[(...,) + (None,) * (values.ndim - 2)]
    return values.gather(2, index.expand(-1, -1, 1, *values.shape[3:]))


def _inside(square: Tensor, size: int) -> Tensor:
    """True inside ``square`` (B, M, 3), left, top, side: (B, M, 1, 1, size, size)."""
    pixel = torch.arange(size)
    near, side = square[..., :2, None], square[..., 2, None, None]
    columns, rows = ((pixel >= near) & (pixel < near + side)).unbind(2)
    return (rows[..., :, None] & columns[..., None, :])[:, :, None, None]


def _cut_parts(images: Tensor, motions: Motions) -> tuple[Tensor, Tensor, Tensor]:
    """What a masked sequence consists of.

    Returns the still frame (B, M, 1, C, L, L); boxes (B, M, N, C, S, S), all as large as the
    largest square, that hold what moves and around it what stands still; and where the boxes lie
    in the clip, left and top (B * M, 2).
    """
    largest = int(motions.square[..., 2].max())
    corner = motions.square[..., :2].clamp_max(motions.size - largest)
    still = _cut(images, _at_still_frame(motions.position, motions.still), motions.size)
    boxes = _cut(images, motions.position + corner[:, :, None], largest)
    square = torch.cat([motions.square[..., :2] - corner, motions.square[..., 2:]], dim=-1)
    inside = _inside(square, largest).to(images.device, non_blocking=True)
    corner = corner.flatten(0, 1)
    return still, torch.where(inside, boxes, _cut_boxes(still, corner, largest)), corner


def _cut_boxes(still: Tensor, corner: Tensor, size: int) -> Tensor:
    """The boxes of still frames (B, M, 1, C, L, L) at ``corner`` (B * M, 2)."""
    return _cut(still.flatten(0, 2), corner[:, None, None], size).view(*still.shape[:4], size, size)


def _color_parts(
    still: Tensor, boxes: Tensor, corner: Tensor, colors: ColorMaps
) -> tuple[Tensor, Tensor]:
    """Each frame's colours on the parts of `_cut_parts`: frozen clips (B, M, C, N, L, L), boxes.

    Contrast needs the mean of the whole frame: that of the still one and what the box changes.
    """
    count, frames, size = len(corner), boxes.shape[2], still.shape[-1]
    changed = boxes.sum((-2, -1)) - _cut_boxes(still, corner, boxes.shape[-1]).sum((-2, -1))
    mean = still.mean((-2, -1)) + changed / size**2  # (B, M, N, 3)
    matrix, offset = colors.affine(mean.flatten(0, 1))  # (B * M, N, 3, 3), (B * M, N)
    pixels = boxes.flatten(0, 1).flatten(-2)
    boxes = ((matrix @ pixels).add_(offset[..., None, None])).clamp_(0, 1).view(boxes.shape)
    # one product makes all frames of a clip: 3 N rows, red of every frame first
    rows = matrix.transpose(1, 2).reshape(count, 3 * frames, 3)
    frozen = (rows @ still.flatten(0, 2).flatten(-2)).add_(offset.repeat(1, 3)[..., None])
    return frozen.clamp_(0, 1).view(*still.shape[:2], 3, frames, size, size), boxes
