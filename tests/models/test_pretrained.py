"""Our own files, and checkpoints of others in their layouts (no released file is at hand)."""

import os

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import video

from vidssl import models
from vidssl.models.pretrained import load_pretrained, load_released, load_with_head, save_pretrained

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


def test_a_saved_network_comes_back_with_its_head(tmp_path):
    about = {"backbone": "r2plus1d_10", "width": WIDTH}
    for classes in (9, 0):
        torch.manual_seed(classes)
        ours = models.build("r2plus1d_10", num_classes=classes, width=WIDTH)
        path = save_pretrained(ours, tmp_path / f"{classes}.pt", **about, seed=3)
        model, told = load_with_head(path)
        assert told == {**about, "seed": 3}
        assert model.num_classes == classes
        assert all(map(torch.equal, model.state_dict().values(), ours.state_dict().values()))


def test_a_saved_network_without_its_head(tmp_path):
    ours = models.build("r2plus1d_10", num_classes=9, width=WIDTH)
    path = save_pretrained(ours, tmp_path / "a.pt", backbone="r2plus1d_10", width=WIDTH)
    other = models.build("r2plus1d_10", num_classes=4, width=WIDTH)
    head = other.classifier.weight.clone()
    load_pretrained(other, path)
    assert torch.equal(other.stem[0].weight, ours.stem[0].weight)
    assert torch.equal(other.classifier.weight, head)


def test_a_file_that_does_not_say_what_it_holds(tmp_path):
    ours = models.build("r2plus1d_10", num_classes=9, width=WIDTH)
    with pytest.raises(ValueError, match=r"a\.pt does not say its backbone and width"):
        load_with_head(save_pretrained(ours, tmp_path / "a.pt", backbone="r2plus1d_10"))
    with pytest.raises(ValueError, match=r"b\.pt does not fit the network it names"):
        load_with_head(save_pretrained(ours, tmp_path / "b.pt", backbone="r3d_18", width=WIDTH))
    with pytest.raises(FileNotFoundError, match="run the pretraining first"):
        load_with_head(tmp_path / "c.pt")
