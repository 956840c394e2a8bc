"""Each loss of a method has the gradient that it should, in what the network says, in double.

A part that is cut off from the gradient, or computed in lower precision, does not pass.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from vidssl.data.clip_table import ClipTable
from vidssl.methods import mosi, motionfit, supervised, timebalance
from vidssl.methods import semi_supervised as semi
from vidssl.training import StepContext

B, U, R, K, D = 2, 3, 3, 4, 5  # videos with labels, without; clips of each; classes; features
CLIP = (3, 2, 4, 4)
LABELS = torch.tensor([0, 3])


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


class Says:
    """A network whose answer is given, whatever it sees."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, *_):
        return self.answer

    def update(self, decay):
        """As `MeanTeacher`."""


def check(step: Callable, batch: dict, answer: Callable, *said: torch.Tensor) -> None:
    """gradcheck of ``step`` for a network that says ``answer(*said)``; every one of them counts."""

    def loss(*values):
        context = StepContext(3, 0.5, torch.Generator().manual_seed(0))
        return step(Says(answer(*values)), batch, context)[0]

    assert gradcheck(loss, said)
    for gradient in torch.autograd.grad(loss(*said), said):
        assert gradient.abs().max() > 1e-6


def test_supervised():
    batch = {"clips": torch.rand(B, 1, *CLIP), "label": LABELS}
    check(supervised.training_step(), batch, lambda x: x, numbers(B, K))


def test_mosi():
    config = mosi.MoSIConfig(frames=4, size=16, k=1, mask_ratio=None, jitter=None)
    batch = {"image": torch.rand(B, 3, config.source_side, config.source_side)}
    check(mosi.training_step(config), batch, lambda x: x, numbers(B * 5, 5))


# --- MotionFit -----------------------------------------------------------------------------------


def timed():
    start = 10 * torch.arange(R).repeat(B, 1)
    return {
        "clips": torch.rand(B, R, *CLIP),
        "times": torch.stack([start, start + 10], dim=-1),
        "label": LABELS,
        "video_id": ["a", "b"],
    }


def known_clips(values):
    start = np.tile(10 * np.arange(R), B)
    return ClipTable(np.repeat(["a", "b"], R), start, start + 10, np.asarray(values))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_motionfit_eq_3(share):
    config = motionfit.MotionFitConfig(multi_clip_weight=share)
    order = torch.tensor([5, 1])

    def answer(logits, orders=None):
        return motionfit.ClipOutputs(None, logits, None, orders, order)

    said = [numbers(B, R, K), *[numbers(B, 6, seed=1)][: share < 1]]
    check(motionfit.training_step(config), timed(), answer, *said)


def test_motionfit_self_training_with_neighbours():
    config = motionfit.MotionFitConfig(neighbours=True)
    step = motionfit.training_step(config, pseudo_labels=known_clips([0, 1, 2, 3, 0, 1]))

    def answer(logits, before, after):
        return motionfit.ClipOutputs(None, logits, (before, after), None, None)

    check(step, timed(), answer, *(numbers(B, R, K, seed=seed) for seed in range(3)))


@pytest.mark.parametrize("labelled", [False, True])
def test_mers_and_mars(labelled):
    teacher = known_clips(numbers(B * R, D, seed=2).detach().numpy())
    step = motionfit.feature_matching_step(teacher, labelled=labelled)

    def answer(features, logits=None):
        return motionfit.ClipOutputs(features, logits, None, None, None)

    check(step, timed(), answer, numbers(B, R, D), *[numbers(B, R, K, seed=1)][:labelled])


# --- TimeBalance ---------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", timebalance.OBJECTIVES)
def test_timebalance_teachers(objective):
    config = timebalance.TeacherConfig(objective, locals_count=3, local_local=2.0)
    clips = 2 * B * (1 + 3)
    features = numbers(clips, D).detach()

    def answer(pooled, slices=None):
        return timebalance.Embedded(features, pooled, slices)

    sliced = "global_local" in config.terms
    said = [numbers(clips, D, seed=1), *[numbers(2 * B, 3, D, seed=2)][:sliced]]
    check(timebalance.teacher_step(config), {"clips": torch.rand(B, 8, *CLIP)}, answer, *said)


class Teacher(nn.Module):
    """Fixed probabilities for the five clips of a batch."""

    num_classes = K

    def __init__(self, seed):
        super().__init__()
        self.logits = nn.Parameter(numbers(B + U, K, seed=seed).detach())

    def forward(self, _):
        return self.logits


def paired(views=1):
    return {
        "clips": torch.rand(B, 1, *CLIP),
        "label": LABELS,
        "video_id": ["a", "b"],
        "unlabelled": torch.rand(U, views, *CLIP),
        "unlabelled_id": ["c", "d", "e"],
    }


@pytest.mark.parametrize("distance", ["mse", "kl"])
def test_timebalance_student(distance):
    teachers = timebalance.FrozenTeachers(Teacher(1), Teacher(2), K)
    config = timebalance.StudentConfig(distance=distance, labelled_weight=2, unlabelled_weight=3)
    scores = dict(zip("abcde", (0.0, 0.3, 0.5, 0.9, 1.0)))
    step = timebalance.student_step(teachers, scores, config)
    check(step, paired(), lambda x: x, numbers(B + U, K))


# --- semi-supervised baselines -------------------------------------------------------------------

CONFIG = semi.SemiSupervisedConfig(threshold=0.5, weight=2.0, ramp=0.7)


def test_pseudo_label():
    check(semi.pseudo_label_step(CONFIG), paired(), lambda x: x, numbers(B + U, K))


def test_fixmatch():
    check(semi.fixmatch_step(CONFIG), paired(2), lambda x: x, numbers(B + 2 * U, K))


def test_mean_teacher():
    averaged = numbers(U, K, seed=1).detach()
    step = semi.mean_teacher_step(CONFIG)
    check(step, paired(2), lambda x: (x, averaged), numbers(B + U, K))


def test_gradient_fixmatch():
    streams = numbers(B + 2 * U, K), numbers(B + 2 * U, K, seed=1)
    check(semi.gradient_fixmatch_step(CONFIG), paired(2), lambda *x: x, *streams)
