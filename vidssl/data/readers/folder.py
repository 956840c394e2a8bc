"""A folder of one's own videos or still images: a folder a class, perhaps one a group inside it."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidssl.core import VideoRecord, derive_seed, did_you_mean
from vidssl.data.splits import Source, Splits, require_classes
from vidssl.files import require_utf8

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")
VIDEO_SUFFIXES += (".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".vob")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
HIDDEN = ("__MACOSX", "@eaDir")  # what unpackers and file servers leave, beside names with a dot
SIDE_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"}


def is_image(path: str | Path) -> bool:
    """Whether a file's name ends like a still image's."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def read_folder(root: str | Path, labelled: bool = True) -> list[VideoRecord]:
    """Videos laid out as ``<class>/<file>`` or ``<class>/<group>/<file>``, classes sorted, labels
    from 0.

    ``video_id`` is the path below ``root`` without its ending. A video's group is its group
    folder's name (the same name in two classes is one group), else the video itself. With
    ``labelled=False`` any layout is read and labels are -1. A class folder without a video is left
    out, which a warning says with the reason. Raises FileNotFoundError for a missing folder,
    ValueError for one without videos or with another layout.
    """
    return _read(root, VIDEO_SUFFIXES, "video", labelled)


def read_images(root: str | Path) -> list[VideoRecord]:
    """Still images of a folder, flat (label -1) or in class folders. Errors as `read_folder`."""
    return _read(root, IMAGE_SUFFIXES, "image", None)


def _read(
    root: str | Path, suffixes: tuple[str, ...], kind: str, labelled: bool | None
) -> list[VideoRecord]:
    """``labelled=None``: if any lies in a folder."""
    root = Path(root)
    files, others = _files_below(root, suffixes)
    every = sum(others.values(), Counter())
    if not files:
        raise ValueError(f"{root}: holds no {kind} file {_told_endings(every, suffixes)}")
    require_utf8([root, *files], root)
    if labelled is None:
        labelled = any(len(file.parts) > 1 for file in files)
    if labelled:
        _require_class_folders(root, files)
        _tell_empty_classes(root, files, others, suffixes, kind)
    return _records(root, files, labelled)


def _files_below(
    root: Path, suffixes: tuple[str, ...]
) -> tuple[list[Path], dict[str, Counter[str]]]:
    """Sorted paths relative to ``root`` with these endings, and the endings of other files by
    first folder ("" for the root). Hidden files and folders are passed over."""
    if not root.is_dir():
        raise FileNotFoundError(f"root={str(root)!r} is not a folder; give the data set's folder")
    files, others, above = [], defaultdict(Counter), {str(root): {_identity(root)}}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        inside = {name: _identity(os.path.join(folder, name)) for name in subfolders}
        come_by = above.pop(folder)  # a link to a folder above it would be walked for ever
        subfolders[:] = [n for n in subfolders if not _is_hidden(n) and inside[n] not in come_by]
        above |= {os.path.join(folder, n): come_by | {inside[n]} for n in subfolders}
        below = Path(folder).relative_to(root)
        first = below.parts[0] if below.parts else ""
        for name in (name for name in names if not _is_hidden(name)):
            ending = os.path.splitext(name)[1].lower()
            if ending in suffixes:
                files.append(below / name)
            else:
                others[first][ending or "without ending"] += 1
    return sorted(files), others


def _identity(folder: str | Path) -> tuple[int, int]:
    about = os.stat(folder)
    return about.st_dev, about.st_ino


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN


def _records(root: Path, files: list[Path], labelled: bool) -> list[VideoRecord]:
    classes = sorted({file.parts[0] for file in files}) if labelled else []
    labels = {name: label for label, name in enumerate(classes)}
    records: dict[str, VideoRecord] = {}
    for file in files:
        video_id = file.with_suffix("").as_posix()
        name = file.parts[0] if labelled else ""
        group = file.parts[1] if labelled and len(file.parts) == 3 else video_id
        record = VideoRecord(str(root / file), labels.get(name, -1), video_id, group, name)
        other = records.setdefault(video_id, record)
        if other is not record:
            raise ValueError(
                f"{root}: video {video_id!r} is there twice, as {Path(other.path).name} and "
                f"{file.name}; remove or rename one"
            )
    return list(records.values())


# --- layouts ------------------------------------------------------------------------------------


def _require_class_folders(root: Path, files: list[Path]) -> None:
    """ValueError with advice unless all lie in <class>/<file>, or all in <class>/<group>/<file>."""
    depths = defaultdict(list)
    for file in files:
        depths[len(file.parts)].append(file)
    flat, deep = depths.get(1), depths[max(depths)][0]
    if flat:
        raise ValueError(
            f"{root}: {flat[0]} and {len(flat) - 1} more lie outside class folders; put each into "
            "<class>/<file>, or read without labels (labelled=False)"
        )
    if depths.keys() == {2, 3}:
        raise ValueError(
            f"{root}: {depths[2][0]} lies in a class folder and {deep} in a group's below it; use "
            "<class>/<file> or <class>/<group>/<file> for all"
        )
    first = sorted({file.parts[0] for file in files})
    sides = SIDE_NAMES.issuperset(map(str.lower, first))
    if sides or (len(first) == 1 and len(deep.parts) > 2):
        raise ValueError(
            f"{root}: {deep} lies {len(deep.parts) - 1} folders deep, and {', '.join(first)} "
            f"{'are no classes' if sides else 'is the only folder'}; give the folder that holds "
            f"the class folders, such as {root / first[-1]}, or lay them out as "
            "<class>/<group>/<file> and name the groups to test on in test_groups"
        )
    if len(deep.parts) > 3:
        raise ValueError(
            f"{root}: {deep} lies {len(deep.parts) - 1} folders deep, expected <class>/<file> or "
            f"<class>/<group>/<file>; give the folder that holds the class folders, such as "
            f"{root / deep.parts[0]}"
        )


