"""Frozen stages: no gradients, fixed statistics, through the shared loop as well."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import derive_seed
from vidssl.data import collate
from vidssl.methods import supervised
from vidssl.training import TrainConfig, fit, make_optimizer

CONFIG = TrainConfig(epochs=2, batch_size=4, lr=0.01)


class Noise(Dataset):
    """Random clips of two classes of different brightness."""

    def __len__(self):
        return 8

    def __getitem__(self, key):
        generator = torch.Generator().manual_seed(derive_seed(*key))
        clip = torch.rand(1, 3, 4, 16, 16, generator=generator) + key[1] % 2
        return {"clips": clip, "label": key[1] % 2, "video_id": str(key[1]), "failed": []}


def small_model(name="r2plus1d_10"):
    torch.manual_seed(0)
    return models.build(name, num_classes=2, width=0.125, dropout=0.0)


def train(model):
    quiet = {"report": lambda step, metrics: None}
    fit(model, Noise(), supervised.training_step(), CONFIG, collate=collate, **quiet)


def changed_stages(before, model):
    stages = before.stages()
    return [
        name
        for name, stage in model.stages().items()
        if any(
            not torch.equal(value, stages[name].state_dict()[key])
            for key, value in stage.state_dict().items()
        )
    ]


@pytest.mark.parametrize("name", ["r2plus1d_10", "s3dg", "slow_r50"])
def test_frozen_stages_keep_weights_and_statistics_in_training(name):
    model = small_model(name)
    models.freeze(model, ["stem", "conv2", "conv3"])
    before = copy.deepcopy(model)
    train(model)
    assert changed_stages(before, model) == ["conv4", "conv5"]
    assert not torch.equal(before.classifier.weight, model.classifier.weight)


def test_a_frozen_stage_computes_with_its_statistics_after_train():
    model = small_model()
    models.freeze(model, ["stem"])
    clip = torch.rand(2, 3, 4, 16, 16)
    in_evaluation = model.eval().stem(clip)
    model.train()
    assert torch.equal(model.stem(clip), in_evaluation)
    model.train()
    assert not torch.equal(model.conv2(in_evaluation), model.eval().conv2(in_evaluation))


def test_the_last_call_counts_and_an_empty_list_releases_all():
    model = small_model()
    models.freeze(model, ["stem", "conv2"])
    models.freeze(model, ["conv2"])
    assert next(model.stem.parameters()).requires_grad
    assert not next(model.conv2.parameters()).requires_grad
    models.freeze(model, [])
    assert all(parameter.requires_grad for parameter in model.parameters())
    before = copy.deepcopy(model)
    train(model)
    assert changed_stages(before, model) == list(model.stages())


def test_only_the_rest_is_optimised_and_copies_stay_frozen():
    model = small_model()
    models.freeze(model, ["stem", "conv2", "conv3", "conv4", "conv5"])
    optimised = [p for group in make_optimizer(model, CONFIG).param_groups for p in group["params"]]
    assert {id(p) for p in optimised} == {id(p) for p in model.classifier.parameters()}
    copied = copy.deepcopy(model).train()
    copied(torch.rand(2, 3, 4, 16, 16))
    norms = [m for m in copied.modules() if isinstance(m, nn.BatchNorm3d)]
    assert not any(norm.training for norm in norms)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["conv6"], "did you mean 'conv"),
        ("stem", "must be a list of names"),
        (["x"], "known: stem"),
    ],
)
def test_wrong_stages_are_named(stages, message):
    with pytest.raises(ValueError, match=message):
        models.freeze(small_model(), stages)
