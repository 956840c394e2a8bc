"""What every comparison shares, on real files: clips, tuning, starts, fine-tuning, judging."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from vidssl import models, protocol
from vidssl.core import VideoRecord, normalise, unpack
from vidssl.data import open_dataset, read_clip, synthetic, write_video
from vidssl.data.flow_files import encode_flow, flow_path, write_flow
from vidssl.data.frame_store import FrameStore
from vidssl.inference import Outputs
from vidssl.models.pretrained import save_pretrained
from vidssl.training import TrainConfig

CLIPS = protocol.Clips(frames=6, stride=2, size=24, short_side=28)
BUILT = {"backbone": "r2plus1d_10", "width": 0.125, "num_classes": 2, "seed": 3}
QUIET = {"report": lambda step, metrics: None}


@pytest.fixture(scope="module")
def splits(moving_videos):
    return open_dataset("folder", moving_videos)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Two embedded classes that differ in how they move, 4 videos to learn from each."""
    numbers = {"train": 4, "test": 2, "workers": 1, "progress": False}
    place = tmp_path_factory.mktemp("embedded") / "data"
    classes = ["Shuttle", "Bounce"]
    made = synthetic.make_dataset(place, scale="smoke", classes=classes, **numbers)
    return open_dataset("embedded", made)


# --- clips ----------------------------------------------------------------------------------------


@pytest.fixture
def wide(tmp_path):
    """A video twice as wide as high, white at the right edge alone, from its second half on."""
    frames = np.zeros((24, 64, 128, 3), np.uint8)
    frames[12:, :, 112:] = 255
    write_video(tmp_path / "wide.mp4", frames, crf=8)
    return VideoRecord(str(tmp_path / "wide.mp4"), 0, "wide", "g", "a")


def test_a_whole_frame_keeps_the_sides_and_a_clip_of_stride_0_the_end(wide, tmp_path):
    store = FrameStore(tmp_path / "frames", tmp_path, 32)
    store.add([wide.path], 1, progress=False)
    for kept in (None, store):
        clips = protocol.Clips(4, 0, 30, 32, whole_frame=True, store=kept)
        [[clip]] = [unpack(sample["clips"]) for sample in clips.even([wide], 1)]
        assert clip.shape == (3, 4, 30, 30)
        assert clip[..., -2:].mean(dim=(0, 2, 3)).round().tolist() == [0, 0, 1, 1]
        assert clip[..., :20].max() < 0.1
        [drawn] = unpack(clips.training([wide], 0)[0]["clips"])
        assert drawn.shape == clip.shape
        assert drawn.max() > 0.9
        cropped = unpack(replace(clips, whole_frame=False).even([wide], 1)[0]["clips"])
        assert cropped.max() < 0.1, "the middle crop never sees the edge"
    frames = read_clip(wide.path, np.arange)[[3, 9, 15, 21]]
    assert (clips.plain(frames) - clip).abs().mean() < 0.02
    with pytest.raises(ValueError, match="whole_frame is of RGB alone"):
        protocol.Clips(4, 1, 30, 32, modality="flow", whole_frame=True)


def test_clips_of_a_page(splits):
    params = {
        "frames": 6,
        "frame_stride": 2,
        "size": 24,
        "short_side": 28,
        "augmentation": {"flip": 0.5, "color": [0.1, 0.1, 0.1, 0.0]},
        "lr": 0.1,
    }
    clips = protocol.Clips.of(params, root="/videos")
    assert (clips.frames, clips.stride, clips.size, clips.short_side) == (6, 2, 24, 28)
    assert (clips.modality, clips.channels, clips.root) == ("rgb", 3, "/videos")
    assert clips.augmentation.flip == 0.5
    assert clips.augmented().augmentation is clips.augmentation
    assert protocol.Clips.of(params, stride=7).stride == 7, "what is said beside goes first"
    with pytest.raises(ValueError, match="augmentation='flop' is unknown; did you mean 'flip'"):
        protocol.Clips.of({**params, "augmentation": {"flop": 0.5}})
    with pytest.raises(ValueError, match="modality='rbg' is unknown; did you mean 'rgb'"):
        replace(clips, modality="rbg")


