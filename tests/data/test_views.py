"""Views of real H.264 files made here; frame i of a video has grey level 4 i."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vidssl.core import VideoRecord, unpack
from vidssl.data import (
    Augmentation,
    ClipDataset,
    PairedDataset,
    RGBFrames,
    TestTransform,
    TrainTransform,
    TwoViews,
    collate,
    consecutive_clips,
    random_clips,
    two_scale_views,
)

pytest.importorskip("av")
write_video = pytest.importorskip("vidssl.data.decode").write_video

PLAIN = TrainTransform(16, 24)
JITTERED = TrainTransform(16, 24, Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25)))
ERASED = TrainTransform(16, 24, Augmentation(scale=(0.5, 1.0), flip=0.5, erase=1.0))


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


def views(records, transform=PLAIN):
    choose = partial(two_scale_views, frames=4, global_stride=4, locals_count=4)
    return ClipDataset(records, RGBFrames(24), choose, transform, seed=0)


def clips(records, transform=JITTERED, stride=1):
    choose = partial(random_clips, frames=4, stride=stride, count=1)
    return ClipDataset(records, RGBFrames(24), choose, transform, seed=0)


def by_view(sample):
    """The clips of each view (2, 1 + N, 3, T, H, W)."""
    return sample["clips"].unflatten(0, (2, -1))


def test_local_clips_tile_the_global_one(records):
    sample = views(records)[5, 0]
    assert sample["clips"].shape == (10, 3, 4, 16, 16)
    for shown in by_view(sample):
        sparse, dense = levels(shown[0]), levels(torch.cat(list(shown[1:]), dim=1))
        assert np.diff(sparse).tolist() == [4, 4, 4]
        assert dense == list(range(sparse[0], sparse[0] + 16))


def test_a_video_shorter_than_the_span_is_mirrored(records):
    """10 frames for a span of 16: 0 ... 9 8 7 6 5 4 3."""
    shown = by_view(views(records)[1])[0]
    assert levels(torch.cat(list(shown[1:]), dim=1)) == [*range(10), *range(8, 2, -1)]
    assert levels(shown[0]) == [0, 4, 8, 6]


def test_every_clip_has_its_own_augmentation_for_all_its_frames(records):
    shown = views(records, ERASED)[3, 0]["clips"]
    erased = [tuple((clip[:, t] == 0).all(0).nonzero().flatten().tolist()) for clip in shown
              for t in range(4)]  # fmt: skip
    by_clip = [set(erased[i : i + 4]) for i in range(0, 40, 4)]
    assert all(len(rectangles) == 1 for rectangles in by_clip), "erasing moves within a clip"
    assert len(set.union(*by_clip)) > 5, "clips share their augmentation"


def test_every_clip_has_its_own_colours():
    """Ten times the same grey picture through one transform."""
    still = np.full((10, 4, 24, 24, 3), (200, 100, 50), np.uint8)
    jitter = TrainTransform(16, 24, Augmentation(color=(0.5, 0.5, 0.5, 0.25)))
    shown = jitter(still, np.random.default_rng(0))
    assert torch.allclose(shown, shown[:, :, :1, :1, :1].expand_as(shown), atol=1e-6)
    assert len(shown[:, :, 0, 0, 0].unique(dim=0)) == 10


def test_views_depend_on_seed_epoch_and_index_alone(records):
    first, again = views(records, ERASED), views(records, ERASED)
    again[0, 1]
    torch.testing.assert_close(first[4, 0]["clips"], again[4, 0]["clips"], rtol=0, atol=0)
    starts = {levels(views(records)[epoch, 0]["clips"][0])[0] for epoch in range(6)}
    assert len(starts) > 1, "every epoch sees the same stretch"


def test_an_unreadable_video_is_replaced_and_named(records):
    sample = views(records)[2]
    assert sample["video_id"] == "v0"
    assert "v2.mp4" in sample["failed"][0]


def test_crop_sides_follow_the_scale():
    """A ramp from left to right: the crop's share of it is the crop's share of the side."""
    ramp = np.zeros((1, 64, 64, 3), np.uint8)
    ramp[:] = np.arange(64)[:, None] * 3
    cut = TrainTransform(64, 64, Augmentation(scale=(0.5, 1.0), flip=0.5))
    shares = []
    for seed in range(60):
        clip = cut(ramp, np.random.default_rng(seed))[0, 0, 0]
        shares.append(abs((clip[-1] - clip[0]).item()) * 255 / (63 * 3))
    assert 0.45 < min(shares) < 0.6
    assert 0.9 < max(shares) < 1.02


def test_consecutive_clips(records):
    assert consecutive_clips(20, 3, 2, 2, start=1).tolist() == [[1, 3, 5], [7, 9, 11]]
    assert consecutive_clips(6, 4, 1, 2).tolist() == [[0, 1, 2, 3], [4, 5, 4, 3]]
    with pytest.raises(ValueError, match="start 0 or more"):
        consecutive_clips(20, 3, 1, 2, start=-1)
    choose = partial(consecutive_clips, frames=4, stride=1, count=4)
    dataset = ClipDataset(records, RGBFrames(24), choose, TestTransform(16, 24))
    assert [levels(clip) for clip in dataset[0]["clips"]] == [
        list(range(k, k + 4)) for k in (12, 16, 20, 24)
    ]
    assert len(dataset[2]["clips"]) == 0
    assert dataset[2]["failed"]


def test_weak_and_strong_show_the_same_frames(records):
    erased = TrainTransform(16, 24, Augmentation(erase=1.0, erasings=2))
    sample = clips(records[:1], TwoViews(PLAIN, erased), stride=2)[3, 0]
    weak, strong = sample["clips"]
    assert levels(weak[:, :, :1, :1]) == list(range(levels(weak)[0], levels(weak)[0] + 8, 2))
    kept = (strong != 0).all(dim=0)
    assert 0.1 < kept.float().mean() < 1, "nothing, or everything, is erased"
    assert torch.allclose(weak[:, kept], strong[:, kept], atol=2 / 255)
    assert len(sample["times"]) == 1, "two views of one clip"


def test_pairs_use_each_labelled_video_equally_often(records):
    pairs = PairedDataset(clips(records[:1]), clips(records[:2]))
    assert len(pairs) == 2
    shown = [pairs[epoch, index] for epoch in range(2) for index in range(2)]
    assert [sample["video_id"] for sample in shown] == ["v0"] * 4
    assert [sample["unlabelled_id"] for sample in shown] == ["v0", "v1"] * 2
    labelled = torch.stack([sample["clips"] for sample in shown])
    assert len(labelled.flatten(1).unique(dim=0)) == 4, "a labelled clip came twice alike"
    batch = collate(shown)
    assert batch["unlabelled"].shape == batch["clips"].shape == (4, 1, 3, 4, 16, 16)
    assert "unlabelled_label" not in batch


def nbytes(value):
    if isinstance(value, torch.Tensor):
        return value.nbytes
    return sum(map(nbytes, value)) if isinstance(value, tuple) else 0


def test_a_batch_travels_as_uint8_and_becomes_what_its_samples_are(records):
    every = Augmentation((0.5, 1.0), 0.5, (0.5, 0.5, 0.5, 0.25), 0.8, 0.3, erase=0.5, erasings=2)
    strong = TrainTransform(16, 24, every)
    pairs = PairedDataset(clips(records[:2], strong), clips(records[:2], TwoViews(PLAIN, strong)))
    keys = [(epoch, index) for epoch in range(2) for index in range(2)]
    [batch] = DataLoader(pairs, batch_sampler=[keys], collate_fn=collate)
    pixels = 3 * 4 * 16 * 16  # a byte each
    drawn = 4 * (9 + 1) + 2 * (2 * 4)  # float32: matrix and contrast; int16: two rectangles
    assert nbytes(batch["clips"]) == 4 * (pixels + drawn)
    assert nbytes(batch["unlabelled"]) == 4 * (2 * pixels + drawn)
    arrived, expected = unpack(batch), collate([pairs[key] for key in keys])
    for name, views in (("clips", 1), ("unlabelled", 2)):
        assert arrived[name].shape == (4, views, 3, 4, 16, 16)
        assert arrived[name].dtype == torch.float32
        torch.testing.assert_close(arrived[name], expected[name], atol=1e-6, rtol=0)


def test_pairs_name_what_failed_on_both_sides(records):
    broken = clips([records[2], records[0]])
    assert len(PairedDataset(broken, broken)[0, 0]["failed"]) == 2
