"""TV-L1 optical flow in torch: whole batches at once, on a GPU or a CPU.

The energy and its linearised, coarse-to-fine minimisation are those of Zach, Pock and Bischof (A
Duality Based Approach for Realtime TV-L1 Optical Flow, 2007) and of Sanchez, Meinhardt-Llopis and
Facciolo (TV-L1 Optical Flow Estimation, IPOL 2013), with a median filter after each warp as Wedel
et al. (2009) have it:

    min_u  sum |grad u_1| + |grad u_2| + lambda |I_1(x + u) - I_0(x)|,   grey levels in 0..255.

Around each warp the data term is linear in u and the problem convex. Where the papers alternate
between u and an auxiliary field coupled by theta, the same dual variables are iterated here by
Chambolle and Pock's method (2011, their algorithm 1). It needs no theta and a sixth of the
iterations, and their number is fixed: a pair's flow does not depend on the others of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, pad

from vidssl.core import expect_shape

SMALLEST_SIDE = 16  # px: the pyramid ends above it
FLAT = 1e-4  # squared slope, (grey levels / px)^2, below which there is only round-off
STEP = 8**-0.5  # of both variables: their product times |grad|^2 <= 8 must not exceed 1


@torch.no_grad()
def tv_l1(
    previous: Tensor,
    following: Tensor,
    *,
    attachment: float = 0.12,
    scales: int = 5,
    scale_step: float = 0.8,
    warps: int = 5,
    iterations: int = 40,
) -> Tensor:
    """Flow from each image of ``previous`` to the one of ``following``.

    Args:
        previous, following: grey images (B, H, W), float in [0, 1].
        attachment: lambda, the weight of the data term. OpenCV's 0.15 weighs less than it says,
            because its coupling softens small residuals.
        scales: levels of the pyramid; fewer where a side would fall below 16 px.
        scale_step: ratio of the sizes of adjacent levels.
        warps: linearisations at each level; iterations: primal-dual steps after each.

    Returns:
        (B, 2, H, W) float32 px: where the content of a pixel of ``previous`` lies in
        ``following``, u right and v down. Exactly zero for constant images.

    Raises:
        ValueError: other shapes, integers, values outside [0, 1], or settings that cannot be.
    """
    _check_images(previous, following)
    _check_settings(attachment, scales, scale_step, warps, iterations)
    first, second = (images.float()[:, None] * 255 for images in (previous, following))
    flow, dual = None, None
    for size in reversed(list(_sizes(first.shape[-2:], scales, scale_step))):
        flow, dual = _start(first, flow, dual, size)
        small, target = (_resized(images, size) for images in (first, second))
        slopes = _central_differences(target)
        for _ in range(warps):
            data = _linearised(small, target, slopes, flow)
            flow = _median(_median(primal_dual(flow, dual, *data, attachment, iterations)))
    return flow


def _check_images(previous: Tensor, following: Tensor) -> None:
    for name, images in (("previous", previous), ("following", following)):
        expect_shape(images, "B H W", name)
        if not images.is_floating_point():
            raise ValueError(f"{name} must be float in [0, 1], got {images.dtype}: divide by 255")
        if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
            low, high = images.min().item(), images.max().item()
            raise ValueError(f"{name} must lie in [0, 1], got {low:.4g}..{high:.4g}")
    if previous.shape != following.shape:
        raise ValueError(
            f"previous and following must have one shape, got {tuple(previous.shape)} and "
            f"{tuple(following.shape)}"
        )
    if min(previous.shape[1:]) < 2:
        raise ValueError(f"images must be at least 2 x 2 px, got {tuple(previous.shape[1:])}")


def _check_settings(attachment, scales, scale_step, warps, iterations) -> None:
    if attachment <= 0:
        raise ValueError(f"attachment={attachment} must be positive")
    if not 0 < scale_step < 1:
        raise ValueError(f"scale_step={scale_step} must lie between 0 and 1")
    for name, value in (("scales", scales), ("warps", warps), ("iterations", iterations)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")


# --- the pyramid ---------------------------------------------------------------------------------


def _sizes(size: tuple[int, int], scales: int, step: float) -> Iterator[tuple[int, int]]:
    """Sizes of the levels, the full one first."""
    for level in range(scales):
        small = tuple(round(side * step**level) for side in size)
        if level and min(small) < SMALLEST_SIDE:
            return
        yield small


def _resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    if planes.shape[-2:] == size:
        return planes
    return interpolate(planes, size=size, mode="bilinear", antialias=True)


def _start(images: Tensor, flow: Tensor | None, dual: Tensor | None, size: tuple[int, int]):
    """Flow (B, 2, H, W) and dual (B, 4, H, W) of the level above, at this level's size."""
    if flow is None:
        zeros = images.new_zeros(len(images), 4, *size)
        return zeros[:, :2].clone(), zeros
    height, width = flow.shape[-2:]
    ratio = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return _resized(flow, size) * ratio, _resized(dual, size).contiguous()


