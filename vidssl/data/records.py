"""Which videos: readers of folders and of the official lists, splits, labelled subsets.

Readers of lists never touch the videos; `missing_files` tells which are absent. Everything random
is drawn from records sorted by ``video_id``, so it does not depend on the file system's order.
"""

from __future__ import annotations

import csv as csv_format
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from vidssl.core import VideoRecord, derive_seed, did_you_mean, one_of
from vidssl.files import require_utf8

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
DATASETS = ("embedded", "folder", "ucf101", "hmdb51", "kinetics")


def is_image(path: str | Path) -> bool:
    """Whether a file's name ends like a still image's."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


# --- folders ------------------------------------------------------------------------------------


def read_folder(root: str | Path, labelled: bool = True) -> list[VideoRecord]:
    """Videos of a folder laid out as ``<class>/<file>``; classes sorted, labels from 0.

    ``video_id`` is the path below ``root`` without its ending; each video is its own group. With
    ``labelled=False`` any layout is read and labels are -1. Raises FileNotFoundError for a
    missing folder, ValueError for one without videos or with another layout.
    """
    files = _files_below(root, VIDEO_SUFFIXES, "video")
    return _folder_records(Path(root), files, labelled)


def read_images(root: str | Path) -> list[VideoRecord]:
    """Still images of a folder, flat (label -1) or ``<class>/<file>``. Errors as `read_folder`."""
    files = _files_below(root, IMAGE_SUFFIXES, "image")
    return _folder_records(Path(root), files, labelled=any(len(f.parts) > 1 for f in files))


def _files_below(root: str | Path, suffixes: tuple[str, ...], kind: str) -> list[Path]:
    """Sorted paths relative to ``root``; hidden files and folders are passed over."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"root={str(root)!r} is not a folder; give the data set's folder")
    files = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [
            Path(folder, name).relative_to(root)
            for name in names
            if Path(name).suffix.lower() in suffixes and not name.startswith(".")
        ]
    if not files:
        endings = " ".join(suffixes)
        raise ValueError(f"{root}: holds no {kind} file (endings known: {endings})")
    require_utf8([root, *files], root)
    return sorted(files)


def _folder_records(root: Path, files: list[Path], labelled: bool) -> list[VideoRecord]:
    if labelled:
        _require_class_folders(root, files)
    classes = sorted({file.parts[0] for file in files}) if labelled else []
    labels = {name: label for label, name in enumerate(classes)}
    records = []
    for file in files:
        video_id = file.with_suffix("").as_posix()
        name = file.parts[0] if labelled else ""
        records.append(
            VideoRecord(str(root / file), labels.get(name, -1), video_id, video_id, name)
        )
    return _unique(records, str(root))


def _require_class_folders(root: Path, files: list[Path]) -> None:
    flat = [file for file in files if len(file.parts) == 1]
    deep = [file for file in files if len(file.parts) > 2]
    if flat:
        raise ValueError(
            f"{root}: {flat[0]} and {len(flat) - 1} more lie outside class folders; put each into "
            "<class>/<file>, or read without labels (labelled=False)"
        )
    if deep:
        raise ValueError(
            f"{root}: {deep[0]} lies {len(deep[0].parts) - 1} folders deep, expected "
            f"<class>/<file>; give the folder that holds the class folders, such as "
            f"{root / deep[0].parts[0]}"
        )