def test_which_clips(splits):
    assert CLIPS.training(splits.train, seed=0)[0]["clips"].shape == (1, 3, 6, 24, 24)
    assert CLIPS.training(splits.train, seed=0, count=2)[0]["clips"].shape == (2, 3, 6, 24, 24)
    even = CLIPS.even(splits.test, 3)[0]
    assert even["times"].tolist() == [[0, 11], [5, 16], [9, 20]]
    dense = CLIPS.dense(splits.test, 4)[0]
    assert dense["times"].tolist() == [[0, 11], [4, 15], [8, 19]]
    assert torch.equal(even["clips"][0], dense["clips"][0])


def test_rgb_is_standardised_and_flow_goes_in_as_it_is(splits, tmp_path):
    clip = torch.rand(2, 3, 4, 8, 8)
    assert torch.equal(CLIPS.prepare(clip), normalise(clip))
    record = splits.test[0]
    field = encode_flow(np.full((19, 24, 32, 2), 2.5, np.float32))
    root = record.path.rpartition("/")[0]
    write_flow(flow_path(tmp_path, root, record.path), field)
    flow = replace(CLIPS, modality="flow", flow=str(tmp_path), root=root)
    assert flow.channels == 2
    sample = flow.even([record], 2)[0]
    assert sample["clips"].shape == (2, 2, 6, 24, 24)
    assert torch.equal(flow.prepare(sample["clips"]), sample["clips"])


# --- tuning ---------------------------------------------------------------------------------------


def test_tuning_of_a_page():
    params = {"steps": 40, "lr": 0.1, "milestones": [2.0], "batch_size": 4, "frames": 8}
    tuning = protocol.Tuning.of(params)
    assert (tuning.steps, tuning.lr, tuning.batch_size, tuning.epochs) == (40, 0.1, 4, 0)
    assert tuning.config(10, seed=5).milestones == (2.0,)
    tuned = protocol.Tuning.of({**params, "tuning_lr": 0.2}, prefix="tuning_", weight_decay=0.0)
    assert (tuned.lr, tuned.steps, tuned.weight_decay) == (0.2, 40, 0.0)


def test_steps_are_whole_epochs_whatever_the_number_of_videos():
    """10 videos in batches of 4 are two steps an epoch, the rest waits for the next one."""
    config = protocol.Tuning(steps=40, batch_size=4, warmup=0.1).config(10, seed=1)
    assert config == TrainConfig(
        epochs=20, batch_size=4, lr=1e-3, weight_decay=1e-3, warmup_epochs=2.0, seed=1
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"steps": 0, "epochs": 0}, "epochs=0 and steps=0 train nothing"),
        ({"epochs": 0}, "epochs=0 and steps=0 train nothing"),  # a page without steps
        ({"steps": -5}, "steps=-5 train nothing"),
        ({"epochs": -1, "steps": 10}, "epochs=-1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"processes": 0}, "processes must be at least 1"),
        ({"warmup": 10.0}, "warmup=10.0 must be a share of the training"),
    ],
)
def test_a_tuning_that_trains_nothing_is_refused(given, told):
    with pytest.raises(ValueError, match=told):
        protocol.Tuning.of(given)


def test_epochs_go_before_steps():
    config = protocol.Tuning(steps=40, epochs=300, warmup=1 / 30).config(7, seed=0)
    assert config.epochs == 300
    assert config.warmup_epochs == pytest.approx(10)


def test_no_more_steps_share_an_update_than_an_epoch_has():
    """153 videos in batches of 128 on eight GPUs are one update an epoch, not one in eight."""
    tuning = protocol.Tuning(epochs=300, batch_size=128, accumulate=8)
    assert [tuning.config(n, 0).accumulate for n in (153, 640, 9537)] == [1, 5, 8]


# --- starts ---------------------------------------------------------------------------------------


