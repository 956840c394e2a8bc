"""Data sets over real H.264 files made here; frame i of a video has grey level 4 i."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vidssl.core import VideoRecord
from vidssl.data.datasets import (
    ClipDataset,
    ClipsDataset,
    ImageDataset,
    MultiClipDataset,
    collate,
)
from vidssl.data.sampling import random_clips
from vidssl.data.transforms import TestTransform, TrainTransform

pytest.importorskip("av")
write_video = pytest.importorskip("vidssl.data.decode").write_video

PLAIN = TrainTransform(16, 24, flip=0, jitter=None)
CLIP = {"frames": 4, "stride": 2}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Four videos of 30 frames; the second cannot be decoded."""
    folder = tmp_path_factory.mktemp("videos")
    records = []
    for i in range(4):
        path = folder / f"v{i}.mp4"
        frames = np.empty((30, 32, 48, 3), np.uint8)
        frames[:] = 4 * np.arange(30)[:, None, None, None] + 10 * i
        write_video(path, frames, crf=8)
        if i == 1:
            path.write_bytes(path.read_bytes()[:500])
        records.append(VideoRecord(str(path), i % 2, f"v{i}", f"g{i}", "ab"[i % 2]))
    return records


def levels(clip, video=0):
    """Frame numbers shown by a clip (3, T, H, W) of video ``video``."""
    return ((clip.mean((0, 2, 3)) * 255 - 10 * video) / 4).round().int().tolist()


def test_clip_dataset(records):
    dataset = ClipDataset(records, **CLIP, transform=PLAIN)
    assert len(dataset) == 4
    sample = dataset[2]
    assert sample["clip"].shape == (3, 4, 16, 16)
    assert sample["clip"].dtype == torch.float32
    assert sample["clip"].is_contiguous()
    assert (sample["label"], sample["video_id"], sample["failed"]) == (0, "v2", [])
    assert np.diff(levels(sample["clip"], 2)).tolist() == [2, 2, 2]


def test_keys_give_the_same_sample_everywhere_and_epochs_differ(records):
    dataset = ClipDataset(records, **CLIP, transform=TrainTransform(16, 24), seed=5)
    again = ClipDataset(records, **CLIP, transform=TrainTransform(16, 24), seed=5)
    assert torch.equal(dataset[(3, 2)]["clip"], again[(3, 2)]["clip"])
    assert torch.equal(dataset[2]["clip"], dataset[(0, 2)]["clip"])
    starts = {tuple(levels(dataset[(epoch, 2)]["clip"], 2)) for epoch in range(8)}
    assert len(starts) > 3


def test_unreadable_training_video_is_replaced_and_named(records):
    sample = ClipDataset(records, **CLIP, transform=PLAIN)[1]
    assert sample["video_id"] == "v2"
    assert sample["label"] == 0
    assert len(sample["failed"]) == 1
    assert sample["failed"][0].startswith(f"{records[1].path}: cannot be decoded")


def test_nothing_readable(records):
    with pytest.raises(
        RuntimeError, match=r"none of 20 videos in a row can be read; the first: .*v1"
    ):
        ClipDataset([records[1]] * 25, **CLIP, transform=PLAIN)[0]


@pytest.mark.parametrize("index", [4, -5])
def test_index_out_of_range(records, index):
    with pytest.raises(IndexError, match="outside a data set of 4 videos"):
        ClipDataset(records, **CLIP, transform=PLAIN)[index]


