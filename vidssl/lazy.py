"""Packages that import a module of theirs when a name of it is first asked for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package that passes names on.

    Its ``from ... import ...`` lines stand under ``if TYPE_CHECKING:``, where readers and tools
    find them, and they are what is looked up here: each name is written once.
    """
    here = sys.modules[package]
    tree = ast.parse(Path(here.__file__).read_text(encoding="utf-8"))
    homes = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, own_name = homes[name]
        value = getattr(import_module(module), own_name)
        setattr(here, name, value)  # asked once
        return value

    return find, lambda: sorted({*vars(here), *homes})
