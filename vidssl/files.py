"""The project's own text: UTF-8 under every locale, never half written, and nobody need read on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write a file to that becomes ``path`` at the end: readers see the old or the new
    one, never half of it. Killed, it leaves a ``.<name>.<process>.part``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Write a text file that is seen whole or not at all, see `whole`.

    What UTF-8 cannot hold, a byte of a file's name that is none, is written as ``\\udcXX``: an
    odd name must not cost what was measured.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def require_utf8(names: Iterable[str | Path], where: str | Path) -> None:
    """ValueError with the count and the first few if any file's name is not UTF-8.

    Pages, lists and decoders take UTF-8 alone: such a name would stop a run at its end.
    """
    odd = [name for name in map(str, names) if not _is_utf8(name)]
    if not odd:
        return
    shown = ", ".join(readable(name) for name in odd[:3]) + ", ..." * (len(odd) > 3)
    encoding = sys.getfilesystemencoding()
    advice = f"rename {'them' if len(odd) > 1 else 'it'}"
    if encoding != "utf-8":
        advice = f"names are taken for {encoding} here: set PYTHONUTF8=1, or {advice}"
    raise ValueError(
        f"{readable(str(where))}: {len(odd)} file name{'s are' if len(odd) > 1 else ' is'} not "
        f"UTF-8: {shown}; {advice}"
    )


def readable(name: str) -> str:
    """A name as UTF-8 can hold it, bytes that are none as ``\\xe9``."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\\udc", "\\x")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def drop_output() -> None:
    """Send what is still printed nowhere, after a BrokenPipeError: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
