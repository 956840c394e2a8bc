"""The loop that every method shares.

A method brings a model, a data set and a ``training_step``; `fit` does the rest: order,
schedule, accumulation, clipping, precision and devices (through accelerate), progress, and
checkpoints that a stopped or killed run continues from. All randomness derives from (seed, epoch,
index) for samples and (seed, step) for steps, so nothing but the weights, the optimiser's state and
the step number has to be kept, and a continued run ends where an undisturbed one does.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from vidssl.core import derive_seed, one_of

Batch = dict[str, Any]
Metrics = dict[str, float]
TrainingStep = Callable[[nn.Module, Batch, "StepContext"], tuple[Tensor, Metrics]]
Report = Callable[[int, Metrics], None]


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and in what order to train. Defaults suit the mini scale.

    ``schedule`` is 'cosine' (half a period to zero), 'step' (times ``gamma`` at each of
    ``milestones``, in epochs) or 'constant', after a linear warm-up of ``warmup_epochs`` that
    begins at ``warmup_start`` times ``lr``. ``batch_size`` counts the data set's samples a process
    and step; ``accumulate`` steps share one update. ``clip_norm`` 0 does not clip. ``precision``
    is 'no' (float32) or 'bf16' (inside the model's ``forward``; weights and losses stay float32).
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
    num_workers: int = 0
    checkpoint_every: int = 100

    def __post_init__(self):
        one_of("optimizer", self.optimizer, ("adam", "adamw", "sgd"))
        one_of("schedule", self.schedule, ("cosine", "step", "constant"))
        one_of("precision", self.precision, ("no", "bf16"))
        for name in ("epochs", "batch_size", "accumulate", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.lr <= 0:
            raise ValueError(f"lr must be positive, got {self.lr}")

    @classmethod
    def for_steps(
        cls, steps: int, samples: int, *, batch_size: int, warmup: float = 0.0, **settings
    ) -> TrainConfig:
        """As many whole epochs of ``samples`` as come nearest to ``steps``, at least one.

        A training on 5 videos a class then gets the same budget as one on all. ``warmup`` is a
        share of the training.
        """
        epochs = max(1, round(steps / max(1, samples // batch_size)))
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
    """What a training step may know of its place: the step, the trained share, its own draws."""

    step: int
    progress: float
    generator: torch.Generator


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


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys for a whole training, from ``start`` on.

    Every epoch is a fresh permutation drawn from (seed, epoch); an incomplete last batch is left
    out unless the data set is smaller than one batch.
    """

    def __init__(self, length: int, batch_size: int, epochs: int, seed: int, start: int = 0):
        if length < 1:
            raise ValueError("the data set is empty: there is nothing to train on")
        self.length, self.epochs, self.seed, self.start = length, epochs, seed, start
        self.batch_size = min(batch_size, length)
        self.per_epoch = length // self.batch_size
        self.drop_last = True

    def __len__(self) -> int:
        return max(self.per_epoch * self.epochs - self.start, 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.per_epoch * self.epochs):
            epoch, batch = divmod(step, self.per_epoch)
            if batch == 0 or step == self.start:
                generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
                order = torch.randperm(self.length, generator=generator).tolist()
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in chosen]


