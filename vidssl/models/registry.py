"""Networks by name."""

from __future__ import annotations

from vidssl.core import one_of
from vidssl.models.backbones import ARCHITECTURES, VideoResNet
from vidssl.models.network import VideoNetwork
from vidssl.models.s3dg import S3DG

NAMES = (*ARCHITECTURES, "s3dg")


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    width: float = 1.0,
    dropout: float = 0.5,
) -> VideoNetwork:
    """A randomly initialised network: clip (B, C, T, H, W) -> logits (B, ``num_classes``).

    ``in_channels`` is 3 for RGB and 2 for optical flow. ``width`` multiplies all channel counts,
    so that the same architecture runs at laptop scale. ``num_classes`` 0 gives pooled features.
    ValueError for anything else, naming the nearest name.

    >>> build("r3d_18", num_classes=10, width=0.25).num_features
    128
    """
    one_of("backbone", name, NAMES)
    if in_channels not in (2, 3):
        raise ValueError(f"in_channels must be 3 (RGB) or 2 (optical flow), got {in_channels}")
    if not width > 0:
        raise ValueError(f"width must be above 0 (1.0 is the published network), got {width}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    options = {
        "num_classes": num_classes,
        "in_channels": in_channels,
        "width": width,
        "dropout": dropout,
    }
    return S3DG(**options) if name == "s3dg" else VideoResNet(ARCHITECTURES[name], **options)
