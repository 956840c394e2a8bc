"""Weights from one network into another: what a method leaves and the next one starts from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vidssl.files import whole
from vidssl.models.network import VideoNetwork
from vidssl.models.registry import build
from vidssl.models.released import (
    CheckpointError,
    differing,
    load_tensors,
    named_tensors,
    read_checkpoint,
    refuse_not_finite,
    tensors_in,
    without_parallel,
)

CLASSIFIER = "classifier."


def save_pretrained(model: nn.Module, path: str | Path, **about) -> Path:
    """Write the weights of ``model`` with what one must know to build it again (``about``)."""
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    with whole(Path(path)) as partial, open(partial, "wb") as file:  # of a path, torch hides why
        torch.save({"weights": state, "about": about}, file)
    return Path(path)


def load_pretrained(model: VideoNetwork, path: str | Path) -> dict:
    """Load a backbone into ``model``: a file of `save_pretrained`, or one that others released.

    Returns the ``about`` of `save_pretrained`; for a released file (see `load_released` for those
    that are known) "dataset" is "released checkpoint", "seed" is None and "left_out" names the
    tensors that were not used. The classifier stays as it is in both: its classes belong to
    another task. Raises FileNotFoundError for a missing file and ValueError, with nothing loaded,
    when it is neither or its weights do not fit.
    """
    content = read_checkpoint(path)
    if not _is_ours(content, path):
        left_out = load_tensors(model, named_tensors(content, path), path, classifier=False)
        return {"dataset": "released checkpoint", "seed": None, "left_out": left_out}
    about = content["about"]
    weights = _without_classifier(without_parallel(content["weights"]))
    refuse_not_finite(weights, path)
    own = _without_classifier(model.state_dict())
    wrong = differing(own, weights)
    if wrong:
        raise CheckpointError(
            f"{path} holds another network ({about.get('backbone', 'unknown')}, width "
            f"{about.get('width', 'unknown')}): {len(wrong)} of {len(own)} tensors do "
            f"not fit, e.g. {sorted(wrong)[0]}"
        )
    model.load_state_dict(weights, strict=False)
    return about


def load_with_head(path: str | Path) -> tuple[VideoNetwork, dict]:
    """The whole network of a file of `save_pretrained`, built anew with the classifier it was
    trained with, and its ``about``. FileNotFoundError for a missing file; ValueError where it is
    another file, does not say which network it holds, or does not fit the one it names.
    """
    content = read_checkpoint(path)
    if not _is_ours(content, path):
        raise CheckpointError(f"{path} is not a file written by save_pretrained")
    weights, about = without_parallel(content["weights"]), content["about"]
    refuse_not_finite(weights, path)
    if not {"backbone", "width"} <= about.keys():
        raise CheckpointError(f"{path} does not say its backbone and width: save it with both")
    classes = len(weights.get(f"{CLASSIFIER}bias", ()))
    try:
        model = build(about["backbone"], num_classes=classes, width=about["width"])
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise CheckpointError(f"{path} does not fit the network it names: {error}") from error
    return model, about


def _is_ours(content: object, path: str | Path) -> bool:
    """Whether `save_pretrained` wrote it; CheckpointError where it is damaged."""
    if not isinstance(content, dict) or not content.keys() >= {"weights", "about"}:
        return False
    weights, about = content["weights"], content["about"]
    named = isinstance(weights, dict) and all(isinstance(name, str) for name in weights)
    if not named or len(tensors_in(weights)) < len(weights) or not isinstance(about, dict):
        raise CheckpointError(f"{path} is damaged: its weights are no named tensors")
    return True


def _without_classifier(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith(CLASSIFIER)}
