"""What every backbone answers to: five stages, a feature map, a classifier that can be replaced."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidssl.core import expect_shape

STAGES = ("conv2", "conv3", "conv4", "conv5")


class VideoNetwork(nn.Module):
    """A network over clips (B, C, T, H, W), with a classifier that can be replaced.

    The clip is taken as it is: standardise it before. With ``num_classes`` 0 there is no
    classifier and ``forward`` gives the pooled features (B, ``num_features``).

    Args:
        stem, stages: modules run one after another; ``stages`` are conv2 to conv5.
        in_channels: 3 for RGB, 2 for optical flow.
        num_features: channels D of the last stage.
        num_classes: outputs K of the classifier.
        dropout: probability before the classifier.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        *,
        in_channels: int,
        num_features: int,
        num_classes: int,
        dropout: float,
    ):
        super().__init__()
        self.in_channels = in_channels
        self.stem = stem
        for name, stage in zip(STAGES, stages, strict=True):
            self.add_module(name, stage)
        self.num_features = num_features
        self.dropout = nn.Dropout(dropout)
        self.apply(initialise)
        self.reset_classifier(num_classes)

    def stages(self) -> OrderedDict[str, nn.Module]:
        """stem, conv2, ... conv5 in forward order: what is frozen, or looked at by Grad-CAM."""
        return OrderedDict((name, getattr(self, name)) for name in ("stem", *STAGES))

    def reset_classifier(self, num_classes: int) -> None:
        """Put a new, randomly initialised classifier on top; 0 leaves the pooled features."""
        if num_classes < 0:
            raise ValueError(f"num_classes must be 0 (no classifier) or more, got {num_classes}")
        self.num_classes = num_classes
        self.classifier = nn.Identity()
        if num_classes:
            place = next(self.parameters())
            linear = nn.Linear(self.num_features, num_classes).to(place.device, place.dtype)
            self.classifier = linear.apply(initialise)

    def forward_features(self, clip: Tensor) -> Tensor:
        """Clip (B, C, T, H, W) -> feature map (B, D, T', H', W')."""
        expect_shape(clip, "B C T H W", "clip", C=self.in_channels)
        if clip.device.type == "cpu":  # trains 10 to 35 % faster there; later layers follow suit
            clip = clip.contiguous(memory_format=torch.channels_last_3d)
        for stage in self.stages().values():
            clip = stage(clip)
        return clip

    def forward_head(self, feature_map: Tensor) -> Tensor:
        """Feature map (B, D, T', H', W') -> logits (B, K): average, dropout, linear."""
        pooled = feature_map.mean(dim=(2, 3, 4))
        return self.classifier(self.dropout(pooled)) if self.num_classes else pooled

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (B, C, T, H, W) -> logits (B, K)."""
        return self.forward_head(self.forward_features(clip))


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded to a multiple of 8 (at least 8).

    >>> scaled(64, 1.0), scaled(64, 0.25), scaled(64, 0.3), scaled(64, 0.01)
    (64, 16, 16, 8)
    """
    return max(8, 8 * round(channels * width / 8))


def initialise(module: nn.Module) -> None:
    """He initialisation of convolutions, N(0, 0.01) of the classifier, as torchvision's."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)
