"""HMDB51: a list for each class and split, <class>_test_split<split>.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidssl.core import VideoRecord, one_of
from vidssl.data.readers.text import Entry, lines_of, listed_path, records_of, require_folder
from vidssl.data.readers.ucf101 import split_number
from vidssl.data.splits import Source, Splits, listed_splits

SUBSETS = ("train", "test", "unused")
TAGS = {"0": "unused", "1": "train", "2": "test"}


def read_hmdb51(
    root: str | Path, annotations: str | Path, split: int = 1, subset: str = "train"
) -> list[VideoRecord]:
    """HMDB51's official lists ``<class>_test_split<split>.txt`` (1 train, 2 test, 0 unused).

    ``subset`` is "train", "test" or "unused". Videos are ``<root>/<class>/<file>``; labels count
    the classes that have a list, sorted by name. The group is the source clip's name, what stands
    before "_<class>_" in the file name. ValueError names file and line.
    """
    one_of("subset", subset, SUBSETS)
    return records_of(_entries(root, annotations, split)[subset])


def open_hmdb51(source: Source) -> Splits:
    """An official split. Some of its test videos share a source film with training videos: that is
    how the lists were published, and `Splits.caveats` counts them."""
    entries = _entries(source.root, source.annotations, source.split)
    return listed_splits(*(entries[subset] for subset in SUBSETS), shares_groups=True)


def _entries(root: str | Path, annotations: str | Path, split: int) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {subset: [] for subset in SUBSETS}
    # sorted by class, as published lists count: by file name, kick_ball would come before kick
    for label, (name, list_file) in enumerate(sorted(_class_lists(annotations, split).items())):
        entries = list(_class_entries(Path(root), list_file, name, label))
        records_of(entry for _, entry in entries)  # a video has one tag
        for subset, entry in entries:
            found[subset].append(entry)
    return found


def _class_entries(
    root: Path, list_file: Path, name: str, label: int
) -> Iterator[tuple[str, Entry]]:
    for line, text in lines_of(list_file):
        match = re.fullmatch(r"(.+?)\s+([012])", text)
        if match is None:
            raise ValueError(f"{list_file}, line {line}: {text!r} is not '<file> <0, 1, 2>'")
        file = listed_path(match[1], f"{list_file}, line {line}")
        source = file.stem.split(f"_{name}_")[0]
        video_id = f"{name}/{file.stem}"
        record = VideoRecord(str(root / name / file), label, video_id, source, name)
        yield TAGS[match[2]], Entry(list_file, line, record)


def _class_lists(annotations: str | Path, split: int) -> dict[str, Path]:
    """The split's list of each class; hidden files, such as macOS's "._" ones, are passed over."""
    ending = f"_test_split{split_number(split)}.txt"
    require_folder(annotations, "annotations")
    lists = {
        file.name.removesuffix(ending): file
        for file in Path(annotations).glob(f"*{ending}")
        if not file.name.startswith(".")
    }
    if "" in lists:
        raise ValueError(f"{lists['']}: its name has no class; call it <class>{ending}")
    if not lists:
        below = sorted({file.parent for file in Path(annotations).glob(f"*/[!.]*{ending}")})
        hint = f"; {below[0]} does" if below else "; give the folder of the lists"
        raise FileNotFoundError(f"{annotations}: holds no *{ending}{hint}")
    others = (
        re.fullmatch(r"([^.].*)_test_split[123]\.txt", p.name) for p in Path(annotations).iterdir()
    )
    lacking = sorted({match[1] for match in others if match} - lists.keys())
    if lacking:
        raise FileNotFoundError(
            f"{annotations}: class {lacking[0]!r} has a list of another split and no {ending[1:]}: "
            "the labels of all classes after it would change; copy it, or remove the other lists"
        )
    return lists
