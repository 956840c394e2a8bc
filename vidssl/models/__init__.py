"""Networks that turn clips into features and logits, built by name."""

from vidssl.models.freezing import freeze
from vidssl.models.heads import Projector
from vidssl.models.network import VideoNetwork
from vidssl.models.registry import NAMES, build

__all__ = [
    "NAMES",
    "Projector",
    "VideoNetwork",
    "build",
    "freeze",
]
