"""The project's own files: UTF-8 under every locale, never half written; damaged ones are refused
by name, and nobody need read on."""

from __future__ import annotations

import errno
import json
import os
import struct
import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MAPPED = 2**26  # bytes of an array that is left on disk; smaller ones are read, and so checked
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what systems say where there is no room
NAME_BYTES = 200  # of a file's name; systems allow 255, with an ending


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write a file to that becomes ``path`` at the end: readers see the old or the new
    one, never half of it. Killed, it leaves a ``.<name>.<process>.part``. Where there is no room,
    the OSError is that of `cannot_write`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with names_full(path):
            yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def names_full(path: Path) -> Iterator[None]:
    """Where a disk is full, which alone does not say what was written, the error names ``path``."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = os_error(error)
        if cause is None or cause.errno not in FULL:
            raise
        raise cannot_write(path, cause) from error


def os_error(error: BaseException | None) -> OSError | None:
    """The OSError behind an error, if there is one: torch hides a full disk in a RuntimeError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def cannot_write(
    path: Path, error: OSError, kept: str = "what was finished before is kept"
) -> OSError:
    """The error to raise where a file cannot be written; of the same kind."""
    do = "make room" if error.errno in FULL else "see to that"
    words = f"{path} cannot be written ({error.strerror}): {do} and start again; {kept}"
    return OSError(error.errno, words)


def write_atomic(path: Path, text: str) -> None:
    """Write a text file that is seen whole or not at all, see `whole`.

    What UTF-8 cannot hold, a byte of a file's name that is none, is written as ``\\udcXX``: an
    odd name must not cost what was measured.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: Path, kind: type = dict) -> Any:
    """What a JSON file of the project's own holds; ValueError that names it where it is damaged, or
    is of another ``kind`` than dict or list."""
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, kind):
            raise ValueError(f"a {type(found).__name__}, no {kind.__name__}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and make it again") from None
    return found


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names; ValueError that names it, whatever is wrong with
    it, and where it holds objects: their code is not run.

    Large ones that are not compressed are mapped: memory holds what is used of them.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            places = {
                member.filename.removesuffix(".npy"): member for member in archive.zip.filelist
            }
            large = {name for name, member in places.items() if _is_mapped(member)}
            mapped = {name: _mapped(path, places[name]) for name in large}
            return {name: mapped[name] if name in large else archive[name] for name in archive}
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(f"{path}: {told(error)}") from error


def _is_mapped(member: zipfile.ZipInfo) -> bool:
    return member.file_size > MAPPED and member.compress_type == zipfile.ZIP_STORED


def _mapped(path: str | os.PathLike, member: zipfile.ZipInfo) -> np.ndarray:
    """An array of an .npz as it lies on disk."""
    import numpy as np

    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)  # two lengths, and what is so long, before the array
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
        np.lib.format.read_magic(file)
        shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject:
            raise ValueError("it holds objects")
        order = "F" if in_columns else "C"
        return np.memmap(file, dtype, "c", file.tell(), shape, order).view(np.ndarray)


def write_arrays(path: str | os.PathLike, *, compressed: bool = True, **arrays: Any) -> Path:
    """Write an .npz file that is seen whole or not at all, see `whole`."""
    import numpy as np

    path, write = Path(path), np.savez_compressed if compressed else np.savez
    with whole(path) as partial, open(partial, "wb") as file:  # of a name it changes the ending
        write(file, **arrays)
    return path


def told(error: BaseException) -> str:
    """An error in one line: its words, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def plain_name(name: str, what: str) -> str:
    """``name``, if it is one file's or folder's on every system; else ValueError: a path, such as
    ``../x`` or ``C:x``, would lead out of the folder that it is meant for."""
    wrong = {"/", "\\"} & set(name) or any(ord(letter) < 32 for letter in name)
    if wrong or not name.strip(" .") or name[1:2] == ":":
        raise ValueError(f"{what} {name!r} is no plain name: leave out / \\ and C: in it")
    if len(name.encode(errors="surrogateescape")) > NAME_BYTES:
        raise ValueError(f"{what} {name[:20]!r}... is longer than {NAME_BYTES} bytes; shorten it")
    return name


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
