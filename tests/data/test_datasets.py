"""Data sets over real H.264 files made here; frame i of a video has grey level 4 i."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vidssl.core import VideoRecord, derive_seed, frames_to_clip, unpack
from vidssl.data import (
    Augmentation,
    ClipDataset,
    ColorJitter,
    ImageDataset,
    RGBFrames,
    TestTransform,
    TrainTransform,
    collate,
    random_clips,
    uniform_clips,
)

pytest.importorskip("av")
decode = pytest.importorskip("vidssl.data.decode")
read_clip, write_video = decode.read_clip, decode.write_video

PLAIN = TrainTransform(16, 24)
AUGMENTED = TrainTransform(16, 24, Augmentation(flip=0.5, color=(0.5, 0.5, 0.5, 0.25), grey=0.3))
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


def training(records, transform=PLAIN, seed=0, count=1, frames=4, stride=2):
    choose = partial(random_clips, frames=frames, stride=stride, count=count)
    return ClipDataset(records, RGBFrames(24), choose, transform, seed=seed)


def evaluated(records, count=2):
    choose = partial(uniform_clips, **CLIP, count=count)
    return ClipDataset(records, RGBFrames(24), choose, TestTransform(16, 24))


def levels(clip, video=0):
    """Frame numbers shown by a clip (3, T, H, W) of video ``video``."""
    return ((clip.mean((0, 2, 3)) * 255 - 10 * video) / 4).round().int().tolist()


def test_one_random_clip_of_each_video(records):
    dataset = training(records)
    assert len(dataset) == 4
    sample = dataset[2]
    assert sample["clips"].shape == (1, 3, 4, 16, 16)
    assert sample["clips"].dtype == torch.float32
    assert sample["clips"].is_contiguous()
    assert (sample["label"], sample["video_id"], sample["failed"]) == (0, "v2", [])
    shown = levels(sample["clips"][0], 2)
    assert np.diff(shown).tolist() == [2, 2, 2]
    assert sample["times"].tolist() == [[shown[0], shown[-1] + 1]]


def test_keys_give_the_same_sample_everywhere_and_epochs_differ(records):
    dataset, again = (training(records, AUGMENTED, seed=5) for _ in range(2))
    assert torch.equal(dataset[3, 2]["clips"], again[3, 2]["clips"])
    assert torch.equal(dataset[2]["clips"], dataset[0, 2]["clips"])
    starts = {tuple(levels(training(records)[epoch, 2]["clips"][0], 2)) for epoch in range(8)}
    assert len(starts) > 3
    assert not torch.equal(dataset[0, 2]["clips"], training(records, AUGMENTED)[0, 2]["clips"])


def test_unreadable_training_video_is_replaced_and_named(records):
    sample = training(records)[1]
    assert sample["video_id"] == "v2"
    assert sample["label"] == 0
    assert len(sample["failed"]) == 1
    assert sample["failed"][0].startswith(f"{records[1].path}: cannot be decoded")


def test_nothing_readable(records):
    with pytest.raises(
        RuntimeError, match=r"none of 20 videos in a row can be read; the first: .*v1"
    ):
        training([records[1]] * 25)[0]


@pytest.mark.parametrize("index", [4, -5])
def test_index_out_of_range(records, index):
    with pytest.raises(IndexError, match="outside a data set of 4 videos"):
        training(records)[index]


def test_short_video_is_mirrored(tmp_path):
    frames = np.empty((3, 32, 48, 3), np.uint8)
    frames[:] = 40 * np.arange(3)[:, None, None, None]
    path = write_video(tmp_path / "short.mp4", frames, crf=4)
    record = VideoRecord(str(path), 0, "short")
    clip = training([record], frames=6, stride=1)[0]["clips"][0]
    assert [level // 10 for level in levels(clip)] == [0, 1, 2, 1, 0, 1]
    one = write_video(tmp_path / "one.mp4", frames[2:], crf=4)
    several = evaluated([VideoRecord(str(one), 0, "one")])[0]
    assert [level // 10 for level in levels(several["clips"][1])] == [2, 2, 2, 2]
    assert several["times"].tolist() == [[0, 1], [0, 1]]


def test_several_random_clips_do_not_overlap(records):
    sample = training(records, count=3)[0]
    assert sample["clips"].shape == (3, 3, 4, 16, 16)
    shown = [levels(clip) for clip in sample["clips"]]
    assert all(np.diff(frames).tolist() == [2, 2, 2] for frames in shown)
    assert shown[0][-1] < shown[1][0]
    assert shown[1][-1] < shown[2][0]
    assert sample["times"].tolist() == [[f[0], f[-1] + 1] for f in shown]


def test_evaluation_fixes_its_clips_and_replaces_no_video(records):
    dataset = evaluated(records)
    sample = dataset[0]
    assert sample["clips"].shape == (2, 3, 4, 16, 16)
    assert [levels(clip) for clip in sample["clips"]] == [[0, 2, 4, 6], [23, 25, 27, 29]]
    assert torch.equal(dataset[7, 0]["clips"], sample["clips"]), "epochs differ"
    failed = dataset[1]
    assert len(failed["clips"]) == len(failed["times"]) == 0
    assert (failed["video_id"], failed["label"]) == ("v1", 1)
    assert failed["failed"][0].startswith(records[1].path)


def test_one_clip_and_its_colours_are_what_they_were_before_clips_came_in_numbers(tmp_path):
    """MoSI's fine-tuning, R = 1: start, window, mirror and colours follow from these draws in this
    order, so trainings made before are made again, up to rounding of the colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 24, 36, 3), dtype=np.uint8)
    path = write_video(tmp_path / "noise.mp4", pixels, crf=8)
    dataset = training([VideoRecord(str(path), 0, "noise")], AUGMENTED, seed=3)
    for epoch in range(6):
        rng = np.random.default_rng(derive_seed(3, epoch, 0))
        start = int(rng.integers(30 - 7 + 1))
        top, left = rng.integers(24 - 16 + 1), rng.integers(36 - 16 + 1)
        frames = read_clip(path, lambda _: np.arange(start, start + 7, 2))  # noqa: B023
        window = frames[:, top : top + 16, left : left + 16]
        if rng.random() < 0.5:
            window = window[:, :, ::-1]
        colors = torch.Generator().manual_seed(int(rng.integers(2**62)))
        expected = ColorJitter()(frames_to_clip(window.copy()), generator=colors)
        torch.testing.assert_close(dataset[epoch, 0]["clips"][0], expected, atol=1e-6, rtol=0)


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
        training,
        evaluated,
        partial(ImageDataset, side=24),
    ):
        with pytest.raises(FileNotFoundError, match=r"1 of 5 files are missing: .*gone\.mp4"):
            make([*records, absent])
        with pytest.raises(ValueError, match="records is empty"):
            make([])


def test_collate_keeps_batches_valid(records):
    dataset = evaluated(records)
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
    dataset = training(records, AUGMENTED)
    keys = [(2, i) for i in (3, 0, 2)]
    loader = DataLoader(dataset, batch_size=3, sampler=keys, num_workers=1, collate_fn=collate)
    batch = next(iter(loader))
    assert batch["clips"].pixels.dtype == torch.uint8
    expected = collate([dataset[key] for key in keys])["clips"]
    torch.testing.assert_close(unpack(batch)["clips"], expected, atol=1e-6, rtol=0)
    assert batch["video_id"] == ["v3", "v0", "v2"]
