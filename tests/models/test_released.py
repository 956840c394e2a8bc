"""Checkpoints of others, on files made in their layouts (no released file is at hand)."""

import os

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import video

from vidssl import models
from vidssl.models.released import load_released

WIDTH = 0.125


@pytest.fixture(scope="module")
def reference():
    """A narrow R3D-18 of 7 classes, its tensors called as torchvision calls them."""
    torch.manual_seed(0)
    state = models.build("r3d_18", num_classes=7, width=WIDTH).state_dict()
    theirs = {f"conv{i + 1}": f"layer{i}" for i in range(1, 5)} | {"classifier": "fc"}
    parts = [name.partition(".") for name in state]
    return {theirs.get(a, a) + b + c: t for (a, b, c), t in zip(parts, state.values())}


@pytest.fixture(scope="module")
def model():
    return models.build("r3d_18_dilated", num_classes=3, width=WIDTH)


@pytest.fixture(autouse=True)
def _untouched_weights(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()


def wrapped(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def save(path, content):
    torch.save(content, path)
    return path


def loaded(model, reference):
    own = model.state_dict()
    names = {"conv5.1.conv2.0.weight": "layer4.1.conv2.0.weight", "stem.0.weight": "stem.0.weight"}
    return all(torch.equal(own[a], reference[b]) for a, b in names.items())


HEAD = {"1.fc1.weight": torch.zeros(4, 4), "1.bn1.weight": torch.zeros(4)}  # TCLR's projector


@pytest.mark.parametrize("prefix", ["", "module.", "0.", "module.0.", "base_model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "bb_state_dict", "model"])
def test_known_layouts(tmp_path, model, reference, prefix, wrapper):
    state = {k: v for k, v in reference.items() if k[:5] in ("stem.", "layer")}
    outside = wrapped(HEAD, "module." if prefix.startswith("module.") else "")
    state = wrapped(state, prefix) | outside
    path = save(tmp_path / "released.pth", {wrapper: state, "epoch": 3} if wrapper else state)
    assert load_released(model, path) == list(outside)
    assert loaded(model, reference)


def test_a_whole_training_state_as_tclr_saves_it(tmp_path, model, reference):
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))])
    optimizer.param_groups[0]["lr"] = np.float64(1e-4)
    state = {
        "epoch": 1,
        "state_dict": wrapped(reference, "module.0."),
        "optimizer": optimizer.state_dict(),
        "learning_rate": np.float64(1e-4),
        "amp_scaler": torch.amp.GradScaler("cpu"),
    }
    left_out = load_released(model, save(tmp_path / "model_best.pth", state))
    assert left_out == ["module.0.fc.weight", "module.0.fc.bias"]
    assert loaded(model, reference)


def test_the_format_of_older_torch(tmp_path, model, reference):
    path = tmp_path / "old.pth"
    torch.save({"state_dict": reference}, path, _use_new_zipfile_serialization=False)
    load_released(model, path)
    assert loaded(model, reference)


def test_torchvisions_own_file_with_a_classifier_of_as_many_classes(tmp_path):
    reference = video.r3d_18(num_classes=7).state_dict()
    model = models.build("r3d_18", num_classes=7)
    assert load_released(model, save(tmp_path / "seven.pth", reference)) == []
    assert loaded(model, reference)
    assert torch.equal(model.classifier.weight, reference["fc.weight"])


