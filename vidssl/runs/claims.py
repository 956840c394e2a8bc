"""Every number that the papers print, beside what answers it here: a recorded run, a command, or
the reason why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vidssl.evaluation.statistics import mean_ci95
from vidssl.runs.graph import Graph, load
from vidssl.runs.parameters import PAPER_SCALES, NoSchedule, scale_names
from vidssl.runs.tables import Results, papers, printed_rows, records_of

OTHER_METHOD = "another method: quoted only"
NO_TARGET = "no target at this setting yet"


class Place(NamedTuple):
    """Where a number stands: in what table's cell, of which data."""

    dataset: str
    row: str
    column: str
    metric: str


@dataclass(frozen=True)
class Claim:
    """A printed number (a fraction), ours of the same row and column at the scale that was asked
    for ("" where no record has it), and ``answer``: a command, or why there is none."""

    source: str
    key: str
    place: Place
    printed: float
    ours: str
    answer: str


def claims(
    scale: str = "mini", records: Path | None = None, project: Path | None = None
) -> list[Claim]:
    """All of them, in the order of papers.yaml, see `Claim`. ``records``: the folder of records."""
    graph = load(scale, project=project)
    folder = records or graph.project / "papermill_runs" / "records"
    measured = _measured(graph, folder)
    answers = dict(_answers(graph.project))
    methods = {place.row for place in [*answers, *measured]}
    return [
        Claim(
            papers()[key]["source"],
            key,
            place,
            row["paper"],
            measured.get(place._replace(dataset=""), ""),
            answers.get(place) or _answered(key, place.row, methods),
        )
        for key in papers()
        for row in printed_rows(key)
        for place in [_place(row["dataset"], row)]
    ]


def _answered(key: str, row: str, methods: set[str]) -> str:
    """What papers.yaml says of numbers that our tables call otherwise, or why there is no run."""
    told = papers()[key].get("answered", "")
    told = told.get(row, "") if isinstance(told, Mapping) else told
    return told or (OTHER_METHOD if row not in methods else NO_TARGET)


def _place(dataset: str, row: Mapping[str, Any]) -> Place:
    return Place(dataset, row["row"], str(row["column"]), row["metric"])


def _measured(graph: Graph, records: Path) -> dict[Place, str]:
    """Mean, interval and seeds of every cell that a record answers; of whatever data they are."""
    found = {}
    for name in graph.questions:
        question = graph.question(name)
        results = Results(question, records_of(question, records))
        for cell in question.cells:
            for metric in cell.metrics:
                values = [*results.values(cell.row, cell.column, metric).values()]
                if values and isinstance(values[0], float):
                    found[Place("", cell.row, str(cell.column), metric)] = _told(values)
    return found


def _told(values: list[float]) -> str:
    """In per cent, with the interval over seeds and their number."""
    mean, half = mean_ci95(values) if len(values) > 1 else (values[0], None)
    width = f" ± {100 * half:.1f}" if half is not None else ""
    return f"{100 * mean:.1f}{width} ({len(values)})"


def _answers(project: Path) -> Iterator[tuple[Place, str]]:
    """The cells of every table at every paper scale, and the command that makes them; of several
    scales that of the table's own paper, else the first."""
    found: dict[Place, str] = {}
    for scale in scale_names(project):
        if scale.startswith(PAPER_SCALES):
            for place, table in _cells(load(scale, project=project)):
                if place not in found or scale == f"{PAPER_SCALES}-{table.partition('_')[0]}":
                    found[place] = f"vidssl run {table} --scale {scale}"
    yield from found.items()


def _cells(graph: Graph) -> Iterator[tuple[Place, str]]:
    questions = {}
    for table in graph.questions:
        with suppress(NoSchedule):  # another paper's table
            questions[table] = graph.question(table)  # fills the jobs
    told = {graph.run_id(job): job.params for job in graph.jobs.values()}
    for table, question in questions.items():
        for cell in question.cells:
            first = json.loads(told[cell.runs[0]]) if cell.runs else {}
            dataset = cell.dataset or first.get("dataset", "")
            for metric in cell.metrics:
                yield Place(dataset, cell.row, str(cell.column), metric), table
