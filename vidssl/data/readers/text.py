"""Text files that list videos: what lines they hold, and which line is at fault.

Files are UTF-8, with or without a byte order mark (one of UTF-16 is honoured too), lines end as on
any system, blanks at their ends and empty lines do not count.
"""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping, Set
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from vidssl.core import VideoRecord

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # of tables that are called CSV, too
SEPARATED = re.compile(r"([;,|])\s*-?\d+$|^\d+\s*([;,|])\s*[^\s/]+$")  # a number, but by no blank
JSON_BETWEEN = re.compile(r"\s*[\[,]?\s*")  # before the items of a list


class Entry(NamedTuple):
    """A video and the line that lists it."""

    file: Path
    line: int
    record: VideoRecord

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}"


def records_of(entries: Iterable[Entry]) -> list[VideoRecord]:
    """The records of a list; ValueError that names both lines where a video stands twice."""
    entries = list(entries)
    if len({entry.record.video_id for entry in entries}) < len(entries):
        _refuse_second(entries)
    return [entry.record for entry in entries]


def _refuse_second(entries: list[Entry]) -> NoReturn:
    first: dict[str, Entry] = {}
    again = [e for e in entries if first.setdefault(e.record.video_id, e) is not e]
    entry, other = again[0], first[again[0].record.video_id]
    where = f"line {other.line}" if other.file == entry.file else other.place
    names = (entry.record.class_name, other.record.class_name)
    label = f" as {names[1]!r}, here as {names[0]!r}" if names[0] != names[1] else ""
    more = f" ({len(again) - 1} more lines repeat a video)" if again[1:] else ""
    raise ValueError(
        f"{entry.place}: video {entry.record.video_id!r} is there twice, first in {where}{label}"
        f"{more}; remove one"
    )


def labels_of(numbers: Mapping[str, int], named: Set[str], source: str) -> dict[str, int]:
    """Labels from 0 of the classes that lists name, in the order of their official ``numbers``.

    A warning says so where the ``source`` of the numbers has other classes, too.
    """
    found = sorted(named & numbers.keys(), key=numbers.get)
    if len(found) < len(numbers):
        warnings.warn(
            f"{source} has {len(numbers)} classes, the lists of the split name {len(found)} of "
            "them; labels count these",
            stacklevel=2,
        )
    return {name: label for label, name in enumerate(found)}


def lines_of(file: Path) -> list[tuple[int, str]]:
    """Numbered lines with content; FileNotFoundError or ValueError if there are none."""
    lines = [(n, line.strip()) for n, line in enumerate(text_of(file).split("\n"), 1)]
    lines = [(n, line) for n, line in lines if line]
    if not lines:
        raise ValueError(f"{file}: lists no video")
    if match := SEPARATED.search(lines[0][1]):
        raise ValueError(
            f"{file}, line {lines[0][0]}: {match[1] or match[2]!r} separates the parts of "
            f"{lines[0][1]!r}, which must be blanks; replace it in the whole list"
        )
    return lines


def csv_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, the cells of ``columns``) of each row of a CSV file whose header names them.

    ValueError that names file and line for a row with fewer or more cells than the header, for an
    empty cell and for a quote that is not closed.
    """
    reader = csv.reader(io.StringIO(text_of(file), newline=""), skipinitialspace=True)
    header = [name.strip() for name in next(reader, ())]
    lacking = [name for name in columns if name not in header]
    if lacking:
        raise ValueError(f"{file}: {_told_header(lacking[0], header, columns)}")
    pick = itemgetter(*(header.index(name) for name in columns))
    for line, row in _numbered(reader, file):
        if len(row) != len(header):
            row = _fitted(row, header, f"{file}, line {line}")
        cells = tuple(map(str.strip, pick(row))) if row else ()
        if all(cells) and cells:
            yield line, cells
        elif any(map(str.strip, row)):
            raise ValueError(f"{file}, line {line}: an empty cell in {','.join(row)!r}")


def _told_header(lacking: str, header: list[str], columns: tuple[str, ...]) -> str:
    """Why a column is not found: another separator, other letters, or it is not there."""
    line = ",".join(header)
    for sign, name in SEPARATORS.items():
        cells = {cell.strip(' "').casefold() for cell in line.split(sign)}
        if cells.issuperset(columns):
            return f"its columns are separated by {name}, not by commas; save it with commas"
    written = next((name for name in header if name.casefold() == lacking), "")
    if written:
        return f"column {lacking!r} is written {written!r} there; give it its small letters"
    return f"column {lacking!r} is missing in {line!r}; the header must name {', '.join(columns)}"


def _numbered(reader, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line they stand in, which is never more than one."""
    line = reader.line_num
    try:
        for row in reader:
            line += 1
            if reader.line_num != line:
                raise csv.Error
            yield line, row
    except csv.Error:
        raise ValueError(
            f'{file}, line {min(line, reader.line_num)}: a quote (") opens there and is not '
            "closed in its line"
        ) from None


