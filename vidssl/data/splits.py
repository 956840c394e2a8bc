"""Training and test videos of a data set: the rules they keep, and which files are not there."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG

from vidssl.core import VideoRecord
from vidssl.data.readers.text import Entry, records_of

NAMED = 3  # videos that a message or a record names, of however many
SIDES = {"train": "training", "test": "test", "unused": "unused"}


@dataclass(frozen=True)
class Source:
    """Where a data set lies and how it is to be split, as `open_dataset` was told."""

    root: Path
    annotations: str | Path = ""
    split: int = 1
    test_groups: Sequence[str] | None = None
    group_pattern: str = ""
    data_seed: int = 0


@dataclass
class Splits:
    """Training and test videos of one data set. ``test`` is empty where there are no classes.

    ``unused`` holds labelled videos that the split leaves out (a fourth of HMDB51): nothing trains
    on them but where a list of labels asks for them, see `read_label_list`. ``absent`` holds the
    listed videos that were left out because their files are not there, by side, and ``listed``
    how many there would be with them.
    """

    train: list[VideoRecord]
    test: list[VideoRecord]
    class_names: list[str]
    name: str = ""
    unused: list[VideoRecord] = field(default_factory=list)
    absent: dict[str, list[VideoRecord]] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def fingerprint(self) -> str:
        """12 hex digits of which videos, labels and file sizes stand on which side."""
        digest = blake2b(digest_size=6)
        for subset in (self.train, self.test):
            for r in sorted(subset, key=lambda record: record.video_id):
                digest.update(f"{r.video_id} {r.label} {_size(r.path)}\n".encode())
            digest.update(b"--\n")
        return digest.hexdigest()

    @property
    def caveats(self) -> dict[str, dict]:
        """What a reader of any number on this data must know, for a run's record.

        "missing": of each side, how many videos its list names ("listed"), how many of them were
        left out ("absent"), and the "first" of those. "shared_groups": how many test videos were
        cut from a source that training videos come from too, and the first. "untested_classes":
        classes without a test video, as a fold of few groups has them. Empty where all is well.
        """
        caveats: dict[str, dict] = {}
        for side, absent in self.absent.items():
            if absent:
                counts = {
                    "listed": self.listed[side],
                    "absent": len(absent),
                    "first": _first_ids(absent),
                }
                caveats.setdefault("missing", {})[side] = counts
        sources = {record.group for record in self.train if record.group}
        shared = [record for record in self.test if record.group in sources]
        if shared:
            counts = {"test_videos": len(self.test), "shared": len(shared)}
            caveats["shared_groups"] = {**counts, "first": _first_ids(shared)}
        untested = without_videos(self, "test") if self.test else []
        if untested:
            caveats["untested_classes"] = untested
        return caveats


def _first_ids(records: Sequence[VideoRecord]) -> list[str]:
    return [record.video_id for record in records[:NAMED]]


def _size(path: str) -> int:
    """Bytes of a file, -1 where there is none."""
    try:
        about = os.stat(path)
    except OSError:
        return -1
    return about.st_size if S_ISREG(about.st_mode) else -1


# --- what every split must keep -----------------------------------------------------------------


def listed_splits(
    train: Iterable[Entry],
    test: Iterable[Entry],
    unused: Iterable[Entry] = (),
    *,
    shares_groups: bool = False,
) -> Splits:
    """`Splits` of the entries of official lists.

    ValueError that names both lines for a video that stands twice or is both for training and for
    testing, and for a group that is: unless ``shares_groups``, where published lists do so.
    """
    train, test, unused = list(train), list(test), list(unused)
    sides = [records_of(side) for side in (train, test, unused)]
    _refuse_common(train, test, "video_id")
    if not shares_groups:
        _refuse_common(train, test, "group")
    names = {record.label: record.class_name for side in sides for record in side}
    splits = Splits(sides[0], sides[1], [names[k] for k in sorted(names)], unused=sides[2])
    lists = next((str(entry.file.parent) for entry in (*train, *test)), "")
    require_classes(splits, lists=lists)
    return splits


def _refuse_common(train: list[Entry], test: list[Entry], what: str) -> None:
    """ValueError for a ``what`` of records on both sides; ones without a group have none."""
    trained = {getattr(entry.record, what): entry for entry in reversed(train)}
    common = [entry for entry in test if (key := getattr(entry.record, what)) and key in trained]
    if not common:
        return
    tested, first = common[0], getattr(common[0].record, what)
    groups = {getattr(entry.record, what) for entry in common}
    raise ValueError(
        f"{tested.place}: {what} {first!r} and {len(groups) - 1} more are in training and test "
        f"({len(common)} of {len(test)} test videos; this one is trained on by "
        f"{trained[first].place}); correct the lists"
    )


def require_classes(splits: Splits, untested: Collection[str] = (), lists: str = "") -> None:
    """ValueError that names a class without a training or without a test video, and why.

    Those ``untested`` need no test video. ``lists`` is the folder of the lists that say so.
    """
    for side, needless in (("train", ()), ("test", untested)):
        empty = [name for name in without_videos(splits, side) if name not in needless]
        if empty:
            label = splits.class_names.index(empty[0])
            gone = [record for record in splits.absent.get(side, ()) if record.label == label]
            more = f", nor have {len(empty) - 1} more of {splits.num_classes}" if empty[1:] else ""
            named = f"{lists}{': ' * bool(lists)}class {empty[0]!r}"
            why = f": the files of all {len(gone)} are missing, {gone[0].path}" if gone else ""
            other = "correct the lists" if lists or gone else "choose other test_groups"
            raise ValueError(
                f"{named} has no {SIDES[side]} video{more}{why}; add videos of it, remove it, or "
                f"{other}"
            )


def without_videos(splits: Splits, side: str) -> list[str]:
    """The classes of which a side has no video."""
    labels = {record.label for record in getattr(splits, side)}
    return [name for label, name in enumerate(splits.class_names) if label not in labels]


# --- absent files -------------------------------------------------------------------------------

FEW = 8  # videos wanted of a folder below which asking for each is cheaper than listing it


def missing_files(records: Iterable[VideoRecord]) -> list[VideoRecord]:
    """The records whose file is not there.

    A folder is listed once, which is many times faster than a look at each file: 240,000 in a
    second.
    """
    records = list(records)
    folders = defaultdict(list)
    for place, record in enumerate(records):
        folder, _, name = record.path.rpartition(os.sep)
        folders[folder].append((place, name))
    absent = []
    for folder, wanted in folders.items():
        there = _files_in(folder) if len(wanted) > FEW else ()
        # what is not listed may still be found: names may differ in case or in their accents' form
        absent += [
            place
            for place, name in wanted
            if name not in there and not os.path.isfile(records[place].path)
        ]
    return [records[place] for place in sorted(absent)]


def _files_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or os.curdir) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def require_files(records: Sequence[VideoRecord]) -> None:
    """FileNotFoundError with the count and the first few if any record's file is not there."""
    missing = missing_files(records)
    if missing:
        raise FileNotFoundError(
            f"{told_missing(missing, len(records))}; check the root folder, or go on without them: "
            "missing='skip', by command -p dataset_options.missing skip"
        )