def _unique(records: list[VideoRecord], source: str) -> list[VideoRecord]:
    counts = Counter(record.video_id for record in records)
    twice = next((video_id for video_id, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{source}: video {twice!r} is there twice; remove or rename one")
    return records


# --- official lists -----------------------------------------------------------------------------


def read_ucf101(
    root: str | Path, annotations: str | Path, split: int = 1, subset: str = "train"
) -> list[VideoRecord]:
    """UCF101's official list ``{train,test}list0<split>.txt`` beside ``classInd.txt``.

    ``root`` holds the class folders, ``annotations`` the lists. The group is "<class>_gXX": the
    recording a clip was cut from (g01 of one class has nothing to do with g01 of another).
    """
    one_of("subset", subset, ("train", "test"))
    names = _ucf101_classes(Path(annotations) / "classInd.txt")
    list_file = Path(annotations) / f"{subset}list{_split_number(split):02d}.txt"
    records = []
    for number, line in _lines(list_file):
        file = Path(line.split()[0])
        recording = re.fullmatch(r"v_(\w+)_(g\d+)_c\d+", file.stem)
        if len(file.parts) != 2 or recording is None:
            raise ValueError(
                f"{list_file}, line {number}: {line!r} is not <class>/v_<class>_gXX_cYY.avi"
            )
        name = file.parts[0]
        if name not in names:
            raise ValueError(
                f"{list_file}, line {number}: class {name!r} is not in classInd.txt"
                f"{did_you_mean(name, list(names))}"
            )
        video_id = file.with_suffix("").as_posix()
        group = f"{name}_{recording[2]}"
        records.append(VideoRecord(str(Path(root) / file), names[name], video_id, group, name))
    return _unique(records, str(list_file))


def _ucf101_classes(file: Path) -> dict[str, int]:
    names = {}
    for number, line in _lines(file):
        words = line.split()
        if len(words) != 2 or not words[0].isdigit():
            raise ValueError(f"{file}, line {number}: {line!r} is not '<number> <class>'")
        names[words[1]] = int(words[0]) - 1
    return names


def read_hmdb51(
    root: str | Path, annotations: str | Path, split: int = 1, subset: str = "train"
) -> list[VideoRecord]:
    """HMDB51's official lists ``<class>_test_split<split>.txt`` (1 train, 2 test, 0 unused).

    ``subset`` is "train", "test" or "unused". Videos are ``<root>/<class>/<file>``; the group is
    the source clip's name, what stands before "_<class>_" in the file name.
    """
    tags = {"unused": "0", "train": "1", "test": "2"}
    wanted = tags[one_of("subset", subset, tuple(tags))]
    ending = f"_test_split{_split_number(split)}.txt"
    _require_folder(annotations, "annotations")
    lists = {file.name.removesuffix(ending): file for file in Path(annotations).glob(f"*{ending}")}
    if not lists:
        raise FileNotFoundError(f"{annotations}: holds no *{ending}; give the folder of the lists")
    records = []
    # sorted by class, as published lists count: by file name, kick_ball would come before kick
    for label, name in enumerate(sorted(lists)):
        list_file = lists[name]
        for number, line in _lines(list_file):
            file, _, tag = line.rpartition(" ")
            if tag not in ("0", "1", "2") or not file:
                raise ValueError(f"{list_file}, line {number}: {line!r} is not '<file> <0, 1, 2>'")
            if tag == wanted:
                stem = Path(file.strip()).stem
                source = stem.split(f"_{name}_")[0]
                path = Path(root) / name / file.strip()
                records.append(VideoRecord(str(path), label, f"{name}/{stem}", source, name))
    return _unique(records, str(annotations))


def read_kinetics(
    csv: str | Path, root: str | Path, class_names: Sequence[str] | None = None
) -> list[VideoRecord]:
    """A Kinetics CSV with columns label, youtube_id, time_start, time_end (others are passed over).

    Videos are ``<root>/<label>/<youtube_id>_<start:06d>_<end:06d>.mp4``; the group is the
    youtube_id. Labels count ``class_names``, by default the file's own sorted ones: give those of
    the training file when a second file may lack a class.
    """
    rows = _csv_rows(Path(csv), ("label", "youtube_id", "time_start", "time_end"))
    names = list(class_names or sorted({row["label"] for row in rows}))
    labels = {name: label for label, name in enumerate(names)}
    records = []
    for number, row in enumerate(rows, start=2):
        name = row["label"]
        if name not in labels:
            raise ValueError(f"{csv}, line {number}: label {name!r}{did_you_mean(name, names)}")
        try:
            start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
        except ValueError:
            raise ValueError(f"{csv}, line {number}: times must be seconds, got {row}") from None
        stem = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        path = Path(root) / name / f"{stem}.mp4"
        records.append(VideoRecord(str(path), labels[name], stem, row["youtube_id"], name))
    return _unique(records, str(csv))


def _csv_rows(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    _require_file(file)
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv_format.DictReader(stream)
        lacking = [name for name in columns if name not in (reader.fieldnames or ())]
        if lacking:
            raise ValueError(
                f"{file}: column {lacking[0]!r} is missing; the header must name "
                f"{', '.join(columns)}"
            )
        rows = list(reader)
    if not rows:
        raise ValueError(f"{file}: lists no video")
    return rows


def read_video_list(
    list_file: str | Path, root: str | Path, suffix: str = ".mp4"
) -> list[VideoRecord]:
    """A list in 'videofolder' form: lines of ``path frames label`` (or ``path label``).

    ``suffix`` is added to paths that have no video ending. The class name is the path's first
    folder; each video is its own group.
    """
    records = []
    for number, line in _lines(Path(list_file)):
        match = re.fullmatch(r"(.+?)(?:\s+\d+)?\s+(-?\d+)", line)
        if match is None or int(match[2]) < -1:
            raise ValueError(
                f"{list_file}, line {number}: {line!r} is not '<path> <frames> <label>'"
            )
        file = Path(match[1])
        if file.suffix.lower() not in VIDEO_SUFFIXES:
            file = file.with_name(file.name + suffix)
        video_id = file.with_suffix("").as_posix()
        name = file.parts[0] if len(file.parts) > 1 else ""
        records.append(VideoRecord(str(Path(root) / file), int(match[2]), video_id, video_id, name))
    return _unique(records, str(list_file))


def _split_number(split: int) -> int:
    if split not in (1, 2, 3):
        raise ValueError(f"split={split!r} must be 1, 2 or 3")
    return split


def _lines(file: Path) -> list[tuple[int, str]]:
    """Numbered lines with content; FileNotFoundError or ValueError if there are none."""
    _require_file(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not a text file; give the data set's list") from None
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{file}: lists no video")
    return lines


def _require_file(file: Path) -> None:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; check the folder of the data set's lists")


def _require_folder(folder: str | Path, name: str) -> None:
    if not str(folder) or not Path(folder).is_dir():
        raise FileNotFoundError(f"{name}={str(folder)!r} is not a folder")


# --- absent files -------------------------------------------------------------------------------


def missing_files(records: Iterable[VideoRecord]) -> list[VideoRecord]:
    """The records whose file is not there."""
    return [record for record in records if not os.path.isfile(record.path)]


def require_files(records: Sequence[VideoRecord]) -> None:
    """FileNotFoundError with the count and the first few if any record's file is not there."""
    missing = missing_files(records)
    if missing:
        first = ", ".join(record.path for record in missing[:3])
        more = ", ..." if len(missing) > 3 else ""
        raise FileNotFoundError(
            f"{len(missing)} of {len(records)} files are missing: {first}{more}; check the root "
            "folder, or leave them out (vidssl.data.missing_files names them)"
        )


# --- splits -------------------------------------------------------------------------------------


@dataclass
class Splits:
    """Training and test videos of one data set. ``test`` is empty where there are no classes.

    ``unused`` holds labelled videos that the split leaves out (a fourth of HMDB51): nothing trains
    on them but where a list of labels asks for them, see `read_label_list`.
    """

    train: list[VideoRecord]
    test: list[VideoRecord]
    class_names: list[str]
    name: str
    unused: list[VideoRecord] = field(default_factory=list)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def fingerprint(self) -> str:
        """12 hex digits of which videos, labels and file sizes stand on which side."""
        digest = blake2b(digest_size=6)
        for subset in (self.train, self.test):
            for r in sorted(subset, key=lambda record: record.video_id):
                size = os.path.getsize(r.path) if os.path.isfile(r.path) else -1
                digest.update(f"{r.video_id} {r.label} {size}\n".encode())
            digest.update(b"--\n")
        return digest.hexdigest()


def open_dataset(
    dataset: str,
    root: str | Path = "",
    *,
    annotations: str | Path = "",
    split: int = 1,
    test_groups: Sequence[str] | None = None,
    group_pattern: str = "",
    data_seed: int = 0,
) -> Splits:
    """Training and test videos of "embedded", "folder", "ucf101", "hmdb51" or "kinetics".

    "embedded": ``root`` was written by `vidssl.data.synthetic.make_dataset`. "ucf101", "hmdb51":
    official ``split``, lists in ``annotations``. "kinetics": ``annotations`` holds train.csv and
    val.csv (or validate.csv); videos lie below ``root``, or below its train and val folders.

    "folder": class folders of videos are split by group. ``group_pattern`` is a regular expression
    whose first bracket, searched in the file's name, is the group (by default each video is its
    own); ``test_groups`` names the held-out ones, otherwise a quarter of each class's groups is
    drawn with ``data_seed``. Videos that lie flat, and still images, are all for training,
    unlabelled.

    Raises ValueError for a class without a training or a test video, and for a video or a group
    on both sides (in HMDB51 and Kinetics only for a video: their published lists share sources);
    FileNotFoundError for absent folders and lists. Videos of lists are not looked at.
    """
    one_of("dataset", dataset, DATASETS)
    _require_folder(root, "root")
    require_utf8([root, annotations], root)
    if dataset == "folder":
        return _open_folder(Path(root), test_groups, group_pattern, data_seed)
    if test_groups is not None or group_pattern:
        raise ValueError(
            f"test_groups and group_pattern belong to dataset='folder'; {dataset!r} has its lists"
        )
    if dataset == "kinetics":
        train, test = _open_kinetics(Path(root), Path(annotations))
    elif dataset == "embedded":
        lists = Path(root) / "ucfTrainTestlist"
        videos = Path(root) / "UCF-101"
        train, test = (read_ucf101(videos, lists, 1, subset) for subset in ("train", "test"))
    else:
        read = read_ucf101 if dataset == "ucf101" else read_hmdb51
        train, test = (read(root, annotations, split, subset) for subset in ("train", "test"))
    splits = _checked_splits(train, test, dataset)
    if dataset == "hmdb51":
        splits.unused = read_hmdb51(root, annotations, split, "unused")
    return splits


def _open_kinetics(root: Path, annotations: Path) -> tuple[list[VideoRecord], list[VideoRecord]]:
    validation = next(
        (name for name in ("val.csv", "validate.csv") if (annotations / name).is_file()), "val.csv"
    )
    folders = {part: root / part if (root / part).is_dir() else root for part in ("train", "val")}
    train = read_kinetics(annotations / "train.csv", folders["train"])
    names = sorted({record.class_name for record in train})
    return train, read_kinetics(annotations / validation, folders["val"], names)


def _open_folder(
    root: Path, test_groups: Sequence[str] | None, group_pattern: str, data_seed: int
) -> Splits:
    names = [name for _, _, files in os.walk(root, followlinks=True) for name in files]
    videos = [name for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES]
    if not videos and any(is_image(name) for name in names):
        images = [replace(r, label=-1, class_name="") for r in read_images(root)]
        return Splits(images, [], [], "folder")
    files = _files_below(root, VIDEO_SUFFIXES, "video")
    if all(len(file.parts) == 1 for file in files):
        return Splits(read_folder(root, labelled=False), [], [], "folder")
    records = _with_groups(read_folder(root), group_pattern)
    _require_two_groups(records, root)
    held_out = (
        _known_groups(records, test_groups) if test_groups else _draw_groups(records, data_seed)
    )
    train = [record for record in records if record.group not in held_out]
    test = [record for record in records if record.group in held_out]
    return _checked_splits(train, test, "folder")


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
        if match is None:
            raise ValueError(f"{record.path}: group_pattern={pattern!r} does not match its name")
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
    for group in map(str, test_groups):
        if group not in known:
            raise ValueError(f"test_groups: {group!r} is no group{did_you_mean(group, known[:20])}")
    return set(map(str, test_groups))


def _draw_groups(records: list[VideoRecord], seed: int) -> set[str]:
    """About a quarter of each class's groups, at least one; classes with few groups draw first."""
    rng = np.random.default_rng(derive_seed(seed, "test groups"))
    held_out: set[str] = set()
    for groups in sorted(_groups_of_classes(records).values(), key=len):
        wanted = max(1, round(len(groups) / 4))
        free = [groups[i] for i in rng.permutation(len(groups)) if groups[i] not in held_out]
        held_out.update(free[: max(0, wanted - (len(groups) - len(free)))])
    return held_out


def _checked_splits(train: list[VideoRecord], test: list[VideoRecord], name: str) -> Splits:
    """`Splits`, after the rules that every labelled data set must keep."""
    names = {record.label: record.class_name for record in [*train, *test]}
    for label in sorted(names):
        for part, records in (("training", train), ("test", test)):
            if not any(record.label == label for record in records):
                raise ValueError(
                    f"{name}: class {names[label]!r} has no {part} video; add videos of it, remove "
                    "it, or choose other test_groups"
                )
    # HMDB51's official lists do share a few source films, and Kinetics' may: they stay as published
    for what in ("video_id",) if name in ("hmdb51", "kinetics") else ("video_id", "group"):
        both = {getattr(r, what) for r in train} & {getattr(r, what) for r in test}
        if both:
            raise ValueError(
                f"{name}: {what} {min(both)!r} and {len(both) - 1} more are in training and test; "
                "correct the lists"
            )
    return Splits(train, test, [names[label] for label in sorted(names)], name)


# --- labelled subsets ---------------------------------------------------------------------------


def labelled_subset(records: Sequence[VideoRecord], per_class: int, seed: int) -> list[VideoRecord]:
    """``per_class`` videos of each class, drawn over as many groups as possible.

    Subsets of one seed are nested: the 5 of a class are among its 20. ValueError if a class has
    fewer.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    subset = []
    for label, ordered in _draw_order(records, seed).items():
        if len(ordered) < per_class:
            name = ordered[0].class_name or label
            raise ValueError(
                f"class {name!r} has {len(ordered)} videos, per_class={per_class} asks for more"
            )
        subset += ordered[:per_class]
    return subset


def label_fraction(records: Sequence[VideoRecord], fraction: float, seed: int) -> list[VideoRecord]:
    """The same for a fraction in (0, 1] of each class, rounded, at least one video a class."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")
    orders = _draw_order(records, seed).values()
    return [r for ordered in orders for r in ordered[: max(1, round(fraction * len(ordered)))]]


def _draw_order(records: Sequence[VideoRecord], seed: int) -> dict[int, list[VideoRecord]]:
    """Each class's videos in the order they are drawn: round after round, one of each group."""
    classes = defaultdict(list)
    for record in sorted(records, key=lambda r: r.video_id):
        if record.label >= 0:
            classes[record.label].append(record)
    if not classes:
        raise ValueError("no record has a label; a labelled subset needs a labelled data set")
    orders = {}
    for label in sorted(classes):
        rng = np.random.default_rng(derive_seed(seed, "labelled", label))
        shuffled = [classes[label][i] for i in rng.permutation(len(classes[label]))]
        seen: Counter[str] = Counter()
        rounds = []
        for place, record in enumerate(shuffled):
            rounds.append((seen[record.group], place))
            seen[record.group] += 1
        orders[label] = [shuffled[place] for _, place in sorted(rounds)]
    return orders


def read_label_list(list_file: str | Path, splits: Splits) -> list[VideoRecord]:
    """The data set's records that a list of labelled videos names, in the list's order.

    Lines are ``path frames label`` (path without ending, label from 0), as in the published label
    fractions of VideoSSL (Jing et al., WACV 2021). They are joined by ``video_id``, or by the
    file's name where the ids have no folder (Kinetics), with the training videos and the unused
    ones: the HMDB51 lists draw on every video that is not in the test set.

    Such a draw may miss classes: a warning names them. ValueError with the first few entries that
    are in the test set, are not in the data set, or whose label is not the data set's. One slip is
    only warned of, for the published HMDB51 lists are full of it: the label of a class whose name
    begins alike (kick, kick_ball). The records returned always have the data set's label.
    """
    if not splits.class_names:
        raise ValueError(f"{list_file}: the {splits.name!r} data has no classes for its labels")
    entries = read_video_list(list_file, "")
    known = {record.video_id: record for record in [*splits.test, *splits.unused, *splits.train]}
    test = {record.video_id for record in splits.test}
    found = [
        (entry, known.get(entry.video_id) or known.get(Path(entry.video_id).name))
        for entry in entries
    ]
    absent = [entry.video_id for entry, record in found if record is None]
    _refuse_entries(list_file, absent, "not in the data set", "check the data set and its split")
    records = [record for _, record in found]
    tested = [record.video_id for record in records if record.video_id in test]
    _refuse_entries(list_file, tested, "in the test set", "take the list made for this split")
    _check_labels(list_file, found, splits)
    _warn_without(records, splits.train, f"{list_file}: names no video of")
    return _unique(records, str(list_file))


def labelled_videos(
    splits: Splits,
    *,
    label_list: str | Path = "",
    per_class: int = 0,
    fraction: float = 0.0,
    seed: int = 0,
) -> list[VideoRecord]:
    """The videos whose labels a training may see: those of ``label_list``, else all training ones;
    of these ``per_class`` of each class or a ``fraction`` of them, drawn by ``seed``.

    0 means every one; ValueError where both numbers are given.
    """
    if per_class and fraction:
        raise ValueError(
            f"per_class={per_class} and fraction={fraction}: give one of them, the other 0"
        )
    records = read_label_list(label_list, splits) if label_list else splits.train
    if fraction:
        return label_fraction(records, fraction, seed)
    return labelled_subset(records, per_class, seed) if per_class else records


def _check_labels(
    list_file: str | Path, found: list[tuple[VideoRecord, VideoRecord]], splits: Splits
) -> None:
    """Compare the labels of a list's entries with those of the records they were joined to."""
    names = {record.label: record.class_name for record in splits.train}
    wrong, slips = [], []
    for entry, record in found:
        if entry.label != record.label:
            short, long = sorted((names.get(entry.label, ""), record.class_name), key=len)
            slip = short and long.startswith(f"{short}_")
            text = f"{entry.video_id} ({entry.label}, here {record.label})"
            (slips if slip else wrong).append(text)
    _refuse_entries(list_file, wrong, "of another label", "take a list of the same classes")
    if slips:
        warnings.warn(
            f"{list_file}: {_first(slips)} of {len(found)} entries have the label of a class "
            "whose name begins alike; the data set's label is used",
            stacklevel=3,
        )


def _refuse_entries(list_file: str | Path, entries: list[str], what: str, remedy: str) -> None:
    if entries:
        raise ValueError(f"{list_file}: entries {what}: {_first(entries)}; {remedy}")


def _first(names: Sequence[str]) -> str:
    """Their number and the first three."""
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _warn_without(
    records: Iterable[VideoRecord], whole: Iterable[VideoRecord], message: str
) -> None:
    """A warning that names the classes of ``whole`` that ``records`` lack."""
    names = {record.label: record.class_name or str(record.label) for record in whole}
    lacking = sorted(names.keys() - {record.label for record in records})
    if lacking:
        listed = ", ".join(names[label] for label in lacking)
        warnings.warn(f"{message} {len(lacking)} of {len(names)} classes: {listed}", stacklevel=3)


# --- validation ---------------------------------------------------------------------------------


def validation_split(
    records: Sequence[VideoRecord], fraction: float, seed: int
) -> tuple[list[VideoRecord], list[VideoRecord]]:
    """Training and validation records without a common group, both in the order given.

    Of each class about ``fraction``, in (0, 1), is held out: as near as whole groups allow, one
    group at least. Every class keeps training videos, so a class of a single group stays in
    training and a warning names it. A record without a group is a group of its own. ValueError if
    nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be in (0, 1), got {fraction}")
    sizes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for record in records:
        sizes[_group_of(record)][record.label] += 1
    held_out = _hold_out(sizes, fraction, seed)
    if not held_out:
        raise ValueError(
            f"no group of {len(records)} videos in {len(sizes)} groups can be held out: every one "
            "is all that a class has; add videos, or make smaller groups with group_pattern"
        )
    train = [record for record in records if _group_of(record) not in held_out]
    validation = [record for record in records if _group_of(record) in held_out]
    _warn_without(validation, records, "too few groups for a validation video in")
    return train, validation


def _group_of(record: VideoRecord) -> str:
    return record.group or record.video_id


def _hold_out(sizes: Mapping[str, Counter[int]], fraction: float, seed: int) -> set[str]:
    """Groups that bring each class near its share; classes of few groups choose first."""
    groups_of = defaultdict(list)
    for group in sorted(sizes):
        for label in sizes[group]:
            groups_of[label].append(group)
    held = _HeldOut(sizes, fraction)
    for label in sorted(groups_of, key=lambda k: (len(groups_of[k]), k)):
        rng = np.random.default_rng(derive_seed(seed, "validation", label))
        shuffled = [groups_of[label][i] for i in rng.permutation(len(groups_of[label]))]
        for group in shuffled:  # first without overshooting, else sources of many videos pile up
            if held.fits(group):
                held.add(group)
        for group in shuffled:
            if held.cost(group) < 0:
                held.add(group)
        if not held.videos[label]:  # each group is larger than the share: the least harm then
            cheapest = min(shuffled, key=held.cost)
            if held.cost(cheapest) < float("inf"):
                held.add(cheapest)
    return held.groups


class _HeldOut:
    """Groups held out so far; ``sizes`` counts the videos of each class (by label) in a group."""

    def __init__(self, sizes: Mapping[str, Counter[int]], fraction: float):
        self.sizes = sizes
        self.totals = sum(sizes.values(), Counter())
        self.shares = {label: fraction * total for label, total in self.totals.items()}
        self.groups: set[str] = set()
        self.videos: Counter[int] = Counter()

    def fits(self, group: str) -> bool:
        """Whether no class gets more than its share with this group held out too."""
        counts = self.sizes[group].items()
        return self.cost(group) < 0 and all(self.videos[k] + n <= self.shares[k] for k, n in counts)

    def cost(self, group: str) -> float:
        """How much farther from their shares the classes are with this group held out too.

        Infinite if it is already, or if a class would be left without training videos.
        """
        change = 0.0
        for label, count in self.sizes[group].items():
            after = self.videos[label] + count
            if group in self.groups or after == self.totals[label]:
                return float("inf")
            share = self.shares[label]
            change += abs(after - share) - abs(self.videos[label] - share)
        return change

    def add(self, group: str) -> None:
        self.groups.add(group)
        self.videos.update(self.sizes[group])
