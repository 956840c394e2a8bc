"""Views of real H.264 files made here; frame i of a video has grey level 4 i."""

import numpy as np
import pytest
import torch

from vidssl.core import VideoRecord
from vidssl.data import (
    ClipDataset,
    ColorJitter,
    ConsecutiveClipsDataset,
    PairedDataset,
    TestTransform,
    TrainTransform,
    ViewsDataset,
    ViewTransform,
    WeakStrong,
    collate,
    consecutive_clips,
)

pytest.importorskip("av")
write_video = pytest.importorskip("vidssl.data.decode").write_video

STILL = ColorJitter(0, 0, 0, 0, 0)
PLAIN = ViewTransform(16, 24, flip=0, jitter=STILL, erase=0)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Videos of 40, 10 and 40 frames; the last cannot be decoded."""
    folder = tmp_path_factory.mktemp("views")
    records = []
    for i, length in enumerate((40, 10, 40)):
        path = folder / f"v{i}.mp4"
        frames = np.empty((length, 32, 48, 3), np.uint8)
        frames[:] = 4 * np.arange(length)[:, None, None, None]
        write_video(path, frames, crf=8)
        if i == 2:
            path.write_bytes(path.read_bytes()[:500])
        records.append(VideoRecord(str(path), i % 2, f"v{i}", f"g{i}", "ab"[i % 2]))
    return records


def levels(clip):
    """Frame numbers shown by a clip (3, T, H, W)."""
    return (clip.mean((0, 2, 3)) * 255 / 4).round().int().tolist()


def views(records, **changes):
    settings = {"frames": 4, "global_stride": 4, "locals_count": 4, "transform": PLAIN, **changes}
    return ViewsDataset(records, **settings)


def test_local_clips_tile_the_global_one(records):
    sample = views(records)[5, 0]
    assert sample["views"].shape == (2, 5, 3, 4, 16, 16)
    for shown in sample["views"]:
        sparse, dense = levels(shown[0]), levels(torch.cat(list(shown[1:]), dim=1))
        assert np.diff(sparse).tolist() == [4, 4, 4]
        assert dense == list(range(sparse[0], sparse[0] + 16))


def test_a_video_shorter_than_the_span_is_mirrored(records):
    """10 frames for a span of 16: 0 ... 9 8 7 6 5 4 3."""
    shown = views(records)[1]["views"][0]
    assert levels(torch.cat(list(shown[1:]), dim=1)) == [*range(10), *range(8, 2, -1)]
    assert levels(shown[0]) == [0, 4, 8, 6]


def test_every_clip_has_its_own_augmentation_for_all_its_frames(records):
    transform = ViewTransform(16, 24, jitter=ColorJitter(0, 0, 0, 0, 0), erase=1.0)
    shown = views(records, transform=transform)[3, 0]["views"].flatten(0, 1)
    erased = [tuple((clip[:, t] == 0).all(0).nonzero().flatten().tolist()) for clip in shown
              for t in range(4)]  # fmt: skip
    by_clip = [set(erased[i : i + 4]) for i in range(0, 40, 4)]
    assert all(len(rectangles) == 1 for rectangles in by_clip), "erasing moves within a clip"
    assert len(set.union(*by_clip)) > 5, "clips share their augmentation"


def test_views_depend_on_seed_epoch_and_index_alone(records):
    first, again = views(records), views(records)
    again[0, 1]
    torch.testing.assert_close(first[4, 0]["views"], again[4, 0]["views"], rtol=0, atol=0)
    starts = {levels(first[epoch, 0]["views"][0, 0])[0] for epoch in range(6)}
    assert len(starts) > 1, "every epoch sees the same stretch"


def test_an_unreadable_video_is_replaced_and_named(records):
    sample = views(records)[2]
    assert sample["video_id"] == "v0"
    assert "v2.mp4" in sample["failed"][0]


def test_crop_sides_follow_the_scale():
    """A ramp from left to right: the crop's share of it is the crop's share of the side."""
    ramp = np.zeros((1, 64, 64, 3), np.uint8)
    ramp[:] = np.arange(64)[:, None] * 3
    cut = ViewTransform(64, 64, scale=(0.5, 1.0), flip=0.5, jitter=STILL, erase=0)
    shares = []
    for seed in range(60):
        clip = cut(ramp, np.random.default_rng(seed))[0, 0, 0]
        shares.append(abs((clip[-1] - clip[0]).item()) * 255 / (63 * 3))
    assert 0.45 < min(shares) < 0.6
    assert 0.9 < max(shares) < 1.02


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (0.9, 0.5)}, "scale"),
        ({"flip": 1.5}, "flip=1.5"),
        ({"erase": -0.1}, "erase"),
        ({"size": 0}, "size=0"),
    ],
)
def test_impossible_transforms_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        ViewTransform(**{"size": 16, "short_side": 24, **changes})


def test_consecutive_clips():
    assert consecutive_clips(20, 3, 2, 2, start=1).tolist() == [[1, 3, 5], [7, 9, 11]]
    assert consecutive_clips(6, 4, 1, 2).tolist() == [[0, 1, 2, 3], [4, 5, 4, 3]]
    with pytest.raises(ValueError, match="start 0 or more"):
        consecutive_clips(20, 3, 1, 2, start=-1)


def test_consecutive_clips_dataset(records):
    dataset = ConsecutiveClipsDataset(
        records, frames=4, stride=1, count=4, transform=TestTransform(16, 24)
    )
    assert [levels(clip) for clip in dataset[0]["clips"]] == [
        list(range(k, k + 4)) for k in (12, 16, 20, 24)
    ]
    assert dataset[2]["clips"].shape[0] == 0
    assert dataset[2]["failed"]


def test_weak_and_strong_show_the_same_frames(records):
    plain = TrainTransform(16, 24, flip=0, jitter=None)
    both = WeakStrong(plain, ViewTransform(16, 24, jitter=STILL, erase=0))
    dataset = ClipDataset(records[:1], frames=4, stride=2, transform=both)
    weak, strong = dataset[3, 0]["clip"]
    assert levels(weak) == levels(strong)
    with pytest.raises(ValueError, match="share one short_side"):
        WeakStrong(plain, ViewTransform(16, 32))


def test_pairs_use_each_labelled_video_equally_often(records):
    settings = {"frames": 4, "stride": 1, "transform": TrainTransform(16, 24)}
    few = ClipDataset(records[:1], **settings)
    pairs = PairedDataset(few, ClipDataset(records[:2], **settings))
    assert len(pairs) == 2
    shown = [pairs[epoch, index] for epoch in range(2) for index in range(2)]
    assert [sample["video_id"] for sample in shown] == ["v0"] * 4
    assert [sample["unlabelled_id"] for sample in shown] == ["v0", "v1"] * 2
    clips = torch.stack([sample["clip"] for sample in shown])
    assert len(clips.flatten(1).unique(dim=0)) == 4, "a labelled clip came twice alike"
    batch = collate(shown)
    assert batch["unlabelled"].shape == batch["clip"].shape == (4, 3, 4, 16, 16)
    assert "unlabelled_label" not in batch


def test_pairs_name_what_failed_on_both_sides(records):
    settings = {"frames": 4, "stride": 1, "transform": TrainTransform(16, 24)}
    broken = ClipDataset([records[2], records[0]], **settings)
    assert len(PairedDataset(broken, broken)[0, 0]["failed"]) == 2