def test_two_networks_in_one_file(tmp_path, model, reference):
    twins = wrapped(reference, "encoder_q.") | wrapped(reference, "encoder_k.")
    path = save(tmp_path / "twins.pth", twins)
    with pytest.raises(ValueError, match=r"2 networks: give one of \['encoder_q.', 'encoder_k.'\]"):
        load_released(model, path)
    left_out = load_released(model, path, prefix="encoder_q.")
    assert len(left_out) == len(reference) + 2
    assert loaded(model, reference)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_nothing_in_the_file_is_executed(tmp_path, model, reference, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_released(model, save(tmp_path / "a.pth", {"model": reference, "x": Harmful()}))
    assert not (tmp_path / "harm").exists()


def test_what_does_not_fit_is_named_and_nothing_is_loaded(tmp_path, model, reference):
    for change, message in (
        ({"layer1.0.conv1.0.weight": torch.zeros(1)}, "1 tensors differ, e.g. 'conv2.0.conv1.0.we"),
        ({"layer4.2.conv1.0.weight": torch.zeros(1)}, "1 tensors differ, e.g. 'conv5.2.conv1.0.we"),
    ):
        path = save(tmp_path / "other.pth", wrapped(reference | change, "module."))
        with pytest.raises(ValueError, match=rf"other\.pth, names behind 'module\.': .*{message}"):
            load_released(model, path)
        assert not model.stem[0].weight.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {"conv1.temporal_spatial_conv.weight": torch.zeros(1)}},
            "the file has conv1",
        ),
        ({"epoch": 3}, "holds no named tensors"),
        ([1, 2], "holds no named tensors"),
    ],
)
def test_files_of_other_kinds(tmp_path, model, content, message):
    with pytest.raises(ValueError, match=message):
        load_released(model, save(tmp_path / "other.pth", content))


def test_no_checkpoint(tmp_path, model):
    with pytest.raises(FileNotFoundError, match="download it from its authors"):
        load_released(model, tmp_path / "nowhere.pth")
    (tmp_path / "text.pth").write_text("not found")
    with pytest.raises(ValueError, match=r"text\.pth cannot be read as a checkpoint"):
        load_released(model, tmp_path / "text.pth")


def named(modules):
    """{"a.weight": ..., ...} from {"a": module, ...}."""
    return {
        f"{name}.{key}": torch.rand(tensor.shape) if tensor.is_floating_point() else tensor + 3
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def mosi_r2plus1d(model):
    """As TAdaConv's R2Plus1DStem, Base3DBlock, R2Plus1DBranch and BaseHead name their layers."""
    modules = {"head.out": model.classifier}
    for name, place in (("a1", 0), ("a1_bn", 1), ("a2", 3), ("a2_bn", 4)):
        modules[f"backbone.conv1.{name}"] = model.stem[place]
    for stage in ("conv2", "conv3", "conv4", "conv5"):
        block, where = getattr(model, stage)[0], f"backbone.{stage}.res_1"
        if block.downsample:
            modules[f"{where}.short_cut"], modules[f"{where}.short_cut_bn"] = block.downsample
        for part, layers in (("a", block.conv1), ("b", block.conv2)):
            first, norm, _, second = layers[0]
            modules[f"{where}.conv_branch.{part}1"] = first
            modules[f"{where}.conv_branch.{part}1_bn"] = norm
            modules[f"{where}.conv_branch.{part}2"] = second
            modules[f"{where}.conv_branch.{part}2_bn"] = layers[1]
    return modules


def mosi_r2d3d(model):
    """As TAdaConv's DownSampleStem and R2D3DBranch do; MoSI's head is MoSIHeadJoint."""
    modules = {"backbone.conv1.a": model.stem[0], "backbone.conv1.a_bn": model.stem[1]}
    modules["head.out_joint"] = nn.Linear(8, 9)
    for stage in ("conv2", "conv3", "conv4", "conv5"):
        for number, block in enumerate(getattr(model, stage), start=1):
            where = f"backbone.{stage}.res_{number}"
            if block.downsample:
                modules[f"{where}.short_cut"], modules[f"{where}.short_cut_bn"] = block.downsample
            for part, layers in (("a", block.conv1), ("b", block.conv2)):
                modules[f"{where}.conv_branch.{part}"] = layers[0]
                modules[f"{where}.conv_branch.{part}_bn"] = layers[1]
    return modules


def slow_r50(model):
    """As PyTorchVideo's create_resnet does."""
    modules = {"blocks.0.conv": model.stem[0], "blocks.0.norm": model.stem[1]}
    modules["blocks.5.proj"] = model.classifier
    for stage in (1, 2, 3, 4):
        for number, block in enumerate(getattr(model, f"conv{stage + 1}")):
            where = f"blocks.{stage}.res_blocks.{number}"
            if block.downsample:
                modules[f"{where}.branch1_conv"], modules[f"{where}.branch1_norm"] = (
                    block.downsample
                )
            for part, layers in zip("abc", (block.conv1, block.conv2, block.conv3)):
                modules[f"{where}.branch2.conv_{part}"] = layers[0]
                modules[f"{where}.branch2.norm_{part}"] = layers[1]
    return modules


def s3dg(model):
    """As CoCLR's S3D(gating=True) does, inside MoCo's query encoder."""
    modules = basic_or_separable("encoder_q.0.block1.0", model.stem)
    modules |= basic_or_separable("encoder_q.0.block2.1", model.conv2[1:4])
    modules |= basic_or_separable("encoder_q.0.block2.2", model.conv2[4:])
    for stage in (3, 4, 5):
        for number, block in enumerate(getattr(model, f"conv{stage}")[1:], start=1):
            where = f"encoder_q.0.block{stage}.{number}"
            for branch, layers in enumerate(block.branches):
                modules[f"{where}.gating_b{branch}.fc"] = layers[-1].linear
                if branch < 3:
                    modules |= basic_or_separable(f"{where}.branch{branch}.0", layers[:3])
                if branch in (1, 2):
                    modules |= basic_or_separable(f"{where}.branch{branch}.1", layers[3:9])
                if branch == 3:
                    modules |= basic_or_separable(f"{where}.branch{branch}.1", layers[1:4])
    twice = {f"encoder_q.0.Conv_1a.conv{i}": model.stem[3 * i - 3] for i in (1, 2)}
    return modules | twice | {"encoder_q.2": nn.Conv3d(8, 8, 1)}


def basic_or_separable(name, layers):
    if len(layers) == 3:
        return {f"{name}.conv": layers[0], f"{name}.bn": layers[1]}
    places = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4}
    return {f"{name}.{layer}": layers[place] for layer, place in places.items()}


