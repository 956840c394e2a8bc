"""No step of a method looks at a number on the device: only logging does.

Small real networks, a forward and a backward pass of each step, on tensors that refuse to be looked
at (tests/on_device.py).
"""

import numpy as np
import pytest
import torch
from on_device import OnDevice, Waits, sent, watch_sending

from vidssl import models
from vidssl.data import ColorJitter
from vidssl.data.clip_table import ClipTable
from vidssl.methods import mosi, motionfit, pace, rotation, supervised, timebalance
from vidssl.methods import semi_supervised as semi
from vidssl.training import StepContext

B, CLIP, K = 2, (3, 4, 12, 12), 3


def network(num_classes=K):
    return models.build("r3d_10_dilated", num_classes=num_classes, width=0.0625)


def batch(clips=1, views=1):
    start = 4 * torch.arange(clips).repeat(B, 1)
    return {
        "clips": torch.rand(B, clips, *CLIP),
        "unlabelled": torch.rand(B, views, *CLIP),
        "label": torch.tensor([0, 2]),
        "video_id": ["a", "b"],
        "unlabelled_id": ["c", "d"],
        "times": torch.stack([start, start + 4], dim=-1),
    }


def table(values):
    start = np.tile(4 * np.arange(3), B)
    return ClipTable(np.repeat(["a", "b"], 3), start, start + 4, np.asarray(values))


def of_mosi():
    config = mosi.MoSIConfig(frames=4, size=12, k=1, jitter=ColorJitter(), flip="mirror_label")
    images = torch.rand(B, 3, config.source_side, config.source_side)
    return network(5), {"image": images}, mosi.training_step(config)


def of_motionfit(neighbours=False, **settings):
    config = motionfit.MotionFitConfig(neighbours=neighbours, **settings)
    labels = table(np.arange(6) % K) if neighbours else None
    step = motionfit.training_step(config, pseudo_labels=labels)
    return motionfit.MultiClipNetwork(network(), config), batch(3), step


def of_mars():
    config = motionfit.MotionFitConfig()
    model = motionfit.MultiClipNetwork(network(), config)
    known = table(np.zeros((6, model.backbone.num_features), np.float32))
    return model, batch(3), motionfit.feature_matching_step(known, labelled=True)


def of_teachers(objective):
    config = timebalance.TeacherConfig(objective, locals_count=2)
    return timebalance.Teacher(network()), batch(6), timebalance.teacher_step(config)


def of_student():
    teachers = timebalance.FrozenTeachers(network(), network(), K)
    step = timebalance.student_step(
        teachers, dict.fromkeys("abcd", 0.5), timebalance.StudentConfig()
    )
    return network(), batch(views=2), step


def of_semi(name):
    chosen = semi.METHODS[name]
    model = chosen.wrap(*(network() for _ in range(chosen.networks)))
    return model, batch(views=len(chosen.views)), chosen.step(semi.SemiSupervisedConfig(ramp=0.5))


STEPS = {
    "supervised": lambda: (network(), batch(2), supervised.training_step()),
    "pace": lambda: (network(), batch(3), pace.training_step),
    "rotation": lambda: (network(4), batch(), rotation.training_step),
    "mosi": of_mosi,
    "motionfit": lambda: of_motionfit(multi_clip_weight=0.5),
    "pseudo-labels": lambda: of_motionfit(neighbours=True),
    "mars": of_mars,
    "student": of_student,
    **{name: lambda name=name: of_teachers(name) for name in timebalance.OBJECTIVES},
    **{name: lambda name=name: of_semi(name) for name in semi.METHODS if name != "supervised"},
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_waits_for_nothing(name, monkeypatch):
    model, given, step = STEPS[name]()
    watch_sending(monkeypatch)
    monkeypatch.setattr("vidssl.inference.bring", lambda model, device: None)  # long there
    context = StepContext(3, 0.5, torch.Generator().manual_seed(0))
    loss, metrics = step(model, sent(given), context)
    loss.backward()
    assert isinstance(loss, OnDevice)
    assert metrics
    assert all(isinstance(value, OnDevice) for value in metrics.values()), "fetched already"


@pytest.mark.parametrize(
    "look",
    [
        float,
        bool,
        lambda x: x.item(),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: x.new_tensor([1.0]),
        lambda x: torch.zeros(3).to(x.device),
        lambda x: [x * 2][0].sum().tolist(),
    ],
)
def test_looking_is_noticed(look, monkeypatch):
    watch_sending(monkeypatch)
    with pytest.raises(Waits):
        look(torch.ones(()).as_subclass(OnDevice))
