"""Losses against another network's predictions."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, mse_loss

from vidssl.core import expect_shape, one_of

DISTANCES = ("mse", "kl")


def distillation_loss(logits: Tensor, target: Tensor, distance: str = "mse") -> Tensor:
    """Distance of the softmax of ``logits`` (B, K) from probabilities ``target`` (B, K).

    "mse" is the mean squared difference over batch and classes, as TimeBalance's release has it;
    "kl" is KL(target || softmax) in nats, averaged over the batch. No gradient reaches ``target``.
    ValueError for unequal shapes (networks of different class counts) or an unknown distance.
    """
    one_of("distance", distance, DISTANCES)
    expect_shape(logits, "B K", "logits")
    expect_shape(target, "B K", "target", B=logits.shape[0], K=logits.shape[1])
    target = target.detach()
    if distance == "mse":
        return mse_loss(logits.softmax(dim=-1), target)
    return kl_div(logits.log_softmax(dim=-1), target, reduction="batchmean")


def pseudo_label_loss(
    logits: Tensor, probabilities: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of ``logits`` (B, K) with the likeliest class of ``probabilities`` (B, K).

    Rows whose highest probability is below ``threshold`` count as 0 in the mean over the batch
    (FixMatch, Sohn et al., NeurIPS 2020, Eq. 4). Returns the loss and the share of rows kept.
    """
    expect_shape(logits, "B K", "logits")
    expect_shape(probabilities, "B K", "probabilities", B=logits.shape[0], K=logits.shape[1])
    confidence, label = probabilities.detach().max(dim=-1)
    kept = (confidence >= threshold).to(logits.dtype)
    return (kept * cross_entropy(logits, label, reduction="none")).mean(), kept.mean()
