import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from vidssl.losses import multi_clip_loss


def by_loops(logits, labels):
    """Eq. 1, clip by clip and video by video."""
    videos = []
    for video, wanted in zip(logits, labels):
        clips = [
            torch.logsumexp(scores, 0) - scores[label]
            for scores, label in zip(video, wanted)
            if label >= 0
        ]
        if clips:
            videos.append(sum(clips) / len(clips))
    return sum(videos) / len(videos)


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes():
    loss = multi_clip_loss(torch.zeros(2, 3, 5), torch.tensor([4, 0]))
    assert loss.item() == pytest.approx(math.log(5))


def test_one_clip_is_plain_cross_entropy():
    logits, labels = torch.randn(6, 1, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.allclose(multi_clip_loss(logits, labels), cross_entropy(logits[:, 0], labels))


def test_one_label_a_video_is_that_label_for_each_clip():
    logits, labels = torch.randn(3, 4, 5), torch.tensor([2, 0, 4])
    each = labels[:, None].repeat(1, 4)
    assert torch.equal(multi_clip_loss(logits, labels), multi_clip_loss(logits, each))


def test_agrees_with_loops_where_clips_and_whole_videos_lack_labels():
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 5, dtype=torch.float64)
    labels = torch.tensor([[1, 1, 1], [0, -1, 4], [-1, -1, -1], [-1, 3, -1]])
    assert multi_clip_loss(logits, labels).item() == pytest.approx(by_loops(logits, labels).item())


def test_a_clip_without_label_gets_no_gradient_and_changes_nothing():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    labels = torch.tensor([[0, 1, -1], [-1, -1, -1]])
    loss = multi_clip_loss(logits, labels)
    loss.backward()
    assert logits.grad[0, :2].abs().min() > 0
    assert logits.grad[0, 2].abs().max() == logits.grad[1].abs().max() == 0
    assert loss.item() == pytest.approx(cross_entropy(logits[0, :2], labels[0, :2]).item())


def test_no_label_at_all_is_zero_with_zero_gradients():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = multi_clip_loss(logits, torch.tensor([-1, -1]))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_gradients():
    logits = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0, -1], [3, 1], [-1, -1]])
    assert torch.autograd.gradcheck(lambda scores: multi_clip_loss(scores, labels), logits)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ((2, 4), (2,), r"logits must have shape \(B, R, K\), got \(2, 4\)"),
        ((2, 3, 4), (3,), r"labels must have shape \(B=2\), got \(3,\)"),
        ((2, 3, 4), (2, 2), r"labels must have shape \(B=2, R=3\), got \(2, 2\)"),
        ((2, 3, 4), (2, 3, 1), r"labels must have shape"),
        ((2, 3, 4), (), r"labels must have shape"),
    ],
)
def test_wrong_shapes(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        multi_clip_loss(torch.zeros(logits), torch.zeros(labels, dtype=torch.int64))
