"""The project's own text files: UTF-8 under every locale, and never half written."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: Path, text: str) -> None:
    """Write a file so that readers see the old or the new one, never half of it.

    What UTF-8 cannot hold, a byte of a file's name that is none, is written as ``\\udcXX``: an
    odd name must not cost what was measured. Killed, it leaves a ``.<name>.<process>.part``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(partial, path)
