"""What a run was made of: commit, hashes of the code it uses, versions, memory."""

from __future__ import annotations

import ast
import io
import os
import platform
import resource
import sys
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidssl.core import counted
from vidssl.files import write_atomic as write_atomic  # passed on to the rest of this room
from vidssl.runs.cards import SHARED
from vidssl.runs.clean_page import git_says

PACKAGE = Path(__file__).resolve().parents[1]
CODE_PATHS = ("vidssl", "notebooks", "papermill_runs", "pyproject.toml", "constraints.txt")
TELLS_ONLY = ("progress",)  # rooms that no result depends on
ENDS = (tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER)
TABLES = ("vidssl.runs.tables", "vidssl.runs.cells")  # a room of their own: numbers depend on them
VERSIONED = ("torch", "torchvision", "numpy", "decord", "av", "accelerate", "matplotlib")


def find_project() -> Path:
    """The project's folder: the nearest one above the working folder, else the package's own."""
    here = Path.cwd()
    for folder in (here, *here.parents, PACKAGE.parent):
        if (folder / "notebooks").is_dir() and (folder / "papermill_runs").is_dir():
            return folder
    raise FileNotFoundError(
        f"{here}: no folder with notebooks/ and papermill_runs/ here or above; "
        "run this from the project's folder"
    )


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    return sha256(path.read_bytes()).hexdigest()


def git_state(project: Path) -> tuple[str, bool]:
    """(commit, dirty): dirty where code or parameters differ from the commit.

    Figures and records do not count: runs themselves write them. ("", True) without git.
    """
    commit = git_says(project, "rev-parse", "HEAD")
    if commit is None:
        return "", True
    changed = git_says(project, "status", "--porcelain", "--", *CODE_PATHS) or ""
    outputs = "papermill_runs/records/"
    return commit.strip(), any(outputs not in line for line in changed.splitlines())


@cache
def meaning(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what an edit must touch to
    make a run's result doubtful. The same text on every Python version."""
    lines = source.splitlines()
    begins = True  # a statement
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    for token, following in pairwise(t for t in tokens if t.type != tokenize.NL):
        (first, column), (last, _) = token.start, token.end
        if token.type == tokenize.COMMENT:
            lines[first - 1] = lines[first - 1][:column]
            continue
        if begins and token.type == tokenize.STRING and following.type in ENDS:
            lines[first - 1 : last] = [""] * (last - first + 1)
        begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return "\n".join(line.rstrip() for line in lines if line.strip())


@cache
def imported_names(source: str) -> tuple[str, ...]:
    """Dotted names of ``vidssl`` that Python source imports, at any depth of nesting.

    ``from vidssl.data import decode`` gives both "vidssl.data" and "vidssl.data.decode": whether
    the last part is a module is for the caller to look up.
    """
    found = []
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in dict.fromkeys(found) if name.split(".")[0] == "vidssl")


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements below ``node``. Expressions hold none, and are most of a tree."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for part in getattr(node, field, ()):
            if isinstance(part, ast.stmt):
                yield part
            yield from _statements(part)


def module_file(name: str, package: Path = PACKAGE) -> Path | None:
    """The file of a dotted module of vidssl, or None where the name is not a module."""
    base = package.joinpath(*name.split(".")[1:])
    return next((p for p in (base / "__init__.py", base.with_suffix(".py")) if p.is_file()), None)


def code_hashes(
    source: str | Iterable[str],
    without: tuple[str, ...] = ("runs", "cli"),
    package: Path = PACKAGE,
) -> dict[str, str]:
    """Room of vidssl -> 12 hex digits over the modules of it that ``source`` imports, and those
    that these import; of a package named by itself, all that it passes on.

    ``source`` is Python source or a list of dotted names. Rooms in ``without`` are left out with
    all that only they import: a change of a plot need not train again, nor does a change of a
    module that the run never meets.
    """
    without = {*without, *TELLS_ONLY}
    waiting = list(imported_names(source) if isinstance(source, str) else source)
    seen: set[str] = set()
    texts: dict[str, str] = {}
    for name in waiting:
        is_new = name not in seen and _room(name) not in without
        seen.add(name)
        if is_new and (path := module_file(name, package)):
            texts[name] = path.read_text(encoding="utf-8")
            waiting += imported_names(texts[name])
    digests: dict[str, Any] = {}
    for name, text in sorted(texts.items()):
        digest = digests.setdefault(_room(name), sha256())
        digest.update(f"{name}\n{meaning(text)}\n".encode())
    return {room: digest.hexdigest()[:12] for room, digest in digests.items()}


def _room(name: str) -> str:
    if name in TABLES:
        return "tables"
    parts = name.split(".")
    return parts[min(1, len(parts) - 1)]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, where installed.

    ``arithmetic`` is what torch computes with: instructions and threads. Where one of them differs,
    sums round differently, and a training ends at other digits.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch := sys.modules.get("torch"):  # not loaded for this alone
        threads = counted(torch.get_num_threads(), "thread")
        found["arithmetic"] = f"{torch.backends.cpu.get_cpu_capability()}, {threads}"
    return found


def peak_memory_mb() -> int:
    """Largest resident size of this process so far, in MB (children apart)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def device_name() -> str:
    """The accelerator's name and how many runs may share it, or the machine's kind and cores."""
    import torch

    if torch.cuda.is_available():
        sharing = int(os.environ.get(SHARED, 1))
        return torch.cuda.get_device_name() + (f", {sharing} runs at a time" if sharing > 1 else "")
    return f"{platform.machine()}, {os.cpu_count()} cores"


def cpu_name() -> str:
    """The processor as it calls itself; the machine's kind where nobody says."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def short(path: Path, project: Path) -> str:
    """A path as readers are told it: relative to the project where it lies inside."""
    return str(path.relative_to(project) if path.is_relative_to(project) else path)


def portable(value: Any, project: Path) -> Any:
    """A parameter's value as records keep it: paths inside the project relative to it, others
    by their last part only, so that a record says nothing about somebody's disk."""
    if isinstance(value, dict):
        return {name: portable(part, project) for name, part in value.items()}
    if not isinstance(value, str) or not value.startswith(os.sep):
        return value
    path = Path(value)
    return short(path, project) if path.is_relative_to(project) else f".../{path.name}"
