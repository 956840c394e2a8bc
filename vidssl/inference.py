"""A frozen network and data in, predictions, features and attention maps out.

Inputs come from the CPU and results go back to it; where a network computes is decided here and in
`vidssl.training`, nowhere else. A network stays where it was brought.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from vidssl import processes as workers
from vidssl.core import (
    ahead,
    bring,
    check_precision,
    compute_device,
    expect_shape,
    keep_freed_memory,
    loaded,
    normalise,
    one_of,
    unpack,
)
from vidssl.data import collate
from vidssl.data.clip_table import RowFile
from vidssl.evaluation import Report, classification_report
from vidssl.files import read_arrays, told, write_arrays
from vidssl.models import VideoNetwork
from vidssl.progress import tracked


@dataclass(frozen=True)
class Outputs:
    """One row a readable video, in the order of the data set.

    ``values`` (V, D) or, for every clip, (V, N, D) float32; ``labels`` (V,) int64; ``video_ids``.
    Videos that could not be read are in ``failed`` ("path: reason"), their labels in
    ``failed_labels``: count them. Their names are in ``failed_ids`` where `run_videos` made this.
    """

    values: np.ndarray
    labels: np.ndarray
    video_ids: list[str]
    failed: list[str]
    failed_labels: np.ndarray
    failed_ids: tuple[str, ...] = ()


def predict(
    model: nn.Module,
    dataset: Dataset,
    prepare: Callable[[Tensor], Tensor] = normalise,
    **options,
) -> Outputs:
    """Class probabilities (V, K): the softmax of every clip of a video, averaged.

    With the ten uniform clips and one centre crop this is the protocol of
    all three papers. ``prepare`` makes clips the network's input, RGB by default. ``options`` as
    in `run_videos`.
    """

    def probabilities(network: nn.Module, clip: Tensor) -> Tensor:
        return network(prepare(clip)).softmax(dim=-1)

    return _mean_over_clips(run_videos(model, dataset, probabilities, desc="predict", **options))


def extract_features(model: nn.Module, dataset: Dataset, **options) -> Outputs:
    """Features (V, D): pooled over space and time, averaged over the clips of a video."""

    def pooled(network: nn.Module, clip: Tensor) -> Tensor:
        return network.forward_features(normalise(clip)).mean(dim=(2, 3, 4))

    return _mean_over_clips(run_videos(model, dataset, pooled, desc="features", **options))


def report(outputs: Outputs, class_names: Sequence[str]) -> Report:
    """Accuracies of predicted probabilities (V, K); videos that failed count as wrong."""
    return classification_report(
        outputs.values,
        outputs.labels,
        class_names,
        failed=outputs.failed,
        failed_labels=outputs.failed_labels,
    )


def save_predictions(path: str | os.PathLike, outputs: Mapping[str, Outputs]) -> None:
    """Write the class probabilities that networks, by name, gave to the same videos."""
    [video_ids] = {tuple(found.video_ids) for found in outputs.values()}
    values = {name: found.values for name, found in outputs.items()}
    write_arrays(path, video_id=np.array(video_ids), **values)


def load_predictions(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """Network -> video -> class probabilities (K,), as `save_predictions` wrote them.

    ValueError for a file that holds none.
    """
    try:
        columns = read_arrays(path)
        video_ids = columns.pop("video_id").tolist()
        return {name: dict(zip(video_ids, values, strict=True)) for name, values in columns.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no predictions of networks: {told(error)}") from error


def place(model: nn.Module, device: str | torch.device | None = None) -> torch.device:
    """Bring the whole of ``model`` to where it is to compute, in evaluation mode; returns where."""
    keep_freed_memory()
    device = torch.device(device) if device else compute_device()
    with torch.inference_mode(False):  # weights moved inside that mode could never learn again
        bring(model.eval(), device)
    return device


def half_precision(
    precision: str, device: torch.device, model: nn.Module
) -> AbstractContextManager:
    """A context in which ``model`` computes in bf16, or with ``precision`` 'no' as it is.

    ValueError as in `vidssl.core.check_precision`.
    """
    check_precision(precision, device, model)
    half = precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


@torch.inference_mode()
def apply(
    model: nn.Module,
    inputs: Tensor,
    forward: Callable[[nn.Module, Tensor], Tensor],
    *,
    batch: int = 64,
    precision: str = "no",
    device: str | torch.device | None = None,
) -> Tensor:
    """``forward(model, part)`` for ``batch`` rows of ``inputs`` at a time, joined on the CPU.

    Pixels (uint8) become floats in [0, 1] where the network is; ``precision`` as in
    `half_precision`, whose results become float32.
    """
    device = place(model, device)

    def computed(part: Tensor) -> Tensor:
        return forward(model, unpack(part.to(device, non_blocking=True), device)).float()

    with half_precision(precision, device, model):
        return torch.cat([computed(part) for part in inputs.split(batch)]).cpu()


def run_videos(
    model: nn.Module,
    dataset: Dataset,
    forward: Callable[[nn.Module, Tensor], Tensor],
    *,
    processes: int = 1,
    **options: Any,
) -> Outputs:
    """``forward(model, clip)`` (B, D) on every clip of a `ClipDataset`: values (V, N, D).

    ``clip`` is (B, 3, T, H, W) in [0, 1], the distinct clips of ``batch_videos`` videos (8): those
    of a video shorter than a clip are all the same. Values lie on disk, memory-mapped.
    ``processes`` as in `shared`; other ``options``: ``num_workers``, ``progress`` and ``desc`` as
    in `read_ahead`, ``precision`` and ``device`` as in `apply`. Raises RuntimeError when no video
    can be read.
    """
    found = shared(partial(_outputs_of, model, forward, **options), model, dataset, processes)
    texts = {name: found[name].tolist() for name in ("video_ids", "failed", "failed_ids")}
    return Outputs(**{**found, **texts, "failed_ids": tuple(texts["failed_ids"])})


def _outputs_of(
    model: nn.Module,
    forward: Callable[[nn.Module, Tensor], Tensor],
    dataset: Dataset,
    *,
    batch_videos: int = 8,
    num_workers: int = 0,
    precision: str = "no",
    device: str | torch.device | None = None,
    progress: bool = True,
    desc: str = "",
) -> dict[str, np.ndarray]:
    """The columns of `Outputs`, however few videos can be read."""
    rows, readable, unreadable = RowFile(), [], []
    shown = {"desc": desc, "unit": "batch", "progress": progress}
    for samples in read_ahead(dataset, batch_videos, num_workers, **shown):
        kept = [sample for sample in samples if not sample["failed"]]
        unreadable += [sample for sample in samples if sample["failed"]]
        if kept:
            clips = collate([{"clips": sample.pop("clips")} for sample in kept])["clips"]
            clips = clips if isinstance(clips, Tensor) else unpack(clips)
            distinct, places = without_repeats(clips)
            where = {"batch": len(distinct), "precision": precision, "device": device}
            rows.add(apply(model, distinct, forward, **where)[places].numpy())
            readable += kept
    return {
        "values": rows.rows(),
        "labels": np.array([sample["label"] for sample in readable], dtype=np.int64),
        "video_ids": np.array([sample["video_id"] for sample in readable], dtype=str),
        "failed": np.array([sample["failed"][0] for sample in unreadable], dtype=str),
        "failed_labels": np.array([sample["label"] for sample in unreadable], dtype=np.int64),
        "failed_ids": np.array([sample["video_id"] for sample in unreadable], dtype=str),
    }


def only_of(outputs: Outputs, video_ids: Collection[str], lacking: str) -> Outputs:
    """The rows of ``video_ids``; each other video becomes one that failed, "video: ``lacking``"."""
    kept = np.isin(outputs.video_ids, list(video_ids))
    others = tuple(np.array(outputs.video_ids)[~kept].tolist())
    return replace(
        outputs,
        values=outputs.values[kept],
        labels=outputs.labels[kept],
        video_ids=np.array(outputs.video_ids)[kept].tolist(),
        failed=[*outputs.failed, *(f"{video_id}: {lacking}" for video_id in others)],
        failed_labels=np.concatenate([outputs.failed_labels, outputs.labels[~kept]]),
        failed_ids=outputs.failed_ids + others,
    )


WORTH = 256  # videos that a process must have, to be worth the ten seconds in which it starts


def shared(
    compute: Callable[[Dataset], dict[str, np.ndarray]],
    model: nn.Module,
    dataset: Dataset,
    processes: int,
) -> dict[str, np.ndarray]:
    """The columns that ``compute(dataset)`` makes of videos with ``model``, which it holds.

    With ``processes``, one GPU each, on this machine, each takes a share of at least `WORTH` videos
    and the columns are joined in the order of the data set; errors as in `vidssl.processes.run`.
    RuntimeError where there are no ``values``, naming the first of ``failed``.
    """
    processes = min(processes, len(dataset) // WORTH)
    found = compute(dataset) if processes <= 1 else _joined(compute, model, dataset, processes)
    if not len(found["values"]):
        failed = found["failed"].tolist()
        raise RuntimeError(f"none of {len(failed)} videos could be read; first: {failed[0]}")
    return found


def _joined(
    compute: Callable, model: nn.Module, dataset: Dataset, processes: int
) -> dict[str, np.ndarray]:
    bring(model, torch.device("cpu"))  # else all would meet on the first GPU
    with TemporaryDirectory() as folder:
        workers.run(partial(_own_share, compute, dataset, folder), processes)
        parts = [read_arrays(Path(folder, f"{place}.npz")) for place in range(processes)]
        values = RowFile()
        for part in parts:
            values.add(part["values"])
        others = [name for name in parts[0] if name != "values"]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in others}
        return {**joined, "values": values.rows()}


def _own_share(compute: Callable, dataset: Dataset, folder: str, tell: workers.Tell) -> None:
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())  # chooses this process's GPU
    place, of = state.process_index, state.num_processes
    share = range(place * len(dataset) // of, (place + 1) * len(dataset) // of)
    columns = compute(Subset(dataset, share))
    write_arrays(Path(folder, f"{place}.npz"), compressed=False, **columns)


def read_ahead(
    dataset: Dataset,
    batch_videos: int = 1,
    num_workers: int = 0,
    *,
    desc: str = "",
    unit: str = "video",
    progress: bool = True,
) -> Iterator[list[dict]]:
    """The packed samples of ``batch_videos`` videos at a time, read while those before are used."""
    loader = DataLoader(
        dataset,
        batch_videos,
        num_workers=num_workers,
        collate_fn=list,
        pin_memory=torch.cuda.is_available(),
    )
    return tracked(ahead(loaded(loader)), desc, unit, total=len(loader), shown=progress)


def without_repeats(clips: Tensor) -> tuple[Tensor, Tensor]:
    """Clips (V, N, ...) without those that equal the one before them in their video.

    Returns (M, ...), and the place (V, N) of each clip among them.
    """
    new = torch.ones(clips.shape[:2], dtype=torch.bool, device=clips.device)
    new[:, 1:] = (clips[:, 1:] != clips[:, :-1]).flatten(2).any(dim=2)
    return clips[new], new.flatten().cumsum(0).sub(1).view_as(new)


def grad_cam(
    model: VideoNetwork, clips: Tensor, layer: str = "conv5", target: int | Tensor | None = None
) -> Tensor:
    """Where the evidence for a class lies: maps (B, T, H, W) of clips (B, 3, T, H, W) in [0, 1].

    Grad-CAM (Selvaraju et al., ICCV 2017, Eq. 1 and 2) in space and time: the channels of a stage,
    each weighted by the mean gradient of the class's logit, summed and cut off at 0, brought to
    the clip's size trilinearly. Maps are on the CPU, at least 0, in units of the logit: divide by
    their largest value to show them.

    Args:
        model: a network with a classifier. It is put into evaluation mode.
        layer: one of ``model.stages()``; late ones are coarse, for a 32 px clip conv5 has 2 x 2
            places.
        target: a class, one a clip (B,), or None: the class with the largest logit.

    Raises:
        ValueError: for an unknown layer or class, and for a network without a classifier.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    expect_shape(clips, "B C T H W", "clips", C=3)
    stage = model.stages()[one_of("layer", layer, list(model.stages()))]
    if not model.num_classes:
        raise ValueError("model has no classifier, so no class to look for: load one with its head")
    inputs = normalise(clips.to(place(model))).requires_grad_()
    chosen = _targets(model, inputs, target)
    maps = LayerGradCam(model, stage).attribute(inputs, chosen, relu_attributions=True).detach()
    size = tuple(clips.shape[2:])
    return LayerAttribution.interpolate(maps, size, interpolate_mode="trilinear")[:, 0].cpu()


def _targets(model: VideoNetwork, inputs: Tensor, target: int | Tensor | None) -> Tensor:
    """The class to explain of each clip, (B,)."""
    if target is None:
        with torch.no_grad():
            return model(inputs).argmax(dim=1)
    classes = torch.as_tensor(target, device=inputs.device).expand(len(inputs))
    if classes.min() < 0 or classes.max() >= model.num_classes:
        raise ValueError(f"target must be in [0, {model.num_classes}), got {target}")
    return classes


def _mean_over_clips(outputs: Outputs) -> Outputs:
    return replace(outputs, values=outputs.values.mean(axis=1))
