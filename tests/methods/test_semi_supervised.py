import math

import pytest
import torch
from torch import nn

from vidssl import models
from vidssl.data import PairedDataset
from vidssl.methods import semi_supervised as semi
from vidssl.methods.semi_supervised import MeanTeacher, SemiSupervisedConfig, TwoStreams
from vidssl.training import StepContext


def network(seed=0):
    torch.manual_seed(seed)
    return models.build("r2plus1d_10", num_classes=3, width=0.125)


def context(progress=0.5):
    return StepContext(3, progress, torch.Generator().manual_seed(0))


def batch(views=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (4, views, 3, 4, 16, 16)
    return {
        "clips": torch.rand(2, 1, 3, 4, 16, 16, generator=generator),
        "label": torch.tensor([0, 2]),
        "unlabelled": torch.rand(shape, generator=generator),
    }


class Answers(nn.Module):
    """Says fixed logits, whatever it sees."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, clip):
        assert len(clip) == len(self.logits)
        return self.logits


SURE, UNSURE = [9.0, 0.0, 0.0], [0.1, 0.0, 0.0]


def test_fixmatch_learns_strong_views_of_confident_weak_ones():
    """Two of four weak views are sure of class 0; their strong views say ln 3."""
    weak, strong = [SURE, UNSURE, SURE, UNSURE], [[0.0, 0.0, 0.0]] * 4
    model = Answers(torch.tensor([[0.0] * 3] * 2 + weak + strong))
    loss, metrics = semi.fixmatch_step(SemiSupervisedConfig(weight=2.0))(model, batch(), context())
    assert metrics["confident_score"] == 0.5
    assert metrics["unlabelled_loss"] == pytest.approx(0.5 * math.log(3))
    assert loss.item() == pytest.approx(math.log(3) + 2 * 0.5 * math.log(3))
    loss.backward()
    assert model.logits.grad[2:6].abs().max() == 0, "a gradient reached the weak views"
    assert (model.logits.grad[[6, 8]] != 0).any(dim=1).all()
    assert model.logits.grad[[7, 9]].abs().max() == 0


def test_pseudo_labels_count_as_the_training_goes_on():
    model = Answers(torch.tensor([[0.0] * 3] * 2 + [SURE] * 4))
    step = semi.pseudo_label_step(SemiSupervisedConfig(ramp=0.4))
    early, metrics = step(model, batch(views=1), context(0.1))
    late, _ = step(model, batch(views=1), context(0.9))
    guessed = metrics["unlabelled_loss"]
    assert guessed == pytest.approx(math.log(1 + 2 * math.exp(-9)), abs=1e-6)
    assert early.item() == pytest.approx(math.log(3) + 0.25 * guessed, abs=1e-6)
    assert late.item() == pytest.approx(math.log(3) + guessed, abs=1e-6)


def test_mean_teacher_is_a_moving_average():
    model = MeanTeacher(network())
    with torch.no_grad():
        model.student.classifier.bias.fill_(1.0)
        model.teacher.classifier.bias.fill_(0.0)
    model.update(decay=0.9)  # the first update: share 1/2
    torch.testing.assert_close(model.teacher.classifier.bias, torch.full((3,), 0.5))
    model.updates.fill_(1000)
    model.update(decay=0.9)
    torch.testing.assert_close(model.teacher.classifier.bias, torch.full((3,), 0.55))


def test_mean_teacher_step_trains_the_student_alone():
    model = MeanTeacher(network()).train()
    statistics = model.teacher.stem[1].running_mean.clone()
    loss, metrics = semi.mean_teacher_step(SemiSupervisedConfig())(model, batch(), context())
    loss.backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.student.parameters())
    assert not model.teacher.training
    torch.testing.assert_close(model.teacher.stem[1].running_mean, statistics)
    assert metrics["unlabelled_loss"] > 0
    assert "teacher.classifier.weight" in model.state_dict()  # a checkpoint carries it


def test_temporal_gradient():
    clip = torch.zeros(3, 4, 2, 2)
    clip[:, 2:] = 1.0
    gradient = semi.temporal_gradient(clip)
    assert gradient[0, :, 0, 0].tolist() == [0.5, 1.0, 0.5, 0.5]
    with pytest.raises(ValueError, match="T of 2 or more"):
        semi.temporal_gradient(clip[:, :1])


def test_two_streams_share_their_labels():
    """RGB is sure of class 0, gradients are not: their average, 0.67, is below 0.95."""
    answers = torch.tensor([[0.0] * 3] * 2 + [SURE] * 4 + [[0.0] * 3] * 4)
    unsure = torch.zeros(10, 3)
    model = TwoStreams(Answers(answers), Answers(unsure))
    _, metrics = semi.gradient_fixmatch_step(SemiSupervisedConfig())(model, batch(), context())
    assert metrics["confident_score"] == 0.0
    config = SemiSupervisedConfig(threshold=0.6)
    loss, metrics = semi.gradient_fixmatch_step(config)(model, batch(), context())
    assert metrics["confident_score"] == 1.0
    assert loss.item() == pytest.approx(4 * math.log(3))


def test_clips_are_turned_as_a_whole():
    clip = torch.arange(2 * 3 * 4 * 4.0).reshape(1, 2, 3, 4, 4)
    same, left, back, right = semi.turned(clip.expand(4, -1, -1, -1, -1), torch.arange(4))
    torch.testing.assert_close(same, clip[0])
    assert left[0, 0, 0].tolist() == clip[0, 0, 0, :, 3].tolist(), "the right column goes up"
    torch.testing.assert_close(back, clip[0].flip(-1, -2))
    torch.testing.assert_close(right, left.flip(-1, -2))


def test_rotations_of_all_clips_are_learned_beside_the_labels():
    """A network that says nothing is at ln 3 for the labels and ln 4 for the rotations."""
    model = semi.WithRotation(network())
    torch.nn.init.zeros_(model.network.classifier.weight)
    torch.nn.init.zeros_(model.rotation.weight)
    torch.nn.init.zeros_(model.rotation.bias)
    seen = []
    model.register_forward_pre_hook(lambda _, clip: seen.append(len(clip[0])))
    step = semi.rotation_step(SemiSupervisedConfig(weight=2.0))
    loss, metrics = step(model, batch(views=1), context())
    assert seen == [2 + 2 + 4], "labelled clips as they are, then every clip turned"
    assert loss.item() == pytest.approx(math.log(3) + 2 * math.log(4), abs=1e-4)
    assert 0 <= metrics["rotation_accuracy"] <= 1


@pytest.mark.parametrize("name", list(semi.METHODS))
def test_every_method_trains_a_real_network(name):
    """From its entry alone, as the page does it: views, networks, step and what is tested."""
    method = semi.METHODS[name]
    model = method.wrap(*(network(seed) for seed in range(method.networks))).train()
    step = method.step(SemiSupervisedConfig(threshold=0.0))
    loss, metrics = step(model, batch(views=len(method.views)), context())
    loss.backward()
    assert math.isfinite(loss.item())
    assert "train_accuracy" in metrics
    tested = method.network(model)
    assert tested(torch.rand(2, 3, 4, 16, 16)).shape == (2, 3)
    learns = any(p.grad is not None and p.grad.abs().max() > 0 for p in tested.parameters())
    assert learns == (name != "mean_teacher"), "an average does not learn by itself"


class Named(torch.utils.data.Dataset):
    """Samples that tell which key they were asked for."""

    seed = 0

    def __init__(self, name, count):
        self.name, self.count = name, count

    def __len__(self):
        return self.count

    def packed(self, key):
        return {"clips": torch.zeros(1), "video_id": (self.name, *key), "failed": [self.name]}


@pytest.mark.parametrize(("epoch_of", "length"), [("unlabelled", 7), ("labelled", 3)])
def test_the_other_side_of_a_pair_goes_round_in_another_order_each_time(epoch_of, length):
    pairs = PairedDataset(Named("l", 3), Named("u", 7), epoch_of)
    assert len(pairs) == length
    keys = [(epoch, index) for epoch in range(21) for index in range(length)]
    seen = {"l": [], "u": []}
    for key in keys:
        sample = pairs[key]
        assert sample["failed"] == ["l", "u"]
        for name, turn, index in (sample["video_id"], sample["unlabelled_id"]):
            seen[name].append((turn, index))
    own, other = ("u", "l") if epoch_of == "unlabelled" else ("l", "u")
    assert seen[own] == keys
    count = {"l": 3, "u": 7}[other]
    rounds = [seen[other][i : i + count] for i in range(0, len(seen[other]), count)]
    assert all({turn for turn, _ in each} == {i} for i, each in enumerate(rounds))
    orders = [tuple(index for _, index in each) for each in rounds if len(each) == count]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert len(set(orders)) > 1
    with pytest.raises(ValueError, match="did you mean 'labelled'"):
        PairedDataset(Named("l", 3), Named("u", 7), "labeled")


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\]"):
        SemiSupervisedConfig(threshold=95)
    with pytest.raises(ValueError, match="unlabelled must have shape"):
        semi.fixmatch_step(SemiSupervisedConfig())(network(), batch(views=1), context())
