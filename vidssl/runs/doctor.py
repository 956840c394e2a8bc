"""What may keep this machine from running the workbook, with what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import psutil

from vidssl.runs.provenance import find_project
from vidssl.runs.ready import asked_for, normalised, other_versions, read_constraints

LEAST_MEMORY_GB = 4
LEAST_DISK_GB = 5


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``hint`` says what to do; a finding that is not ok has one."""

    name: str
    value: str
    ok: bool = True
    hint: str = ""
    fatal: bool = True  # False: something optional is missing

    def __str__(self) -> str:
        mark = "ok" if self.ok else "TROUBLE" if self.fatal else "note"
        hint = f"\n{'':9}{self.hint}" if not self.ok else ""
        return f"{mark:8} {self.name}: {self.value}{hint}"


def report() -> list[Finding]:
    """Look at Python, packages, decoder, cores, memory, disk, GPU and folders."""
    project = find_project()
    return [
        Finding("Python", platform.python_version()),
        *_packages(project),
        _decoder(),
        Finding("cores", str(os.cpu_count())),
        _memory(),
        _disk(project),
        _gpu(),
        *(_writable(project / name) for name in ("figures", "papermill_runs")),
    ]


def _packages(project: Path) -> Iterator[Finding]:
    pyproject = project / "pyproject.toml"
    pins = read_constraints(project / "constraints.txt")
    there = {normalised(d.name): d.version.partition("+")[0] for d in distributions() if d.name}
    other = other_versions(pins, there)
    value = f"{len(pins.keys() & there) - len(other)} of {len(pins)} as in constraints.txt"
    yield Finding(
        "packages", value, not other, f"{'; '.join(other)}: `make setup` puts it right", False
    )
    try:
        needed = asked_for(pyproject, extras=())
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"does not say what vidssl needs ({error!r})"
        yield Finding("pyproject.toml", told, False, f"restore {pyproject}")
        return
    absent = [name for name in pins if name in needed and name not in there]
    if absent:
        yield Finding("missing packages", ", ".join(absent), False, "run `make setup`")


def _decoder() -> Finding:
    from vidssl.data import backend

    try:
        return Finding("video decoder", backend())
    except (ImportError, ValueError, RuntimeError) as error:
        return Finding("video decoder", str(error), False, "install av, unset VIDSSL_DECODER")


def _memory() -> Finding:
    total = psutil.virtual_memory().total / 2**30
    hint = f"runs want {LEAST_MEMORY_GB} GB: lower batch_size"
    return Finding("memory", f"{total:.1f} GB", total >= LEAST_MEMORY_GB, hint, fatal=False)


def _disk(project: Path) -> Finding:
    free = shutil.disk_usage(project).free / 2**30
    hint = f"free {LEAST_DISK_GB} GB for data, checkpoints and notebooks"
    return Finding("free disk", f"{free:.1f} GB", free >= LEAST_DISK_GB, hint)


def _gpu() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("GPU", ", ".join(names) or "none, the CPU will do for smoke and mini")


def _writable(folder: Path) -> Finding:
    folder.mkdir(parents=True, exist_ok=True)
    allowed = os.access(folder, os.W_OK)
    return Finding(f"{folder.name}/", "writable", allowed, f"make {folder} writable")
