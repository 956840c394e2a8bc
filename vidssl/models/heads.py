"""What stands on a backbone's pooled features in place of a classifier."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidssl.core import expect_shape

HIDDEN = 512  # units inside both heads, as published for features of 512; narrower ones get fewer


class Projector(nn.Module):
    """Features (..., D) -> embeddings (..., ``outputs``) of length 1, for contrastive losses.

    Linear to 512 (to D in networks narrower than that), batch norm, ReLU, linear, batch norm, L2
    normalisation: the head of TCLR and TimeBalance (Dave et al. 2021 and 2023, public code). The
    batch norms take all leading axes as one batch: put all clips of a step in one call, since the
    statistics of one time alone would subtract what tells the times apart.
    """

    def __init__(self, num_features: int, outputs: int = 128):
        super().__init__()
        hidden = min(HIDDEN, num_features)
        self.layers = nn.Sequential(
            nn.Linear(num_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs, bias=False),  # the batch norm has one
            nn.BatchNorm1d(outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (..., D) -> embeddings (..., ``outputs``); ValueError for another D."""
        rows = features.flatten(0, -2) if features.ndim > 1 else features
        expect_shape(rows, "B D", "features", D=self.layers[0].in_features)
        embeddings = functional.normalize(self.layers(rows), dim=-1)
        return embeddings.unflatten(0, features.shape[:-1])


class ClipOrderHead(nn.Module):
    """Features of shuffled clips (B, R, D) -> logits (B, R!) over the orders they can stand in.

    Each pair of clips, (0, 1), (0, 2), (1, 2) for R = 3, is concatenated and goes through one
    shared linear to 512 (to D in narrower networks) and ReLU; all pairs are concatenated, dropout
    and a linear layer follow (Xu et al., "Self-Supervised Spatiotemporal Learning via Video Clip
    Order Prediction", CVPR 2019, section 3.3; MotionFit, Eq. 2).
    """

    def __init__(self, num_features: int, clips: int = 3, dropout: float = 0.5):
        super().__init__()
        if clips < 2:
            raise ValueError(f"clips must be 2 or more to have an order, got {clips}")
        self.clips = clips
        hidden = min(HIDDEN, num_features)
        self.pairs = list(combinations(range(clips), 2))
        self.pair = nn.Linear(2 * num_features, hidden)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(len(self.pairs) * hidden, factorial(clips))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, R, D) -> logits (B, R!); ValueError for another R or D."""
        expect_shape(features, "B R D", "features", R=self.clips, D=self.pair.in_features // 2)
        first, second = zip(*self.pairs)
        pairs = torch.cat([features[:, list(first)], features[:, list(second)]], dim=-1)
        related = functional.relu(self.pair(pairs))
        return self.classifier(self.dropout(related.flatten(1)))
