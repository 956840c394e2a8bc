"""Heads on pooled features, checked against the same sums written out."""

import pytest
import torch
from torch.nn import functional

from vidssl.models.heads import ClipOrderHead, Projector


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_projector_at_full_width_has_the_published_sizes():
    linears = 512 * 512 + 512 + 512 * 128
    assert count(Projector(512)) == linears + 2 * 512 + 2 * 128
    assert Projector(2048).layers[0].out_features == 512
    assert Projector(128).layers[0].out_features == 128


def test_projections_have_length_one_and_keep_the_leading_axes():
    embeddings = Projector(16)(torch.randn(2, 3, 5, 16))
    assert embeddings.shape == (2, 3, 5, 128)
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 3, 5))


def test_all_clips_are_one_batch():
    torch.manual_seed(0)
    projector, features = Projector(16, outputs=4), torch.randn(6, 3, 16)
    together = projector(features)
    torch.testing.assert_close(together.flatten(0, 1), projector(features.flatten(0, 1)))
    apart = torch.stack([projector(features[:, time]) for time in range(3)], dim=1)
    assert (together - apart).abs().max() > 0.05


def test_clip_order_logits_by_hand():
    torch.manual_seed(0)
    head = ClipOrderHead(16).eval()
    a, b, c = features = torch.randn(3, 16)
    pairs = [functional.relu(head.pair(torch.cat(pair))) for pair in ((a, b), (a, c), (b, c))]
    torch.testing.assert_close(head(features[None])[0], head.classifier(torch.cat(pairs)))


def test_clip_order_at_full_width_has_the_published_sizes():
    assert count(ClipOrderHead(512)) == (1024 * 512 + 512) + (3 * 512 * 6 + 6)
    assert ClipOrderHead(1024).pair.out_features == 512
    assert ClipOrderHead(64).pair.out_features == 64


@pytest.mark.parametrize(("clips", "classes"), [(2, 2), (3, 6), (4, 24)])
def test_one_class_an_order(clips, classes):
    assert ClipOrderHead(8, clips=clips)(torch.zeros(5, clips, 8)).shape == (5, classes)


def test_clip_order_drops_out_in_training_only():
    torch.manual_seed(0)
    head, features = ClipOrderHead(16), torch.randn(2, 3, 16)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"features must have shape \(B, R=3, D=16\), got"):
        ClipOrderHead(16)(torch.zeros(2, 4, 16))
    for shape in ((2, 15), (16,)):
        with pytest.raises(ValueError, match=r"features must have shape \(B, D=16\), got"):
            Projector(16)(torch.zeros(shape))
    with pytest.raises(ValueError, match="clips must be 2 or more"):
        ClipOrderHead(16, clips=1)
