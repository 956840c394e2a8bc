"""Runs of several folds added up: each fold's test videos count once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidssl.runs.given import PATHS
from vidssl.runs.parameters import ENTRIES
from vidssl.runs.records import caveats_of, load_records

OF_ONE_FOLD = {*PATHS, "run_folder", "test_groups", "dataset_options.test_groups"} - {"root"}
LABELS = ("videos_per_class", "label_fraction", "fraction", "label_list")  # 0: every label


class Pooled(NamedTuple):
    """Accuracy over all test videos of several folds; ``right`` of ``videos`` were told."""

    run: str
    metric: str
    right: int
    videos: int
    folds: int


def pool_folds(roots: Sequence[str | Path]) -> list[Pooled]:
    """Top-1 accuracies of the runs of the same name in several folders of all runs, each a fold.

    Every fold has its own test videos (`test_groups`), which count once each. ValueError for folds
    that hold out a group in common, or of which that cannot be said: one that names no groups, one
    judged by validation videos. FileNotFoundError for one without records.
    """
    _refuse_second_root(roots)
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    records = [(root, record) for root in map(Path, roots) for record in _tested(root)]
    _refuse_common_groups(records)
    for _, record in records:
        videos = record["metrics"]["test_videos"]
        for metric, value in record["metrics"].items():
            if metric.endswith("top1_accuracy") and value is not None:
                right = round(value * videos)
                found.setdefault((record["run"], metric), []).append((right, videos))
    return [
        Pooled(run, metric, sum(r for r, _ in each), sum(v for _, v in each), len(each))
        for (run, metric), each in sorted(found.items())
    ]


def _refuse_common_groups(records: Iterable[tuple[Path, Mapping[str, Any]]]) -> None:
    """ValueError where a video may be among the test videos of two folds of a run."""
    folds: dict[str, dict[Path, Mapping[str, Any]]] = {}
    for root, record in records:
        folds.setdefault(record["run"], {})[root] = record
    for run, its in folds.items():
        held_out: dict[str, Path] = {}
        for root, record in its.items() if len(its) > 1 else ():
            for group in _own_groups(root, record):
                other = held_out.setdefault(group, root)
                if other != root:
                    raise ValueError(
                        f"{other} and {root} both hold out the test group {group!r} in {run}: they "
                        "are no two folds"
                    )


def _own_groups(root: Path, record: Mapping[str, Any]) -> list[str]:
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


def pooling_caveats(roots: Sequence[str | Path]) -> list[str]:
    """What is to be known of folds whose test videos are added up, a line each: who lacks a run,
    videos that no fold tests, what tables would say of its videos, settings that are not those of
    the others."""
    records = {root: _tested(root) for root in roots}
    names = dict.fromkeys(record["run"] for each in records.values() for record in each)
    told = []
    for name in names:
        its = {root: r for root, each in records.items() for r in each if r["run"] == name}
        lacking = [str(root) for root in roots if root not in its]
        told += [f"{name}: no record in {', '.join(lacking)}"] if lacking else []
        told += [f"{name}: {line}" for line in _untested(its.values())]
        for root, record in its.items():
            told += [f"{name}: {root}: {caveat}" for caveat in caveats_of(record)]
        told += [
            f"{name}: folds differ in {setting}: {', '.join(sorted(values))}"
            for setting, values in _settings_of(its.values()).items()
            if len(values) > 1
        ]
    return told


def _refuse_second_root(roots: Sequence[str | Path]) -> None:
    for root, times in Counter(Path(root).resolve() for root in roots).items():
        if times > 1:
            raise ValueError(f"roots names {root} {times} times: a fold's videos count once")


def _tested(root: str | Path) -> list[dict[str, Any]]:
    """The records of a fold that say how many test videos they count."""
    records = load_records(Path(root) / "records")
    return [record for record in records if record["metrics"].get("test_videos") is not None]


def _untested(records: Collection[Mapping[str, Any]]) -> list[str]:
    """A line that counts the videos that are in no fold's test, where records tell: those of which
    every training video is labelled."""
    whole = [
        record["metrics"]["labelled"] + record["metrics"]["test_videos"]
        for record in records
        if isinstance(record["metrics"].get("labelled"), int)
        and not any(record["parameters"].get(name) for name in LABELS)
    ]
    tested = sum(record["metrics"]["test_videos"] for record in records)
    lacking = max(whole, default=0) - tested
    return [f"{lacking} of {max(whole)} videos are tested in no fold"] if lacking > 0 else []


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
