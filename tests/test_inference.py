from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from vidssl import inference, models
from vidssl.core import VideoRecord, normalise
from vidssl.data import collate, open_dataset
from vidssl.inference import (
    Outputs,
    extract_features,
    grad_cam,
    only_of,
    predict,
    report,
    run_videos,
)
from vidssl.methods import supervised
from vidssl.methods.motionfit import clip_features
from vidssl.protocol import Clips
from vidssl.training import TrainConfig, fit

CLIPS = Clips(frames=6, stride=2, size=24, short_side=28)


def clips_of(records):
    return CLIPS.even(records, 3)


@pytest.fixture(scope="module")
def splits(moving_videos):
    return open_dataset("folder", moving_videos)


def small_model(num_classes=2):
    torch.manual_seed(0)
    return models.build("r2plus1d_10", num_classes=num_classes, width=0.125).eval()


def test_predictions_are_the_mean_softmax_of_a_videos_clips(splits):
    model, dataset = small_model(), clips_of(splits.test)
    outputs = predict(model, dataset, batch_videos=3, progress=False)
    for row, sample in zip(outputs.values, dataset):
        with torch.no_grad():
            expected = model(normalise(sample["clips"])).softmax(dim=1).mean(dim=0)
        assert row == pytest.approx(expected.numpy(), abs=1e-5)
    assert outputs.video_ids == [record.video_id for record in splits.test]
    assert outputs.values.sum(axis=1) == pytest.approx(np.ones(len(splits.test)))


def test_videos_that_are_taken_out_stay_in_the_denominator():
    values = np.eye(4, dtype=np.float32)
    of_four = Outputs(
        values, np.arange(4), list("abcd"), ["e.mp4: is empty"], np.array([1]), ("e",)
    )
    kept = only_of(of_four, {"d", "b"}, "has no s")
    assert kept.video_ids == ["b", "d"]
    assert np.array_equal(kept.values, values[[1, 3]])
    assert kept.labels.tolist() == [1, 3]
    assert kept.failed == ["e.mp4: is empty", "a: has no s", "c: has no s"]
    assert (kept.failed_labels.tolist(), kept.failed_ids) == ([1, 0, 2], ("e", "a", "c"))
    found = report(kept, list("klmn"))
    assert (found.num_videos, found.top1_accuracy) == (5, 2 / 5)
    assert report(only_of(of_four, list("abcd"), ""), list("klmn")).top1_accuracy == 4 / 5


def test_features_have_the_backbones_width(splits):
    model = small_model()
    outputs = extract_features(model, clips_of(splits.test), progress=False)
    assert outputs.values.shape == (len(splits.test), model.num_features)


def test_loader_workers_change_no_number(splits):
    model, dataset = small_model(), clips_of(splits.test)
    here, there = (predict(model, dataset, num_workers=n, progress=False) for n in (0, 1))
    assert np.array_equal(here.values, there.values)
    assert here.video_ids == there.video_ids


def broken_copy(record, folder, name="broken"):
    path = folder / f"{name}.mp4"
    path.write_bytes(Path(record.path).read_bytes()[:500])
    return VideoRecord(str(path), record.label, name)


def test_processes_share_the_videos_and_change_no_number(splits, tmp_path, monkeypatch):
    """One of them reads nothing but broken videos."""
    monkeypatch.setattr(inference, "WORTH", 1)
    broken = [broken_copy(splits.train[0], tmp_path, f"broken{i}") for i in range(4)]
    records = [splits.train[0], broken[0], splits.train[1], *broken[1:]]
    model, dataset = small_model(), clips_of(records)
    here, there = (predict(model, dataset, processes=n, progress=False) for n in (1, 2))
    np.testing.assert_allclose(there.values, here.values, rtol=0, atol=1e-5)
    assert there.video_ids == here.video_ids == [r.video_id for r in splits.train[:2]]
    assert there.failed == here.failed
    assert there.labels.tolist() == here.labels.tolist()
    assert there.failed_labels.tolist() == here.failed_labels.tolist()
    (table, failed), (other, others) = (
        clip_features(model, dataset, processes=n, progress=False) for n in (1, 2)
    )
    np.testing.assert_allclose(other.values, table.values, rtol=0, atol=1e-5)
    for column in ("video_id", "start", "stop"):
        assert np.array_equal(getattr(other, column), getattr(table, column))
    assert others == failed == here.failed


