import math

import pytest
import torch
from torch.autograd import gradcheck

from vidssl.losses import distillation_loss, pseudo_label_loss
from vidssl.losses.distillation import DISTANCES

LOGITS = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])  # softmax: 1/2 1/2 and 3/4 1/4
TARGET = torch.tensor([[1.0, 0.0], [0.75, 0.25]])


def test_closed_forms():
    """Row 0 is off by 1/2 in both classes, row 1 by nothing."""
    assert distillation_loss(LOGITS, TARGET).item() == pytest.approx(2 * 0.25 / 4)
    kl = distillation_loss(LOGITS, TARGET, "kl").item()
    assert kl == pytest.approx(math.log(2) / 2)


def test_no_gradient_reaches_the_target():
    target, logits = TARGET.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    distillation_loss(logits, target).backward()
    assert target.grad is None
    assert logits.grad is not None


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"target must have shape \(B=2, K=2\), got \(2, 3\)"):
        distillation_loss(LOGITS, torch.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="did you mean 'mse'"):
        distillation_loss(LOGITS, TARGET, "mes")


def test_only_confident_rows_are_learned():
    probabilities = torch.tensor([[0.4, 0.6], [0.1, 0.9]])
    loss, kept = pseudo_label_loss(LOGITS, probabilities, threshold=0.8)
    assert kept.item() == 0.5
    assert loss.item() == pytest.approx(math.log(4) / 2)  # row 1 says 1/4, row 0 counts as 0
    none, kept = pseudo_label_loss(LOGITS, probabilities, threshold=0.95)
    assert (none.item(), kept.item()) == (0.0, 0.0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients_of_a_distance(distance):
    logits = LOGITS.double().requires_grad_()
    assert gradcheck(lambda x: distillation_loss(x, TARGET.double().flip(0), distance), logits)


def test_gradients_of_confident_and_of_other_rows():
    logits, probabilities = LOGITS.double().requires_grad_(), torch.tensor([[0.4, 0.6], [0.1, 0.9]])
    assert gradcheck(lambda x: pseudo_label_loss(x, probabilities, threshold=0.8)[0], logits)