def weights(tmp_path, **changes):
    """A file as a pretraining with nine pretext classes leaves it."""
    torch.manual_seed(9)
    about = {"backbone": "r2plus1d_10", "width": 0.125, **changes}
    network = models.build(about["backbone"], num_classes=9, width=about["width"])
    return save_pretrained(network, tmp_path / "w.pt", method="mosi", dataset="none", **about)


def test_all_starts_draw_the_same_classifier(tmp_path):
    path = weights(tmp_path)
    scratch, nothing = protocol.start_network("", **BUILT)
    torch.manual_seed(77)  # what was drawn before does not matter
    started, about = protocol.start_network(path, **BUILT)
    assert nothing == {}
    assert about["method"] == "mosi"
    for name, value in scratch.state_dict().items():
        if name.startswith("classifier."):
            assert torch.equal(value, started.state_dict()[name])
    stem = next(iter(scratch.stages()))
    first, second = (next(net.stages()[stem].parameters()) for net in (scratch, started))
    assert not torch.equal(first, second)
    other, _ = protocol.start_network("", **{**BUILT, "seed": 4})
    assert not torch.equal(other.classifier.weight, scratch.classifier.weight)


def test_frozen_stages_keep_their_weights(tmp_path):
    network, _ = protocol.start_network(weights(tmp_path), **BUILT, frozen_stages=["stem", "conv2"])
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert trained
    assert not any(name.startswith(("stem", "conv2")) for name in trained)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "none.pt"}, "none.pt"),
        ({"backbone": "r2plus1d_11"}, "did you mean 'r2plus1d_1"),
        ({"frozen_stages": ["conv9"]}, "conv9"),
        ({"width": 0.25}, r"holds another network .*width 0\.125"),
        ({"backbone": "r3d_10_dilated"}, r"holds another network .*r2plus1d_10"),
    ],
)
def test_impossible_starts_say_what_is_wrong(tmp_path, changes, message):
    given = {"start": weights(tmp_path), **BUILT, **changes}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        protocol.start_network(**given)


# --- training and judging ------------------------------------------------------------------------


def test_fine_tuning_learns_the_embedded_classes(embedded, tmp_path):
    """From scratch, in some seconds, the videos that it is shown: chance before."""
    root = Path(embedded.train[0].path).parents[2]
    records = [*embedded.train, *embedded.test]
    store = FrameStore(tmp_path, root, 28)
    assert store.add([record.path for record in records], 1, progress=False).held == len(records)
    clips = protocol.Clips(frames=6, stride=4, size=24, short_side=28, store=store)
    network, _ = protocol.start_network("", **BUILT)
    judge = partial(protocol.judge, network, embedded, embedded.train, clips, test_clips=2)
    assert judge().train.top1_accuracy <= 0.75
    tuning = protocol.Tuning(steps=80, batch_size=8, lr=3e-3)
    result = protocol.fine_tune(network, embedded.train, clips, tuning, **QUIET)
    assert result.steps == 80
    judged = judge()
    assert judged.train.top1_accuracy >= 0.85
    assert set(judged.groups) == {"repetitive"}
    assert judged.metrics("mosi")["mosi_repetitive_accuracy"] == judged.test.top1_accuracy


def test_several_clips_of_a_video_share_a_step(splits):
    network, _ = protocol.start_network("", **BUILT)
    tuning = protocol.Tuning(epochs=1, batch_size=4)
    result = protocol.fine_tune(network, splits.train, CLIPS, tuning, clips_per_video=3, **QUIET)
    assert result.steps == len(splits.train) // 4


def test_the_same_seed_learns_the_same(splits, tmp_path):
    def learned(seed):
        network, _ = protocol.start_network("", **BUILT)
        tuning = protocol.Tuning(epochs=2, batch_size=4)
        protocol.fine_tune(network, splits.train, CLIPS, tuning, seed=seed, **QUIET)
        return network.classifier.weight

    assert torch.equal(learned(0), learned(0))
    assert not torch.equal(learned(0), learned(1))