def test_few_videos_start_no_processes(splits, monkeypatch):
    monkeypatch.setattr(inference.workers, "run", None)
    assert len(predict(small_model(), clips_of(splits.test), processes=2, progress=False).labels)


def test_features_lie_on_disk(splits):
    values = run_videos(small_model(), clips_of(splits.test), lambda m, x: m(x), progress=False)
    assert isinstance(values.values.base, np.memmap)


def test_half_precision_is_for_gpus(splits):
    options = {"device": "cpu", "progress": False}
    with pytest.raises(ValueError, match="precision='bf16' needs a GPU"):
        predict(small_model(), clips_of(splits.test), precision="bf16", **options)
    with pytest.raises(ValueError, match="precision='fp16' is unknown; did you mean 'bf16'"):
        predict(small_model(), clips_of(splits.test), precision="fp16", **options)


def test_an_unreadable_video_is_named_and_counts_as_wrong(splits, tmp_path):
    record = broken_copy(splits.test[0], tmp_path)
    records = [splits.test[0], record, *splits.test[1:]]
    outputs = predict(small_model(), clips_of(records), batch_videos=2, progress=False)
    assert len(outputs.failed) == 1
    assert outputs.video_ids == [r.video_id for r in records if r is not record]
    found = report(outputs, splits.class_names)
    assert found.num_videos == len(records)
    assert found.top1_accuracy <= len(splits.test) / len(records)
    assert found.per_class_accuracy[record.label] < 1
    assert "broken.mp4" in found.summary()


@pytest.mark.parametrize(("stride", "distinct"), [(9, 1), (2, 10)])
def test_clips_of_a_video_that_are_the_same_are_computed_once(splits, stride, distinct):
    """Videos of 20 frames: ten clips of 6 frames are one where they span 46 frames."""
    model, seen = small_model(), []

    def logits(network, clip):
        seen.append(len(clip))
        return network(clip)

    clips = Clips(frames=6, stride=stride, size=24, short_side=28).even(splits.test[:3], 10)
    outputs = run_videos(model, clips, logits, batch_videos=2, progress=False)
    assert seen == [2 * distinct, distinct]
    for values, sample in zip(outputs.values, clips):
        with torch.no_grad():
            np.testing.assert_allclose(values, model(sample["clips"]), rtol=0, atol=1e-6)


