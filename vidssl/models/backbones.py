"""Residual video networks from one class by composition.

An `Architecture` says how many blocks a stage has, how wide they are, how they convolve (in space
only, in space and time, or factorised into both) and where time is halved; `VideoResNet` builds
it. Sources: R(2+1)D and R3D, Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action
Recognition" (CVPR 2018); R-2D3D, Han et al., "Video Representation Learning by Dense Predictive
Coding" (2019); the dilated R3D, Dave et al., "TCLR" (2021); slow_r50, the slow pathway of
Feichtenhofer et al., "SlowFast Networks for Video Recognition" (ICCV 2019, Table 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor, nn

from vidssl.models.network import VideoNetwork, scaled

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """What tells one residual network from another; four entries are those of conv2 to conv5.

    A kind is "2d" (1x3x3), "3d" (3x3x3) or "2+1d" (1x3x3, batch norm, ReLU, 3x1x1). In a
    bottleneck "2d" and "3d" tell how many frames its first convolution sees: 1x1x1 or 3x1x1.
    """

    blocks: tuple[int, int, int, int]
    kinds: tuple[str, str, str, str]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    time_strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    stem_kind: str = "3d"
    stem_width: int = 64
    stem_middle: int | None = None  # channels between the stem's two factors; None: by the formula
    stem_pool: bool = False
    shared_middle: bool = False  # one middle width a block, as torchvision; else one a convolution
    middle_multiple: int = 1  # of middle widths; 8 trains 1.4 times faster on a CPU
    dilated_conv5: bool = False  # conv5 keeps its time steps and looks twice as far
    bottleneck: bool = False  # blocks of three convolutions, a quarter as wide inside


R3D_18 = Architecture(blocks=(2, 2, 2, 2), kinds=("3d",) * 4)

ARCHITECTURES = {
    "r2plus1d_10": Architecture(blocks=(1, 1, 1, 1), kinds=("2+1d",) * 4, stem_kind="2+1d"),
    "r2plus1d_18": Architecture(
        blocks=(2, 2, 2, 2),
        kinds=("2+1d",) * 4,
        stem_kind="2+1d",
        stem_middle=45,
        shared_middle=True,
    ),
    "r2d3d_18": Architecture(
        blocks=(2, 2, 2, 2),
        kinds=("2d", "2d", "3d", "3d"),
        widths=(64, 128, 256, 256),
        time_strides=(1, 1, 2, 2),
        stem_kind="2d",
        stem_pool=True,
    ),
    # the dilated one for laptops: 8 frames keep the 4 time steps that 16 have there
    "r3d_10_dilated": replace(
        R3D_18, blocks=(1, 1, 1, 1), time_strides=(1, 1, 2, 1), dilated_conv5=True
    ),
    "r3d_18": R3D_18,
    "r3d_18_dilated": replace(R3D_18, time_strides=(1, 2, 2, 1), dilated_conv5=True),
    "slow_r50": Architecture(
        blocks=(3, 4, 6, 3),
        kinds=("2d", "2d", "3d", "3d"),
        widths=(256, 512, 1024, 2048),
        time_strides=(1, 1, 1, 1),
        stem_kind="2d",
        stem_pool=True,
        bottleneck=True,
    ),
}


def middle_width(inputs: int, outputs: int, kernel: Triple, multiple: int = 1) -> int:
    """Channels between the factors of a (2+1)-D convolution.

    They give it as many weights as the full convolution (Tran et al. 2018, section 3.5):
    floor(t h w in out / (h w in + t out)), here as the nearest ``multiple``.
    """
    time, area = kernel[0], kernel[1] * kernel[2]
    width = time * area * inputs * outputs // (area * inputs + time * outputs)
    return nearest_multiple(width, multiple)


def nearest_multiple(width: int, multiple: int) -> int:
    return max(multiple, multiple * round(width / multiple))


def plain_convolution(
    inputs: int, outputs: int, kernel: Triple, stride: Triple, dilation: int = 1
) -> nn.Conv3d:
    """A convolution without bias that pads so that stride 1 keeps the size."""
    time, height, width = (size // 2 for size in kernel)
    padding = (time * dilation, height, width)
    return nn.Conv3d(
        inputs, outputs, kernel, stride, padding, dilation=(dilation, 1, 1), bias=False
    )


def convolution(
    kind: str,
    inputs: int,
    outputs: int,
    *,
    space: int = 3,
    stride: Triple = (1, 1, 1),
    dilation: int = 1,
    middle: int,
) -> nn.Module:
    """One convolution of the given kind, 3 frames deep and ``space`` x ``space`` wide.

    ``middle`` is the width between the factors of kind "2+1d".
    """
    if kind == "2d":
        return plain_convolution(inputs, outputs, (1, space, space), stride)
    kernel = (3, space, space)
    if kind == "3d":
        return plain_convolution(inputs, outputs, kernel, stride, dilation)
    return nn.Sequential(
        plain_convolution(inputs, middle, (1, space, space), (1, *stride[1:])),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        plain_convolution(middle, outputs, (3, 1, 1), (stride[0], 1, 1), dilation),
    )


def normed(convolution: nn.Conv3d | nn.Sequential) -> nn.Sequential:
    """A convolution, plain or factorised, and batch norm."""
    last = convolution if isinstance(convolution, nn.Conv3d) else convolution[-1]
    return nn.Sequential(convolution, nn.BatchNorm3d(last.out_channels))


def make_shortcut(inputs: int, outputs: int, stride: Triple) -> nn.Sequential | None:
    """A 1x1x1 convolution with batch norm where the shape changes, otherwise None."""
    if inputs == outputs and stride == (1, 1, 1):
        return None
    return normed(plain_convolution(inputs, outputs, (1, 1, 1), stride))


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(
        self,
        kind: str,
        inputs: int,
        outputs: int,
        stride: Triple = (1, 1, 1),
        dilation: int = 1,
        shared_middle: bool = False,
        middle_multiple: int = 1,
    ):
        super().__init__()
        first = middle_width(inputs, outputs, (3, 3, 3), middle_multiple)
        second = middle_width(outputs, outputs, (3, 3, 3), middle_multiple)
        self.conv1 = nn.Sequential(
            convolution(kind, inputs, outputs, stride=stride, dilation=dilation, middle=first),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        )
        self.conv2 = normed(
            convolution(kind, outputs, outputs, middle=first if shared_middle else second)
        )
        self.downsample = make_shortcut(inputs, outputs, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)).add_(shortcut))


class Bottleneck(nn.Module):
    """Three convolutions and a shortcut: over ``frames`` frames, over 3x3 pixels, back to width."""

    def __init__(self, frames: int, inputs: int, outputs: int, stride: Triple = (1, 1, 1)):
        super().__init__()
        inside = outputs // 4
        self.conv1 = normed(plain_convolution(inputs, inside, (frames, 1, 1), (1, 1, 1)))
        self.conv2 = normed(plain_convolution(inside, inside, (1, 3, 3), stride))
        self.conv3 = normed(plain_convolution(inside, outputs, (1, 1, 1), (1, 1, 1)))
        self.downsample = make_shortcut(inputs, outputs, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        inside = self.relu(self.conv2(self.relu(self.conv1(x))))
        return self.relu(self.conv3(inside).add_(shortcut))


def make_stem(architecture: Architecture, in_channels: int, width: float) -> nn.Sequential:
    """The first convolution, 7x7 and stride 2 in space, with norm, ReLU and maybe a max-pool."""
    outputs = scaled(architecture.stem_width, width)
    multiple = architecture.middle_multiple
    if architecture.stem_middle:
        middle = nearest_multiple(round(architecture.stem_middle * width), multiple)
    else:
        middle = middle_width(in_channels, outputs, (3, 7, 7), multiple)
    first = convolution(
        architecture.stem_kind, in_channels, outputs, space=7, stride=(1, 2, 2), middle=middle
    )
    layers = list(first) if isinstance(first, nn.Sequential) else [first]
    layers += [nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]
    if architecture.stem_pool:
        layers.append(nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)))
    return nn.Sequential(*layers)


def make_block(
    architecture: Architecture, index: int, inputs: int, outputs: int, *, first: bool
) -> nn.Module:
    """One block of stage conv2 (``index`` 0) to conv5 (3); the ``first`` strides and dilates."""
    kind = architecture.kinds[index]
    space = 2 if first and index > 0 else 1
    stride = (architecture.time_strides[index] if first else 1, space, space)
    if architecture.bottleneck:
        return Bottleneck(1 if kind == "2d" else 3, inputs, outputs, stride)
    dilation = 2 if first and architecture.dilated_conv5 and index == 3 else 1
    middles = architecture.shared_middle, architecture.middle_multiple
    return Block(kind, inputs, outputs, stride, dilation, *middles)


def make_stage(architecture: Architecture, index: int, inputs: int, outputs: int) -> nn.Sequential:
    """Stage conv2 (``index`` 0) to conv5 (3); its first block changes width and strides."""
    first = make_block(architecture, index, inputs, outputs, first=True)
    others = [
        make_block(architecture, index, outputs, outputs, first=False)
        for _ in range(architecture.blocks[index] - 1)
    ]
    return nn.Sequential(first, *others)


class VideoResNet(VideoNetwork):
    """A residual `VideoNetwork`: an `Architecture` at ``width`` times its channels.

    At any other ``width`` than the published 1 all channels are multiples of 8.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        num_classes: int,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.5,
    ):
        if width != 1:
            architecture = replace(architecture, middle_multiple=8)
        widths = [scaled(w, width) for w in (architecture.stem_width, *architecture.widths)]
        stem = make_stem(architecture, in_channels, width)
        stages = [
            make_stage(architecture, index, *sides) for index, sides in enumerate(pairwise(widths))
        ]
        super().__init__(
            stem,
            stages,
            in_channels=in_channels,
            num_features=widths[-1],
            num_classes=num_classes,
            dropout=dropout,
        )
