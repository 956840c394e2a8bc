"""Weights from one network into another: what a method leaves and the next one starts from."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from vidssl.models.backbones import VideoResNet, load_torchvision_weights
from vidssl.models.network import VideoNetwork
from vidssl.models.registry import build

CLASSIFIER = "classifier."
STEM = "stem.0.weight"  # the first tensor of torchvision's video networks
PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "fc")
WRAPPERS = ("state_dict", "bb_state_dict", "model")  # TCLR's, TCLR's, torchvision's references


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
    state, about = _read_saved(Path(path))
    weights = {k: v for k, v in state.items() if not k.startswith(CLASSIFIER)}
    own = {k: v for k, v in model.state_dict().items() if not k.startswith(CLASSIFIER)}
    wrong = [
        name
        for name in own.keys() | weights.keys()
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{path} holds another network ({about.get('backbone', 'unknown')}, width "
            f"{about.get('width', 'unknown')}): {len(wrong)} of {len(own)} tensors do "
            f"not fit, e.g. {sorted(wrong)[0]}"
        )
    model.load_state_dict(weights, strict=False)
    return about


def load_with_head(path: str | Path) -> tuple[VideoNetwork, dict]:
    """The whole network of a file of `save_pretrained`, built anew with the classifier it was
    trained with, and its ``about``. Errors as `load_pretrained`; ValueError, too, where the file
    does not say which network it holds.
    """
    weights, about = _read_saved(Path(path))
    if not {"backbone", "width"} <= about.keys():
        raise ValueError(f"{path} does not say its backbone and width: save it with both")
    classes = len(weights.get(f"{CLASSIFIER}bias", ()))
    model = build(about["backbone"], num_classes=classes, width=about["width"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the network it names: {error}") from error
    return model, about


def _read_saved(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Weights and ``about`` of a file of `save_pretrained`."""
    if not path.exists():
        raise FileNotFoundError(f"no pretrained weights at {path}: run the pretraining first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state["weights"]), dict(state["about"])
    except Exception as error:
        raise ValueError(f"{path} is not a file written by save_pretrained: {error}") from error


def load_released(model: VideoResNet, path: str | Path, prefix: str | None = None) -> list[str]:
    """Load a checkpoint in torchvision's names, bare or wrapped, such as its authors released.

    Layouts known from public code: torchvision's own weight files, the ``{"model": ...}`` of its
    reference scripts, and the R3D-18 of TCLR and TimeBalance (github.com/DAVEISHAN; here
    "r3d_18_dilated"): ``{"state_dict": ...}`` or ``{"bb_state_dict": ...}`` with names behind
    "module.", "0." or "module.0.". What stands before the names is found, or given as ``prefix``
    where the file holds several networks.

    Returns the names in the file that were left out: projection heads, other networks, and the
    classifier unless it has as many classes as the model's. Nothing is executed that the file may
    hold. Colour order and standardisation are the authors' and not in the file: TimeBalance's code
    gives its teachers BGR frames.

    Raises FileNotFoundError for a missing file; ValueError, with nothing loaded, if it holds no
    such weights or if any tensor of the network is missing or has another shape.
    """
    weights = _read_tensors(Path(path))
    prefix = _find_prefix(weights, path) if prefix is None else prefix
    names = {
        name: name.removeprefix(prefix)
        for name in weights
        if name.startswith(prefix) and name.removeprefix(prefix).split(".")[0] in PARTS
    }
    try:
        load_torchvision_weights(model, {short: weights[name] for name, short in names.items()})
    except ValueError as error:
        raise ValueError(f"{path}, names behind {prefix!r}: {error}") from None
    own = model.state_dict()
    head_fits = all(
        f"{prefix}fc.{part}" in weights
        and f"{CLASSIFIER}{part}" in own
        and weights[f"{prefix}fc.{part}"].shape == own[f"{CLASSIFIER}{part}"].shape
        for part in ("weight", "bias")
    )
    loaded = {name for name, short in names.items() if head_fits or not short.startswith("fc.")}
    return [name for name in weights if name not in loaded]


def _find_prefix(weights: dict[str, Tensor], path: str | Path) -> str:
    found = [name.removesuffix(STEM) for name in weights if name.endswith(STEM)]
    if not found:
        first = ", ".join(list(weights)[:3])
        raise ValueError(
            f"{path}: no tensor is called {STEM!r}, as in torchvision's video networks; the file "
            f"has {first}, ..."
        )
    if len(found) > 1:
        raise ValueError(f"{path} holds {len(found)} networks: give one of {found} as prefix")
    return found[0]


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a checkpoint, out of its wrapper."""
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: download it from its authors first")
    reader = SimpleNamespace(__name__="pickle", Unpickler=_TensorsOnly, load=_load_tensors)
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint: {error}") from error
    if isinstance(content, dict):
        inside = next(
            (content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None
        )
        content = content if inside is None else inside
        tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        if tensors:
            return tensors
    raise ValueError(f"{path} holds no named tensors, bare or under {', '.join(WRAPPERS)}")


class _Ignored:
    """Stands for every object in a checkpoint that is no tensor, such as TCLR's loss scaler."""

    def __init__(self, *_, **__): ...

    def __setstate__(self, state): ...

    def __setitem__(self, key, value): ...

    def append(self, value): ...


class _TensorsOnly(pickle.Unpickler):
    """Makes tensors and dictionaries and calls nothing else that a file names.

    torch.load(weights_only=True) would refuse the whole file for one foreign object in it.
    """

    def find_class(self, module: str, name: str):
        allowed = ("_rebuild_tensor_v2", "_rebuild_parameter")
        if module == "torch._utils" and name in allowed:
            return getattr(torch._utils, name)
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Ignored


def _load_tensors(file, **options):
    return _TensorsOnly(file, **options).load()
