"""3D rotation prediction: a network names how far a clip was turned (3DRotNet, Jing et al., 2018).

Where what stands
-----------------
==========================  =====================================================
the four turns of a clip    `turned`
the pretext loss            `training_step`
==========================  =====================================================

Quarter turns of square crops move pixels and make none, so nothing but the content tells the turn.
The four turns of a clip are in one step, as in the paper.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vidssl.core import expect_shape, normalise
from vidssl.inference import Outputs, run_videos
from vidssl.methods.supervised import place_step
from vidssl.training import Batch, Metrics, StepContext

TURNS = 4  # by 0, 90, 180 and 270 degrees, counted against the clock


def turned(clips: Tensor) -> Tensor:
    """Square clips (B, 3, T, S, S), each at every quarter turn: (B, 4, 3, T, S, S).

    All frames of a clip are turned alike. ValueError for frames that are not square.

    >>> turned(torch.arange(4.0).view(1, 1, 1, 2, 2).expand(-1, 3, -1, -1, -1))[0, 1, 0, 0]
    tensor([[1., 3.],
            [0., 2.]])
    """
    expect_shape(clips, "B C T H W", "clips", W=clips.shape[-2])
    return torch.stack([clips.rot90(turn, dims=(-2, -1)) for turn in range(TURNS)], dim=1)


def training_step(model: nn.Module, batch: Batch, context: StepContext) -> tuple[Tensor, Metrics]:
    """Cross-entropy of the turns of the clips ``batch["clips"]`` (B, R, 3, T, S, S)."""
    return place_step(model, turned(batch["clips"].flatten(0, 1)))


def predict_turns(model: nn.Module, dataset: Dataset, **options) -> Outputs:
    """Probabilities (V, N, 4, 4) of the turns of each video's N clips, each at every turn.

    ``options`` as in `vidssl.inference.run_videos`.
    """

    def turns(network: nn.Module, clips: Tensor) -> Tensor:
        every = turned(clips)
        said = network(normalise(every.flatten(0, 1))).softmax(dim=-1)
        return said.unflatten(0, every.shape[:2]).flatten(1)

    outputs = run_videos(model, dataset, turns, desc="turns", **options)
    return replace(outputs, values=outputs.values.reshape(*outputs.values.shape[:2], TURNS, TURNS))
