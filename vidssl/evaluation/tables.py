"""Rows of table files: the same columns for every table, from records or quoted from a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidssl.evaluation.statistics import Comparison, mean_ci95

if TYPE_CHECKING:
    import pandas as pd

ANSWERS = {1: "holds", 0: "open", -1: "speaks against"}  # by the sign that was expected


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


def readable_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of `table_row` and `paper_row` as a table to read: a line a row, a column a setting.

    Numbers are in per cent, "36.8 ± 5.6 (5)": the mean, the half-width of its interval, the number
    of seeds. Several metrics stand below each other, printed numbers in columns of their own.

    >>> about = {"table": "t", "scale": "mini", "dataset": "d", "column": "5"}
    >>> shown = readable_table([table_row("MoSI", "top1_accuracy", [0.25, 0.75], **about)])
    >>> shown.loc["MoSI", "5"].replace("\xa0", " ")
    '50.0 ± 317.7 (2)'
    """
    import pandas as pd

    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        column = f"{row['column']}, printed" if row["paper"] is not None else str(row["column"])
        metric = row["metric"].replace("_", " ")
        cells.setdefault((metric, row["row"]), {})[column] = _readable(row)
    metrics = list(dict.fromkeys(metric for metric, _ in cells))
    cells = {key: cells[key] for key in sorted(cells, key=lambda key: metrics.index(key[0]))}
    shown = pd.DataFrame.from_dict(cells, orient="index").fillna("")
    shown.index = pd.MultiIndex.from_tuples(cells, names=["metric", ""])
    return shown if len(metrics) > 1 else shown.droplevel(0)


def readable_comparisons(
    comparisons: Mapping[str, Comparison | None], expected: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Differences of rows as a table to read: in points, with their interval and seeds.

    "seen from" is the smallest true difference that these seeds would have told from none.

    Args:
        comparisons: name -> what `compare_seeds` found; None where a row was not run.
        expected: name -> 1 where the difference was expected above zero, -1 below. The interval
            answers: it "holds", it is "open" (zero is not excluded), or it "speaks against".

    >>> from vidssl.evaluation import compare_seeds
    >>> compared = compare_seeds({0: 0.5, 1: 0.6}, {0: 0.2, 1: 0.28})
    >>> readable_comparisons({"a - b": compared}, {"a - b": 1}).loc["a - b", "answer"]
    'holds'
    """
    import pandas as pd

    expected = expected or {}
    lines: dict[str, dict[str, str]] = {}
    for name, compared in comparisons.items():
        if compared is None:
            lines[name] = {"answer": "not run"}
            continue
        mean, half, seeds = compared.difference
        lines[name] = {"points": f"{100 * mean:+.1f}", "seeds": str(seeds)}
        if seeds > 1:
            lines[name]["points"] += f"\xa0±\xa0{100 * half:.1f}"
            lines[name]["seen from"] = f"{100 * compared.smallest:.1f}"
            lines[name]["zero"] = "excluded" if compared.sign else "not excluded"
        if name in expected:
            lines[name]["expected"] = "above zero" if expected[name] > 0 else "below zero"
            answer = ANSWERS[expected[name] * compared.sign]
            lines[name]["answer"] = answer if seeds > 1 else "one seed"
    return pd.DataFrame.from_dict(lines, orient="index").fillna("")


def _readable(row: Mapping[str, Any]) -> str:
    if row["paper"] is not None:
        return f"{100 * row['paper']:.1f}"
    words = [f"{100 * row['mean']:.1f}"]
    words += ["±", f"{100 * row['ci95']:.1f}"] if row["ci95"] is not None else []
    words += [f"({row['seeds']})"] if row["seeds"] else []
    return "\xa0".join(words)  # one line a cell, however narrow the page