def test_nothing_readable_is_an_error(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(RuntimeError, match=r"none of 1 videos could be read; first: .*broken\.mp4"):
        predict(small_model(), clips_of([VideoRecord(str(broken), 0, "broken")]), progress=False)


def test_supervised_training_learns_what_moves_where(splits):
    """Left and right look alike in every frame: chance before, nearly all videos after."""
    model = small_model()
    before = predict(model, clips_of(splits.train), progress=False)
    fit(
        model,
        CLIPS.training(splits.train, seed=0),
        supervised.training_step(),
        TrainConfig(epochs=80, batch_size=6, lr=3e-3, warmup_epochs=2),
        collate=collate,
        report=lambda step, metrics: None,
    )
    after = predict(model, clips_of(splits.train), progress=False)
    assert (before.values.argmax(1) == before.labels).mean() <= 0.75
    assert (after.values.argmax(1) == after.labels).mean() >= 0.9


@pytest.mark.skipif(torch.cuda.is_available(), reason="bf16 is refused on CPUs only")
def test_half_precision_convolutions_are_refused_on_a_cpu(splits):
    with pytest.raises(ValueError, match="precision='bf16' needs a GPU"):
        fit(
            small_model(),
            CLIPS.training(splits.train, seed=0),
            supervised.training_step(),
            TrainConfig(epochs=1, batch_size=6, precision="bf16"),
            collate=collate,
        )


class OneStage(nn.Module):
    """Two 1x1x1 filters, an average over all places, two classes: Grad-CAM by hand."""

    num_classes = 2

    def __init__(self):
        super().__init__()
        self.conv5 = nn.Conv3d(3, 2, 1, bias=False)
        self.classifier = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv5.weight.copy_(torch.eye(3)[:2].view(2, 3, 1, 1, 1))  # red, green
            self.classifier.weight.copy_(torch.tensor([[1.0, -2.0], [-1.0, 3.0]]))

    def stages(self):
        return {"conv5": self.conv5}

    def forward(self, clip):
        return self.classifier(self.conv5(clip).mean(dim=(2, 3, 4)))


def random_clips(count=3, seed=0):
    return torch.rand(count, 3, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_grad_cam_of_a_linear_network_in_closed_form():
    """d logit / d A_k = w_k / places everywhere, so the map is relu(w_1 A_1 + w_2 A_2) / places."""
    clips = random_clips()
    red, green, _ = normalise(clips).unbind(1)
    places = 4 * 16 * 16
    for target, expected in enumerate([red - 2 * green, -red + 3 * green]):
        maps = grad_cam(OneStage(), clips, target=target)
        torch.testing.assert_close(maps, expected.relu() / places)


def hooked_grad_cam(model, clip, layer, target):
    """One clip, one channel at a time, with torch's own hooks."""
    kept = []
    handle = model.stages()[layer].register_forward_hook(lambda m, i, output: kept.append(output))
    logits = model(normalise(clip)[None])[0]
    handle.remove()
    [gradient] = torch.autograd.grad(logits[target], kept[0])
    total = torch.zeros(kept[0].shape[2:])
    for channel in range(kept[0].shape[1]):
        total += gradient[0, channel].mean() * kept[0][0, channel].detach()
    return interpolate(total.relu()[None, None], clip.shape[1:], mode="trilinear")[0, 0]


@pytest.mark.parametrize("layer", ["stem", "conv4", "conv5"])
def test_grad_cam_against_a_slow_oracle(layer):
    model, clips = small_model(5), random_clips()
    chosen = model(normalise(clips)).argmax(dim=1)
    maps = grad_cam(model, clips, layer)
    assert maps.shape == (3, 4, 16, 16)
    for one, clip, target in zip(maps, clips, chosen):
        torch.testing.assert_close(one, hooked_grad_cam(model, clip, layer, target))
    other = grad_cam(model, clips, layer, (chosen + 1) % 5)
    expected = [hooked_grad_cam(model, c, layer, t) for c, t in zip(clips, (chosen + 1) % 5)]
    torch.testing.assert_close(other, torch.stack(expected))


def test_grad_cam_leaves_the_network_as_it_was():
    """A frozen network will do, and no gradient stays behind."""
    model, clips = small_model(), random_clips()
    expected = grad_cam(model, clips)
    models.freeze(model, list(model.stages()))
    torch.testing.assert_close(grad_cam(model.train(), clips), expected)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not clips.requires_grad


def test_grad_cam_says_what_is_wrong():
    clips = random_clips(2)
    with pytest.raises(ValueError, match=r"layer='con5' is unknown; did you mean 'conv5'"):
        grad_cam(small_model(), clips, "con5")
    for target in (2, -1, torch.tensor([0, 2])):
        with pytest.raises(ValueError, match=r"target must be in \[0, 2\)"):
            grad_cam(small_model(), clips, target=target)
    with pytest.raises(ValueError, match="has no classifier"):
        grad_cam(small_model(0), clips)
    with pytest.raises(ValueError, match="clips must have shape"):
        grad_cam(small_model(), clips[0])