def test_short_video_is_mirrored(records, tmp_path):
    frames = np.empty((3, 32, 48, 3), np.uint8)
    frames[:] = 40 * np.arange(3)[:, None, None, None]
    path = write_video(tmp_path / "short.mp4", frames, crf=4)
    record = VideoRecord(str(path), 0, "short")
    clip = ClipDataset([record], frames=6, stride=1, transform=PLAIN)[0]["clip"]
    assert [level // 10 for level in levels(clip)] == [0, 1, 2, 1, 0, 1]
    one = write_video(tmp_path / "one.mp4", frames[2:], crf=4)
    multi = MultiClipDataset(
        [VideoRecord(str(one), 0, "one")], **CLIP, count=2, transform=TestTransform(16, 24)
    )
    assert [level // 10 for level in levels(multi[0]["clips"][1])] == [2, 2, 2, 2]


def test_clips_dataset(records):
    sample = partial(random_clips, frames=4, stride=2, count=3)
    dataset = ClipsDataset(records, sample=sample, transform=PLAIN)
    clips = dataset[0]["clips"]
    assert clips.shape == (3, 3, 4, 16, 16)
    shown = [levels(clip) for clip in clips]
    assert all(np.diff(frames).tolist() == [2, 2, 2] for frames in shown)
    assert shown[0][-1] < shown[1][0]
    assert shown[1][-1] < shown[2][0]


def test_multi_clip_dataset(records):
    dataset = MultiClipDataset(records, **CLIP, count=2, transform=TestTransform(16, 24))
    sample = dataset[0]
    assert sample["clips"].shape == (2, 3, 4, 16, 16)
    assert [levels(clip) for clip in sample["clips"]] == [[0, 2, 4, 6], [23, 25, 27, 29]]
    failed = dataset[1]
    assert failed["clips"].shape == (0, 3, 4, 16, 16)
    assert failed["video_id"] == "v1"
    assert failed["failed"][0].startswith(records[1].path)


def test_image_dataset(records):
    dataset = ImageDataset(records, side=24)
    images = [dataset[(epoch, 0)]["image"] for epoch in range(8)]
    assert all(image.shape == (3, 24, 24) for image in images)
    assert images[0].dtype == torch.float32
    assert len({round(image.mean().item(), 2) for image in images}) > 3
    assert torch.equal(images[3], ImageDataset(records, side=24)[(3, 0)]["image"])
    assert dataset[1]["video_id"] == "v2"
    assert len(dataset[1]["failed"]) == 1


def test_image_dataset_of_stills(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.full((30, 60, 3), 51, np.uint8)
    image.fromarray(pixels).save(tmp_path / "still.png")
    record = VideoRecord(str(tmp_path / "still.png"), -1, "still")
    assert torch.allclose(ImageDataset([record], side=20)[0]["image"], torch.tensor(0.2))
    with pytest.raises(ValueError, match="side must be at least 1 pixel, got 0"):
        ImageDataset([record], side=0)


def test_data_sets_refuse_to_start_without_their_files(records, tmp_path):
    absent = VideoRecord(str(tmp_path / "gone.mp4"), 0, "gone")
    for make in (
        partial(ClipDataset, **CLIP, transform=PLAIN),
        partial(MultiClipDataset, **CLIP, count=2, transform=TestTransform(16, 24)),
        partial(ImageDataset, side=24),
    ):
        with pytest.raises(FileNotFoundError, match=r"1 of 5 files are missing: .*gone\.mp4"):
            make([*records, absent])
        with pytest.raises(ValueError, match="records is empty"):
            make([])


def test_collate_keeps_batches_valid(records):
    dataset = MultiClipDataset(records, **CLIP, count=2, transform=TestTransform(16, 24))
    batch = collate([dataset[i] for i in range(4)])
    assert batch["clips"].shape == (3, 2, 3, 4, 16, 16)
    assert batch["label"].tolist() == [0, 0, 1]
    assert batch["label"].dtype == torch.int64
    assert batch["video_id"] == ["v0", "v2", "v3"]
    assert len(batch["failed"]) == 1
    nothing = collate([dataset[1]])
    assert len(nothing["clips"]) == len(nothing["label"]) == len(nothing["video_id"]) == 0
    assert nothing["label"].dtype == torch.int64
    assert len(nothing["failed"]) == 1


def test_worker_processes_draw_the_same(records):
    dataset = ClipDataset(records, **CLIP, transform=TrainTransform(16, 24))
    keys = [(2, i) for i in (3, 0, 2)]
    loader = DataLoader(dataset, batch_size=3, sampler=keys, num_workers=1, collate_fn=collate)
    batch = next(iter(loader))
    assert torch.equal(batch["clip"], collate([dataset[key] for key in keys])["clip"])
    assert batch["video_id"] == ["v3", "v0", "v2"]
