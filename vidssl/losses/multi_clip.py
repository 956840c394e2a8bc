"""The multi-clip loss of MotionFit (Gavrilyuk et al., ICCV 2021), Eq. 1."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from vidssl.core import expect_shape
from vidssl.processes import mean_of_some


def multi_clip_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over videos of the mean over their clips of the cross-entropy; a scalar.

    L = 1/B sum_b ( 1/R sum_i CE(logits[b, i], labels[b, i]) )

    Args:
        logits: (B, R, K) of R clips of each of B videos.
        labels: int64, (B,) one for all clips of a video or (B, R) one a clip; -1 for none.

    A clip with label -1 counts in neither mean: R is then the number of its video's labelled clips,
    B the number of videos with at least one. So each labelled video weighs the same, however many
    of its clips have a label. With no label at all the loss is 0, with zero gradients. In several
    processes B counts the labelled videos of all of them.

    Raises:
        ValueError: for other shapes.

    >>> import torch
    >>> multi_clip_loss(torch.zeros(2, 3, 4), torch.tensor([1, -1])).exp()
    tensor(4.)
    """
    expect_shape(logits, "B R K", "logits")
    videos, clips, classes = logits.shape
    if labels.ndim == 1:
        expect_shape(labels, "B", "labels", B=videos)
        labels = labels[:, None].expand(videos, clips)
    expect_shape(labels, "B R", "labels", B=videos, R=clips)
    losses = cross_entropy(
        logits.reshape(-1, classes), labels.reshape(-1), ignore_index=-1, reduction="none"
    ).view(videos, clips)
    labelled = labels >= 0
    per_video = losses.sum(dim=1) / labelled.sum(dim=1).clamp(min=1)
    return mean_of_some(per_video.sum(), labelled.any(dim=1).sum())
