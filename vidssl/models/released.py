"""Checkpoints that others released, in the names their code gives to tensors.

A `Layout` tells how one code base calls the tensors of a network that this project builds too.
What stands before these names in a file (wrappers such as "module.") is found.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tarfile import is_tarfile
from types import SimpleNamespace
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from vidssl.core import PlainError
from vidssl.models.network import VideoNetwork

CLASSIFIER = ("classifier.weight", "classifier.bias")
WRAPPERS = ("state_dict", "bb_state_dict", "model", "model_state", "model_state_dict", "network")
WRAPPERS += ("net", "module", "weights")
DEEPEST = 10  # wrappers in each other; a file may hold itself
PARALLEL = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
COUNTER = "num_batches_tracked"  # of batch norm; older files and other code have none


class CheckpointError(PlainError, ValueError):
    """A file that is no checkpoint, or whose weights cannot be used here; the words name it."""


class MissingCheckpoint(PlainError, FileNotFoundError):
    """No file where a checkpoint should be."""


@dataclass(frozen=True)
class Layout:
    """Names of one code base: what the first tensor is called, and each name in ours or None."""

    stem: str
    our_name: Callable[[str], str | None]


def load_released(model: VideoNetwork, path: str | Path, prefix: str | None = None) -> list[str]:
    """Load a checkpoint as its authors released it; returns the names that were left out.

    Layouts known from public code:

    - torchvision's R(2+1)D-18 and R3D-18: weight files, bare or in the ``{"model": ...}`` of its
      reference scripts;
    - TCLR and TimeBalance (github.com/DAVEISHAN), R3D-18, here "r3d_18_dilated": torchvision's
      names in ``{"state_dict": ...}`` or ``{"bb_state_dict": ...}``;
    - this project's own, for a state_dict that was saved without `save_pretrained`;
    - MoSI (github.com/alibaba-mmai-research/TAdaConv, MODEL_ZOO.md), R(2+1)D-10 "r2plus1d_10" and
      R-2D3D-18 "r2d3d_18", pretrained or fine-tuned: ``{"model_state": ...}``;
    - HiCo (the same code base) and CoCLR's code with gates, S3D-G, here "s3dg";
    - PyTorchVideo's slow_r50 (SLOW_8x8_R50.pyth): ``{"model_state": ...}``.

    Networks that differ do not fit: S3D without gates (torchvision's, CoCLR's releases), and
    MIL-NCE's S3D-G, which has a space-to-depth stem and one more gate.

    Wrappers may lie in each other, ``{"state_dict": {"model": ...}}``. What stands before the names
    ("module.", "0.", ...) is found, or given as ``prefix`` where the file holds several networks.
    Batch norm's counters of batches may be missing: the network keeps its own. Left out are
    projection heads, other networks, and the classifier unless it has as many classes as the
    model's. Nothing is executed that the file may hold.
    Colour order and standardisation are the authors' and not in the file: TimeBalance's code gives
    its teachers BGR frames, MoSI's and PyTorchVideo's standardise by 0.45 and 0.225.

    Raises FileNotFoundError for a missing file; ValueError, with nothing loaded, if it holds no
    such weights or if any tensor of the network is missing or has another shape.
    """
    return load_tensors(model, named_tensors(read_checkpoint(path), path), path, prefix)


def load_tensors(
    model: VideoNetwork,
    weights: Mapping[str, Tensor],
    path: str | Path,
    prefix: str | None = None,
    *,
    classifier: bool = True,
) -> list[str]:
    """`load_released` of tensors that were read already, with or without the ``classifier``.

    ``path`` is for messages.
    """
    layout, prefix = _recognise(weights, path, prefix)
    names = {
        name: ours
        for name in weights
        if name.startswith(prefix) and (ours := layout.our_name(name.removeprefix(prefix)))
    }
    found = {ours: weights[name] for name, ours in names.items()}
    try:
        kept = _fitting(model, found, classifier)
    except ValueError as error:
        raise CheckpointError(f"{path}, names behind {prefix!r}: {error}") from None
    refuse_not_finite(kept, path)
    model.load_state_dict(kept, strict=False)
    return [name for name in weights if names.get(name) not in kept]


def _fitting(
    model: VideoNetwork, weights: Mapping[str, Tensor], classifier: bool
) -> dict[str, Tensor]:
    """Those of ``weights``, in our names, to be loaded: the classifier's if wanted and fit."""
    differ = differing(model.state_dict(), weights)
    if wrong := sorted(differ.difference(CLASSIFIER)):
        raise ValueError(
            f"state_dict does not fit: {len(wrong)} tensors differ, e.g. {wrong[0]!r}; build the "
            "network of the same name with width=1.0 and in_channels=3"
        )
    skipped = set(CLASSIFIER) if differ or not classifier else set()
    return {name: tensor for name, tensor in weights.items() if name not in skipped}


