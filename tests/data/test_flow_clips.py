"""Stored flow and RGB clips of real files; field t of a video has u = t / 4 px and v = -1 px."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch

from vidssl.core import VideoRecord
from vidssl.data import (
    Augmentation,
    ClipDataset,
    RGBFrames,
    StoredFlow,
    TestTransform,
    TrainTransform,
    collate,
    random_clips,
    uniform_clips,
    write_video,
)
from vidssl.data.flow_files import encode_flow, flow_path, write_flow

PLAIN, CENTRE = TrainTransform(16, 24), TestTransform(16, 24)
MIRRORED = TrainTransform(16, 24, Augmentation(flip=0.5))
THREE = partial(random_clips, frames=4, stride=2, count=3)
EVEN = partial(uniform_clips, frames=4, stride=2, count=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of three videos of 30 frames, and their flow at half the size; b's is damaged."""
    root = tmp_path_factory.mktemp("timed")
    for name in "abc":
        frames = np.empty((30, 48, 72, 3), np.uint8)
        frames[:] = 4 * np.arange(30)[:, None, None, None]
        path = write_video(root / "videos" / f"{name}.mp4", frames, crf=8)
        flow = np.empty((29, 24, 36, 2), np.float32)
        flow[..., 0], flow[..., 1] = np.arange(29)[:, None, None] / 4, -1
        stored = flow_path(root / "flow", root / "videos", path)
        write_flow(stored, encode_flow(flow))
        if name == "b":
            stored.write_bytes(stored.read_bytes()[:200])
    return root


@pytest.fixture(scope="module")
def records(place):
    return [VideoRecord(str(place / "videos" / f"{n}.mp4"), i, n) for i, n in enumerate("abc")]


def stored(place, short_side=24):
    return StoredFlow(place / "flow", place / "videos", short_side)


def fields(clip):
    """The fields that a flow clip (2, T, H, W) shows."""
    return (4 * clip[0].mean((1, 2))).round().int().tolist()


def test_flow_clips_know_their_times_and_do_not_overlap(place, records):
    sample = ClipDataset(records, stored(place), THREE, PLAIN, seed=0)[0]
    assert sample["clips"].shape == (3, 2, 4, 16, 16)
    assert sample["clips"].dtype == torch.float32
    shown = [fields(clip) for clip in sample["clips"]]
    assert sample["times"].tolist() == [[f[0], f[-1] + 1] for f in shown]
    assert all(np.diff(f).tolist() == [2, 2, 2] for f in shown)
    assert all(a[-1] < b[0] for a, b in pairwise(shown))
    assert sample["clips"][:, 1].mean().item() == pytest.approx(-1, abs=0.08)


def test_rgb_and_flow_of_one_key_show_the_same_times(place, records):
    """A video of T frames has T - 1 fields, so the draw is made over fields for both."""

    def same(num_frames, rng):
        return THREE(29, rng=rng)

    rgb = ClipDataset(records, RGBFrames(24), same, PLAIN, seed=0)
    flow = ClipDataset(records, stored(place), same, PLAIN, seed=0)
    first, second = rgb[(2, 0)], flow[(2, 0)]
    assert torch.equal(first["times"], second["times"])
    levels = (first["clips"].mean((1, 3, 4)) * 255 / 4).round().int().tolist()
    assert levels == [fields(clip) for clip in second["clips"]]


def test_keys_give_the_same_sample_and_epochs_differ(place, records):
    make = partial(ClipDataset, records, stored(place), THREE, MIRRORED)
    assert torch.equal(make(seed=3)[(4, 2)]["clips"], make(seed=3)[(4, 2)]["clips"])
    assert len({str(make(seed=0)[(epoch, 0)]["times"].tolist()) for epoch in range(8)}) > 3


def test_a_damaged_flow_file_is_replaced_in_training_and_counted_in_evaluation(place, records):
    trained = ClipDataset(records, stored(place), THREE, PLAIN, seed=0)[1]
    assert (trained["video_id"], trained["label"]) == ("c", 2)
    assert "damaged" in trained["failed"][0]
    evaluated = ClipDataset(records, stored(place), EVEN, CENTRE)
    assert len(evaluated[1]["clips"]) == len(evaluated[1]["times"]) == 0
    assert "damaged" in evaluated[1]["failed"][0]
    batch = collate([evaluated[i] for i in range(3)])
    assert batch["clips"].shape == (2, 2, 2, 4, 16, 16)
    assert batch["times"].tolist() == [[[0, 7], [22, 29]]] * 2
    assert batch["video_id"] == ["a", "c"]


def test_fixed_rgb_clips_are_those_of_the_usual_evaluation(records):
    dataset = ClipDataset(records, RGBFrames(24), EVEN, CENTRE)
    assert dataset[2]["times"].tolist() == [[0, 7], [23, 30]]
    assert torch.equal(dataset[(5, 2)]["clips"], dataset[2]["clips"])


def test_flow_is_resized_in_pixels(place, records):
    dataset = ClipDataset(records, stored(place, 12), EVEN, TestTransform(12, 12))
    clip = dataset[0]["clips"][1]
    assert clip.shape == (2, 4, 12, 12)
    assert (8 * clip[0].mean((1, 2))).round().int().tolist() == [22, 24, 26, 28]


def test_a_mirrored_clip_moves_the_other_way():
    flow = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    straight = TrainTransform(8, 8)(flow, np.random.default_rng(0))
    mirrored = TrainTransform(8, 8, Augmentation(flip=1.0))(flow, np.random.default_rng(0))
    assert torch.equal(mirrored[0], -straight[0].flip(-1))
    assert torch.equal(mirrored[1], straight[1].flip(-1))


def test_flow_has_no_colours_and_nothing_is_erased_of_it():
    """What the same augmentation does to pictures leaves the motion as it is."""
    flow = np.random.default_rng(0).normal(size=(2, 3, 8, 8, 2)).astype(np.float32)
    coloured = Augmentation(color=(0.5, 0.5, 0.5, 0.25), grey=1.0, erase=1.0)
    assert torch.equal(
        TrainTransform(8, 8, coloured)(flow, np.random.default_rng(0)),
        TrainTransform(8, 8)(flow, np.random.default_rng(0)),
    )


def test_a_scaled_crop_keeps_pixels_a_frame():
    """Half of the field, resized to twice its size: everything moves twice as far."""
    flow = np.full((1, 16, 16, 2), 3, np.float32)
    halves = TrainTransform(16, 16, Augmentation(scale=(0.5, 0.5)))
    assert torch.allclose(halves(flow, np.random.default_rng(0)), torch.tensor(6.0))


def test_one_frame_has_no_motion(tmp_path):
    path = write_video(tmp_path / "one.mp4", np.full((1, 48, 72, 3), 99, np.uint8))
    write_flow(flow_path(tmp_path / "flow", tmp_path, path), np.empty((0, 24, 36, 2), np.uint8))
    record = VideoRecord(str(path), 0, "one")
    source = StoredFlow(tmp_path / "flow", tmp_path, 24)
    sample = ClipDataset([record], source, THREE, PLAIN, seed=0)[0]
    assert sample["clips"].shape == (3, 2, 4, 16, 16)
    assert not sample["clips"].any()
