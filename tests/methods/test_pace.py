import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import derive_seed
from vidssl.data import collate
from vidssl.methods import pace
from vidssl.training import TrainConfig, fit


def test_each_clip_has_its_pace():
    for seed in range(20):
        clips = pace.paced_clips(40, 6, (1, 2, 4), np.random.default_rng(seed))
        assert np.diff(clips, axis=1).tolist() == [[1] * 5, [2] * 5, [4] * 5]
        assert clips.min() >= 0
        assert clips.max() < 40


def test_a_short_video_is_mirrored():
    assert pace.paced_clips(3, 4, (1, 2)).tolist() == [[0, 1, 2, 1], [0, 2, 0, 2]]


def test_one_pace_is_no_task():
    with pytest.raises(ValueError, match=r"paces=\[2, 2\] must be two different"):
        pace.paced_clips(9, 3, (2, 2))


def test_the_label_is_the_place():
    class Told(torch.nn.Module):
        """Says how bright a clip is; the clips of pace k have brightness k."""

        def forward(self, clips):
            brightness = (clips.mean(dim=(1, 2, 3, 4)) - clips[0].mean()).div(0.4).round().long()
            return 20.0 * torch.nn.functional.one_hot(brightness.clamp(0, 2), 3)

    clips = torch.stack([torch.full((3, 2, 4, 4), 0.1 * k) for k in range(3)]).expand(
        2, -1, -1, -1, -1, -1
    )
    loss, metrics = pace.training_step(Told(), {"clips": clips}, None)
    assert metrics["pretext_accuracy"] == 1
    assert loss < 1e-6
    loss, metrics = pace.training_step(Told(), {"clips": clips.flip(1)}, None)
    assert metrics["pretext_accuracy"] < 1


class MovingBars(Dataset):
    """A bright bar over a grey field that moves one pixel a frame, from anywhere."""

    def __init__(self, videos, seed):
        self.videos, self.seed = videos, seed
        self.failed = []

    def __len__(self):
        return self.videos

    def __getitem__(self, key):
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng(derive_seed(self.seed, epoch, index))
        indices = pace.paced_clips(24, 6, (1, 3), rng)
        place = (indices + rng.integers(24)) % 24
        clips = np.full((2, 1, 6, 24, 24), 0.3, np.float32)
        for clip, places in zip(clips, place):
            for frame, column in zip(clip[0], places):
                frame[:, column % 24] = 1.0
        clips = torch.from_numpy(clips).expand(-1, 3, -1, -1, -1).contiguous()
        return {"clips": clips, "label": 0, "video_id": str(index), "failed": []}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_learns_the_pace_of_unseen_videos(seed):
    torch.manual_seed(seed)
    model = models.build("r3d_18", num_classes=2, width=0.0625)

    def accuracy():
        outputs = pace.predict_paces(model, MovingBars(24, 100 + seed), progress=False)
        return (outputs.values.argmax(-1) == np.arange(2)).mean()

    before = accuracy()
    config = TrainConfig(epochs=10, batch_size=8, lr=3e-3, seed=seed)
    fit(model, MovingBars(32, seed), pace.training_step, config, collate=collate)
    assert before < 0.75
    assert accuracy() > 0.9
