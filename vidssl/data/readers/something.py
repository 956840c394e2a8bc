"""Something-Something V2 (Goyal et al., ICCV 2017): JSON lists of videos named by their number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidssl.core import VideoRecord, did_you_mean, one_of
from vidssl.data.readers.text import (
    Entry,
    below,
    json_items,
    json_object,
    labels_of,
    records_of,
    require_folder,
)
from vidssl.data.splits import Source, Splits, listed_splits

SUBSETS = {"train": "train.json", "test": "validation.json"}
PREFIX = "something-something-v2-"  # of the files' names as first published


def read_something(
    root: str | Path, annotations: str | Path, subset: str = "train"
) -> list[VideoRecord]:
    """The videos ``<root>/<id>.webm`` of ``train.json``, or of ``validation.json`` for "test": the
    labels of the set's own test.json are not public.

    ``annotations`` holds these and ``labels.json``, under these names or the published ones with
    "something-something-v2-" before them. A class is a template without its brackets; labels count
    the classes that the two lists name, in the order of the official numbers. Each video is a
    group: who filmed it is not published. ValueError names file and line.
    """
    one_of("subset", subset, tuple(SUBSETS))
    return records_of(_entries(Path(root), annotations)[subset])


def open_something(source: Source) -> Splits:
    """Training and validation videos."""
    entries = _entries(source.root, source.annotations)
    return listed_splits(entries["train"], entries["test"])


def _entries(root: Path, annotations: str | Path) -> dict[str, list[Entry]]:
    require_folder(annotations, "annotations")
    lists = {subset: list(_templates(annotations, name)) for subset, name in SUBSETS.items()}
    named = {template for found in lists.values() for _, _, _, template in found}
    numbers = _numbers(_named(annotations, "labels.json"))
    labels = labels_of(numbers, named, "labels.json")
    entries: dict[str, list[Entry]] = {subset: [] for subset in lists}
    for subset, found in lists.items():
        for file, line, name, template in found:
            if template not in labels:
                hint = did_you_mean(template, list(numbers))
                raise ValueError(f"{file}, line {line}: no label for {template!r}{hint}")
            path = str(root / f"{name}.webm")
            record = VideoRecord(path, labels[template], name, name, template)
            entries[subset].append(Entry(file, line, record))
    return entries


def _templates(annotations: str | Path, name: str) -> Iterator[tuple[Path, int, str, str]]:
    """(file, line, id, template without brackets) of each video of a list."""
    file = _named(annotations, name)
    for line, item in json_items(file, ("id", "template")):
        template = str(item["template"]).replace("[", "").replace("]", "")
        yield file, line, below(str(item["id"]), f"{file}, line {line}"), template


def _named(annotations: str | Path, name: str) -> Path:
    published = Path(annotations, PREFIX + name)
    return published if published.is_file() else Path(annotations, name)


def _numbers(file: Path) -> dict[str, int]:
    """Official number of each template."""
    numbers = json_object(file)
    wrong = [name for name, number in numbers.items() if not str(number).isdecimal()]
    if wrong or len(set(map(int, numbers.values()))) < len(numbers):
        what = f"{wrong[0]!r} has no number" if wrong else "a number is there twice"
        raise ValueError(f"{file}: {what}; it must map each template to a number of its own")
    return {name: int(number) for name, number in numbers.items()}
