"""Weights from one run to the next, and `pretrained` parameters that name a released file."""

import pytest
import torch

from vidssl import models
from vidssl.models.pretrained import load_pretrained, load_with_head, save_pretrained
from vidssl.models.released import CheckpointError, MissingCheckpoint

WIDTH = 0.125


def network(classes, seed, name="r3d_18"):
    torch.manual_seed(seed)
    return models.build(name, num_classes=classes, width=WIDTH)


def as_torchvision(model):
    names = {f"conv{i + 1}": f"layer{i}" for i in range(1, 5)} | {"classifier": "fc"}
    parts = [(name.partition("."), tensor) for name, tensor in model.state_dict().items()]
    return {names.get(head, head) + dot + tail: tensor for (head, dot, tail), tensor in parts}


def same_backbone(first, second):
    own, other = first.state_dict(), second.state_dict()
    return all(torch.equal(own[name], other[name]) for name in own if "classifier" not in name)


def test_a_saved_backbone_comes_back_and_the_classifier_stays(tmp_path):
    trained, fresh = network(9, seed=0), network(9, seed=1)
    path = save_pretrained(trained, tmp_path / "new" / "a.pt", backbone="r3d_18", width=WIDTH)
    head = fresh.classifier.weight.clone()
    assert load_pretrained(fresh, path) == {"backbone": "r3d_18", "width": WIDTH}
    assert same_backbone(fresh, trained)
    assert torch.equal(fresh.classifier.weight, head)
    assert [file.name for file in path.parent.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("classes", [0, 4, 9])
def test_a_released_file_is_taken_as_well(tmp_path, classes):
    trained, fresh = network(9, seed=0), network(classes, seed=1)
    torch.save({"state_dict": as_torchvision(trained)}, tmp_path / "released.pth")
    head = {name: t.clone() for name, t in fresh.classifier.state_dict().items()}
    about = load_pretrained(fresh, tmp_path / "released.pth")
    assert about == {
        "dataset": "released checkpoint",
        "seed": None,
        "left_out": ["fc.weight", "fc.bias"],
    }
    assert same_backbone(fresh, trained)
    assert all(torch.equal(head[name], t) for name, t in fresh.classifier.state_dict().items())


def test_another_network_is_named(tmp_path):
    path = save_pretrained(network(9, seed=0), tmp_path / "a.pt", backbone="r3d_18", width=WIDTH)
    with pytest.raises(ValueError, match=r"a\.pt holds another network \(r3d_18, width 0\.125\)"):
        load_pretrained(network(9, seed=0, name="s3dg"), path)


def test_missing_cut_and_foreign_files(tmp_path):
    model = network(9, seed=0)
    with pytest.raises(FileNotFoundError, match="run the pretraining first"):
        load_pretrained(model, tmp_path / "nowhere.pt")
    path = save_pretrained(model, tmp_path / "a.pt")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"a\.pt cannot be read as a checkpoint"):
        load_pretrained(model, path)
    torch.save({"encoder.weight": torch.ones(1)}, path)
    with pytest.raises(ValueError, match=r"the layouts that load_released knows; the file has enc"):
        load_pretrained(model, path)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, wrong):
    broken, fresh = network(9, seed=0), network(9, seed=1)
    with torch.no_grad():
        broken.state_dict()["conv3.0.conv1.0.weight"].view(-1)[5] = wrong
    before = {name: t.clone() for name, t in fresh.state_dict().items()}
    about = {"backbone": "r3d_18", "width": WIDTH}
    ours = save_pretrained(broken, tmp_path / "ours.pt", **about)
    torch.save({"state_dict": as_torchvision(broken)}, tmp_path / "theirs.pt")
    names = r"1 of \d+ tensors hold NaN or infinity, e.g. conv3.0.conv1.0.weight"
    for path in (ours, tmp_path / "theirs.pt"):
        with pytest.raises(CheckpointError, match=f"{path.name}: {names}"):
            load_pretrained(fresh, path)
    with pytest.raises(CheckpointError, match=f"ours.pt: {names}"):
        load_with_head(ours)
    assert all(torch.equal(before[name], t) for name, t in fresh.state_dict().items())


