"""Kinetics: a CSV file for each side, as published with Kinetics-400, -600 and -700."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidssl.core import VideoRecord, did_you_mean
from vidssl.data.readers.text import Entry, below, csv_rows, records_of, require_folder
from vidssl.data.splits import Source, Splits, listed_splits

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read_kinetics(
    csv: str | Path, root: str | Path, class_names: Sequence[str] | None = None
) -> list[VideoRecord]:
    """A Kinetics CSV with columns label, youtube_id, time_start, time_end (others are passed over).

    Videos are ``<root>/<label>/<youtube_id>_<start:06d>_<end:06d>.mp4``; the group is the
    youtube_id. Labels count ``class_names``, by default the file's own sorted ones: give those of
    the training file when a second file may lack a class. ValueError names file and line.
    """
    return records_of(_entries(Path(csv), root, class_names))


def open_kinetics(source: Source) -> Splits:
    """train.csv and val.csv (or validate.csv); videos below the root or its train and val folders.

    A source video may have segments on both sides, as published: `Splits.caveats` counts them.
    """
    require_folder(source.annotations, "annotations")
    root, lists = source.root, Path(source.annotations)
    second = next((n for n in ("val.csv", "validate.csv") if (lists / n).is_file()), "val.csv")
    folders = {part: root / part if (root / part).is_dir() else root for part in ("train", "val")}
    train = list(_entries(lists / "train.csv", folders["train"]))
    names = sorted({entry.record.class_name for entry in train})
    return listed_splits(train, _entries(lists / second, folders["val"], names), shares_groups=True)


def _entries(
    file: Path, root: str | Path, class_names: Sequence[str] | None = None
) -> Iterator[Entry]:
    shared: dict[str, str] = {}  # one string for the name of a class, not one a row
    rows = [
        (line, shared.setdefault(name, name), youtube_id, _stem(file, line, youtube_id, *times))
        for line, (name, youtube_id, *times) in csv_rows(file, COLUMNS)
    ]
    if not rows:
        raise ValueError(f"{file}: lists no video")
    names = class_names or sorted(shared)
    labels = {name: label for label, name in enumerate(names)}
    folders = {name: os.path.join(root, name, "") for name in names}
    for line, name, youtube_id, stem in rows:
        if name not in labels:
            hint = did_you_mean(name, names)
            raise ValueError(f"{file}, line {line}: label {name!r}{hint}")
        below(f"{name}/{stem}", f"{file}, line {line}")
        path = f"{folders[name]}{stem}.mp4"
        yield Entry(file, line, VideoRecord(path, labels[name], stem, youtube_id, name))


def _stem(file: Path, line: int, youtube_id: str, start: str, end: str) -> str:
    """A video's name: its source and its segment in seconds."""
    try:
        first, last = int(float(start)), int(float(end))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{file}, line {line}: times must be seconds, got {start!r}, {end!r}"
        ) from None
    if not 0 <= first < last:
        raise ValueError(
            f"{file}, line {line}: the segment from {first} to {last} s is empty or negative"
        )
    return f"{youtube_id}_{first:06d}_{last:06d}"
