"""Some of a data set's videos: labelled subsets, lists of labels, held-out groups.

Everything random is drawn from records sorted by ``video_id``, so it does not depend on the file
system's order.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidssl.core import VideoRecord, derive_seed, did_you_mean, in_turns
from vidssl.data.readers.text import Entry, records_of, text_of
from vidssl.data.readers.video_list import list_entries
from vidssl.data.splits import Splits

# --- videos of which something is known ---------------------------------------------------------


def known_videos(
    records: Sequence[VideoRecord], known: Collection[str], lacking: str
) -> tuple[list[VideoRecord], list[str]]:
    """The records whose ``video_id`` is in ``known``, and a line that names each other one, as
    those that cannot be read are named: "path: ``lacking``".

    Who learns from a table that another page made (pseudo-labels, temporal similarities) leaves
    out what could not be read there, and counts it. ValueError where that would be every video.
    """
    known = set(known)
    kept = [record for record in records if record.video_id in known]
    if records and not kept:
        raise ValueError(
            f"none of {len(records)} videos is known, e.g. {records[0].video_id!r} {lacking}: take "
            "what was made of the same videos"
        )
    others = [f"{r.path}: {lacking}" for r in records if r.video_id not in known]
    return kept, others


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
    few = sum(fraction * len(ordered) < 1 for ordered in orders)
    if few:
        warnings.warn(
            f"fraction={fraction} is less than one video in {few} of {len(orders)} classes: each "
            "gets one, so that the share labelled is larger",
            stacklevel=2,
        )
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
        orders[label] = in_turns(shuffled, key=lambda record: record.group)
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
    gone = splits.absent
    tested = {r.video_id for r in [*splits.test, *gone.get("test", ())]}
    absent = {r.video_id for side in gone.values() for r in side}
    sides = (splits.test, *gone.values(), splits.unused, splits.train)
    known = {record.video_id: record for side in sides for record in side}
    entries = list_entries(list_file, "")
    ids = [entry.record.video_id for entry in entries]
    found = [known.get(name) or known.get(Path(name).name) for name in ids]
    pairs = list(zip(entries, found))
    unknown = [entry for entry, record in pairs if record is None]
    _refuse_entries(unknown, "not in the data set", "check the data set and its split")
    wrong = [entry for entry, record in pairs if record.video_id in tested]
    _refuse_entries(wrong, "in the test set", "take the list made for this split")
    _check_labels(pairs, splits)
    records = records_of(entry._replace(record=record) for entry, record in pairs)
    there = [record for record in records if record.video_id not in absent]
    if len(there) < len(records):
        left_out = f"{len(records) - len(there)} of {len(records)} videos are left out"
        warnings.warn(f"{list_file}: {left_out}, their files are missing", stacklevel=2)
    _warn_without(there, splits.train, f"{list_file}: names no video of")
    return there


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


def _check_labels(pairs: list[tuple[Entry, VideoRecord]], splits: Splits) -> None:
    """Compare the labels of a list's entries with those of the records they were joined to."""
    names = dict(enumerate(splits.class_names))
    wrong, slips = [], []
    for entry, record in pairs:
        label = entry.record.label
        if label != record.label:
            short, long = sorted((names.get(label, ""), record.class_name), key=len)
            slip = short and long.startswith(f"{short}_")
            name = f"{record.video_id} ({label}, here {record.label})"
            told = entry._replace(record=replace(record, video_id=name))
            (slips if slip else wrong).append(told)
    _refuse_entries(wrong, "of another label", "take a list of the same classes")
    if slips:
        warnings.warn(
            f"{slips[0].file}: {_first(slips)} of {len(pairs)} entries have the label of a class "
            "whose name begins alike; the data set's label is used",
            stacklevel=3,
        )


def _refuse_entries(entries: list[Entry], what: str, remedy: str) -> None:
    if entries:
        raise ValueError(f"{entries[0].file}: entries {what}: {_first(entries)}; {remedy}")


def _first(entries: Sequence[Entry]) -> str:
    """Their number and the first three with their lines."""
    told = [f"line {entry.line}: {entry.record.video_id}" for entry in entries[:3]]
    return f"{len(entries)} ({', '.join(told)}{', ...' if len(entries) > 3 else ''})"


def _warn_without(
    records: Iterable[VideoRecord], whole: Iterable[VideoRecord], message: str
) -> None:
    """A warning that names the classes of ``whole`` that ``records`` lack."""
    names = {record.label: record.class_name or str(record.label) for record in whole}
    lacking = sorted(names.keys() - {record.label for record in records})
    if lacking:
        listed = ", ".join(names[label] for label in lacking)
        warnings.warn(f"{message} {len(lacking)} of {len(names)} classes: {listed}", stacklevel=3)


# --- unlabelled sources -------------------------------------------------------------------------


def without_classes(splits: Splits, list_file: str | Path) -> Splits:
    """``splits`` without the videos of the classes that a file names, one a line.

    Letters and digits count, upper case and the rest do not (Kinetics' lists and folders differ
    there). Labels and class names stay as they are, so that this is for sources that are taken
    without their labels. ValueError for a name that no class has, with the line and the nearest.
    """
    known = {_plain_name(name): name for name in splits.class_names}
    unwanted = set()
    for line, name in enumerate(text_of(Path(list_file)).split("\n"), 1):
        if name.strip() and _plain_name(name) not in known:
            hint = did_you_mean(name.strip(), splits.class_names)
            raise ValueError(f"{list_file}, line {line}: no class {name.strip()!r}{hint}")
        unwanted.add(known.get(_plain_name(name)))
    sides = {
        side: [record for record in getattr(splits, side) if record.class_name not in unwanted]
        for side in ("train", "test")
    }
    return replace(splits, **sides)


def _plain_name(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


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
