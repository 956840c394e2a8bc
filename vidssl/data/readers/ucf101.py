"""UCF101: classInd.txt and {train,test}list0<split>.txt; the embedded data is laid out alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vidssl.core import VideoRecord, did_you_mean, one_of
from vidssl.data.readers.text import (
    Entry,
    labels_of,
    lines_of,
    listed_path,
    records_of,
    require_folder,
)
from vidssl.data.splits import Source, Splits, listed_splits

SUBSETS = ("train", "test")


def read_ucf101(
    root: str | Path, annotations: str | Path, split: int = 1, subset: str = "train"
) -> list[VideoRecord]:
    """UCF101's official list ``{train,test}list0<split>.txt`` beside ``classInd.txt``.

    ``root`` holds the class folders, ``annotations`` the lists. Labels count the classes that the
    two lists of the split name, from 0 in the order of their official numbers: lists that are cut
    to three classes have labels 0 to 2. The group is "<class>_gXX": the recording a clip was cut
    from (g01 of one class has nothing to do with g01 of another). ValueError names file and line.
    """
    one_of("subset", subset, SUBSETS)
    return records_of(_entries(root, annotations, split, subset))


def open_ucf101(source: Source) -> Splits:
    """Both sides of an official split."""
    place = (source.root, source.annotations, source.split)
    return listed_splits(*(_entries(*place, subset) for subset in SUBSETS))


def open_embedded(source: Source) -> Splits:
    """The data that `vidssl.data.synthetic.make_dataset` wrote below the root."""
    place = (source.root / "UCF-101", source.root / "ucfTrainTestlist", 1)
    return listed_splits(*(_entries(*place, subset) for subset in SUBSETS))


class _Line(NamedTuple):
    """What a line of a list says; ``number`` is "" in test lists."""

    line: int
    path: Path
    recording: str
    number: str

    @property
    def class_name(self) -> str:
        return self.path.parts[0]


def _entries(root: str | Path, annotations: str | Path, split: int, subset: str) -> Iterator[Entry]:
    require_folder(annotations, "annotations")
    numbers = _class_numbers(Path(annotations, "classInd.txt"))
    number = split_number(split)
    files = {name: Path(annotations, f"{name}list{number:02d}.txt") for name in SUBSETS}
    lists = {name: _parsed(f) for name, f in files.items() if name == subset or f.is_file()}
    named = {line.class_name for lines in lists.values() for line in lines}
    labels = labels_of(numbers, named, "classInd.txt")
    for line in lists[subset]:
        _check_class(line, numbers, f"{files[subset]}, line {line.line}")
        name, video_id = line.class_name, line.path.with_suffix("").as_posix()
        group = f"{name}_{line.recording}"
        record = VideoRecord(str(Path(root) / line.path), labels[name], video_id, group, name)
        yield Entry(files[subset], line.line, record)


def split_number(split: int) -> int:
    """``split``, one of the three that UCF101 and HMDB51 have."""
    if split not in (1, 2, 3):
        raise ValueError(f"split={split!r} must be 1, 2 or 3")
    return split


def _parsed(list_file: Path) -> list[_Line]:
    found = []
    for line, text in lines_of(list_file):
        named, number = re.fullmatch(r"(.*?)(?:\s+(\d+))?", text).groups()
        path = listed_path(named, f"{list_file}, line {line}")
        recording = re.fullmatch(r"v_.+_(g\d+)_c\d+", path.stem)
        if len(path.parts) != 2 or recording is None:
            raise ValueError(
                f"{list_file}, line {line}: {text!r} is not <class>/v_<class>_gXX_cYY.avi"
            )
        found.append(_Line(line, path, recording[1], number or ""))
    return found


def _check_class(line: _Line, numbers: dict[str, int], place: str) -> None:
    name = line.class_name
    if name not in numbers:
        raise ValueError(
            f"{place}: class {name!r} is not in classInd.txt{did_you_mean(name, list(numbers))}"
        )
    if line.number and int(line.number) != numbers[name]:
        raise ValueError(
            f"{place}: class number {line.number} for {name!r}, which is {numbers[name]} in "
            "classInd.txt; take lists that belong together"
        )


def _class_numbers(file: Path) -> dict[str, int]:
    """The official number of each class; they count from 1 and may leave some out."""
    numbers: dict[str, int] = {}
    lines: dict[str | int, int] = {}
    for line, text in lines_of(file):
        number, *rest = text.split(maxsplit=1)
        name = "".join(rest)
        if not number.isdecimal() or not name:
            raise ValueError(f"{file}, line {line}: {text!r} is not '<number> <class>'")
        if int(number) < 1:
            raise ValueError(
                f"{file}, line {line}: number {number} for {name!r}; official numbers count from 1"
            )
        for what in (int(number), name):
            if what in lines:
                raise ValueError(
                    f"{file}, line {line}: {what!r} is there twice, first in line {lines[what]}"
                )
            lines[what] = line
        numbers[name] = int(number)
    return numbers
