"""What a run was made of: commit, hashes of the code it uses, versions, memory."""

from __future__ import annotations

import ast
import io
import os
import platform
import resource
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from vidssl.files import write_atomic as write_atomic  # passed on to the rest of this room

PACKAGE = Path(__file__).resolve().parents[1]
CODE_PATHS = ("vidssl", "notebooks", "papermill_runs", "pyproject.toml", "constraints.txt")
TELLS_ONLY = ("progress",)  # rooms that no result depends on
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
    commit = _git(project, "rev-parse", "HEAD")
    if commit is None:
        return "", True
    changed = _git(project, "status", "--porcelain", "--", *CODE_PATHS) or ""
    outputs = "papermill_runs/records/"
    return commit, any(outputs not in line for line in changed.splitlines())


def _git(project: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@cache
def meaning(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what an edit must touch to
    make a run's result doubtful. The same text on every Python version."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in _statements(ast.parse(source)):
        docstring = _docstring(node)
        if docstring is not None:
            for row in range(docstring.lineno - 1, docstring.end_lineno):
                lines[row] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _docstring(node: ast.AST) -> ast.Expr | None:
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    first = node.body[0] if node.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first if is_text and isinstance(first.value.value, str) else None


def _statements(tree: ast.Module) -> list[ast.AST]:
    """The module and every statement in it, outer ones first; quicker than a walk over all."""
    found: list[ast.AST] = [tree]
    for node in found:
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            found += getattr(node, block, ())
    return found


def imported_names(source: str, module: str = "", is_package: bool = False) -> Iterator[str]:
    """Dotted names of ``vidssl`` that Python source imports, at any depth of nesting.

    ``from vidssl.data import decode`` gives both "vidssl.data" and "vidssl.data.decode": whether
    the last part is a module is for the caller to look up. ``module`` resolves relative imports.
    """
    yield from _imported(ast.parse(source), module, is_package)


def _imported(tree: ast.Module, module: str, is_package: bool = False) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            found = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in found if name.split(".")[0] == "vidssl")


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def module_file(name: str, package: Path = PACKAGE) -> Path | None:
    """The file of a dotted module of vidssl, or None where the name is not a module."""
    base = package.joinpath(*name.split(".")[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def modules_used(names: Iterable[str], package: Path = PACKAGE) -> dict[str, Path]:
    """The modules of vidssl that stand behind dotted ``names``, with their files.

    A package's ``__init__`` only passes names on, so it is looked through: of
    ``vidssl.data.ClipDataset`` comes the module that defines it, and what that module uses in turn,
    not all that the package offers.
    """
    used: dict[str, Path] = {}
    waiting = list(dict.fromkeys(names))
    for asked in waiting:
        name = _defining_module(asked, package)
        if name and name not in used:
            used[name] = module_file(name, package)
            uses = _uses(used[name].read_text(encoding="utf-8"), name)
            waiting += [other for other in dict.fromkeys(uses) if other not in waiting]
    return used


@cache
def _uses(source: str, module: str) -> tuple[str, ...]:
    return tuple(used_names(source, module))


def used_names(source: str, module: str = "") -> Iterator[str]:
    """Dotted names of vidssl that ``source`` imports, and those it reaches as ``package.name``."""
    tree = ast.parse(source)
    yield from _imported(tree, module)
    bound = dict(_bindings(tree, module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            package = bound.get(node.value.id, "")
            if package.split(".")[0] == "vidssl":
                yield f"{package}.{node.attr}"


def _bindings(tree: ast.Module, module: str, is_package: bool = False) -> Iterator[tuple[str, str]]:
    """(name in the source, dotted name) of every ``from ... import ...``."""
    for node in _statements(tree):
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            yield from (
                (alias.asname or alias.name, f"{base}.{alias.name}") for alias in node.names
            )


@cache
def _passed_on(source: str, package: str) -> dict[str, str]:
    """Name -> dotted name, of what a package's ``__init__`` passes on."""
    return dict(_bindings(ast.parse(source), package, is_package=True))


def _defining_module(name: str, package: Path) -> str | None:
    """The module, no package, behind a dotted name; None where nothing of vidssl defines it."""
    path = module_file(name, package)
    if path is not None:
        return None if path.name == "__init__.py" else name
    parent, _, attribute = name.rpartition(".")
    path = module_file(parent, package) if parent else None
    if path is None:
        return None
    if path.name != "__init__.py":
        return parent
    passed_on = _passed_on(path.read_text(encoding="utf-8"), parent)
    return _defining_module(passed_on[attribute], package) if attribute in passed_on else None


def code_hashes(
    source: str | Iterable[str], without: tuple[str, ...] = ("runs", "cli")
) -> dict[str, str]:
    """Room of vidssl -> 12 hex digits over the modules that ``source`` uses of it.

    ``source`` is Python source or a list of dotted names. Rooms in ``without`` are left out with
    all that only they import: a change of a plot need not train again, nor does a change of a
    module that the run never meets.
    """
    names = used_names(source) if isinstance(source, str) else source
    without = {*without, *TELLS_ONLY}
    kept = [name for name in names if _room(name) not in without]
    digests: dict[str, Any] = {}
    for name, path in sorted(modules_used(kept).items()):
        if _room(name) not in without:
            digest = digests.setdefault(_room(name), sha256())
            digest.update(f"{name}\n{meaning(path.read_text(encoding='utf-8'))}\n".encode())
    return {room: digest.hexdigest()[:12] for room, digest in digests.items()}


def _room(name: str) -> str:
    if name in TABLES:
        return "tables"
    parts = name.split(".")
    return parts[min(1, len(parts) - 1)]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, where installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> int:
    """Largest resident size of this process so far, in MB (children apart)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def device_name() -> str:
    """The accelerator's name, or the machine's kind and number of cores."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {os.cpu_count()} cores"


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
    if path.is_relative_to(project):
        return str(path.relative_to(project))
    return f".../{path.name}"
