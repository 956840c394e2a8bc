"""Runs of several folds added up: each fold's test videos count once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidssl.runs.records import caveats_of, load_records


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
    that hold out a group in common, FileNotFoundError for one without records.
    """
    _refuse_second_root(roots)
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    held_out: dict[tuple[str, str], Path] = {}
    for root in map(Path, roots):
        for record in _tested(root):
            videos = record["metrics"]["test_videos"]
            told = record["parameters"]  # of their own in older records
            groups = told.get("dataset_options", told).get("test_groups") or ["drawn"]
            for group in map(str, groups):
                other = held_out.setdefault((record["run"], group), root)
                if other != root:
                    raise ValueError(
                        f"{other} and {root} both hold out the test group {group!r} in "
                        f"{record['run']}: they are no two folds"
                    )
            for metric, value in record["metrics"].items():
                if metric.endswith("top1_accuracy") and value is not None:
                    right = round(value * videos)
                    found.setdefault((record["run"], metric), []).append((right, videos))
    return [
        Pooled(run, metric, sum(r for r, _ in each), sum(v for _, v in each), len(each))
        for (run, metric), each in sorted(found.items())
    ]


def pooling_caveats(roots: Sequence[str | Path]) -> list[str]:
    """What is to be known of folds whose test videos are added up, a line each: who lacks a run,
    what tables would say of its videos, settings that are not those of the others."""
    records = {root: _tested(root) for root in roots}
    names = dict.fromkeys(record["run"] for each in records.values() for record in each)
    told = []
    for name in names:
        its = {root: r for root, each in records.items() for r in each if r["run"] == name}
        lacking = [str(root) for root in roots if root not in its]
        told += [f"{name}: no record in {', '.join(lacking)}"] if lacking else []
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


def _settings_of(records: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Setting -> its values, as texts; paths and what names the fold are none."""
    values: dict[str, set[str]] = {}
    for record in records:
        for name, value in record["parameters"].items():
            if name not in ("test_groups", "run_folder") and not isinstance(value, (str, dict)):
                values.setdefault(name, set()).add(json.dumps(value))
    return values