def test_a_notebook_shows_the_words_alone(tmp_path):
    (tmp_path / "cut.pt").write_bytes(b"PK")
    for path, kind in (("cut.pt", CheckpointError), ("gone.pt", MissingCheckpoint)):
        with pytest.raises(kind) as refused:
            load_pretrained(network(9, seed=0), tmp_path / path)
        [line] = refused.value._render_traceback_()
        assert line.startswith(f"{kind.__name__}: ")
        assert path in line


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


def test_a_file_that_does_not_say_what_it_holds(tmp_path):
    ours = models.build("r2plus1d_10", num_classes=9, width=WIDTH)
    with pytest.raises(ValueError, match=r"a\.pt does not say its backbone and width"):
        load_with_head(save_pretrained(ours, tmp_path / "a.pt", backbone="r2plus1d_10"))
    with pytest.raises(ValueError, match=r"b\.pt does not fit the network it names"):
        load_with_head(save_pretrained(ours, tmp_path / "b.pt", backbone="r3d_18", width=WIDTH))
    torch.save({"stem.0.weight": torch.ones(1)}, tmp_path / "d.pt")
    with pytest.raises(ValueError, match=r"d\.pt is not a file written by save_pretrained"):
        load_with_head(tmp_path / "d.pt")
    with pytest.raises(FileNotFoundError, match="run the pretraining first"):
        load_with_head(tmp_path / "c.pt")


def without_counters(state):
    return {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("wrappers", [(), ("state_dict",), ("state_dict", "model"), ("net", "a")])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("names", [as_torchvision, torch.nn.Module.state_dict])
def test_old_wrapped_and_parallel_files_load(tmp_path, wrappers, prefix, names):
    """Without batch norm's counters, wrapped twice, from DataParallel, in our names or theirs."""
    trained, fresh = network(9, seed=0), network(4, seed=1)
    content = {f"{prefix}{k}": t for k, t in without_counters(names(trained)).items()}
    for wrapper in reversed(wrappers):
        content = {wrapper: content, "epoch": 3, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "theirs.pth")
    load_pretrained(fresh, tmp_path / "theirs.pth")
    kept = without_counters(trained.state_dict())
    own = fresh.state_dict()
    assert all(torch.equal(own[name], kept[name]) for name in kept if "classifier" not in name)


def test_our_own_files_from_older_torch_and_from_data_parallel(tmp_path):
    trained = network(9, seed=0)
    path = save_pretrained(torch.nn.DataParallel(trained), tmp_path / "a.pt", backbone="r3d_18")
    content = torch.load(path)
    assert all(name.startswith("module.") for name in content["weights"])
    fresh = network(4, seed=1)
    load_pretrained(fresh, path)
    assert same_backbone(fresh, trained)
    content["weights"] = without_counters(content["weights"])
    content["about"]["width"] = WIDTH
    torch.save(content, path)
    load_pretrained(network(4, seed=2), path)
    model, _ = load_with_head(path)
    assert torch.equal(model.classifier.weight, trained.classifier.weight)


def test_what_cannot_be_loaded_is_told_as_what_it_is(tmp_path):
    model, path = network(9, seed=0), tmp_path / "a.pt"
    for content, message in (
        (
            model,
            r"a\.pt: holds a pickled object of vidssl\.models\.\w+\.\w+, .* save its state_dict",
        ),
        ({"model": model, "epoch": 1}, "holds under model a pickled object of vidssl"),
        (
            {"state_dict": {"x": model.state_dict(), "y": model.state_dict()}},
            "several .* x, y: save",
        ),
        ({"state_dict": {}}, "holds under state_dict no named tensors"),
        (
            {"model": {"state_dict": {"stem.0.weight": torch.ones(1)}}},
            r"\d+ tensors differ, e\.g\. 'c",
        ),
    ):
        torch.save(content, path)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(ValueError, match=message):
            load_pretrained(model, path)
        assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