def _tell_empty_classes(
    root: Path,
    files: list[Path],
    others: dict[str, Counter[str]],
    suffixes: tuple[str, ...],
    kind: str,
) -> None:
    """A warning that names the folders beside the classes that hold no ``kind`` of file."""
    classes = {file.parts[0] for file in files}
    folders = (entry.name for entry in os.scandir(root) if entry.is_dir())
    empty = sorted(name for name in folders if name not in classes and not _is_hidden(name))
    if empty:
        told = "; ".join(f"{n!r} {_told_endings(others.get(n, {}), suffixes)}" for n in empty)
        warnings.warn(
            f"{root}: {len(empty)} of {len(empty) + len(classes)} folders hold no {kind} file and "
            f"are no class: {told}",
            stacklevel=4,
        )


def _told_endings(counts: Mapping[str, int], known: Sequence[str]) -> str:
    """Which endings there are, the most frequent first, and which are known.

    >>> _told_endings({"without ending": 1, ".gif": 2}, [".mp4"])
    '(2 .gif, 1 without ending; endings known: .mp4)'
    """
    common = Counter(counts).most_common(5)
    found = ", ".join(f"{count} {ending}" for ending, count in common) or "empty"
    return f"({found}; endings known: {' '.join(known)})"


# --- splits by group ----------------------------------------------------------------------------


def open_folder(source: Source) -> Splits:
    """Class folders split by group; videos that lie flat and still images are all for training."""
    root = source.root
    videos, others = _files_below(root, VIDEO_SUFFIXES)
    if not videos and any(map(IMAGE_SUFFIXES.__contains__, sum(others.values(), Counter()))):
        return Splits(_read(root, IMAGE_SUFFIXES, "image", labelled=False), [], [])
    if videos and all(len(file.parts) == 1 for file in videos):
        return Splits(read_folder(root, labelled=False), [], [])
    records = _with_groups(read_folder(root), source.group_pattern)
    _require_two_groups(records, root)
    groups = source.test_groups
    held_out = _known_groups(records, groups) if groups else _draw_groups(records, source.data_seed)
    train = [record for record in records if record.group not in held_out]
    test = [record for record in records if record.group in held_out]
    splits = Splits(train, test, sorted({record.class_name for record in records}))
    require_classes(splits, untested=splits.class_names if groups else ())
    return splits


def _with_groups(records: list[VideoRecord], pattern: str) -> list[VideoRecord]:
    if not pattern:
        return records
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group_pattern={pattern!r} is no regular expression: {error}") from None
    if compiled.groups < 1:
        raise ValueError(f"group_pattern={pattern!r} needs a bracket around the group's name")
    grouped = []
    for record in records:
        match = compiled.search(Path(record.path).name)
        if match is None or not match[1]:
            what = "does not match its name" if match is None else "finds no group in its name"
            raise ValueError(f"{record.path}: group_pattern={pattern!r} {what}")
        grouped.append(replace(record, group=match[1]))
    return grouped


def _require_two_groups(records: list[VideoRecord], root: Path) -> None:
    for name, groups in _groups_of_classes(records).items():
        if len(groups) < 2:
            raise ValueError(
                f"{root}: class {name!r} has only one video or group ({groups[0]}), training and "
                "test need one each: add videos of it or remove its folder"
            )


def _groups_of_classes(records: Iterable[VideoRecord]) -> dict[str, list[str]]:
    groups = defaultdict(set)
    for record in records:
        groups[record.class_name].add(record.group)
    return {name: sorted(groups[name]) for name in sorted(groups)}


def _known_groups(records: list[VideoRecord], test_groups: Sequence[str]) -> set[str]:
    known = sorted({record.group for record in records})
    for group in test_groups:
        if str(group) not in known:
            number = "" if isinstance(group, str) else ", and a number: put names in quotes, '02'"
            hint = did_you_mean(str(group), known[:20])
            raise ValueError(f"test_groups: {str(group)!r} is no group{number}{hint}")
    return set(map(str, test_groups))


def _draw_groups(records: list[VideoRecord], seed: int) -> set[str]:
    """About a quarter of each class's groups, at least one; classes with few groups draw first."""
    rng = np.random.default_rng(derive_seed(seed, "test groups"))
    held_out: set[str] = set()
    classes = [set(groups) for groups in _groups_of_classes(records).values()]
    for groups in map(sorted, sorted(classes, key=len)):
        wanted = max(1, round(len(groups) / 4))
        for group in (groups[i] for i in rng.permutation(len(groups))):
            with_it = held_out | {group}  # every class keeps a group to train on
            enough = len(held_out.intersection(groups)) >= wanted
            if not enough and not any(each <= with_it for each in classes):
                held_out = with_it
    return held_out