def fit(
    model: nn.Module,
    dataset: Dataset,
    training_step: TrainingStep,
    config: TrainConfig,
    *,
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
            they draw from generators of their own, never from torch's.
        training_step: ``(model, batch, context) -> (loss, metrics)``.
        folder: where checkpoints go; a checkpoint found there is continued.
        report: called with (step, metrics) at each logged step; plain lines when None.
        log: called with (step=..., **metrics) at each logged step, e.g. a run's ``log``.
        trackers: what else is told each logged step, by accelerate's names ("tensorboard" writes
            into ``folder``/trackers) or as its ``GeneralTracker`` objects.

    Raises:
        ValueError: when the checkpoint in ``folder`` was made with other settings, or bf16 is
            asked of 3-D convolutions on a CPU.
        FloatingPointError: when the loss stops being finite.
        OSError: when a checkpoint cannot be written; those written before are kept.
        ImportError: when the package of a tracker is missing.
    """
    accelerator = _make_accelerator(config, trackers, folder)
    _check_precision(config, accelerator.device, model)
    optimizer = make_optimizer(model, config)
    checkpoints = Checkpoints(folder, config) if folder is not None else None
    result = TrainResult()
    if checkpoints is not None:
        result = checkpoints.restore(model, optimizer) or result
    batches = EpochBatches(
        len(dataset), config.batch_size, config.epochs, config.seed, start=result.steps
    )
    loader = _loader(dataset, batches, collate or default_collate, config.num_workers)
    model.to(accelerator.device)
    prepared, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    loop = _Loop(prepared, optimizer, accelerator, config, training_step, batches.per_epoch)
    logs = [] if log is None else [log]
    if trackers:
        logs.append(_start_trackers(accelerator, config, result.steps))
    meter = _Meter(result, batches.per_epoch * config.epochs, log_every, report, logs)
    prepared.train()
    for batch in meter.watch(_arrived(loader, accelerator.device)):
        metrics = loop.step(batch, result.steps)
        result.steps += 1
        result.failed.extend(p for p in batch.get("failed", ()) if p not in result.failed)
        meter.update(metrics, len(batch.get("video_id", ())) or batches.batch_size)
        due = result.steps % checkpoint_period(config) == 0 or result.steps == meter.total
        if checkpoints is not None and due and accelerator.is_main_process:
            checkpoints.save(accelerator.unwrap_model(prepared), optimizer, result)
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False).eval()
    return result


class _Ahead(Dataset):
    """Batches that a thread prepares while a step is at work: `Future`s in place of samples.

    accelerate asks for a batch before it hands out the one before, so one is always in the making.
    """

    def __init__(self, dataset: Dataset, collate: Callable[[Sequence[Any]], Batch]):
        self.dataset, self.collate = dataset, collate
        self._thread = ThreadPoolExecutor(1)  # ends with this data set

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, keys: Sequence[Any]) -> Future:
        return self._thread.submit(self._batch, keys)

    def _batch(self, keys: Sequence[Any]) -> Batch:
        return self.collate([self.dataset[key] for key in keys])


def _loader(dataset: Dataset, batches: EpochBatches, collate: Callable, workers: int) -> DataLoader:
    """Batches made ahead of the steps, by ``workers`` processes or, with 0, by a thread."""
    if not workers:
        dataset, collate = _Ahead(dataset, collate), _as_it_is
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=False,
        pin_memory=torch.cuda.is_available(),
    )


def _as_it_is(samples: Any) -> Any:
    return samples


def _arrived(loader: Iterable[Batch | Future], device: torch.device) -> Iterator[Batch]:
    """Batches on ``device``, waited for where they are still in the making."""
    from accelerate.utils import send_to_device

    for batch in loader:
        yield send_to_device(batch.result(), device) if isinstance(batch, Future) else batch


def checkpoint_period(config: TrainConfig) -> int:
    """Steps from one checkpoint to the next: ``checkpoint_every``, rounded up to whole updates.

    Gradients that wait for the rest of their update are in no checkpoint.
    """
    return math.ceil(config.checkpoint_every / config.accumulate) * config.accumulate


def _make_accelerator(config: TrainConfig, trackers: Sequence[Any], folder: str | Path | None):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    _check_trackers(trackers, folder)
    AcceleratorState._reset_state()  # else the first precision of a process is its only one
    return Accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_steps=config.accumulate,
        log_with=list(trackers) or None,
        project_dir=folder,
    )


def _check_precision(config: TrainConfig, device: torch.device, model: nn.Module) -> None:
    """Half-precision 3-D convolutions read memory that nobody wrote, on CPUs with torch 2.15: the
    same training gave other weights each time, and now and then NaN."""
    convolves = any(isinstance(module, nn.Conv3d) for module in model.modules())
    if config.precision == "bf16" and device.type == "cpu" and convolves:
        raise ValueError(
            "precision='bf16' needs a GPU: on a CPU 3-D convolutions are not reliable in half "
            "precision; use precision='no'"
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
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.lr)


class _Loop:
    """One optimisation step at a time."""

    def __init__(self, model, optimizer, accelerator, config, training_step, per_epoch):
        self.model, self.optimizer, self.accelerator = model, optimizer, accelerator
        self.config, self.training_step, self.per_epoch = config, training_step, per_epoch

    def step(self, batch: Batch, step: int) -> Metrics:
        config = self.config
        seed = derive_seed(config.seed, "step", step, self.accelerator.process_index)
        torch.manual_seed(seed)  # dropout draws from the global generator
        context = StepContext(
            step=step,
            progress=step / (self.per_epoch * config.epochs),
            generator=torch.Generator().manual_seed(seed),
        )
        lr = config.lr_at(step / self.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with self.accelerator.accumulate(self.model):
            loss, metrics = self.training_step(self.model, batch, context)
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss became {value} at step {step}: lower lr (now {lr:.2g}) or set "
                    "clip_norm"
                )
            self.accelerator.backward(loss)
            if config.clip_norm > 0 and self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.model.parameters(), config.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return {"loss": value, **metrics, "lr": lr}


class Checkpoints:
    """``checkpoint.pt`` in a folder, replaced in one piece; the one before it is kept as well."""

    def __init__(self, folder: str | Path, config: TrainConfig):
        self.folder = Path(folder)
        self.newest = self.folder / "checkpoint.pt"
        self.previous = self.folder / "checkpoint.previous.pt"
        # where samples are prepared and how often one saves do not change what is learned
        self.settings = {
            name: value
            for name, value in json.loads(json.dumps(asdict(config))).items()
            if name not in ("num_workers", "checkpoint_every")
        }
        self._make_folder()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise PermissionError(
                f"{self.folder} is not writable, so no checkpoint can be kept there: change its "
                "permissions or use another folder"
            )
        for left_behind in self.folder.glob("checkpoint.*.tmp"):  # by a run killed while it wrote
            left_behind.unlink(missing_ok=True)

    def save(self, model: nn.Module, optimizer, result: TrainResult) -> None:
        """Write a checkpoint; OSError naming the file where that fails, the others untouched."""
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "result": asdict(result),
            "settings": self.settings,
        }
        partial = self.folder / f"checkpoint.{os.getpid()}.tmp"
        try:
            with open(partial, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            if self.newest.exists():
                os.replace(self.newest, self.previous)
            os.replace(partial, self.newest)
        except (OSError, RuntimeError) as error:  # torch hides a full disk in a RuntimeError
            cause = _os_error(error)
            if cause is None:
                raise
            raise _cannot_write(self.newest, cause) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def restore(self, model: nn.Module, optimizer) -> TrainResult | None:
        """Load the newest readable checkpoint, or None when there is none."""
        for path in (self.newest, self.previous):
            state = self._load(path)
            if state is None:
                continue
            if state["settings"] != self.settings:
                changed = [k for k, v in self.settings.items() if state["settings"].get(k) != v]
                raise ValueError(
                    f"{path} was made with other settings ({', '.join(changed)} differ): use "
                    "another folder or remove it"
                )
            try:
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
            except (RuntimeError, ValueError) as error:
                raise ValueError(
                    f"{path} is of another network or of other frozen stages: use another folder "
                    "or remove it"
                ) from error
            result = TrainResult(**state["result"])
            print(f"continuing from step {result.steps} ({path})", flush=True)
            return result
        return None

    @staticmethod
    def _load(path: Path) -> dict | None:
        if not path.exists():
            return None
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged archive fails in many ways
            print(f"{path} cannot be read ({type(error).__name__}); trying the one before it")
            return None


def _cannot_write(path: Path, error: OSError) -> OSError:
    """The error to raise where a file of the training cannot be written; of the same kind."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return OSError(
        error.errno,
        f"{path} cannot be written ({error.strerror}): {'make room' if full else 'see to that'} "
        "and start again; earlier checkpoints are kept and will be continued",
    )


