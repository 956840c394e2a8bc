import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import derive_seed
from vidssl.data import collate
from vidssl.methods import rotation
from vidssl.training import TrainConfig, fit


def test_turns_move_pixels_and_make_none():
    clips = torch.rand(2, 3, 4, 5, 5)
    every = rotation.turned(clips)
    assert every.shape == (2, 4, 3, 4, 5, 5)
    assert torch.equal(every[:, 0], clips)
    assert torch.equal(every[:, 2], clips.flip((-2, -1)))
    assert torch.equal(every[:, 3].rot90(1, dims=(-2, -1)), clips)
    assert torch.equal(
        every[1].flatten(1).sort(dim=1).values[0], every[1, 2].flatten().sort().values
    )


def test_frames_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="clips must have shape"):
        rotation.turned(torch.zeros(1, 3, 2, 4, 6))


class LitFromAbove(Dataset):
    """Clips that are brighter above than below, with noise that moves."""

    def __init__(self, videos, seed):
        self.videos, self.seed = videos, seed

    def __len__(self):
        return self.videos

    def __getitem__(self, key):
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng(derive_seed(self.seed, epoch, index))
        clip = 0.3 * rng.random((1, 3, 4, 16, 16), np.float32)
        clip += np.linspace(0.5, 0, 16, dtype=np.float32)[:, None]
        return {
            "clips": torch.from_numpy(clip),
            "label": 0,
            "video_id": str(index),
            "failed": [],
        }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_learns_the_turn_of_unseen_videos(seed):
    torch.manual_seed(seed)
    model = models.build("r3d_18", num_classes=rotation.TURNS, width=0.0625)

    def accuracy():
        outputs = rotation.predict_turns(model, LitFromAbove(16, 100 + seed), progress=False)
        return (outputs.values.argmax(-1) == np.arange(rotation.TURNS)).mean()

    before = accuracy()
    config = TrainConfig(epochs=8, batch_size=8, lr=3e-3, seed=seed)
    fit(model, LitFromAbove(32, seed), rotation.training_step, config, collate=collate)
    assert before < 0.5
    assert accuracy() > 0.9


def test_wrong_turns_cannot_be_learned():
    """The label is the turn: with the turns of another clip in its place nothing is right."""
    clips = LitFromAbove(8, 0)[0]["clips"][None]

    class Told(torch.nn.Module):
        def forward(self, clips):
            up, left = (
                clips.mean((1, 2))[:, :8].mean((1, 2)),
                clips.mean((1, 2))[..., :8].mean((1, 2)),
            )
            down = clips.mean((1, 2))[:, 8:].mean((1, 2))
            right = clips.mean((1, 2))[..., 8:].mean((1, 2))
            return 50 * torch.stack([up - down, left - right, down - up, right - left], dim=1)

    _, metrics = rotation.training_step(Told(), {"clips": clips}, None)
    assert metrics["pretext_accuracy"] == 1
    _, metrics = rotation.training_step(Told(), {"clips": clips.flip(-2)}, None)
    assert metrics["pretext_accuracy"] < 1
