import math

import pytest
import torch

from vidssl.losses import clip_order_loss, clip_orders, shuffle_clips


def test_six_orders_of_three_clips():
    orders = clip_orders(3)
    assert len(orders) == len(set(orders)) == 6
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    with pytest.raises(ValueError, match="one clip has no order"):
        clip_orders(1)


def test_shuffled_clips_are_where_their_order_says():
    clips = torch.arange(40 * 3 * 2).reshape(40, 3, 2)
    shuffled, label = shuffle_clips(clips, torch.Generator().manual_seed(0))
    for before, after, kind in zip(clips, shuffled, label):
        for place, source in enumerate(clip_orders(3)[kind]):
            assert torch.equal(after[place], before[source])


def test_every_order_is_as_likely():
    _, label = shuffle_clips(torch.zeros(6000, 3), torch.Generator().manual_seed(0))
    counts = torch.bincount(label, minlength=6)
    assert (counts - 1000).abs().max() < 5 * math.sqrt(1000)


def test_the_same_generator_draws_the_same():
    clips = torch.randn(5, 3, 4)
    first, second = (shuffle_clips(clips, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_loss_of_indifference_and_of_certainty():
    order = torch.tensor([0, 5, 2])
    assert clip_order_loss(torch.zeros(3, 6), order).item() == pytest.approx(math.log(6))
    certain = 50 * torch.nn.functional.one_hot(order, 6).float()
    assert clip_order_loss(certain, order).item() == pytest.approx(0, abs=1e-6)


def test_gradients_flow_through_the_shuffle():
    features = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)

    def loss(values):
        shuffled, order = shuffle_clips(values, torch.Generator().manual_seed(1))
        return clip_order_loss(shuffled.flatten(1), order)

    assert torch.autograd.gradcheck(loss, features)


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r"clips must be \(B, R, \.\.\.\)"):
        shuffle_clips(torch.zeros(3))
    with pytest.raises(ValueError, match="logits must have shape"):
        clip_order_loss(torch.zeros(3, 2, 6), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"order must have shape \(B=3\)"):
        clip_order_loss(torch.zeros(3, 6), torch.zeros(2, dtype=torch.int64))
