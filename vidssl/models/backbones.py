"""Residual video networks from one class by composition.

An `Architecture` says how many blocks a stage has, how wide they are, how they convolve (in space
only, in space and time, or factorised into both) and where time is halved; `VideoResNet` builds
it. Sources: R(2+1)D and R3D, Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action
Recognition" (CVPR 2018); R-2D3D, Han et al., "Video Representation Learning by Dense Predictive
Coding" (2019); the dilated R3D, Dave et al., "TCLR" (2021).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from vidssl.core import expect_shape

Triple = tuple[int, int, int]
STAGES = ("conv2", "conv3", "conv4", "conv5")


@dataclass(frozen=True)
class Architecture:
    """What tells one residual network from another; four entries are those of conv2 to conv5.

    A kind is "2d" (1x3x3), "3d" (3x3x3) or "2+1d" (1x3x3, batch norm, ReLU, 3x1x1).
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
    dilated_conv5: bool = False  # conv5 keeps its time steps and looks twice as far


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
    "r3d_18": R3D_18,
    "r3d_18_dilated": replace(R3D_18, time_strides=(1, 2, 2, 1), dilated_conv5=True),
}


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded to a multiple of 8 (at least 8).

    >>> scaled(64, 1.0), scaled(64, 0.25), scaled(64, 0.3), scaled(64, 0.01)
    (64, 16, 16, 8)
    """
    return max(8, 8 * round(channels * width / 8))


def middle_width(inputs: int, outputs: int, kernel: Triple) -> int:
    """Channels between the factors of a (2+1)-D convolution.

    They give it as many weights as the full convolution (Tran et al. 2018, section 3.5):
    floor(t h w in out / (h w in + t out)).
    """
    time, area = kernel[0], kernel[1] * kernel[2]
    return time * area * inputs * outputs // (area * inputs + time * outputs)


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
    middle: int | None = None,
) -> nn.Module:
    """One convolution of the given kind, 3 frames deep and ``space`` x ``space`` wide."""
    if kind == "2d":
        return plain_convolution(inputs, outputs, (1, space, space), stride)
    kernel = (3, space, space)
    if kind == "3d":
        return plain_convolution(inputs, outputs, kernel, stride, dilation)
    middle = middle or middle_width(inputs, outputs, kernel)
    return nn.Sequential(
        plain_convolution(inputs, middle, (1, space, space), (1, *stride[1:])),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        plain_convolution(middle, outputs, (3, 1, 1), (stride[0], 1, 1), dilation),
    )


class Block(nn.Module):
    """Two convolutions and a shortcut; a 1x1x1 convolution where the shape changes."""

    def __init__(
        self,
        kind: str,
        inputs: int,
        outputs: int,
        stride: Triple = (1, 1, 1),
        dilation: int = 1,
        shared_middle: bool = False,
    ):
        super().__init__()
        middle = middle_width(inputs, outputs, (3, 3, 3)) if shared_middle else None
        self.conv1 = nn.Sequential(
            convolution(kind, inputs, outputs, stride=stride, dilation=dilation, middle=middle),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(
            convolution(kind, outputs, outputs, middle=middle), nn.BatchNorm3d(outputs)
        )
        self.downsample = None
        if inputs != outputs or stride != (1, 1, 1):
            self.downsample = nn.Sequential(
                plain_convolution(inputs, outputs, (1, 1, 1), stride), nn.BatchNorm3d(outputs)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)).add_(shortcut))


def make_stem(architecture: Architecture, in_channels: int, width: float) -> nn.Sequential:
    """The first convolution, 7x7 and stride 2 in space, with norm, ReLU and maybe a max-pool."""
    outputs = scaled(architecture.stem_width, width)
    middle = architecture.stem_middle and max(1, round(architecture.stem_middle * width))
    first = convolution(
        architecture.stem_kind, in_channels, outputs, space=7, stride=(1, 2, 2), middle=middle
    )
    layers = list(first) if isinstance(first, nn.Sequential) else [first]
    layers += [nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]
    if architecture.stem_pool:
        layers.append(nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)))
    return nn.Sequential(*layers)


def make_stage(architecture: Architecture, index: int, inputs: int, outputs: int) -> nn.Sequential:
    """Stage conv2 (``index`` 0) to conv5 (3); its first block changes width and strides."""
    space = 1 if index == 0 else 2
    first = Block(
        architecture.kinds[index],
        inputs,
        outputs,
        stride=(architecture.time_strides[index], space, space),
        dilation=2 if architecture.dilated_conv5 and index == 3 else 1,
        shared_middle=architecture.shared_middle,
    )
    others = [
        Block(architecture.kinds[index], outputs, outputs, shared_middle=architecture.shared_middle)
        for _ in range(architecture.blocks[index] - 1)
    ]
    return nn.Sequential(first, *others)


class VideoResNet(nn.Module):
    """A residual network over clips (B, C, T, H, W), with a classifier that can be replaced.

    The clip is taken as it is: standardise it before. With ``num_classes`` 0 there is no
    classifier and ``forward`` gives the pooled features (B, ``num_features``).
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
        super().__init__()
        self.in_channels = in_channels
        self.stem = make_stem(architecture, in_channels, width)
        widths = [scaled(w, width) for w in (architecture.stem_width, *architecture.widths)]
        for index, (name, sides) in enumerate(zip(STAGES, pairwise(widths))):
            self.add_module(name, make_stage(architecture, index, *sides))
        self.num_features = widths[-1]
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


def initialise(module: nn.Module) -> None:
    """He initialisation of convolutions, N(0, 0.01) of the classifier, as torchvision's."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)


def load_torchvision_weights(model: VideoResNet, state_dict: Mapping[str, Tensor]) -> None:
    """Load torchvision's weights of the same network (r3d_18 into r3d_18_dilated fits too).

    The classifier is loaded if it has as many classes as the model's; otherwise the model keeps
    its own. Any other difference in names or shapes is a ValueError, and nothing is loaded.
    """
    own = model.state_dict()
    theirs = {_our_name(name): tensor for name, tensor in state_dict.items()}
    differ = {
        name
        for name in own.keys() | theirs.keys()
        if name not in own or name not in theirs or own[name].shape != theirs[name].shape
    }
    classifier = {"classifier.weight", "classifier.bias"}
    if wrong := sorted(differ - classifier):
        raise ValueError(
            f"state_dict does not fit: {len(wrong)} tensors differ, e.g. {wrong[0]!r}; build the "
            "network of the same name with width=1.0 and in_channels=3"
        )
    skip = classifier if differ else set()
    model.load_state_dict({k: v for k, v in theirs.items() if k not in skip}, strict=False)


def _our_name(name: str) -> str:
    """torchvision calls conv2 layer1 and the classifier fc.

    >>> _our_name("layer1.0.conv1.0.weight"), _our_name("fc.bias")
    ('conv2.0.conv1.0.weight', 'classifier.bias')
    """
    head, dot, tail = name.partition(".")
    names = {"fc": "classifier"} | {f"layer{i + 1}": stage for i, stage in enumerate(STAGES)}
    return names.get(head, head) + dot + tail