@pytest.fixture
def with_a_broken_one(splits, tmp_path):
    """The same videos and one of each side that cannot be read."""

    def broken(record, name):
        path = tmp_path / f"{name}.mp4"
        shutil.copy(record.path, path)
        path.write_bytes(path.read_bytes()[:400])
        return VideoRecord(str(path), record.label, name, class_name=record.class_name)

    train = [*splits.train, broken(splits.train[0], "lost_train")]
    test = [*splits.test, broken(splits.test[0], "lost_test")]
    return replace(splits, train=train, test=test)


def test_unreadable_videos_stay_in_every_denominator(with_a_broken_one):
    splits = with_a_broken_one
    network, _ = protocol.start_network("", **BUILT)
    judged = protocol.judge(network, splits, splits.train, CLIPS, test_clips=2, train_clips=1)
    assert judged.test.num_videos == len(splits.test)
    assert judged.train.num_videos == len(splits.train)
    right = np.diag(judged.test.confusion).sum()
    assert judged.test.top1_accuracy == pytest.approx(right / len(splits.test))
    assert [path.rpartition("/")[2].partition(":")[0] for path in judged.failed] == [
        "lost_test.mp4",
        "lost_train.mp4",
    ]
    assert "1 unreadable, counted as wrong" in judged.summary()
    metrics = judged.metrics()
    assert len(metrics["per_class"]) == 2
    assert metrics["top1_accuracy"] == judged.test.top1_accuracy
    assert {"top5_accuracy", "train_accuracy", "seconds_a_video"} < metrics.keys()
    assert set(judged.metrics("scratch")) == {f"scratch_{name}" for name in metrics}


def test_yardsticks_count_all_videos_too(with_a_broken_one):
    splits = with_a_broken_one
    flow = replace(CLIPS, modality="flow", flow="none", root="none")  # they look at frames anyway
    found = protocol.yardsticks(splits, splits.train, flow)
    assert tuple(found) == protocol.YARDSTICKS
    assert {each.num_videos for each in found.values()} == {len(splits.test)}
    assert all(len(each.failed) == 1 for each in found.values())


def test_a_video_that_got_lost_is_an_error(splits):
    some = Outputs(
        values=np.eye(2)[[0, 1]], labels=np.array([0, 1]), video_ids=["a", "b"], failed=[],
        failed_labels=[],
    )  # fmt: skip
    with pytest.raises(RuntimeError, match=r"2 of \d+ test videos were judged: a denominator"):
        protocol.judged_outputs(some, splits)


def test_groups_are_those_of_the_embedded_classes_only():
    assert protocol.class_groups(["walk", "run"]) == []
    names = ["Shuttle", "RightThenDown", "Shuttle"]
    groups = protocol.class_groups(names)
    assert groups == ["repetitive", "ordered", "repetitive"]


def test_a_loss_that_is_no_number_says_what_to_do(splits):
    network, _ = protocol.start_network("", **BUILT)
    tuning = protocol.Tuning(epochs=3, batch_size=4, lr=1e30)
    with pytest.raises((ValueError, FloatingPointError), match="lr"):
        protocol.fine_tune(network, splits.train, CLIPS, tuning, **QUIET)


def test_a_pretext_task_counts_the_clips_of_unreadable_videos():
    told = np.stack([np.eye(3), np.eye(3)[[0, 2, 2]]])  # the second video's middle clip is wrong
    outputs = Outputs(
        values=told, labels=np.zeros(2), video_ids=["a", "b"], failed=["c: gone"], failed_labels=[0]
    )
    accuracy, confusion = protocol.judge_pretext(outputs)
    assert accuracy == pytest.approx(5 / 9)
    assert confusion.tolist() == [[2, 0, 0], [0, 1, 1], [0, 0, 2]]
    turned = replace(outputs, values=told[:, None].repeat(2, axis=1))  # two clips of each video
    assert protocol.judge_pretext(turned)[0] == pytest.approx(10 / 18)