def _fitted(row: list[str], header: list[str], place: str) -> list[str]:
    """A row without empty cells behind the header's, [] for a blank line; others are refused."""
    if not any(map(str.strip, row)):
        return []
    if len(row) < len(header) or any(map(str.strip, row[len(header) :])):
        raise ValueError(
            f"{place}: {len(row)} cells where the header has {len(header)}, in {','.join(row)!r}; "
            "is the file cut off there?"
        )
    return row[: len(header)]


def json_items(file: Path, keys: tuple[str, ...] = ()) -> Iterator[tuple[int, Any]]:
    """(line, item) of each item of a JSON list; items are objects with ``keys`` if there are any.

    ValueError that names file and line for what is no JSON, a list that is cut off, or an item
    without one of the keys.
    """
    text, decoder, line, at = text_of(file), json.JSONDecoder(), 1, 0
    place = JSON_BETWEEN.match(text).end()
    if not text[:place].strip().startswith("["):
        raise ValueError(f"{file}: is no JSON list")
    while text[place : place + 1] != "]":
        line, at = line + text.count("\n", at, place), place
        try:
            item, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{file}, line {error.lineno}: {error.msg}; is the file cut off there?"
            ) from None
        except RecursionError:
            raise ValueError(f"{file}, line {line}: brackets too deep in each other") from None
        lacking = [key for key in keys if not isinstance(item, dict) or key not in item]
        if lacking:
            raise ValueError(f"{file}, line {line}: {lacking[0]!r} is missing in {item!r}")
        yield line, item
        place = JSON_BETWEEN.match(text, place).end()


def json_object(file: Path) -> dict[str, Any]:
    """A JSON object; ValueError that names file and line for anything else."""
    try:
        found = json.loads(text_of(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}, line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{file}: brackets too deep in each other") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file}: is no JSON object")
    return found


def text_of(file: Path) -> str:
    r"""A file's text, lines ending in \n.

    FileNotFoundError if it is not there, naming a folder below that holds it; ValueError with the
    line for bytes that are no UTF-8.
    """
    require_file(file)
    raw = file.read_bytes()
    encoding = "utf-16" if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in raw:
        raise ValueError(f"{file}: is not a text file; give the data set's list")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start : error.start + 1]
        raise ValueError(
            f"{file}, line {line}: byte 0x{byte.hex()} is not UTF-8 ({byte.decode('latin-1')!r} in "
            "Latin-1); save the file as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def listed_path(text: str, place: str) -> Path:
    r"""A path as lists write it: perhaps in quotes, perhaps with Windows' \ between folders.

    >>> listed_path('"a b\\c.avi"', "list.txt, line 1").as_posix()
    'a b/c.avi'
    """
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return Path(below(text.replace("\\", "/"), place))


def below(name: str, place: str) -> str:
    """``name``, if it leads to a file below the data set's folder; else ValueError that names the
    ``place`` in the list."""
    drive = name[1:2] == ":" and name[0].isalpha()
    if drive or name[:1] in ("", "/") or "\0" in name or ".." in name.split("/"):
        raise ValueError(f"{place}: {name!r} does not lie below the data set's folder; correct it")
    return name


def require_file(file: Path) -> None:
    if not file.is_file():
        below = next(iter(sorted(file.parent.glob(f"*/{file.name}"))), None)
        hint = "check the folder of the data set's lists"
        if below:
            hint = f"{below} is there: give {str(below.parent)!r}"
        raise FileNotFoundError(f"{file}: no such file; {hint}")


def require_folder(folder: str | Path, name: str) -> None:
    if not str(folder) or not Path(folder).is_dir():
        raise FileNotFoundError(f"{name}={str(folder)!r} is not a folder")
