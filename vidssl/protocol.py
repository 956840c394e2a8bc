"""What every comparison shares: clips, tuning, starts, fine-tuning and judging, each once.

A method makes weights; what they are worth is asked here, of all methods alike:

>>> from vidssl import protocol
>>> clips = protocol.Clips(frames=8, stride=2, size=32, short_side=40)
>>> tuning = protocol.Tuning(steps=600, batch_size=8)
>>> network, about = protocol.start_network("", backbone="r2plus1d_10", width=0.125,
...                                         num_classes=4, seed=0)  # or a path of weights
>>> result = protocol.fine_tune(network, labelled, clips, tuning)  # doctest: +SKIP
>>> judged = protocol.judge(network, splits, labelled, clips)  # doctest: +SKIP
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vidssl import models
from vidssl.core import VideoRecord, derive_seed, normalise, one_of
from vidssl.data import (
    Augmentation,
    ClipDataset,
    RGBFrames,
    Splits,
    StoredFlow,
    TestTransform,
    TrainTransform,
    collate,
    dense_clips,
    random_clips,
    uniform_clips,
)
from vidssl.data.class_groups import class_groups
from vidssl.data.datasets import squeezed
from vidssl.data.frame_store import FrameStore
from vidssl.data.transforms import NOT_AUGMENTED
from vidssl.evaluation import Report
from vidssl.inference import Outputs, predict, report
from vidssl.methods import supervised
from vidssl.methods.baselines import KINDS as YARDSTICKS
from vidssl.methods.baselines import yardstick
from vidssl.models import VideoNetwork
from vidssl.models.pretrained import load_pretrained
from vidssl.training import TrainConfig, TrainingStep, TrainResult, fit

CHANNELS = {"rgb": 3, "flow": 2}

# --- clips ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clips:
    """Which clips a network sees, in training and in tests.

    Args:
        frames, stride: a clip's frames and the gap between them; 0: spread over the whole video.
        size: px, cut from frames (or flow) whose short side is ``short_side``.
        whole_frame: frames become squares of ``short_side`` first, so that crops keep the sides.
        augmentation: what training clips go through.
        modality: "rgb", or "flow", which is read from the folder ``flow``, where it was extracted
            from the videos below ``root``.
        store: decoded frames, where they are kept.
    """

    frames: int
    stride: int
    size: int
    short_side: int
    augmentation: Augmentation = NOT_AUGMENTED
    modality: str = "rgb"
    flow: str = ""
    root: str = ""
    store: FrameStore | None = None
    whole_frame: bool = False

    def __post_init__(self) -> None:
        one_of("modality", self.modality, tuple(CHANNELS))
        if self.whole_frame and self.modality != "rgb":
            raise ValueError("whole_frame is of RGB alone: flow keeps its px, so its crop is cut")

    @classmethod
    def of(cls, params: Mapping[str, Any], **others: Any) -> Clips:
        """Those of a page's parameters; ``others`` are fields that are not, or go first."""
        names = ("frames", "size", "short_side", "modality", "whole_frame")
        told = {name: params[name] for name in names if name in params}
        told["stride"] = params.get("frame_stride", 1)
        told["augmentation"] = Augmentation.of(params.get("augmentation", {}))
        return cls(**{**told, **others})

    @property
    def channels(self) -> int:
        return CHANNELS[self.modality]

    @property
    def prepare(self) -> Callable[[Tensor], Tensor]:
        """What makes these clips a network's input; flow in px goes in as it is."""
        return normalise if self.modality == "rgb" else _as_it_is

    def training(
        self, records: Sequence[VideoRecord], seed: int, count: int = 1, transform: Any = None
    ) -> ClipDataset:
        """``count`` random clips of each video, without overlap where it is long enough.

        ``transform`` replaces the augmented crop, e.g. by `vidssl.data.TwoViews`.
        """
        choose = partial(random_clips, frames=self.frames, stride=self.stride, count=count)
        return ClipDataset(records, self.source, choose, transform or self.augmented(), seed=seed)

    def augmented(self, augmentation: Augmentation | None = None) -> TrainTransform:
        """The random crop of these clips, with their augmentation or another one."""
        return TrainTransform(self.size, self.short_side, augmentation or self.augmentation)

    def even(self, records: Sequence[VideoRecord], count: int) -> ClipDataset:
        """``count`` clips spread evenly over each video, centre crops."""
        return self.chosen(records, partial(uniform_clips, count=count))

    def dense(self, records: Sequence[VideoRecord], step: int) -> ClipDataset:
        """A clip each ``step`` frames of each video, centre crops."""
        return self.chosen(records, partial(dense_clips, step=step))

    def chosen(self, records: Sequence[VideoRecord], choose: Callable) -> ClipDataset:
        """The clips that ``choose(num_frames, frames=, stride=)`` names, centre crops."""
        choose = partial(choose, frames=self.frames, stride=self.stride)
        return ClipDataset(records, self.source, choose, TestTransform(self.size, self.short_side))

    def plain(self, frames: np.ndarray) -> Tensor:
        """Decoded frames (N, T, H, W, 3), or those of one clip, as tests see them."""
        seen = squeezed(frames, self.short_side) if self.whole_frame else frames
        return TestTransform(self.size, self.short_side)(seen)

    @property
    def source(self) -> RGBFrames | StoredFlow:
        if self.modality == "rgb":
            return RGBFrames(self.short_side, self.store, self.whole_frame)
        return StoredFlow(self.flow, self.root, self.short_side)