@pytest.mark.parametrize(
    ("backbone", "layout", "extra"),
    [
        ("r2plus1d_10", mosi_r2plus1d, set()),
        ("r2d3d_18", mosi_r2d3d, {"head.out_joint"}),
        ("slow_r50", slow_r50, set()),
        ("s3dg", s3dg, {"encoder_q.0.Conv_1a.conv1", "encoder_q.0.Conv_1a.conv2", "encoder_q.2"}),
    ],
)
@pytest.mark.parametrize("wrapper", ["model_state", "state_dict"])
def test_layouts_of_other_code(tmp_path, backbone, layout, extra, wrapper):
    torch.manual_seed(0)
    model = models.build(backbone, num_classes=5, width=WIDTH)
    modules = layout(model)
    theirs = named(modules)
    path = save(tmp_path / "released.pyth", {wrapper: theirs, "epoch": 3, "cfg": "TRAIN: ..."})
    left_out = load_released(model, path)
    assert {name.rpartition(".")[0] for name in left_out} == extra
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            if name not in extra:
                assert torch.equal(tensor, theirs[f"{name}.{key}"])
    expected = model.state_dict().keys() - (
        {"classifier.weight", "classifier.bias"} if extra else set()
    )
    assert len(theirs) - len(left_out) == len(expected)


def test_networks_without_gates_do_not_fit(tmp_path):
    model = models.build("s3dg", num_classes=5, width=WIDTH)
    theirs = {name: t for name, t in named(s3dg(model)).items() if "gating" not in name}
    before = model.stem[0].weight.clone()
    with pytest.raises(ValueError, match=r"72 tensors differ, e\.g\. 'conv3\.1\.branches\.0\.3\."):
        load_released(model, save(tmp_path / "s3d.pth", {"state_dict": theirs}))
    assert torch.equal(model.stem[0].weight, before)
