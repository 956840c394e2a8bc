"""Tiny videos on which a method shows its effect within seconds, and how that is measured."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import derive_seed, normalise
from vidssl.data.datasets import collate
from vidssl.training import TrainConfig, fit

FRAMES, SIDE = 4, 12


def network(num_classes: int, seed: int, name: str = "r2plus1d_10") -> models.VideoNetwork:
    torch.manual_seed(seed)
    return models.build(name, num_classes=num_classes, width=0.125)


def train(model, dataset, step, *, epochs, batch_size=16, lr=3e-3, seed=0):
    """A training without a word; ``model`` is trained in place."""
    config = TrainConfig(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
    return fit(model, dataset, step, config, collate=collate, report=lambda *_: None)


class Samples(Dataset):
    """``make(index, generator)`` for each index; the generator is another one in each epoch."""

    def __init__(self, count: int, make: Callable[[int, torch.Generator], dict], seed: int = 0):
        self.count, self.make, self.seed = count, make, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if index >= self.count:
            raise IndexError
        return {**self.make(index, drawn(self.seed, epoch, index)), "failed": []}


def drawn(*parts: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(*parts))


# --- videos that only their motion tells apart ----------------------------------------------------

WAYS = ((0, 2), (0, -2), (2, 0), (-2, 0))  # px a frame
CLIPS = 3


def way_of(video_id: str) -> int:
    return int(video_id.rpartition("-")[2]) % len(WAYS)


class DriftingTextures(Dataset):
    """Three clips of 10 frames each, of which 4 are seen, of textures that run one of four ways.

    The texture is the video's own, the label its way. Samples are those of `ClipDataset`.
    """

    def __init__(self, count: int, name: str, labels: bool = True):
        self.count, self.name, self.labels = count, name, labels

    def __len__(self) -> int:
        return self.count

    @property
    def video_ids(self) -> list[str]:
        return [f"{self.name}-{index}" for index in range(self.count)]

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if index >= self.count:
            raise IndexError
        video_id = f"{self.name}-{index}"
        start = 10 * torch.arange(CLIPS)
        return {
            "clips": torch.stack([_drifting(video_id, epoch, clip) for clip in range(CLIPS)]),
            "times": torch.stack([start, start + 10], dim=1),
            "label": way_of(video_id) if self.labels else -1,
            "video_id": video_id,
            "failed": [],
        }


def _drifting(video_id: str, *where: int) -> torch.Tensor:
    """(3, FRAMES, SIDE, SIDE), begun at another place of the texture for each ``where``."""
    coarse = torch.rand(1, 3, 8, 8, generator=drawn(video_id))
    texture = interpolate(coarse, scale_factor=3, mode="bilinear")[0]
    begin = torch.randint(0, 24, (2,), generator=drawn(video_id, *where)).tolist()
    texture = texture.roll(begin, dims=(1, 2))
    step = WAYS[way_of(video_id)]
    frames = [texture.roll((t * step[0], t * step[1]), dims=(1, 2)) for t in range(FRAMES)]
    return torch.stack(frames, dim=1)[..., :SIDE, :SIDE]


def nearest_agree(rows: np.ndarray, names: np.ndarray, others: np.ndarray) -> float:
    """The share of rows (M, D) whose nearest other row, by cosine, has the same name.

    Rows that share their entry of ``others`` (M,) are not looked for.
    """
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike = unit @ unit.T
    alike[others[:, None] == others] = -np.inf
    return float((names[alike.argmax(1)] == names).mean())


# --- videos that show a class by a place, by a colour or by both ----------------------------------

COLOURS = torch.tensor([[1, -1, 0], [-1, 1, 0], [0.5, 0.5, -1], [-0.5, -0.5, 1]])


def shown(place: int | None, colour: int | None, generator: torch.Generator) -> torch.Tensor:
    """A clip in which one of four quarters of the frame lights up, and one of four tints rises.

    None leaves the cue out. Each cue grows with time, so that temporal gradients show it too.
    """
    clip = 0.4 + 0.05 * torch.randn(3, FRAMES, SIDE, SIDE, generator=generator)
    growing = torch.linspace(0, 1, FRAMES)[:, None, None]
    if place is not None:
        top, left = (SIDE // 2 * number for number in divmod(place, 2))
        clip[..., top : top + SIDE // 2, left : left + SIDE // 2] += 0.4 * growing
    if colour is not None:
        clip += 0.2 * COLOURS[colour][:, None, None, None] * growing
    return clip.clamp(0, 1)


def pairs(views: Callable) -> Samples:
    """Labelled clips whose place is the class and whose tint is any, with 128 unlabelled videos.

    ``views(label, generator)`` shows what an unlabelled video's sample holds. By labels alone the
    tint means nothing.
    """

    def make(index: int, generator: torch.Generator) -> dict:
        label, tint = torch.randint(0, 4, (2,), generator=generator).tolist()
        return {
            "clips": shown(label, tint, generator)[None],
            "label": label,
            "video_id": f"labelled-{label}",
            "unlabelled": views(index % 4, generator),
            "unlabelled_id": f"unlabelled-{index}",
        }

    return Samples(128, make)


def both_then_tint(label: int, generator: torch.Generator) -> torch.Tensor:
    """Two views of an unlabelled video: place and tint, then the tint alone."""
    return torch.stack([shown(label, label, generator), shown(None, label, generator)])


@torch.no_grad()
def told_tints(model: torch.nn.Module) -> float:
    """The share of 64 clips of known tint and no place that ``model`` gets right."""
    labels = torch.arange(64) % 4
    clips = torch.stack([shown(None, int(k), drawn("test", i)) for i, k in enumerate(labels)])
    return (model.eval()(normalise(clips)).argmax(dim=1) == labels).float().mean().item()
