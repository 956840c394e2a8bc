"""How fast this machine trains a page, what limits it, and what that makes of a plan.

The page itself is run up to its first training; in that one's place its parts are timed by the
same loop: the loader with a network that costs nothing, the step with samples that are there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from unittest import mock

from vidssl.core import counted
from vidssl.files import read_json
from vidssl.progress import in_words
from vidssl.runs.graph import load
from vidssl.runs.notebooks import notebook_cells, notebook_path
from vidssl.runs.parameters import declared_parameters, parameters_for
from vidssl.runs.provenance import cpu_name, device_name, find_project, write_atomic
from vidssl.runs.records import load_records, records_folder

SECONDS = 5.0  # that each part is timed for, at least
LEAST = 2  # timed intervals, at least, after the first one, which warms up


@dataclass(frozen=True)
class Speed:
    """What was measured of a page at a scale on a device. A clip is one input of the network.

    ``loader``, ``step`` and ``training``, which has both, in clips a second; ``transfer`` to the
    device in GB/s, 0 where there is no GPU. ``clips`` are those of the page's first training,
    ``megabytes`` what one brings to the device.
    """

    page: str
    scale: str
    device: str
    loader: float
    transfer: float
    step: float
    training: float
    clips: int
    megabytes: float
    workers: int
    measured: str  # the day

    @property
    def hours(self) -> float:
        """Of the page's first training."""
        return self.clips / self.training / 3600

    @property
    def limit(self) -> str:
        """Which part is the slowest: "loader", "host to device" or "step"."""
        parts = {"loader": self.loader, "step": self.step}
        if self.transfer:
            parts["host to device"] = 1000 * self.transfer / self.megabytes
        return min(parts, key=parts.__getitem__)

    def __str__(self) -> str:
        moved = f"{self.transfer:.1f} GB/s" if self.transfer else "no GPU"
        return "\n".join(
            [
                f"{self.page} at {self.scale} scale on {self.device}",
                f"loader          {self.loader:10.1f} clips/s ({counted(self.workers, 'worker')})",
                f"host to device  {moved:>10} ({self.megabytes:.2g} MB a clip)",
                f"step            {self.step:10.1f} clips/s",
                f"training        {self.training:10.1f} clips/s, both together: {self.clips} clips "
                f"take {self.hours:.2g} h",
                f"the {self.limit} limits: {self._advice()}",
            ]
        )

    def _advice(self) -> str:
        cores = os.cpu_count() or 1
        if self.limit == "loader" and self.workers + 1 < cores:
            return f"give it workers, -p num_workers {cores - 1}"
        if self.limit == "loader":
            return "`vidssl prepare` makes quicker copies, -p frame_store_gb keeps decoded frames"
        if self.limit == "host to device":
            return "fewer px or frames a clip; more GPUs in one machine share this way"
        if not self.transfer:
            return "a GPU, or fewer px, frames or channels (size, frames, width)"
        return "bf16 (-p precision bf16), a larger batch, or more GPUs (-p processes N)"


class _Timed(Exception):
    """Ends a training that has been timed, or the page where its training would begin."""


def measure(page: str, scale: str, given: Mapping[str, Any] | None = None) -> Speed:
    """Time the first training of ``page`` at ``scale`` here; what the page says goes to stderr.

    ``given``: other parameters than the scale's. Nothing is kept but the data that the page opens.
    Errors are the page's own; ValueError for one that trains nothing.
    """
    project = find_project()
    path = notebook_path(page, project)
    values = {**declared_parameters(path), **parameters_for(path.stem, scale, given, project)}
    found: list[dict[str, Any]] = []

    def fit(*arguments: Any, **settings: Any) -> NoReturn:
        found.append(_timed(*arguments, **settings))
        raise _Timed

    with TemporaryDirectory() as root, mock.patch("vidssl.protocol.fit", fit):
        values["run_folder"] = str(Path(root, scale, "speed"))
        with suppress(_Timed), redirect_stdout(sys.stderr):
            _run_cells(path, {"__name__": "__main__", **values})
    if not found:
        raise ValueError(f"{path.stem} trains nothing: name a page that does")
    here = device_name() if found[0]["transfer"] else f"{cpu_name()}, {os.cpu_count()} cores"
    return Speed(path.stem, scale, here, **found[0], measured=time.strftime("%Y-%m-%d"))


