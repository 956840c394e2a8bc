from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import VideoRecord, derive_seed
from vidssl.data import ImageDataset, collate, read_folder
from vidssl.data.color import ColorJitter
from vidssl.methods import mosi
from vidssl.motion import label_pool
from vidssl.training import TrainConfig, fit

SMALL = mosi.MoSIConfig(frames=6, size=24, k=1, mask_ratio=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class PhotographCrops(Dataset):
    """Random crops of the left half of a photograph; `held_out` crops come from the right half."""

    def __init__(self, count, side):
        photographs = pytest.importorskip("skimage.data")
        photo = torch.from_numpy(photographs.astronaut()[::3, ::3].copy()).permute(2, 0, 1) / 255
        middle = photo.shape[-1] // 2
        self.left, self.right = photo[..., :middle], photo[..., middle:]
        self.count, self.side = count, side

    def __len__(self):
        return self.count

    def crop(self, photo, *seed):
        height, width = (length - self.side for length in photo.shape[1:])
        place = torch.rand(2, generator=generator(derive_seed(*seed)))
        top, left = int(place[0] * height), int(place[1] * width)
        return photo[:, top : top + self.side, left : left + self.side]

    def __getitem__(self, key):
        return {"image": self.crop(self.left, *key), "video_id": str(key[1]), "failed": []}

    def held_out(self, count):
        return torch.stack([self.crop(self.right, "held out", i) for i in range(count)])


def test_a_batch_holds_every_label_of_every_image():
    config = mosi.MoSIConfig(frames=8, size=32)
    images = torch.rand(2, 3, config.source_side, config.source_side)
    clips, labels = mosi.pretext_batch(images, config, generator())
    assert clips.shape == (18, 3, 8, 32, 32)
    assert labels.tolist() == list(range(9)) * 2
    assert clips.min() >= 0
    assert clips.max() <= 1


def test_jitter_comes_after_the_mask_and_flickers_everywhere():
    """The frozen part must flicker too, or the moving square gives its place away."""
    config = mosi.MoSIConfig(frames=8, size=32, jitter=ColorJitter(grey=0))
    image = torch.rand(1, 3, config.source_side, config.source_side)
    clips, labels = mosi.pretext_batch(image, config, generator())
    still = clips[labels == len(label_pool()) - 1][0]
    assert still.diff(dim=1).abs().mean(dim=(0, 1)).min() > 0.01


def test_curriculum_and_unmasked_configurations():
    assert mosi.MoSIConfig(mask_curriculum=0.5).mask_ratio_at(0.0) == (1.0, 1.0)
    assert mosi.MoSIConfig(mask_curriculum=0.0).mask_ratio_at(0.0) == pytest.approx((0.3, 0.5))
    assert mosi.MoSIConfig(mask_ratio=None).mask_ratio_at(0.0) is None
    assert mosi.MoSIConfig().source_side == 320
    assert mosi.MoSIConfig(axes="y", k=3).num_classes == 7


def test_the_pretext_task_is_learned_on_unseen_images():
    """Chance (1 in 5) before; after half a minute most labels of unseen images are right."""
    torch.manual_seed(0)
    model = models.build("r2plus1d_10", num_classes=SMALL.num_classes, width=0.25)
    data = PhotographCrops(count=1200, side=SMALL.source_side)
    images = data.held_out(20)
    before = accuracy(model, images)
    fit(
        model,
        data,
        mosi.training_step(SMALL),
        TrainConfig(epochs=1, batch_size=6, lr=4e-3),
        collate=collate,
        report=lambda step, metrics: None,
    )
    after = accuracy(model, images)
    assert before < 0.4
    assert after > 0.6


def test_training_goes_on_without_an_unreadable_video_and_names_it(moving_videos, tmp_path):
    records = read_folder(moving_videos)[:5]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(Path(records[0].path).read_bytes()[:600])
    records.append(VideoRecord(str(broken), 0, "broken"))
    config = mosi.MoSIConfig(frames=6, size=16, k=1)
    result = fit(
        models.build("r2plus1d_10", num_classes=config.num_classes, width=0.125),
        ImageDataset(records, side=config.source_side),
        mosi.training_step(config),
        TrainConfig(epochs=2, batch_size=3),
        collate=collate,
        report=lambda step, metrics: None,
    )
    assert result.steps == 4, "an epoch ended early"
    assert len(result.failed) == 1
    assert "broken.mp4" in result.failed[0]


def accuracy(model, images):
    predicted, true = mosi.pretext_predictions(model, images, SMALL)
    return (predicted == true).float().mean().item()
