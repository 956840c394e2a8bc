"""Rows of table files: the same columns for every table, from records or quoted from a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vidssl.evaluation.statistics import mean_ci95


def table_row(
    row: str,
    metric: str,
    values: Sequence[float],
    *,
    table: str,
    column: Any,
    scale: str,
    dataset: str,
    exact: bool = False,
) -> dict[str, Any]:
    """One cell of a table from one value a seed: mean, ci95 and the number of seeds.

    ``ci95`` is the half-width of Student's interval, None for a single seed. ``exact`` quantities
    (chance, parameters, FLOPs) have no seeds: 0, and no interval.
    """
    mean, ci95 = (values[0], None) if len(values) == 1 else mean_ci95(values)[:2]
    about = {"table": table, "row": row, "column": column, "metric": metric}
    measured = {"mean": mean, "ci95": ci95, "seeds": 0 if exact else len(values)}
    return {**about, **measured, "scale": scale, "dataset": dataset, "paper": None}


def paper_row(
    row: str, metric: str, printed: float, *, table: str, column: Any, scale: str, dataset: str
) -> dict[str, Any]:
    """A number that a paper printed, in the unit of our rows; nothing of ours beside it."""
    about = {"table": table, "row": row, "column": column, "metric": metric}
    measured = {"mean": None, "ci95": None, "seeds": None}
    return {**about, **measured, "scale": scale, "dataset": dataset, "paper": printed}
