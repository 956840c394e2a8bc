from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import VideoRecord, derive_seed
from vidssl.data import ImageDataset, collate, read_folder
from vidssl.data.color import ColorJitter
from vidssl.methods import mosi
from vidssl.motion import label_pool, mirrored_labels, plan_motions
from vidssl.runs import declared_parameters
from vidssl.runs.notebooks import notebook_path
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


def square_and_rest(clip, motions):
    """The spread over time of a still-label clip (3, N, L, L): inside its square, and outside."""
    left, top, side = motions.square[0, -1].tolist()
    spread = clip.std(dim=1).mean(dim=0)
    inside = torch.zeros(spread.shape, dtype=torch.bool)
    inside[top : top + side, left : left + side] = True
    return spread[inside].mean(), spread[~inside].mean()


@pytest.mark.parametrize("order", mosi.MASK_ORDERS)
def test_only_the_releases_order_gives_the_square_away(order):
    """Jittered first, the square of the still label flickers before a steady background."""
    config = mosi.MoSIConfig(frames=8, size=32, mask_order=order)
    side = config.source_side
    clips, _ = mosi.pretext_batch(torch.rand(1, 3, side, side), config, generator(4))
    motions = plan_motions(side, side, frames=8, size=32, generator=generator(4))
    inside, outside = square_and_rest(clips[-1], motions)
    assert inside > 0.05
    if order == "jitter_first":
        assert outside == 0
    else:
        assert outside == pytest.approx(inside.item(), rel=0.25)


def test_colours_a_frame_a_clip_or_none():
    options = {"frames": 6, "size": 24, "k": 1, "axes": "x"}
    config = mosi.MoSIConfig(**options)
    image = torch.full((1, 3, config.source_side, config.source_side), 0.5)
    image[:, 0] = 0.7

    def levels(**changes):
        clips, _ = mosi.pretext_batch(image, mosi.MoSIConfig(**options, **changes), generator(1))
        return clips[:, :, :, 0, 0]  # (M, 3, N)

    assert (levels().std(dim=-1).amax(dim=1) > 0.01).all()
    assert levels(colors_per="clip").std(dim=-1).max() < 1e-6
    assert levels(colors_per="clip").std(dim=0).max() > 0.01
    assert levels(jitter=None)[:, 0].unique() == pytest.approx(0.7)


def test_a_flip_of_the_batch_mirrors_labels_or_keeps_them():
    options = {"frames": 6, "size": 24, "jitter": None, "mask_ratio": None}
    side = mosi.MoSIConfig(**options).source_side
    images = torch.rand(2, 3, side, side)

    def made(flip):
        return mosi.pretext_batch(images, mosi.MoSIConfig(**options, flip=flip), generator(3))

    plain, mirrored, release = made("none"), made("mirror_label"), made("release")
    assert torch.equal(mirrored[0], release[0])
    assert torch.equal(release[1], plain[1])
    turned = (mirrored[0] != plain[0]).flatten(1).any(dim=1)
    assert torch.equal(mirrored[0][turned], plain[0][turned].flip(-1))
    assert sorted(mirrored[1][turned].tolist()) == sorted(
        mirrored_labels()[label] for label in plain[1][turned].tolist()
    )


@pytest.mark.parametrize("frames", [2, 8, 32])
@pytest.mark.parametrize("k", [1, 4])
def test_any_number_of_frames_keeps_the_distance_a_frame(frames, k):
    config = mosi.MoSIConfig(frames=frames, size=28, k=k, motion="subpixel")
    motions = plan_motions(
        config.source_side, config.source_side, frames=frames, size=28, k=k, motion="subpixel"
    )
    fastest = motions.position[0].diff(dim=1).abs().max()
    assert fastest == pytest.approx(208 / 15 / 4, rel=0.15)  # of a quarter of 112 px, rounded
    clips, labels = mosi.pretext_batch(
        torch.rand(1, 3, config.source_side, config.source_side), config, generator()
    )
    assert clips.shape == (4 * k + 1, 3, frames, 28, 28)
    assert labels.tolist() == list(range(4 * k + 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be"),
        ({"mask_ratio": 0.0}, "mask_ratio must lie"),
        ({"mask_ratio": (0.5, 1.2)}, "mask_ratio must lie"),
        ({"mask_order": "mask_last"}, "mask_order='mask_last' is unknown"),
        ({"colors_per": "batch"}, "colors_per='batch' is unknown"),
        ({"flip": "mirror"}, "flip='mirror' is unknown; did you mean 'mirror_label'"),
        ({"motion": "integers"}, "motion='integers' is unknown; did you mean 'integer'"),
    ],
)
def test_impossible_configurations_are_refused_before_training(options, message):
    with pytest.raises(ValueError, match=message):
        mosi.MoSIConfig(**options)


def test_the_configuration_of_a_page():
    declared = declared_parameters(notebook_path("11_mosi_pretrain"))
    config = mosi.MoSIConfig.of(declared)
    assert (config.frames, config.size, config.mask_ratio) == (8, 32, [0.3, 0.5])
    assert config.jitter == ColorJitter(), "the appendix's strengths"
    assert mosi.MoSIConfig.of({**declared, "mask_ratio": []}).mask_ratio is None
    assert mosi.MoSIConfig.of({**declared, "augmentation": {}}).jitter is None
    some = mosi.MoSIConfig.of({**declared, "augmentation": {"grey": 1.0, "color_probability": 0.5}})
    assert some.jitter == ColorJitter(0.0, 0.0, 0.0, 0.0, grey=1.0, probability=0.5)
    with pytest.raises(ValueError, match="takes color, grey and color_probability alone; flip"):
        mosi.MoSIConfig.of({**declared, "augmentation": {"flip": 0.5}})


def test_images_smaller_than_the_crop_are_refused():
    with pytest.raises(ValueError, match="width of 20 px is smaller than the crop, 24 px"):
        mosi.pretext_batch(torch.rand(1, 3, 20, 20), SMALL, generator())


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P"])
def test_any_kind_of_picture_file_becomes_clips(tmp_path, mode):
    """Grey, transparent, 16-bit or palette; small and turned by its EXIF tag."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    picture = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else None
    picture = picture or Image.fromarray(pixels).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "picture.png", exif=exif)
    data = ImageDataset([VideoRecord(str(tmp_path / "picture.png"), 0, "p")], side=40)
    clips, _ = mosi.pretext_batch(
        collate([data[0]])["image"], mosi.MoSIConfig(frames=4, size=24), generator()
    )
    assert clips.shape == (9, 3, 4, 24, 24)
    assert clips.std() > 0.02


def test_curriculum_and_unmasked_configurations():
    assert mosi.MoSIConfig(mask_curriculum=0.5).mask_ratio_at(0.0) == (1.0, 1.0)
    assert mosi.MoSIConfig(mask_curriculum=0.0).mask_ratio_at(0.0) == pytest.approx((0.3, 0.5))
    assert mosi.MoSIConfig(mask_ratio=None).mask_ratio_at(0.0) is None
    assert mosi.MoSIConfig().source_side == 320
    assert mosi.MoSIConfig(axes="y", k=3).num_classes == 7
    assert mosi.MoSIConfig(mask_ratio=0.4, mask_curriculum=0.5).mask_ratio_at(1.0) == (0.4, 0.4)


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
