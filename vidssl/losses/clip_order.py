"""Clip order prediction (Xu et al., VCOP, CVPR 2019), as MotionFit's Eq. 2 has it."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vidssl.core import expect_shape


def clip_orders(count: int = 3) -> list[tuple[int, ...]]:
    """All orders of ``count`` clips; an order's place in the list is its label.

    >>> clip_orders(3)
    [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    """
    if count < 2:
        raise ValueError(f"count must be at least 2 clips, got {count}: one clip has no order")
    return list(permutations(range(count)))


def shuffle_clips(clips: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Bring each video's clips, given in order of time, into an order drawn at random.

    ``clips`` (B, R, ...), R >= 2, clips or their features -> the shuffled ones and the label
    (B,) of each order: ``shuffled[b, i] = clips[b, clip_orders(R)[label[b]][i]]``. Every order is
    equally likely. The draws come from ``generator`` (on the CPU).
    """
    if clips.ndim < 2:
        raise ValueError(f"clips must be (B, R, ...), got {tuple(clips.shape)}")
    orders = torch.tensor(clip_orders(clips.shape[1]))
    label = torch.randint(len(orders), (len(clips),), generator=generator)
    places, label = (x.to(clips.device, non_blocking=True) for x in (orders[label], label))
    return clips[torch.arange(len(clips), device=clips.device)[:, None], places], label


def clip_order_loss(logits: Tensor, order: Tensor) -> Tensor:
    """Eq. 2: the mean cross-entropy of predicted orders; a scalar.

    ``logits`` (B, R!) of an order head, ``order`` (B,) the labels of `shuffle_clips`. ValueError
    for other shapes.
    """
    expect_shape(logits, "B K", "logits")
    expect_shape(order, "B", "order", B=len(logits))
    return cross_entropy(logits, order)
