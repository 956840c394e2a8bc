"""Runs of several folds added up: each fold's test videos count once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidssl.runs.given import PATHS
from vidssl.runs.parameters import ENTRIES
from vidssl.runs.records import caveats_of, load_records

OF_ONE_FOLD = {*PATHS, "run_folder", "test_groups", "dataset_options.test_groups"} - {"root"}
LABELS = ("videos_per_class", "label_fraction", "fraction", "label_list")  # 0: every label
Folds = dict[str, Mapping[str, Any]]  # of one run: the root of each fold -> the record there


class Pooled(NamedTuple):
    """Accuracy over all test videos of several folds: root of each -> videos told, of how many."""

    run: str
    metric: str
    folds: Mapping[str, tuple[int, int]]

    @property
    def name(self) -> str:
        return f"{self.run} {self.metric}"

    @property
    def right(self) -> int:
        return sum(right for right, _ in self.folds.values())

    @property
    def videos(self) -> int:
        return sum(videos for _, videos in self.folds.values())


def the_one_with(rows: Sequence[Pooled], text: str) -> Pooled:
    """The row whose run or metric is the ``text``, else has it; ValueError for none or several."""
    found = [row for row in rows if text in (row.run, row.metric, row.name)]
    found = found or [row for row in rows if text in row.name]
    if len(found) != 1:
        named = "\n  ".join(row.name for row in found or rows)
        many = f"{len(found)} rows have it" if found else "no row has it; those there are"
        raise ValueError(f"against={text!r} must be in the name of one row; {many}:\n  {named}")
    return found[0]


class Ahead(NamedTuple):
    """By how much one row is ahead of another, as a share of the test videos that both have.

    ``ci95`` is half of Student's 95 % interval over ``folds``; ``p`` that of the two-sided test
    which swaps the two rows in whole folds (exact up to 13 folds, 9,999 draws after that). Where
    few videos of few folds differ, Student's interval is too narrow and ``p`` tells: one fold says
    nothing (nan, 1), three cannot go below 0.25, five not below 0.0625.
    """

    mean: float
    ci95: float
    folds: int
    p: float


def ahead_of(row: Pooled, other: Pooled) -> Ahead | None:
    """``row`` against ``other`` over the folds that both have; None where they have none in common.

    Each fold is a cluster of videos (a ratio estimate: each video counts once, whatever the size
    of its fold). Folds share most of their training videos, which neither number knows.
    """
    from scipy import stats

    from vidssl.evaluation import mean_ci95

    both = [(*row.folds[root], other.folds[root][0]) for root in row.folds if root in other.folds]
    if not both:
        return None
    told, of, others = zip(*both, strict=True)
    apart = [a - b for a, b in zip(told, others, strict=True)]
    mean = sum(apart) / sum(of)
    from_mean = [each - mean * videos for each, videos in zip(apart, of, strict=True)]
    _, half = mean_ci95([len(both) / sum(of) * each for each in from_mean])
    if len(both) == 1:
        return Ahead(mean, half, 1, 1.0)
    swapped = stats.permutation_test(
        (told, others), _sum_apart, permutation_type="samples", vectorized=True, rng=0
    )
    return Ahead(mean, half, len(both), float(swapped.pvalue))


def _sum_apart(told, others, axis):
    return told.sum(axis) - others.sum(axis)


def pool_folds(roots: Sequence[str | Path]) -> tuple[list[Pooled], list[str]]:
    """Top-1 accuracies of the runs of the same name in several folders of all runs, each a fold.

    Every fold has its own test videos (`test_groups`), which count once each. Second is what is to
    be known of them, a line each: who lacks a run, videos that no fold tests, what tables would say
    of its videos, settings that are not those of the others. ValueError for folds that hold out a
    group in common, or of which that cannot be said: one that names no groups, one judged by
    validation videos. FileNotFoundError for one without records.
    """
    for root, times in Counter(Path(root).resolve() for root in roots).items():
        if times > 1:
            raise ValueError(f"roots names {root} {times} times: a fold's videos count once")
    folds: dict[str, Folds] = {}
    for root in roots:
        for record in load_records(Path(root) / "records"):
            if record["metrics"].get("test_videos") is not None:
                folds.setdefault(record["run"], {})[str(root)] = record
    for run, its in folds.items():
        _refuse_common_groups(run, its)
    caveats = [f"{run}: {line}" for run, its in folds.items() for line in _caveats(its, roots)]
    return [row for run in sorted(folds) for row in _pooled(run, folds[run])], caveats


def _pooled(run: str, folds: Folds) -> Iterator[Pooled]:
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for root, record in folds.items():
        videos = record["metrics"]["test_videos"]
        for metric, value in record["metrics"].items():
            if metric.endswith("top1_accuracy") and value is not None:
                counts.setdefault(metric, {})[root] = round(value * videos), videos
    for metric, each in sorted(counts.items()):
        yield Pooled(run, metric, each)


def _refuse_common_groups(run: str, folds: Folds) -> None:
    """ValueError where a video may be among the test videos of two folds of a run."""
    held_out: dict[str, str] = {}
    for root, record in folds.items() if len(folds) > 1 else ():
        for group in _own_groups(root, record):
            other = held_out.setdefault(group, root)
            if other != root:
                raise ValueError(
                    f"{other} and {root} both hold out the test group {group!r} in {run}: they "
                    "are no two folds"
                )


def _own_groups(root: str, record: Mapping[str, Any]) -> list[str]:
    """The groups that a fold holds out; ValueError for one that other folds may have, too."""
    told = record["parameters"]  # of their own in older records
    groups = told.get("dataset_options", told).get("test_groups")
    if told.get("validation"):
        raise ValueError(
            f"{root}: {record['run']} is judged by validation videos, which other folds may count, "
            f"too: validation={told['validation']}; pool runs that have validation 0"
        )
    if not groups:
        raise ValueError(
            f"{root}: {record['run']} names no test groups, so that other folds may count the same "
            "videos: give each fold its dataset_options.test_groups; splits of official lists are "
            "reported one by one, or as a mean"
        )
    return [str(group) for group in groups]


def _caveats(folds: Folds, roots: Sequence[str | Path]) -> Iterator[str]:
    if lacking := [str(root) for root in roots if str(root) not in folds]:
        yield f"no record in {', '.join(lacking)}"
    yield from _untested(folds.values())
    for root, record in folds.items():
        yield from (f"{root}: {caveat}" for caveat in caveats_of(record))
    for setting, values in _settings_of(folds.values()).items():
        if len(values) > 1:
            yield f"folds differ in {setting}: {', '.join(sorted(values))}"


def _untested(records: Collection[Mapping[str, Any]]) -> Iterator[str]:
    """A line that counts the videos that are in no fold's test, where records tell: those of which
    every training video is labelled."""
    whole = [
        record["metrics"]["labelled"] + record["metrics"]["test_videos"]
        for record in records
        if isinstance(record["metrics"].get("labelled"), int)
        and not any(record["parameters"].get(name) for name in LABELS)
    ]
    most, tested = max(whole, default=0), sum(each["metrics"]["test_videos"] for each in records)
    if most > tested:
        yield f"{most - tested} of {most} videos are tested in no fold"


def _settings_of(records: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Setting -> its values, as texts; places on a disk and what names the fold are none."""
    values: dict[str, set[str]] = {}
    for record in records:
        told = dict(record["parameters"])
        options = ENTRIES["dataset_options"] | told.pop("dataset_options", {})
        told |= {f"dataset_options.{name}": value for name, value in options.items()}
        for name in told.keys() - OF_ONE_FOLD:
            values.setdefault(name, set()).add(json.dumps(told[name], sort_keys=True))
    return dict(sorted(values.items()))