def differing(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> set[str]:
    """Names that only one of them has, or whose shapes differ; a counter may be missing."""
    return {
        name
        for name in own.keys() | weights.keys()
        if not (name.endswith(COUNTER) and name not in weights)
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    }


def refuse_not_finite(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """CheckpointError that names ``path`` where a tensor holds NaN or infinity: a network with such
    weights says the same of every clip."""
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(
            f"{path}: {len(broken)} of {len(weights)} tensors hold NaN or infinity, e.g. "
            f"{broken[0]}: its training has diverged; train it anew, with a smaller lr"
        )


def _torchvision(name: str) -> str | None:
    """torchvision calls conv2 layer1 and the classifier fc; names that are ours already stay.

    >>> _torchvision("layer1.0.conv1.0.weight"), _torchvision("fc.bias"), _torchvision("mlp.bias")
    ('conv2.0.conv1.0.weight', 'classifier.bias', None)
    """
    head, dot, tail = name.partition(".")
    stages = {f"layer{i}": f"conv{i + 1}" for i in range(1, 5)}
    names = {"stem": "stem", "fc": "classifier", **stages}
    ours = (names | {name: name for name in names.values()}).get(head)
    return ours and ours + dot + tail


TADACONV_STEM = {"a": 0, "a_bn": 1, "a1": 0, "a1_bn": 1, "a2": 3, "a2_bn": 4}
TADACONV_BLOCK = {
    "short_cut": "downsample.0",
    "short_cut_bn": "downsample.1",
    **{"a": "conv1.0", "a_bn": "conv1.1", "b": "conv2.0", "b_bn": "conv2.1"},
    **{"a1": "conv1.0.0", "a1_bn": "conv1.0.1", "a2": "conv1.0.3", "a2_bn": "conv1.1"},
    **{"b1": "conv2.0.0", "b1_bn": "conv2.0.1", "b2": "conv2.0.3", "b2_bn": "conv2.1"},
}


def _tadaconv(name: str) -> str | None:
    """Residual networks of the code base that MoSI was released with.

    >>> _tadaconv("backbone.conv3.res_1.conv_branch.b1_bn.weight"), _tadaconv("head.out.bias")
    ('conv3.0.conv2.0.1.weight', 'classifier.bias')
    """
    if match := re.fullmatch(r"backbone\.conv1\.(\w+)\.(\w+)", name):
        layer, tensor = match.groups()
        return f"stem.{TADACONV_STEM[layer]}.{tensor}" if layer in TADACONV_STEM else None
    block = r"backbone\.(conv[2-5])\.res_(\d+)\.(?:conv_branch\.)?(\w+)\.(\w+)"
    if match := re.fullmatch(block, name):
        stage, number, layer, tensor = match.groups()
        inside = TADACONV_BLOCK.get(layer)
        return inside and f"{stage}.{int(number) - 1}.{inside}.{tensor}"
    return name.replace("head.out.", "classifier.") if name.startswith("head.out.") else None


PYTORCHVIDEO_BLOCK = {
    **{"branch1_conv": "downsample.0", "branch1_norm": "downsample.1"},
    **{f"branch2.conv_{part}": f"conv{i}.0" for i, part in enumerate("abc", start=1)},
    **{f"branch2.norm_{part}": f"conv{i}.1" for i, part in enumerate("abc", start=1)},
}


def _pytorchvideo(name: str) -> str | None:
    """PyTorchVideo's residual networks: block 0 is the stem, block 5 the head.

    >>> _pytorchvideo("blocks.2.res_blocks.1.branch2.norm_c.bias")
    'conv3.1.conv3.1.bias'
    """
    if match := re.fullmatch(r"blocks\.0\.(conv|norm)\.(\w+)", name):
        return f"stem.{int(match[1] == 'norm')}.{match[2]}"
    if match := re.fullmatch(r"blocks\.([1-4])\.res_blocks\.(\d+)\.(.+)\.(\w+)", name):
        stage, number, layer, tensor = match.groups()
        inside = PYTORCHVIDEO_BLOCK.get(layer)
        return inside and f"conv{int(stage) + 1}.{number}.{inside}.{tensor}"
    return name.replace("blocks.5.proj.", "classifier.") if "blocks.5.proj." in name else None


SEPARABLE = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4}  # places of layers with ReLUs between
POINTWISE = {"conv": 0, "bn": 1}


def _inception(name: str) -> str | None:
    """CoCLR's S3D-G, which TAdaConv and HiCo took over; its layers are in the file twice.

    >>> _inception("block3.2.branch1.1.conv2.weight"), _inception("block5.1.gating_b3.fc.bias")
    ('conv3.2.branches.1.6.weight', 'conv5.1.branches.3.4.linear.bias')
    """
    if match := re.fullmatch(r"block1\.0\.(\w+)\.(\w+)", name):
        return f"stem.{SEPARABLE[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"block2\.([12])\.(\w+)\.(\w+)", name):
        place = 1 + POINTWISE[match[2]] if match[1] == "1" else 4 + SEPARABLE[match[2]]
        return f"conv2.{place}.{match[3]}"
    if match := re.fullmatch(r"block([345])\.(\d)\.gating_b(\d)\.fc\.(\w+)", name):
        stage, number, branch, tensor = match.groups()
        return f"conv{stage}.{number}.branches.{branch}.{(3, 9, 9, 4)[int(branch)]}.linear.{tensor}"
    if match := re.fullmatch(r"block([345])\.(\d)\.branch(\d)\.(\d)\.(\w+)\.(\w+)", name):
        stage, number, branch, part, layer, tensor = match.groups()
        first = 3 if branch in "12" and part == "1" else int(part)
        place = first + (POINTWISE | SEPARABLE)[layer]
        return f"conv{stage}.{number}.branches.{branch}.{place}.{tensor}"
    return None


LAYOUTS = (
    Layout("stem.0.weight", _torchvision),
    Layout("backbone.conv1.a1.weight", _tadaconv),
    Layout("backbone.conv1.a.weight", _tadaconv),
    Layout("blocks.0.conv.weight", _pytorchvideo),
    Layout("block1.0.conv1.weight", _inception),
)


def _recognise(
    weights: Mapping[str, Tensor], path: str | Path, prefix: str | None
) -> tuple[Layout, str]:
    """The layout whose first tensor is there, and what stands before its name."""
    found = [
        (layout, name.removesuffix(layout.stem))
        for layout in LAYOUTS
        for name in weights
        if name.endswith(layout.stem) and prefix in (None, name.removesuffix(layout.stem))
    ]
    if not found:
        raise CheckpointError(
            f"{path}: no tensor is called {', '.join(layout.stem for layout in LAYOUTS)}"
            f"{f' behind {prefix!r}' if prefix else ''}, as in the layouts that load_released "
            f"knows; the file has {', '.join(list(weights)[:3])}, ..."
        )
    if len(found) > 1:
        raise CheckpointError(
            f"{path} holds {len(found)} networks: give one of {[f[1] for f in found]} as prefix"
        )
    return found[0]


def named_tensors(content: object, path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a checkpoint, out of its wrappers; ValueError that says what is there
    instead."""
    inside, wrappers = content, []
    while len(wrappers) < DEEPEST and (key := _wrapper(inside)) is not None:
        inside = inside[key]
        wrappers.append(str(key))
    if tensors := tensors_in(inside):
        return tensors
    where = f" under {' > '.join(wrappers)}" if wrappers else ""
    if isinstance(inside, _Ignored):
        raise CheckpointError(
            f"{path}: holds{where} a pickled object of {inside.what}, whose code is not run; open "
            "it where that code is and save its state_dict()"
        )
    several = ", ".join(_holders(inside))
    found = (
        f"several networks, under {several}: save one of them" if several else "no named tensors"
    )
    raise CheckpointError(f"{path}: holds{where} {found}; known wrappers are {', '.join(WRAPPERS)}")


def _wrapper(content: object) -> object | None:
    """The key of a dictionary below which the tensors lie, None where they lie in it or nowhere."""
    if not isinstance(content, dict):
        return None
    for kind in (dict, _Ignored):
        for key in WRAPPERS:
            if isinstance(content.get(key), kind) and (kind is dict or not tensors_in(content)):
                return key
    holders = _holders(content)
    return holders[0] if len(holders) == 1 and not tensors_in(content) else None


def _holders(content: object) -> list[str]:
    """Keys of a dictionary that hold dictionaries with tensors."""
    return [k for k, v in content.items() if tensors_in(v)] if isinstance(content, dict) else []


def tensors_in(content: object) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        return {}
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def without_parallel(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what DataParallel or torch.compile put before all of them.

    >>> list(without_parallel({"module._orig_mod.a": torch.ones(1)}))
    ['a']
    """
    for prefix in PARALLEL * 2:
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return dict(weights)


def read_checkpoint(path: str | Path) -> object:
    """What a file of torch.save holds, with `_Ignored` in place of all but plain data and tensors.

    Raises FileNotFoundError for a missing file, CheckpointError for one that is none.
    """
    if not Path(path).is_file():
        raise MissingCheckpoint(
            f"no checkpoint at {path}: run the pretraining first, or download it from its authors"
        )
    reader = SimpleNamespace(__name__="pickle", Unpickler=_TensorsOnly, load=_load_tensors)
    try:
        if is_tarfile(path) or (is_zipfile(path) and _is_program(path)):
            raise ValueError("a TorchScript program or a tar archive; save the state_dict() alone")
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {reason}") from error


def _is_program(path: str | Path) -> bool:
    """Whether torch would take the file for TorchScript, and run what it holds."""
    with ZipFile(path) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())


class _Ignored:
    """Stands for every object in a checkpoint that is no tensor, such as TCLR's loss scaler."""

    what = "thing"

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
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return type("_Ignored", (_Ignored,), {"what": f"{module}.{name}"})


def _load_tensors(file, **options):
    return _TensorsOnly(file, **options).load()
