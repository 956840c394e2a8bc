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
    """Accuracy over all test videos of several folds; ``right`` of ``videos`` were told."""

    run: str
    metric: str
    right: int
    videos: int
    folds: int


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
    counts: dict[str, list[tuple[int, int]]] = {}
    for metrics in (record["metrics"] for record in folds.values()):
        videos = metrics["test_videos"]
        for metric, value in metrics.items():
            if metric.endswith("top1_accuracy") and value is not None:
                counts.setdefault(metric, []).append((round(value * videos), videos))
    for metric, each in sorted(counts.items()):
        yield Pooled(run, metric, sum(r for r, _ in each), sum(v for _, v in each), len(each))


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