def _as_it_is(clips: Tensor) -> Tensor:
    return clips


# --- training ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tuning:
    """How a network is trained. Defaults suit the mini scale.

    As many whole epochs as come nearest to ``steps``, so that 5 videos a class and all of them get
    the same budget; with ``epochs`` so many instead, whatever the number of videos. ``warmup`` is a
    share of the training. No more steps share an update (``accumulate``) than an epoch has: few
    videos are one batch wherever there are GPUs enough. The rest as in
    `vidssl.training.TrainConfig` and `vidssl.training.fit`.
    """

    steps: int = 1000
    epochs: int = 0
    batch_size: int = 16
    lr: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    warmup: float = 0.03
    weight_decay: float = 1e-3
    accumulate: int = 1
    precision: str = "no"
    num_workers: int = 0
    compile: bool = False
    checkpoint_minutes: float = 5.0
    processes: int = 1
    launcher: str = ""

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.epochs < 0 or (self.epochs == 0 and self.steps < 1):
            raise ValueError(
                f"epochs={self.epochs} and steps={self.steps} train nothing: give one of them, "
                "1 or more"
            )
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup={self.warmup} must be a share of the training, in [0, 1]")

    @classmethod
    def of(cls, params: Mapping[str, Any], prefix: str = "", **others: Any) -> Tuning:
        """That of a page's parameters: each field's name, or ``prefix`` and its name, which goes
        first (``tuning_lr`` beside ``lr``); ``others`` replace them. A page that has ``epochs``
        alone has no steps to fall back on."""
        told = {f.name: params[f.name] for f in fields(cls) if f.name in params}
        told |= {f.name: params[prefix + f.name] for f in fields(cls) if prefix + f.name in params}
        told |= others
        return cls(**({"steps": 0} if "epochs" in told else {}) | told)

    def config(self, samples: int, seed: int) -> TrainConfig:
        """The same for a data set of so many samples."""
        chosen = {
            name: getattr(self, name)
            for name in ("batch_size", "lr", "optimizer", "schedule", "weight_decay", "precision",
                         "num_workers", "compile", "checkpoint_minutes")
        }  # fmt: skip
        batches = max(1, samples // (self.batch_size * self.processes))
        chosen["accumulate"] = min(self.accumulate, batches)
        chosen |= {"seed": seed, "milestones": tuple(self.milestones)}
        if self.epochs:
            warmup = self.warmup * self.epochs
            return TrainConfig(epochs=self.epochs, warmup_epochs=warmup, **chosen)
        return TrainConfig.for_steps(
            self.steps, samples, processes=self.processes, warmup=self.warmup, **chosen
        )


def hold_out(
    splits: Splits, number: int, data_seed: int = 0
) -> tuple[list[VideoRecord], list[VideoRecord]]:
    """Videos (or images) to pretrain on, and ``number`` that a pretraining never sees.

    Those come from the test videos, or where a data set has none from the last tenth of all.
    """
    kept = splits.test or splits.train[-max(1, len(splits.train) // 10) :]
    training = splits.train if splits.test else splits.train[: -len(kept)]
    order = np.random.default_rng(derive_seed(data_seed, "held out")).permutation(len(kept))
    return list(training), [kept[i] for i in order[:number]]


def train(
    network: nn.Module,
    dataset: Dataset,
    step: TrainingStep,
    tuning: Tuning,
    *,
    seed: int = 0,
    **outputs: Any,
) -> TrainResult:
    """`vidssl.training.fit` by a `Tuning`. ``outputs``: where what goes (``folder``, ...)."""
    return fit(
        network,
        dataset,
        step,
        tuning.config(len(dataset), seed),
        processes=tuning.processes,
        launcher=tuning.launcher,
        collate=collate,
        **outputs,
    )


def spent(
    result: TrainResult, tuning: Tuning, samples: int, clips: int = 1, name: str = ""
) -> dict[str, float]:
    """What a training took, for a record: ``clips_seen`` counts the clips that what learns was
    shown, ``clips`` of each of ``samples`` samples an epoch. Names begin with ``name``.
    """
    batch = min(tuning.batch_size * tuning.processes, samples)
    prefix = f"{name}_" if name else ""
    return {
        f"{prefix}steps": result.steps,
        f"{prefix}training_seconds": result.seconds,
        f"{prefix}clips_seen": result.steps * batch * clips,
    }


def start_network(
    start: str | Path,
    *,
    backbone: str,
    width: float,
    num_classes: int,
    seed: int,
    in_channels: int = 3,
    frozen_stages: Sequence[str] = (),
) -> tuple[VideoNetwork, dict[str, Any]]:
    """A network with the weights of the file ``start`` ("": from scratch), and what it says.

    What has no weights yet, the classifier or all, is the same draw of ``seed`` for every start.
    ``frozen_stages`` keep their weights. Errors as `vidssl.models.pretrained.load_pretrained`.
    """
    torch.manual_seed(derive_seed(seed, "weights"))
    network = models.build(backbone, num_classes=num_classes, width=width, in_channels=in_channels)
    about = load_pretrained(network, start) if start else {}
    models.freeze(network, frozen_stages)
    return network, about


def fine_tune(
    network: VideoNetwork,
    labelled: Sequence[VideoRecord],
    clips: Clips,
    tuning: Tuning,
    *,
    seed: int = 0,
    clips_per_video: int = 1,
    **outputs: Any,
) -> TrainResult:
    """Train ``network`` on labelled videos with the (multi-clip) cross-entropy, in place."""
    dataset = clips.training(labelled, seed, clips_per_video)
    step = supervised.training_step(clips.prepare)
    return train(network, dataset, step, tuning, seed=seed, **outputs)


# --- judging -------------------------------------------------------------------------------------


def computing(params: Mapping[str, Any]) -> dict[str, Any]:
    """How a page's frozen networks compute: the parameters of it that are options of
    `vidssl.inference.run_videos`. The processes of a ``launcher`` may lie on other machines: there
    one computes."""
    names = ("num_workers", "precision", *(() if params.get("launcher") else ("processes",)))
    return {name: params[name] for name in names if name in params}


@dataclass(frozen=True)
class Judgement:
    """What a network does on the test videos, and on those that it was trained on.

    ``outputs`` are the test videos' class probabilities; unreadable videos count as wrong in
    ``test`` and ``train``. ``groups``: accuracy of each group of classes, where there are some.
    """

    test: Report
    train: Report
    outputs: Outputs
    groups: Mapping[str, float]
    seconds_a_video: float

    def metrics(self, name: str = "") -> dict[str, Any]:
        """Numbers for a record, each beginning with ``name``."""
        prefix = f"{name}_" if name else ""
        found = {
            "top1_accuracy": self.test.top1_accuracy,
            "top5_accuracy": self.test.top5_accuracy,
            "train_accuracy": self.train.top1_accuracy,
            "per_class": np.round(self.test.per_class_accuracy, 3).tolist(),
            "seconds_a_video": self.seconds_a_video,
            **{f"{group}_accuracy": accuracy for group, accuracy in self.groups.items()},
        }
        return {f"{prefix}{key}": value for key, value in found.items()}

    @property
    def failed(self) -> list[str]:
        return list(dict.fromkeys([*self.test.failed, *self.train.failed]))

    def summary(self) -> str:
        return f"{self.test.summary()}; training videos {self.train.top1_accuracy:.1%}"


def judge(
    network: VideoNetwork,
    splits: Splits,
    labelled: Sequence[VideoRecord],
    clips: Clips,
    *,
    test_clips: int = 10,
    train_clips: int = 2,
    **options: Any,
) -> Judgement:
    """Accuracy on ``splits.test`` and on the labelled videos: clips spread evenly over a video,
    centre crops, softmax averaged; the protocol of all three papers with ten clips.

    Every test video is in every denominator. ``options`` as in `vidssl.inference.run_videos`.
    """
    began = time.perf_counter()
    options["prepare"] = clips.prepare
    outputs = predict(network, clips.even(splits.test, test_clips), **options)
    seconds = (time.perf_counter() - began) / len(splits.test)
    fitted = predict(network, clips.even(labelled, train_clips), **options)
    test = judged_outputs(outputs, splits)
    return Judgement(
        test=test,
        train=report(fitted, splits.class_names),
        outputs=outputs,
        groups=group_accuracies(test, class_groups(splits.class_names)),
        seconds_a_video=seconds,
    )


def judged_outputs(outputs: Outputs, splits: Splits) -> Report:
    """The report of class probabilities of all test videos; RuntimeError where one is neither
    among them nor among those that could not be read."""
    found = report(outputs, splits.class_names)
    if found.num_videos != len(splits.test):
        raise RuntimeError(
            f"{found.num_videos} of {len(splits.test)} test videos were judged: a denominator "
            "must not shrink"
        )
    return found


def judge_pretext(outputs: Outputs) -> tuple[float, np.ndarray]:
    """Accuracy, and the confusion (P, P), of a task in which a clip's label is its place among P.

    ``outputs`` hold probabilities (V, ..., P, P), one row a clip; all clips of a video that could
    not be read count as wrong, and are in no cell of the confusion.
    """
    classes = outputs.values.shape[-1]
    said = outputs.values.reshape(-1, classes, classes).argmax(axis=-1)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (np.arange(classes), said), 1)
    clips_a_video = int(np.prod(outputs.values.shape[1:-1]))
    unread = clips_a_video * len(outputs.failed)
    return np.trace(confusion) / (confusion.sum() + unread), confusion


def judge_together(streams: Sequence[Mapping[str, np.ndarray]], splits: Splits) -> Report:
    """The report of the mean of several networks' probabilities (K,), each by ``video_id``.

    A test video that one of them could not read counts as wrong: nothing is judged by a part.
    """
    known = [r for r in splits.test if all(r.video_id in stream for stream in streams)]
    lacking = [r for r in splits.test if any(r.video_id not in stream for stream in streams)]
    if not known:
        raise RuntimeError("no test video was read by all the networks that are judged together")
    means = [np.mean([stream[r.video_id] for stream in streams], axis=0) for r in known]
    outputs = Outputs(
        values=np.stack(means),
        labels=np.array([r.label for r in known]),
        video_ids=[r.video_id for r in known],
        failed=[f"{r.path}: one of the networks could not read it" for r in lacking],
        failed_labels=np.array([r.label for r in lacking], dtype=np.int64),
    )
    return judged_outputs(outputs, splits)


def yardsticks(
    splits: Splits, labelled: Sequence[VideoRecord], clips: Clips, *, seed: int = 0
) -> dict[str, Report]:
    """What classifiers of small pictures, without learned features, do with the same labels.

    `YARDSTICKS`: a single frame, and the frame differences in each quarter of the video, of whole
    frames, see `vidssl.methods.baselines.yardstick`.
    """
    found = {}
    for kind in YARDSTICKS:
        said = yardstick(
            kind, labelled, splits.test, splits.num_classes, store=clips.store, seed=seed
        )
        found[kind] = judged_outputs(said, splits)
        print(f"{kind.replace('_', ' ')}: {found[kind].summary()} (penalty: {said.penalty})")
    return found


def group_accuracies(found: Report, groups: Sequence[str]) -> dict[str, float]:
    """Mean accuracy of the classes of each group."""
    kinds = np.array(groups)
    return {
        str(group): float(np.nanmean(found.per_class_accuracy[kinds == group]))
        for group in dict.fromkeys(groups)
    }
