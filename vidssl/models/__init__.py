"""Networks that turn clips into features and logits, built by name."""

from vidssl.models.backbones import VideoResNet
from vidssl.models.freezing import freeze
from vidssl.models.heads import ClipOrderHead, Projector
from vidssl.models.network import VideoNetwork
from vidssl.models.registry import NAMES, build

__all__ = [
    "NAMES",
    "ClipOrderHead",
    "Projector",
    "VideoNetwork",
    "VideoResNet",
    "build",
    "freeze",
]
