"""What may keep this machine from running the workbook, with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from vidssl.runs.provenance import find_project
from vidssl.runs.ready import normalised, other_versions, read_constraints

LEAST_MEMORY_GB = 4
LEAST_DISK_GB = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
    """Look at Python, packages, decoder, cores, memory, disk, GPU, browser and folders."""
    project = find_project()
    return [
        _python(),
        *_packages(project),
        _decoder(),
        Finding("cores", str(os.cpu_count())),
        _memory(),
        _disk(project),
        _gpu(),
        _browser(),
        *(_writable(project / name) for name in ("figures", "papermill_runs")),
    ]


def _python() -> Finding:
    value = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", value, sys.version_info >= (3, 11), "install Python 3.11 or newer")


def _packages(project: Path) -> Iterator[Finding]:
    constraints, pyproject = project / "constraints.txt", project / "pyproject.toml"
    if not constraints.exists():
        yield Finding("packages", "no constraints.txt", False, f"restore {constraints}")
        return
    pins = read_constraints(constraints)
    there = {normalised(d.name): d.version.partition("+")[0] for d in distributions() if d.name}
    other = other_versions(pins, there)
    value = f"{len(pins.keys() & there) - len(other)} of {len(pins)} as in constraints.txt"
    yield Finding(
        "packages", value, not other, f"{'; '.join(other)}: `make setup` puts it right", False
    )
    try:
        needed = _required(pyproject)
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"does not say what vidssl needs ({error!r})"
        yield Finding("pyproject.toml", told, False, f"restore {pyproject}")
        return
    absent = [name for name in pins if name in needed and name not in there]
    if absent:
        yield Finding("missing packages", ", ".join(absent), False, "run `make setup`")


def _required(pyproject: Path) -> set[str]:
    """Normalised names that vidssl itself asks for on this machine, extras apart."""
    import tomllib

    from packaging.requirements import Requirement

    told = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    wanted = map(Requirement, told["project"]["dependencies"])
    return {normalised(r.name) for r in wanted if r.marker is None or r.marker.evaluate()}


def _decoder() -> Finding:
    from vidssl.data import backend

    try:
        return Finding("video decoder", backend())
    except (ImportError, ValueError, RuntimeError) as error:
        return Finding("video decoder", str(error), False, "install av, unset VIDSSL_DECODER")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
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


def _browser() -> Finding:
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    hint = "browser tests are skipped; apt-get install chromium"
    return Finding("Chromium", browser or "not found", browser is not None, hint, fatal=False)


def _writable(folder: Path) -> Finding:
    folder.mkdir(parents=True, exist_ok=True)
    allowed = os.access(folder, os.W_OK)
    return Finding(f"{folder.name}/", "writable", allowed, f"make {folder} writable")
