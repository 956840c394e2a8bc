"""What can be learned of the embedded data with all labels: of clips, and of single frames."""

import pytest

from vidssl import protocol
from vidssl.data import Augmentation
from vidssl.data.frame_store import FrameStore
from vidssl.data.registry import open_dataset
from vidssl.data.synthetic import make_dataset

STEPS, NUMBERS = 4000, {}  # of the mini scale


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    splits = open_dataset("embedded", make_dataset(folder / "data", progress=False, **NUMBERS))
    store = FrameStore(folder / "frames", folder / "data", 40)
    store.add([record.path for record in [*splits.train, *splits.test]], 4, progress=False)
    return splits, store


def _judged(videos, frames, steps):
    """What page 02's network does on all classes, at a learning rate that it needs for that."""
    splits, store = videos
    looks = Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25), grey=0.3)
    clips = protocol.Clips(frames, 7, 32, 40, looks, store=store)
    network, _ = protocol.start_network(
        "", backbone="r2plus1d_10", width=0.125, num_classes=splits.num_classes, seed=0
    )
    tuning = protocol.Tuning(steps=steps, lr=0.003, weight_decay=1e-4)
    protocol.fine_tune(network, splits.train, clips, tuning)
    return protocol.judge(network, splits, splits.train[:32], clips)


@pytest.mark.slow
def test_clips_tell_every_class(videos):
    judged = _judged(videos, 8, STEPS)
    print(judged.summary(), dict(judged.groups), judged.test.per_class_accuracy.round(2))
    assert judged.test.per_class_accuracy.min() > 2 / 16
    assert judged.test.top1_accuracy > 0.8


@pytest.mark.slow
def test_single_frames_tell_appearance_alone(videos):
    groups = _judged(videos, 1, STEPS).groups
    print(dict(groups))
    assert groups["appearance"] > 0.6
    assert max(groups["repetitive"], groups["ordered"]) < 1 / 8 + 0.05
    assert groups["both"] < 0.5 + 0.05


@pytest.mark.slow
def test_differences_of_frames_tell_little(videos):
    splits, store = videos
    clips = protocol.Clips(8, 7, 32, 40, store=store)
    found = protocol.yardsticks(splits, splits.train, clips)
    groups = protocol.class_groups(splits.class_names)
    static = protocol.group_accuracies(found["static_frame"], groups)
    assert max(static["repetitive"], static["ordered"]) < 1 / 8 + 0.05
    assert found["frame_difference"].top1_accuracy < 0.3
