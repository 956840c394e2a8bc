"""S3D-G, a separable Inception network with feature gating.

Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video
Classification" (ECCV 2018). Every 3-D convolution is one in space followed by one in time, and
every branch of an Inception block passes through a gate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidssl.models.network import VideoNetwork, scaled

# Channels of the Inception blocks of conv3, conv4 and conv5. Numbers 0, 2, 4 and 5 of a block are
# what its four branches give; 1 and 3 are the narrow inputs of the two separable convolutions.
BLOCKS = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class S3DG(VideoNetwork):
    """S3D-G at ``width`` times its channels: 16 x 112 x 112 gives a map of 1024 x 2 x 4 x 4.

    The feature map is averaged whatever its size. Batch norms have PyTorch's momentum: with the
    original's 0.001 a short training would end before the running statistics have moved.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int = 3, width: float = 1.0, dropout: float = 0.5
    ):
        first, second = scaled(64, width), scaled(192, width)
        stem = nn.Sequential(*separable(in_channels, first, size=7, stride=2))
        conv2 = [halve_space(), *pointwise(first, first), *separable(first, second)]
        # ceil_mode is the original's "same" padding: a map of one step or pixel stays one
        halve_all = nn.MaxPool3d(3, stride=2, padding=1), nn.MaxPool3d(2, stride=2, ceil_mode=True)
        stages, outputs = [nn.Sequential(*conv2)], second
        for pool, blocks in zip((halve_space(), *halve_all), BLOCKS):
            stage = nn.Sequential(pool)
            for channels in blocks:
                stage.append(Inception(outputs, [scaled(c, width) for c in channels]))
                outputs = stage[-1].outputs
            stages.append(stage)
        super().__init__(
            stem,
            stages,
            in_channels=in_channels,
            num_features=outputs,
            num_classes=num_classes,
            dropout=dropout,
        )


class Inception(nn.Module):
    """Four gated branches side by side: 1x1x1, two separable 3x3x3, a max-pool; ``BLOCKS``."""

    def __init__(self, inputs: int, channels: list[int]):
        super().__init__()
        plain, narrow_1, wide_1, narrow_2, wide_2, pooled = channels
        ends = (plain, wide_1, wide_2, pooled)
        self.outputs = sum(ends)
        layers = (
            pointwise(inputs, plain),
            pointwise(inputs, narrow_1) + separable(narrow_1, wide_1),
            pointwise(inputs, narrow_2) + separable(narrow_2, wide_2),
            [nn.MaxPool3d(3, stride=1, padding=1), *pointwise(inputs, pooled)],
        )
        self.branches = nn.ModuleList(
            nn.Sequential(*branch, FeatureGate(end)) for branch, end in zip(layers, ends)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class FeatureGate(nn.Module):
    """x -> sigmoid(W mean(x) + b) x, one factor a channel (section 4.5 of the paper).

    Maps x are (B, D, T, H, W); the mean is over time and space.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.linear(x.mean(dim=(2, 3, 4))).sigmoid()
        return x * weight[:, :, None, None, None]


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1x1x1 convolution, batch norm and ReLU."""
    return convolution(inputs, outputs, (1, 1, 1), (1, 1, 1))


def separable(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution in space and one in time, each with batch norm and ReLU."""
    space = convolution(inputs, outputs, (1, size, size), (1, stride, stride))
    return space + convolution(outputs, outputs, (size, 1, 1), (stride, 1, 1))


def convolution(
    inputs: int, outputs: int, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> list[nn.Module]:
    padding = tuple(size // 2 for size in kernel)
    layer = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
    return [layer, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]


def halve_space() -> nn.MaxPool3d:
    return nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