def _os_error(error: BaseException | None) -> OSError | None:
    """The OSError behind an error, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


class _Meter:
    """Counts, averages and reports; also measures how long the step waits for its data."""

    def __init__(self, result, total, log_every, report, logs):
        self.result, self.total = result, total
        self.log_every, self.logs = log_every, logs
        self.report = report if report is not None else PlainLines(total)
        self.sums: dict[str, float] = {}
        self.count = self.samples = 0
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

    def update(self, metrics: Metrics, samples: int) -> None:
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.count += 1
        self.samples += samples
        step, now = self.result.steps, time.perf_counter()
        self.result.seconds = self.earlier + now - self.began
        self.result.waiting_share = self.waited / max(now - self.began, 1e-9)
        if step % self.log_every and step != self.total:
            return
        row = {name: total / self.count for name, total in self.sums.items()}
        row["samples_per_second"] = self.samples / max(now - self.window, 1e-9)
        self.result.history.append({"step": step, **row})
        for log in self.logs:
            log(step=step, **row)
        self.report(step, row)
        self.sums, self.count, self.samples, self.window = {}, 0, 0, now


class PlainLines:
    """Progress as plain lines, at most one every ``seconds``: for batches and terminals."""

    def __init__(self, total: int, seconds: float = 8.0):
        self.total, self.seconds = total, seconds
        self.began = time.perf_counter()
        self.first: int | None = None
        self.printed = float("-inf")

    def __call__(self, step: int, metrics: Metrics) -> None:
        now = time.perf_counter()
        if self.first is None:
            self.first = step
        if now - self.printed < self.seconds and step < self.total:
            return
        self.printed = now
        left = "" if step == self.first else f"  left {self._left(step, now)}"
        shown = "  ".join(f"{name} {value:.3g}" for name, value in metrics.items())
        print(f"step {step}/{self.total}  {shown}{left}", flush=True)

    def _left(self, step: int, now: float) -> str:
        pace = (now - self.began) / (step - self.first)
        seconds = round(pace * (self.total - step))
        return f"{seconds // 60}:{seconds % 60:02d}"
