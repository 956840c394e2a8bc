"""Weights from one network into another: what a method leaves and the next one starts from."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

CLASSIFIER = "classifier."


def save_pretrained(model: nn.Module, path: str | Path, **about) -> Path:
    """Write the weights of ``model`` with what one must know to build it again (``about``)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    torch.save({"weights": state, "about": about}, partial)
    os.replace(partial, path)
    return path


def load_pretrained(model: nn.Module, path: str | Path) -> dict:
    """Load a backbone written by `save_pretrained` into ``model``; returns its ``about``.

    The classifier stays as it is: its classes belong to another task. Raises FileNotFoundError
    for a missing file and ValueError when the file is no checkpoint of this project or its
    weights do not fit.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no pretrained weights at {path}: run the pretraining first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights = {k: v for k, v in state["weights"].items() if not k.startswith(CLASSIFIER)}
    except Exception as error:
        raise ValueError(f"{path} is not a file written by save_pretrained: {error}") from error
    own = {k: v for k, v in model.state_dict().items() if not k.startswith(CLASSIFIER)}
    wrong = [
        name
        for name in own.keys() | weights.keys()
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{path} holds another network ({state['about'].get('backbone', 'unknown')}, width "
            f"{state['about'].get('width', 'unknown')}): {len(wrong)} of {len(own)} tensors do "
            f"not fit, e.g. {sorted(wrong)[0]}"
        )
    model.load_state_dict(weights, strict=False)
    return state["about"]