# --- the data term -------------------------------------------------------------------------------


def _central_differences(images: Tensor) -> Tensor:
    """(B, 1, H, W) -> slopes along x and y (B, 2, H, W); borders repeat their pixels."""
    wide = pad(images, (1, 1, 1, 1), mode="replicate")
    across = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
    down = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
    return torch.cat([across, down], 1) / 2


def _linearised(first: Tensor, second: Tensor, slopes: Tensor, flow: Tensor):
    """The residual is constant + slope . u around ``flow``: (B, 1, H, W) and (B, 2, H, W).

    Both are 0 where nothing is known: the image is flat, or the flow leads out of it.
    """
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    sampled = grid_sample(
        torch.cat([second, slopes], 1),
        grid,
        mode="bicubic",
        padding_mode="border",
        align_corners=True,
    )
    known = inside & (sampled[:, 1:].square().sum(1, keepdim=True) > FLAT)
    slope = sampled[:, 1:] * known
    constant = (sampled[:, :1] - first) * known - (slope * flow).sum(1, keepdim=True)
    return constant, slope


# --- the convex problem --------------------------------------------------------------------------


def primal_dual(
    flow: Tensor,
    dual: Tensor,
    constant: Tensor,
    slope: Tensor,
    attachment: float,
    iterations: int,
) -> Tensor:
    """Minimise TV(u) + lambda |constant + slope . u| from ``flow``; ``dual`` goes on in place.

    dual (B, 4, H, W): the duals of the differences of u and v along x, then along y.
    """
    across, down = dual[:, :2], dual[:, 2:]
    inverse = 1 / slope.square().sum(1, keepdim=True).clamp_min(FLAT)
    limit = STEP * attachment
    ahead = flow
    for _ in range(iterations):
        across[..., :-1].add_(ahead[..., 1:] - ahead[..., :-1], alpha=STEP)
        down[..., :-1, :].add_(ahead[..., 1:, :] - ahead[..., :-1, :], alpha=STEP)
        length = torch.hypot(across, down).clamp_min_(1)
        across.div_(length)
        down.div_(length)
        moved = flow.add(_divergence(across, down), alpha=STEP)
        residual = (slope * moved).sum(1, keepdim=True).add_(constant)
        moved.addcmul_(residual.mul_(inverse).clamp_(-limit, limit), slope, value=-1)
        ahead = 2 * moved - flow
        flow = moved
    return flow


def _divergence(across: Tensor, down: Tensor) -> Tensor:
    """Minus the adjoint of forward differences that are 0 past the last column and row."""
    total = across + down
    total[..., 1:] -= across[..., :-1]
    total[..., 1:, :] -= down[..., :-1, :]
    return total


def _median(planes: Tensor) -> Tensor:
    """Median of 3 x 3 pixels; borders repeat their pixels.

    By minima and maxima alone, ten times as fast as sorting: of the nine, it is the median of the
    columns' greatest minimum, median median and least maximum. Two passes reach as far as 5 x 5.
    """
    wide = pad(planes, (1, 1, 1, 1), mode="replicate")
    low, middle, high = _sorted(wide[..., :-2, :], wide[..., 1:-1, :], wide[..., 2:, :])
    low, middle, high = (
        (rows[..., :-2], rows[..., 1:-1], rows[..., 2:]) for rows in (low, middle, high)
    )
    low = low[0].maximum(low[1]).maximum(low[2])
    high = high[0].minimum(high[1]).minimum(high[2])
    return _sorted(low, _sorted(*middle)[1], high)[1]


def _sorted(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The least, the middle and the greatest of three, pixel by pixel."""
    low, high = a.minimum(b), a.maximum(b)
    rest = high.minimum(c)
    return low.minimum(c), low.maximum(rest), high.maximum(c)
