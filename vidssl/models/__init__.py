"""Networks that turn clips into features and logits, built by name."""

from vidssl.models.backbones import VideoResNet, load_torchvision_weights
from vidssl.models.freezing import freeze
from vidssl.models.registry import NAMES, build

__all__ = ["NAMES", "VideoResNet", "build", "freeze", "load_torchvision_weights"]