def told_missing(missing: Sequence[VideoRecord], listed: int) -> str:
    """Their number, the first few, and a file that may be meant by the first one."""
    first = ", ".join(record.path for record in missing[:NAMED])
    more = ", ..." if len(missing) > NAMED else ""
    return f"{len(missing)} of {listed} files are missing: {first}{more}{_told_near(missing[0])}"


def _told_near(record: VideoRecord) -> str:
    """What lies there instead: the file under another ending or spelling, or no such folder."""
    path = Path(record.path)
    if not path.parent.is_dir():
        near = _alike(path.parent)
        return f"; folder {path.parent} is not there" + (f", but {near} is" if near else "")
    near = _alike(path)
    if not near:
        return ""
    return f"; {near} is there: the list calls it {path.name}, give it that name (or a link)"


def _alike(path: Path) -> Path | None:
    """What lies beside ``path`` and differs from it in ending, case, blanks or accents' form."""
    if not path.parent.is_dir():
        return None
    wanted = _plain(path.stem)
    return next(
        (other for other in sorted(path.parent.iterdir()) if _plain(other.stem) == wanted), None
    )


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().replace("_", " ")


def without_missing(splits: Splits, at_most: float) -> Splits:
    """The videos whose files are there; the others are in ``absent``.

    FileNotFoundError where they are more than the share ``at_most`` of a side's; ValueError where
    a class loses all its videos of a side.
    """
    listed = {side: len(getattr(splits, side)) for side in SIDES}
    absent = {side: missing_files(getattr(splits, side)) for side in SIDES}
    for side, gone in absent.items():
        if len(gone) > at_most * listed[side]:
            raise FileNotFoundError(
                f"{SIDES[side]} videos: {told_missing(gone, listed[side])}; missing_at_most="
                f"{at_most} allows {int(at_most * listed[side])} to be skipped"
            )
    if not any(absent.values()):
        return splits
    kept = {}
    for side, gone in absent.items():
        ids = {record.video_id for record in gone}
        kept[side] = [record for record in getattr(splits, side) if record.video_id not in ids]
    whole = replace(splits, **kept, absent=absent, listed=listed)
    require_classes(whole, untested=without_videos(splits, "test"))
    return whole
