"""Diving48 (Li, Li & Vasconcelos, ECCV 2018), its second, corrected lists (V2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vidssl.core import VideoRecord, one_of
from vidssl.data.readers.text import Entry, below, json_items, labels_of, records_of, require_folder
from vidssl.data.splits import Source, Splits, listed_splits

SUBSETS = ("train", "test")


def read_diving48(
    root: str | Path, annotations: str | Path, subset: str = "train"
) -> list[VideoRecord]:
    """The videos ``<root>/<vid_name>.mp4`` of ``Diving48_V2_<subset>.json``, one dive each.

    ``annotations`` holds both lists and ``Diving48_vocab.json``: of each class the take-off, the
    turns, the twists and the position, which make its name. Labels count the classes that the two
    lists name, in the vocabulary's order. The group is the broadcast that a dive was cut from,
    ``vid_name`` without its last number. start_frame and end_frame are passed over: videos are
    cut to the dive already. ValueError names file and line.
    """
    one_of("subset", subset, SUBSETS)
    return records_of(_entries(Path(root), annotations)[subset])


def open_diving48(source: Source) -> Splits:
    """Both sides. A broadcast may have dives on both: `Splits.caveats` counts them."""
    entries = _entries(source.root, source.annotations)
    return listed_splits(entries["train"], entries["test"], shares_groups=True)


def _entries(root: Path, annotations: str | Path) -> dict[str, list[Entry]]:
    require_folder(annotations, "annotations")
    names = _class_names(Path(annotations, "Diving48_vocab.json"))
    lists = {subset: list(_dives(Path(annotations), subset, len(names))) for subset in SUBSETS}
    named = {names[number] for dives in lists.values() for *_, number in dives}
    numbers = {name: number for number, name in enumerate(names)}
    labels = labels_of(numbers, named, "Diving48_vocab.json")
    return {
        subset: [
            Entry(file, line, _record(root, video, labels[names[number]], names[number]))
            for file, line, video, number in dives
        ]
        for subset, dives in lists.items()
    }


def _record(root: Path, video: str, label: int, class_name: str) -> VideoRecord:
    broadcast = video.rpartition("_")[0] or video
    return VideoRecord(str(root / f"{video}.mp4"), label, video, broadcast, class_name)


def _dives(
    annotations: Path, subset: str, num_classes: int
) -> Iterator[tuple[Path, int, str, int]]:
    """(file, line, video, number of its class) of each item of a list."""
    file = annotations / f"Diving48_V2_{subset}.json"
    for line, item in json_items(file, ("vid_name", "label")):
        number = item["label"]
        if type(number) is not int or not 0 <= number < num_classes:
            raise ValueError(
                f"{file}, line {line}: label {number!r} is no number in 0..{num_classes - 1}, the "
                "classes of Diving48_vocab.json"
            )
        yield file, line, below(str(item["vid_name"]), f"{file}, line {line}"), number


def _class_names(file: Path) -> list[str]:
    """Names such as "Back 15som 05Twis FREE", in the order of the labels."""
    names: list[str] = []
    for line, stages in json_items(file):
        name = " ".join(map(str, stages)) if isinstance(stages, list) else stages
        if not isinstance(name, str) or name in names:
            what = "is no list of words" if name not in names else "is there twice"
            raise ValueError(f"{file}, line {line}: {json.dumps(stages)} {what}")
        names.append(name)
    return names