def _run_cells(path: Path, namespace: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    for cell in notebook_cells(path.read_text(encoding="utf-8")):
        if cell.kind == "code" and "parameters" not in cell.tags:
            exec(compile(cell.source, f"{path.name}, cell at line {cell.line}", "exec"), namespace)


def _timed(model, dataset, training_step, config, *, collate=None, **_: Any) -> dict[str, Any]:
    """The numbers of a `Speed`, of what a page hands to `vidssl.training.fit`."""
    import torch

    from vidssl.training import EpochBatches, host_to_device

    batches = EpochBatches(len(dataset), config.batch_size, config.epochs, config.seed)
    packed = torch.utils.data.DataLoader(dataset, batch_sampler=batches, collate_fn=list)
    samples = next(iter(packed))
    endless = replace(config, epochs=10**6)
    alone = replace(endless, num_workers=0)
    nothing = torch.nn.Linear(1, 1)

    def idle(network, batch, context):
        return sum(p.sum() for p in network.parameters()), {}

    clips_a_step = _clip_counter(model)
    step = _steps_a_second(model, _Held(samples), training_step, alone, collate)
    clips = clips_a_step()
    bytes_, transfer = host_to_device(collate(samples) if collate else samples)
    return {
        "loader": clips * _steps_a_second(nothing, dataset, idle, endless, collate),
        "transfer": transfer / 1e9,
        "step": clips * step,
        "training": clips * _steps_a_second(model, dataset, training_step, endless, collate),
        "clips": round(clips * len(batches)),
        "megabytes": bytes_ / clips / 1e6,
        "workers": config.num_workers,
    }


class _Held(list):
    """A data set of samples that are there already."""

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return super().__getitem__(key[1])


def _clip_counter(model) -> Callable[[], float]:
    """How many clips a network that learns saw in a step: inputs of its first 3-D convolution."""
    import torch

    clips: list[int] = []
    steps: list[int] = []
    first = next(m for m in model.modules() if isinstance(m, torch.nn.Conv3d))
    first.register_forward_pre_hook(
        lambda module, inputs: clips.append(len(inputs[0]) * module.training)
    )
    next(p for p in model.parameters() if p.requires_grad).register_hook(lambda _: steps.append(1))
    return lambda: sum(clips) / max(len(steps), 1)


def _steps_a_second(model, dataset, training_step, config, collate: Callable | None) -> float:
    from vidssl.training import fit

    times: list[tuple[float, int]] = []

    def clock(step: int, metrics: Mapping[str, float]) -> None:
        times.append((time.perf_counter(), step))
        if len(times) > LEAST and times[-1][0] - times[0][0] >= SECONDS:
            raise _Timed

    with suppress(_Timed):
        fit(model, dataset, training_step, config, collate=collate, report=clock, log_every=1)
    (began, first), (ended, last) = times[0], times[-1]
    return (last - first) / (ended - began)


# --- what is kept, and the plan -------------------------------------------------------------------


def kept_file() -> Path:
    """Where the speeds that this user measured are kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "vidssl" / "speeds.json"


def kept() -> list[Speed]:
    """The speeds measured so far, the newest last; ValueError naming the file if it is damaged."""
    path = kept_file()
    try:
        rows = read_json(path, list) if path.exists() else []
        return [Speed(**row) for row in rows]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: holds no speeds ({error}); delete it") from None


def keep(speed: Speed) -> Path:
    """Add a speed to the kept ones, in place of an older one of the same page, scale and device."""

    def of(each: Speed) -> tuple[str, str, str]:
        return each.page, each.scale, each.device

    rows = [asdict(each) for each in kept() if of(each) != of(speed)]
    write_atomic(kept_file(), json.dumps([*rows, asdict(speed)], indent=1) + "\n")
    return kept_file()


def plan(target: str, scale: str) -> Iterator[str]:
    """Lines: the runs behind a target by page, with hours on each device that was measured, and on
    record: what runs of the page took at this scale wherever the project's records were made.

    A measured run counts as its training alone, one on record as the whole page. ValueError for an
    unknown target.
    """
    project = find_project()
    jobs = load(scale, project=project).behind(target)
    pages = Counter(Path(log).stem for job in jobs for log in job.log)
    speeds = [speed for speed in kept() if speed.scale == scale and speed.page in pages]
    took = _seconds_on_record(scale, records_folder(project))
    on_record = {page: runs * took[page] for page, runs in pages.items() if page in took}
    width = max(map(len, pages), default=0)
    for page, runs in sorted(pages.items()):
        told = [f"{runs * s.hours:.2g} h on {s.device}" for s in speeds if s.page == page]
        if page in on_record:
            told.append(f"{in_words(on_record[page])} on record")
        yield f"{page:{width}}  {counted(runs, 'run'):>8}  {'; '.join(told) or 'not measured'}"
    for device in dict.fromkeys(speed.device for speed in speeds):
        total = sum(pages[s.page] * s.hours for s in speeds if s.device == device)
        yield f"together {total:.3g} h on one {device}, as far as measured"
    if on_record:
        yield f"together {in_words(sum(on_record.values()))} on record, one run at a time"
    if not {speed.page for speed in speeds} | {*on_record} >= {*pages}:
        yield f"hours of a page that trains: `vidssl doctor --speed PAGE --scale {scale}`, there"


def _seconds_on_record(scale: str, folder: Path) -> dict[str, float]:
    """Page -> the median of what its runs on record took; medians, for some shared their cores."""
    found: dict[str, list[float]] = {}
    for record in load_records(folder):
        if record["scale"] == scale:
            found.setdefault(record["notebook"], []).append(record["seconds"])
    return {page: median(seconds) for page, seconds in found.items()}
