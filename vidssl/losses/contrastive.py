"""Contrastive losses over videos and over the times within a video.

Inputs are L2-normalised here; every loss is a mean over rows, so its size depends neither on the
batch nor on the number of pairs. ``a`` counts augmentations (2), B videos, N times of a video, D
the embedding. Sources: SimCLR (Chen et al., ICML 2020, Eq. 1); local-local and global-local
contrast: TCLR (Dave et al., CVIU 2022), as TimeBalance (CVPR 2023) uses them.

Where torch.distributed runs several processes, videos of all of them are negatives of `nt_xent`
and `instance_contrast`; each process returns the mean over its own rows. Averaging gradients over
processes, as DDP does, then gives the gradient of the mean over all rows. Processes must have
equally many videos. The other losses look at one video at a time and need no other process.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from vidssl.core import expect_shape


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy of two views (B, D) each of the same B videos.

    The mean over the 2B rows of SimCLR's matrix: a row's positive is the other view of its video,
    its negatives are both views of the other videos. With one video it is 0.

    >>> round(nt_xent(torch.eye(2), torch.eye(2), 1.0).item(), 4)  # ln(1 + 2/e)
    0.5514
    """
    expect_shape(a, "B D", "a")
    expect_shape(b, "B D", "b", B=a.shape[0], D=a.shape[1])
    return _between_views(torch.stack([a, b]), temperature)


def instance_contrast(
    g: Tensor, z: Tensor, temperature: float, locals_weight: float = 1.0
) -> Tensor:
    """What makes a teacher temporally invariant: other times of a video are positives.

    The mean of two terms, the second with ``locals_weight``: `nt_xent` of the global clips g
    (2, B, D), and `nt_xent` of the local clips z (2, B, N, D) averaged over all ordered pairs of
    different views (a, k) != (a', k').
    """
    expect_shape(g, "a B D", "g", a=2)
    expect_shape(z, "a B N D", "z", a=2, B=g.shape[1], D=g.shape[2])
    views = z.transpose(1, 2).flatten(0, 1)  # (2N, B, D)
    local = _between_views(views, temperature)
    return (_between_views(g, temperature) + locals_weight * local) / (1 + locals_weight)


def local_local(z: Tensor, temperature: float) -> Tensor:
    """`nt_xent` within each video: its other times are the negatives. z (2, B, N, D).

    Averaged over videos; no other video takes part. At chance it is ln(2N - 1).
    """
    expect_shape(z, "a B N D", "z", a=2)
    views = _normalised(z, temperature).transpose(0, 1)  # (B, 2, N, D): times stand for videos
    return _nt_xent_rows(views, views, 0, temperature).mean()


def global_local(h: Tensor, z: Tensor, temperature: float) -> Tensor:
    """Time slice k of a video's global clip belongs to its local clip k. h, z (2, B, N, D).

    For each two augmentations (a, a') the matrix h[a] z[a']^T / temperature (N, N) of a video is
    held against the diagonal: the mean of row and column cross-entropy, averaged over videos and
    the four (a, a'). At chance it is ln N.
    """
    expect_shape(h, "a B N D", "h", a=2)
    expect_shape(z, "a B N D", "z", a=2, B=h.shape[1], N=h.shape[2], D=h.shape[3])
    h, z = _normalised(h, temperature), _normalised(z, temperature)
    logits = torch.einsum("abnd,cbmd->acbnm", h, z).flatten(0, 2) / temperature
    diagonal = torch.arange(h.shape[2], device=h.device).expand(len(logits), -1)
    return (cross_entropy(logits, diagonal) + cross_entropy(logits.mT, diagonal)) / 2


def _between_views(views: Tensor, temperature: float) -> Tensor:
    """Mean `nt_xent` over ordered pairs of views (V, B, D); videos of all processes take part."""
    views = _normalised(views, temperature)
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return _nt_xent_rows(views, views, 0, temperature).mean()
    first = dist.get_rank() * views.shape[1]
    return _nt_xent_rows(views, _GatherVideos.apply(views), first, temperature).mean()


def _nt_xent_rows(views: Tensor, everybody: Tensor, first: int, temperature: float) -> Tensor:
    """Cross-entropy of each row against each other view: (..., V * (V - 1), B).

    Row (v, i) of ``views`` (..., V, B, D) with view w has the positive (w, i) and the negatives
    (v, j) and (w, j), j != i, among ``everybody`` (..., V, W, D): the same videos from place
    ``first`` on, and those of other processes.
    """
    number, count = views.shape[-3:-1]
    logits = torch.einsum("...vid,...wjd->...vwij", views, everybody) / temperature
    video = torch.arange(count, device=views.device)
    positive = logits[..., video, video + first]  # (..., V, V, B)
    across = logits.logsumexp(dim=-1)
    itself = torch.zeros(count, everybody.shape[-2], dtype=torch.bool, device=views.device)
    itself[video, video + first] = True
    within = logits.diagonal(dim1=-4, dim2=-3).movedim(-1, -3)  # (..., V, B, W)
    # not -inf: with a single video nothing else is left, and a gradient of it would be nan
    nothing = torch.finfo(logits.dtype).min / 2
    within = within.masked_fill(itself, nothing).logsumexp(dim=-1)[..., :, None, :]
    loss = torch.logaddexp(across, within) - positive
    # without the diagonal of (V, V): the V entries between two of its own are V - 1 rows
    between = loss.flatten(-3, -2)[..., 1:, :].unflatten(-2, (number - 1, number + 1))
    return between[..., :-1, :].flatten(-3, -2)


class _GatherVideos(torch.autograd.Function):
    """(V, B, D) of each process -> (V, processes * B, D); gradients go back to their origin."""

    @staticmethod
    def forward(ctx, views: Tensor) -> Tensor:
        ctx.count = views.shape[1]
        parts = [torch.empty_like(views) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, views.contiguous())
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[:, dist.get_rank() * ctx.count :][:, : ctx.count]


def _normalised(embedding: Tensor, temperature: float) -> Tensor:
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return normalize(embedding, dim=-1)
