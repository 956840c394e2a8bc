"""The loop that every method shares.

A method brings a model, a data set and a ``training_step``; `fit` does the rest: order,
schedule, accumulation, clipping, precision and devices (through accelerate), progress, and
checkpoints that a stopped or killed run continues from. All randomness derives from (seed, epoch,
index) for samples and (seed, step) for steps, so nothing but the weights, the optimiser's state and
the step number has to be kept, and a continued run ends where an undisturbed one does.

Nobody waits for the device but at logged steps, where numbers are fetched and looked at, and where
a checkpoint is copied.

Several processes share each batch: N of them with batches of b take the steps that one takes with
batches of N b, in the same order, at the same learning rates.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from vidssl import processes as workers
from vidssl.core import (
    ahead,
    bring,
    check_precision,
    derive_seed,
    keep_freed_memory,
    loaded,
    one_of,
    unpack,
)
from vidssl.files import cannot_write, os_error
from vidssl.progress import Lines

Batch = dict[str, Any]
Metrics = dict[str, float]
TrainingStep = Callable[[nn.Module, Batch, "StepContext"], tuple[Tensor, dict[str, Any]]]
Report = Callable[[int, Metrics], None]

ON_THE_CPU = ("times",)  # entries of a batch that are looked up in tables, not computed with


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and in what order to train. Defaults suit the mini scale.

    ``schedule`` is 'cosine' (half a period to zero), 'step' (times ``gamma`` at each of
    ``milestones``, in epochs) or 'constant', after a linear warm-up of ``warmup_epochs`` that
    begins at ``warmup_start`` times ``lr``. ``batch_size`` counts the data set's samples a process
    and step; ``accumulate`` steps share one update. ``clip_norm`` 0 does not clip. ``precision``
    is 'no' (float32) or 'bf16' (inside the model's ``forward``; weights and losses stay float32).
    ``sync_batch_norm``: statistics of the batches of all processes, not of each one's own.
    ``compile`` by torch.compile: minutes at the start, shorter steps. A checkpoint is written each
    ``checkpoint_minutes`` (0: never by time), each ``checkpoint_every`` steps (0: never) and at the
    end.
    """

    epochs: int
    batch_size: int
    lr: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 1e-4
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    warmup_start: float = 0.1
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    clip_norm: float = 0.0
    accumulate: int = 1
    precision: str = "no"
    seed: int = 0
    sync_batch_norm: bool = True
    num_workers: int = 0
    compile: bool = False
    checkpoint_minutes: float = 5.0
    checkpoint_every: int = 0

    def __post_init__(self):
        one_of("optimizer", self.optimizer, ("adam", "adamw", "sgd"))
        one_of("schedule", self.schedule, ("cosine", "step", "constant"))
        one_of("precision", self.precision, ("no", "bf16"))
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("checkpoint_minutes", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.lr <= 0:
            raise ValueError(f"lr must be positive, got {self.lr}")

    @classmethod
    def for_steps(
        cls,
        steps: int,
        samples: int,
        *,
        batch_size: int,
        processes: int = 1,
        warmup: float = 0.0,
        **settings,
    ) -> TrainConfig:
        """As many whole epochs of ``samples`` as come nearest to ``steps``, at least one.

        A training on 5 videos a class then gets the same budget as one on all. ``warmup`` is a
        share of the training. A step takes ``batch_size`` samples of each of ``processes``.
        """
        epochs = max(1, round(steps / max(1, samples // (batch_size * processes))))
        return cls(epochs=epochs, batch_size=batch_size, warmup_epochs=warmup * epochs, **settings)

    def lr_at(self, epoch: float) -> float:
        """Learning rate at a (fractional) epoch."""
        if epoch < self.warmup_epochs:
            share = epoch / self.warmup_epochs
            return self.lr * (self.warmup_start + (1 - self.warmup_start) * share)
        if self.schedule == "cosine":
            length = max(self.epochs - self.warmup_epochs, 1e-9)
            return self.lr * 0.5 * (1 + math.cos(math.pi * (epoch - self.warmup_epochs) / length))
        if self.schedule == "step":
            return self.lr * self.gamma ** sum(epoch >= m for m in self.milestones)
        return self.lr


@dataclass(frozen=True)
class StepContext:
    """What a training step may know of its place: the step, the trained share, its own draws.

    ``precision`` is the training's, for other networks than the trained one.
    """

    step: int
    progress: float
    generator: torch.Generator
    precision: str = "no"


@dataclass
class TrainResult:
    """``history`` holds a row a logged step; ``failed`` maps unreadable paths to the reason."""

    history: list[Metrics] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    waiting_share: float = 0.0

    def mean(self, metric: str, last: float = 0.1) -> float:
        """Mean of a logged metric over the ``last`` share of the training."""
        rows = [row for row in self.history if metric in row]
        if not rows:
            known = sorted({name for row in self.history for name in row})
            raise KeyError(f"no {metric!r} was logged; logged: {known}")
        tail = rows[-max(1, round(last * len(rows))) :]
        return sum(row[metric] for row in tail) / len(tail)

    def summary(self) -> str:
        return (
            f"{self.steps} steps in {self.seconds:.0f} s, {self.waiting_share:.0%} of it waiting "
            "for samples"
        )


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys for a whole training, from ``start`` on.

    Every epoch is a fresh permutation drawn from (seed, epoch); an incomplete last batch is left
    out unless the data set is smaller than one batch. ``part`` (i, n) is the i-th process's share
    of each batch; together the n shares are the batch, in its order.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        epochs: int,
        seed: int,
        start: int = 0,
        part: tuple[int, int] = (0, 1),
    ):
        if length < 1:
            raise ValueError("the data set is empty: there is nothing to train on")
        self.length, self.epochs, self.seed, self.start = length, epochs, seed, start
        self.batch_size = min(batch_size, length)
        self.per_epoch = length // self.batch_size
        place, parts = part
        if self.batch_size < parts:
            raise ValueError(f"{length} samples are too few for {parts} processes")
        self.share = slice(place * self.batch_size // parts, (place + 1) * self.batch_size // parts)
        self.weight = (self.share.stop - self.share.start) * parts / self.batch_size

    def __len__(self) -> int:
        return max(self.per_epoch * self.epochs - self.start, 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.per_epoch * self.epochs):
            epoch, batch = divmod(step, self.per_epoch)
            if batch == 0 or step == self.start:
                generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
                order = torch.randperm(self.length, generator=generator).tolist()
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in chosen[self.share]]


def fit(
    model: nn.Module,
    dataset: Dataset,
    training_step: TrainingStep,
    config: TrainConfig,
    *,
    processes: int = 1,
    launcher: str = "",
    folder: str | Path | None = None,
    collate: Callable[[Sequence[Any]], Batch] | None = None,
    report: Report | None = None,
    log: Callable[..., None] | None = None,
    log_every: int = 10,
    trackers: Sequence[Any] = (),
) -> TrainResult:
    """Train ``model`` in place and return what happened.

    Args:
        dataset: map-style, indexed by (epoch, index). Its samples may carry a list ``failed``;
            whatever stands there is gathered in the result. They are made beside the steps, so
            they draw from generators of their own, never from torch's. A batch arrives through
            `vidssl.core.unpack`: uint8 tensors are pixels, and floats in [0, 1] for the step.
            ``times`` stay on the CPU, where tables are.
        training_step: ``(model, batch, context) -> (loss, metrics)``. The loss is a mean over the
            batch; metrics are best left tensors: a number of them is one wait for the device more.
            Where several processes train, ``model`` is wrapped (``model.module``).
        processes: how many processes train, one GPU each, on this machine; they take batches of
            ``batch_size`` each and learn what one would with ``processes * batch_size``. Killed
            ones are started again from the last checkpoint.
        launcher: a command that starts the processes instead, see `vidssl.processes.run`.
        folder: where checkpoints go; a checkpoint found there is continued.
        report: called with (step, metrics) at each logged step; plain lines when None.
        log: called with (step=..., **metrics) at each logged step, e.g. a run's ``log``.
        trackers: what else is told each logged step, by accelerate's names ("tensorboard" writes
            into ``folder``/trackers) or as its ``GeneralTracker`` objects.

    Raises:
        ValueError: when the checkpoint in ``folder`` was made with other settings, bf16 is
            asked of 3-D convolutions on a CPU, or there are fewer GPUs or samples than processes.
        FloatingPointError: when the loss stops being finite, at the next logged step.
        OSError: when a checkpoint cannot be written, at the next one or the end; those written
            before are kept.
        RuntimeError: when ``compile`` does not work here.
        ImportError: when the package of a tracker is missing.
        vidssl.processes.LaunchFailed: when the processes do not start or come to no result.
    """
    _check_trackers(trackers, folder)
    settings = {"collate": collate, "log_every": log_every, "trackers": trackers}
    logs = [] if log is None else [log]
    if processes == 1 and not launcher:
        reporter = plain_lines if report is None else lambda total: report
        train = partial(_train, folder=folder, reporter=reporter, logs=logs, **settings)
        return train(model, dataset, training_step, config)
    EpochBatches(len(dataset), config.batch_size * processes, 1, 0, part=(0, processes))  # refuses
    with nullcontext(folder) if folder is not None else TemporaryDirectory() as kept:
        train = partial(_train_as_one_of_many, model, dataset, training_step, config)
        state, result = workers.run(
            partial(train, folder=kept, **settings),
            processes,
            launcher=launcher,
            folder=Path(kept) / "processes",
            follow=_Follower(report, logs).row,
        )
    model.load_state_dict(state)
    model.eval()
    return TrainResult(**result)


class _Follower:
    """Reports and logs rows that another process tells, once each: a restarted one repeats some."""

    def __init__(self, report: Report | None, logs: Sequence[Callable[..., None]]):
        self.report, self.logs, self.step = report, logs, 0

    def row(self, report_row: dict[str, Any]) -> None:
        step, metrics = report_row["step"], report_row["metrics"]
        if step <= self.step:
            return
        self.step = step
        self.report = self.report or plain_lines(report_row["total"])
        for log in self.logs:
            log(step=step, **metrics)
        self.report(step, metrics)


def _train_as_one_of_many(
    model: nn.Module, dataset: Dataset, training_step: TrainingStep, config, tell, **settings
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """`_train` in each of several processes; weights and result, as plain as a file needs them."""

    def reporter(total: int) -> Report:
        return lambda step, metrics: tell({"step": step, "total": total, "metrics": metrics})

    result = _train(model, dataset, training_step, config, reporter=reporter, **settings)
    return model.state_dict(), asdict(result)


def _train(
    model: nn.Module,
    dataset: Dataset,
    training_step: TrainingStep,
    config: TrainConfig,
    *,
    folder: str | Path | None,
    collate: Callable[[Sequence[Any]], Batch] | None,
    reporter: Callable[[int], Report],
    log_every: int,
    trackers: Sequence[Any],
    logs: Sequence[Callable[..., None]] = (),
) -> TrainResult:
    """The training itself, in this process: alone, or as one of several."""
    keep_freed_memory()
    accelerator = _make_accelerator(config, trackers, folder)
    check_precision(config.precision, accelerator.device, model)
    if config.sync_batch_norm and workers.count() > 1:
        model = workers.synchronise_batch_norm(model, accelerator.device)
    optimizer = make_optimizer(model, config)
    checkpoints = Checkpoints(folder, config) if folder is not None else None
    result = (checkpoints and checkpoints.restore(model, optimizer)) or TrainResult()
    batches = _shared_batches(len(dataset), config, result.steps)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=config.num_workers,
        persistent_workers=False,
        pin_memory=torch.cuda.is_available(),
    )
    bring(model, accelerator.device)
    prepared, optimizer = accelerator.prepare(model, optimizer)
    loop = _Loop(prepared, optimizer, accelerator, config, training_step, batches)
    if trackers:
        logs = [*logs, _start_trackers(accelerator, config, result.steps)]
    meter = _Meter(result, loop.total, log_every, reporter(loop.total), logs, batches.weight)
    keeps = checkpoints if accelerator.is_main_process else None
    prepared.train()
    with _compiled(prepared, config), keeps or nullcontext():
        for batch in meter.watch(ahead(_arriving(loader, accelerator.device))):
            metrics = loop.step(batch, result.steps)
            result.steps += 1
            result.failed.extend(p for p in batch.get("failed", ()) if p not in result.failed)
            meter.update(metrics, len(batch.get("video_id", ())) or config.batch_size)
            if keeps and keeps.due(result.steps, loop.total):
                meter.fetch()
                keeps.save(accelerator.unwrap_model(prepared), optimizer, result)
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False).eval()
    return result


def _shared_batches(length: int, config: TrainConfig, start: int) -> EpochBatches:
    """This process's part of the batches that all processes work on together."""
    part = (workers.rank(), workers.count())
    size = config.batch_size * workers.count()
    return EpochBatches(length, size, config.epochs, config.seed, start=start, part=part)


def _united(lists: Sequence[Sequence[str]]) -> list[str]:
    """Each text once, in the order of the lists."""
    return list(dict.fromkeys(text for texts in lists for text in texts))


def _arriving(loader: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches of ``loader`` as a step sees them, on their device."""
    from accelerate.utils import send_to_device

    for batch in loaded(loader):
        sent = send_to_device(batch, device, non_blocking=True, skip_keys=ON_THE_CPU)
        yield unpack(sent, device)


@contextmanager
def _compiled(model: nn.Module, config: TrainConfig) -> Iterator[None]:
    """``model`` compiled, while it is trained."""
    if not config.compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    model.compile()
    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().partition("\n")[0]
        raise RuntimeError(
            f"compile=True does not work here ({reason}): install what it asks for, or use "
            "compile=False"
        ) from error
    finally:
        model._compiled_call_impl = None  # what comes out computes as any other network does


# settings that change nothing of what is learned
NOT_LEARNED_FROM = ("num_workers", "compile", "checkpoint_minutes", "checkpoint_every")


def checkpoint_period(config: TrainConfig) -> int:
    """Steps from one checkpoint to the next: ``checkpoint_every``, rounded up to whole updates.

    Gradients that wait for the rest of their update are in no checkpoint.
    """
    return math.ceil(config.checkpoint_every / config.accumulate) * config.accumulate


def _make_accelerator(config: TrainConfig, trackers: Sequence[Any], folder: str | Path | None):
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # else the first precision of a process is its only one
    return Accelerator(
        cpu=not torch.cuda.is_available(),  # else it would not look for other processes
        mixed_precision=config.precision,
        # heads that an objective leaves out, and pretrained classifiers, get no gradient
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        log_with=list(trackers) or None,
        project_dir=folder,
    )


def _check_trackers(trackers: Sequence[Any], folder: str | Path | None) -> None:
    """accelerate leaves a tracker out without a word when its package is missing."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    if isinstance(trackers, str):
        raise ValueError(f"trackers must be a list of names, e.g. [{trackers!r}]")
    installed = [str(name) for name in get_available_trackers()]
    for name in (tracker for tracker in trackers if isinstance(tracker, str)):
        one_of("trackers", name, list(LOGGER_TYPE_TO_CLASS))
        if name not in installed:
            raise ImportError(
                f"trackers: {name!r} needs a package that is not installed: "
                f"pip install --constraint constraints.txt {name}"
            )
        if LOGGER_TYPE_TO_CLASS[name].requires_logging_directory and folder is None:
            raise ValueError(f"trackers: {name!r} writes files and needs a folder: give fit one")


def _start_trackers(accelerator, config: TrainConfig, start: int) -> Callable[..., None]:
    """Open the trackers at step ``start``; what a killed run told them beyond it is void."""
    settings = {
        name: value if isinstance(value, (int, float, str)) else str(value)
        for name, value in asdict(config).items()
    }
    options = {"tensorboard": {"purge_step": start + 1}}
    accelerator.init_trackers("trackers", config=settings, init_kwargs=options)

    def log(*, step: int, **metrics: float) -> None:
        accelerator.log(metrics, step=step)

    return log


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Optimiser over the parameters that require gradients; biases and norms do not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("every parameter of the model is frozen: there is nothing to train")
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, foreach=True)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    # not fused: that rounds otherwise, and after ten steps the losses differ in the third digit
    return kind(groups, lr=config.lr, foreach=True)


class _Loop:
    """One optimisation step at a time."""

    def __init__(self, model, optimizer, accelerator, config, training_step, batches):
        self.model, self.optimizer, self.accelerator = model, optimizer, accelerator
        self.config, self.training_step, self.batches = config, training_step, batches
        self.total = batches.per_epoch * config.epochs

    def step(self, batch: Batch, step: int) -> Metrics:
        seed = derive_seed(self.config.seed, "step", step, self.accelerator.process_index)
        torch.manual_seed(seed)  # dropout draws from the global generator
        context = StepContext(
            step=step,
            progress=step / self.total,
            generator=torch.Generator().manual_seed(seed),
            precision=self.config.precision,
        )
        lr = self.config.lr_at(step / self.batches.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        last = (step + 1) % self.config.accumulate == 0 or step + 1 == self.total
        with nullcontext() if last else self.accelerator.no_sync(self.model):
            loss, metrics = self.training_step(self.model, batch, context)
            # gradients are averaged over processes, whose parts of a batch may differ by one
            self.accelerator.backward(loss * (self.batches.weight / self.config.accumulate))
        if last:
            self._update()
        return {"loss": loss, **metrics, "lr": lr}

    def _update(self) -> None:
        if self.config.clip_norm > 0:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


STATE = ("model", "optimizer", "settings")
KEPT = "earlier checkpoints are kept and will be continued"


class Checkpoints:
    """``checkpoint.pt`` in a folder, replaced in one piece; the one before it is kept as well.

    Written by a thread beside the training; left as a context, all is written.
    """

    def __init__(self, folder: str | Path, config: TrainConfig):
        self.folder, self.config = Path(folder), config
        self.writing: Future | None = None
        self.saved = time.monotonic()
        self.newest = self.folder / "checkpoint.pt"
        self.previous = self.folder / "checkpoint.previous.pt"
        # how many processes share a batch does not change what is learned
        self.settings = {
            name: value
            for name, value in json.loads(json.dumps(asdict(config))).items()
            if name not in NOT_LEARNED_FROM
        } | {"batch_size": config.batch_size * workers.count()}
        self._make_folder()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error, KEPT) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise PermissionError(
                f"{self.folder} is not writable, so no checkpoint can be kept there: change its "
                "permissions or use another folder"
            )
        for left_behind in self.folder.glob("checkpoint.*.tmp"):  # by a run killed while it wrote
            left_behind.unlink(missing_ok=True)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        with nullcontext() if kind is None else suppress(Exception):  # the first error counts
            self.wait()

    def due(self, step: int, total: int) -> bool:
        """Whether to save after ``step`` of ``total`` steps: between two updates alone."""
        if step == total:
            return True
        if self.config.checkpoint_every and step % checkpoint_period(self.config) == 0:
            return True
        minutes, passed = self.config.checkpoint_minutes, time.monotonic() - self.saved
        return bool(minutes) and passed >= 60 * minutes and step % self.config.accumulate == 0

    def save(self, model: nn.Module, optimizer, result: TrainResult) -> None:
        """Copy what is to be kept and let it be written; raises what `wait` does."""
        from accelerate.utils import recursively_apply

        self.wait()
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        kept = recursively_apply(lambda each: each.detach().to("cpu", copy=True), state)
        kept |= {"result": asdict(result), "settings": self.settings}
        thread = ThreadPoolExecutor(1)
        self.writing = thread.submit(self._write, kept)
        thread.shutdown(wait=False)
        self.saved = time.monotonic()

    def wait(self) -> None:
        """Until the last checkpoint is on the disk; OSError naming the file where that failed, the
        others untouched, FloatingPointError where weights were no numbers any more."""
        writing, self.writing = self.writing, None
        if writing is not None:
            writing.result()

    def _write(self, state: dict[str, Any]) -> None:
        if not all(value.isfinite().all() for value in state["model"].values()):
            raise FloatingPointError(
                f"the weights are not finite after step {state['result']['steps']}: lower lr or "
                "set clip_norm; the checkpoint before was kept"
            )
        partial = self.folder / f"checkpoint.{os.getpid()}.tmp"
        try:
            with open(partial, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            if self.newest.exists():
                os.replace(self.newest, self.previous)
            os.replace(partial, self.newest)
        except (OSError, RuntimeError) as error:
            cause = os_error(error)
            if cause is None:
                raise
            raise cannot_write(self.newest, cause, KEPT) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def restore(self, model: nn.Module, optimizer) -> TrainResult | None:
        """Load the newest readable checkpoint, or None when there is none.

        The first process reads it for all.
        """
        for path in (self.newest, self.previous):
            state = workers.from_first(self._load(path) if workers.rank() == 0 else None)
            if state is None:
                continue
            if state["settings"] != self.settings:
                raise ValueError(
                    f"{path} was made with other settings ({self._differing(state['settings'])}): "
                    "use another folder or remove it"
                )
            try:
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
            except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"{path} is of another network or of other frozen stages: use another folder "
                    "or remove it"
                ) from error
            result = TrainResult(**state["result"])
            print(f"continuing from step {result.steps} ({path})", flush=True)
            return result
        return None

    def _differing(self, others: dict[str, Any]) -> str:
        """The settings that are not those of a checkpoint. Another number of processes shows in the
        batch, which is that of all of them."""
        named = {"batch_size": "batch_size of all processes"}
        return "; ".join(
            f"{named.get(name, name)} {others.get(name)} there, {value} here"
            for name, value in self.settings.items()
            if others.get(name) != value
        )

    @staticmethod
    def _load(path: Path) -> dict | None:
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            result = TrainResult(**state["result"])  # whatever is no checkpoint fails here
            told = all(isinstance(state[name], dict) for name in STATE)
            if not told or type(result.steps) is not int:
                raise TypeError("no checkpoint")
            return state
        except Exception as error:  # a damaged archive fails in many ways
            print(f"{path} cannot be read ({type(error).__name__}); trying the one before it")
            return None


class _Meter:
    """Counts, averages and reports; also measures how long the step waits for its data.

    Steps' metrics stay where they were computed until they are asked for. ``weight`` is that of
    this process's part of each batch, 1 on average.
    """

    def __init__(self, result, total, log_every, report, logs, weight):
        self.result, self.total, self.weight = result, total, weight
        self.log_every, self.logs, self.report = log_every, logs, report
        self.rows: list[dict[str, Any]] = []  # of the steps since the last report
        self.samples = 0
        self.began = self.window = time.perf_counter()
        self.waited = 0.0
        self.earlier = result.seconds

    def watch(self, loader) -> Iterator[Batch]:
        iterator = iter(loader)
        while True:
            asked = time.perf_counter()
            batch = next(iterator, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def update(self, metrics: dict[str, Any], samples: int) -> None:
        """Count a step, and report where one is due."""
        self.rows.append({name: _detached(value) for name, value in metrics.items()})
        self.samples += samples
        step = self.result.steps
        if not (step % self.log_every and step != self.total):
            self._report(step)

    def _report(self, step: int) -> None:
        self.fetch()
        row, samples = self._over_processes()
        now = time.perf_counter()
        row["samples_per_second"] = samples / max(now - self.window, 1e-9)
        self.result.history.append({"step": step, **row})
        for log in self.logs:
            log(step=step, **row)
        self.report(step, row)
        self.rows, self.samples, self.window = [], 0, now

    def fetch(self) -> None:
        """Bring the metrics of all steps since the last report to the CPU, in one go.

        FloatingPointError where a loss is not finite, naming the first such step.
        """
        waiting = [(row, n) for row in self.rows for n, v in row.items() if isinstance(v, Tensor)]
        if waiting:
            like = waiting[0][0]["loss"]
            values = torch.stack([row[name].to(like).reshape(()) for row, name in waiting]).tolist()
            for (row, name), value in zip(waiting, values):
                row[name] = value
        now = time.perf_counter()
        self.result.seconds = self.earlier + now - self.began
        self.result.waiting_share = self.waited / max(now - self.began, 1e-9)
        for step, row in enumerate(self.rows, self.result.steps - len(self.rows)):
            if not math.isfinite(row["loss"]):
                raise FloatingPointError(
                    f"the loss became {row['loss']} at step {step}: lower lr (now {row['lr']:.2g}) "
                    "or set clip_norm"
                )

    def _over_processes(self) -> tuple[Metrics, int]:
        """Means since the last row, and the samples seen, of all processes together; what failed in
        one of them is known to all."""
        sums: dict[str, float] = {}
        for name, value in (entry for row in self.rows for entry in row.items()):
            sums[name] = sums.get(name, 0.0) + self.weight * value
        told = workers.gathered((sums, self.samples, self.result.failed))
        sums, samples, failed = zip(*told)
        self.result.failed = _united(failed)
        steps = len(self.rows) * len(sums)
        names = dict.fromkeys(name for part in sums for name in part)
        return {n: sum(part.get(n, 0.0) for part in sums) / steps for n in names}, sum(samples)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def plain_lines(total: int) -> Report:
    """Metrics as plain lines now and then, for batches and terminals."""
    lines = Lines(total, "training", "step", sys.stdout)

    def report(step: int, metrics: Metrics) -> None:
        lines.set_note(", ".join(f"{name} {value:.3g}" for name, value in metrics.items()))
        lines.update(step - lines.done)
        if step == total:
            lines.close()

    return report


def host_to_device(batch: Batch, times: int = 20) -> tuple[int, float]:
    """Bytes of a batch that cross to the device, and how many a second reach the GPU from pinned
    memory; 0.0 without one. A packed batch counts as it travels, whatever holds its tensors."""
    from accelerate.utils import recursively_apply, send_to_device

    tensors: list[Tensor] = []
    recursively_apply(tensors.append, {name: batch[name] for name in batch.keys() - {*ON_THE_CPU}})
    size = sum(tensor.nbytes for tensor in tensors)
    if not torch.cuda.is_available():
        return size, 0.0
    pinned = [tensor.pin_memory() for tensor in tensors]
    send_to_device(pinned, "cuda")  # the first one makes room there
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        send_to_device(pinned, "cuda", non_blocking=True)
    torch.cuda.synchronize()
    return size, times * size / (time.perf_counter() - began)
