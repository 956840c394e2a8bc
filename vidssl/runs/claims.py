"""Every number that the papers print, beside what answers it here: a recorded run, a command, or
the reason why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vidssl.runs.cells import Question
from vidssl.runs.graph import Graph, load
from vidssl.runs.parameters import PAPER_SCALES, NoSchedule, read_yaml, scale_names
from vidssl.runs.tables import (
    PAPERS,
    Results,
    papers,
    printed_about,
    printed_rows,
    ran_with,
    readable,
    records_of,
)

OTHER_METHOD = "another method: quoted only"
NO_TARGET = "no target at this setting yet"
Lookup = dict[tuple[str, "Place"], str]  # by the key of papers.yaml and a place in our tables
Answers = dict[tuple[str, "Place"], tuple[str, dict[str, Any]]]  # likewise

# what the papers show or say beside numbers: the command that makes ours, or why none
SHOWN: dict[str, str] = read_yaml(PAPERS.with_name("papers_shown.yaml").read_text(encoding="utf-8"))


class Place(NamedTuple):
    """Where a number stands: in what table's cell, of which data."""

    dataset: str
    row: str
    column: str
    metric: str


@dataclass(frozen=True)
class Claim:
    """A printed number (a fraction) and ``about``, what is printed beside it, a note among it.

    ``ours`` is of the same row and column at the scale that was asked for, "" where no record has
    it; ``answer`` a command, or why there is none; ``ran_with`` of the network that it judges.
    ``place`` is the paper's, ``here`` that of our tables that quote it.
    """

    source: str
    key: str
    place: Place
    here: Place
    printed: float
    ours: str
    answer: str
    about: Mapping[str, str]
    ran_with: Mapping[str, Any]


def claims(
    scale: str = "mini", records: Path | None = None, project: Path | None = None
) -> list[Claim]:
    """All of them, in the order of papers.yaml, see `Claim`. ``records``: the folder of records."""
    graph = load(scale, project=project)
    measured = _measured(graph, records or graph.project / "papermill_runs" / "records")
    answers = _answers(graph.project)
    methods = {place.row for _, place in [*answers, *measured]}
    printed = [(key, row) for key in papers() for row in printed_rows(key)]
    return [_claim(key, row, measured, answers, methods) for key, row in printed]


def _claim(
    key: str, row: Mapping[str, Any], measured: Lookup, answers: Answers, methods: set[str]
) -> Claim:
    place = _place(row["dataset"], row)
    at, here = _asked(key, place, row["paper"])
    answer, ran = answers.get((at, here), (_unanswered(key, here.row, methods), {}))
    ours = _ours(measured, at, _where_measured(key, place, here))
    about = printed_about([key]).get(place.row, {})
    source = papers()[key]["source"]
    return Claim(source, key, place, here, row["paper"], ours, answer, about, ran)


def _place(dataset: str, row: Mapping[str, Any]) -> Place:
    return Place(dataset, row["row"], str(row["column"]), row["metric"])


def _asked(key: str, place: Place, number: float) -> tuple[str, Place]:
    """The entry under which our tables have a printed number, and where."""
    other = papers()[key].get("as_in", {}).get(place.row)
    if other is None:
        return key, _here(key, place)
    there = {_place(row["dataset"], row): row["paper"] for row in printed_rows(other)}
    [same] = [at for at, paper in there.items() if (at.row, paper) == (place.row, number)]
    return other, _here(other, same)


def _here(key: str, place: Place) -> Place:
    """Where our tables that quote an entry have the number of a printed place."""
    told = papers()[key].get("ours", {})
    renamed = told.get(place.row) or told.get(place.column) or {}
    return place._replace(**renamed)


def _where_measured(key: str, place: Place, here: Place) -> Place:
    """Where ours of a printed place is, where that is not a cell: a difference of two."""
    told = papers()[key].get("measured", {}).get(place.row, {})
    return here._replace(metric=place.metric, **told)


def _unanswered(key: str, row: str, methods: set[str]) -> str:
    told = papers()[key].get("unanswered", {}).get(row)
    return told or (OTHER_METHOD if row not in methods else NO_TARGET)


def _ours(measured: Lookup, key: str, here: Place) -> str:
    """Of the printed data, or of such as no paper prints."""
    return measured.get((key, here)) or measured.get((key, here._replace(dataset="")), "")


def _measured(graph: Graph, records: Path) -> Lookup:
    """Mean, interval and seeds of what records answer, in the tables that quote an entry; of
    several tables that with most seeds. The data is "" where it is none that a paper prints."""
    printed = {row["dataset"] for key in papers() for row in printed_rows(key)}
    most: dict[tuple[str, Place], Mapping[str, Any]] = {}
    for question in _questions(graph).values():
        results = Results(question, records_of(question, records))
        for row in [*results.rows, *results.deviations]:
            place = _place(row["dataset"] if row["dataset"] in printed else "", row)
            for key in question.printed if row["seeds"] else ():
                if row["seeds"] > most.get((key, place), {}).get("seeds", 0):
                    most[key, place] = row
    return {at: readable(row).replace("\xa0", " ") for at, row in most.items()}


def _answers(project: Path) -> Answers:
    """The cells of every table at every paper scale, the command that makes them and what it runs
    with; of several scales that of the table's own paper, else the first."""
    found: Answers = {}
    for scale in scale_names(project):
        if scale.startswith(PAPER_SCALES):
            for at, table, told in _cells_of(scale, project):
                if at not in found or scale == f"{PAPER_SCALES}-{table.partition('_')[0]}":
                    found[at] = f"vidssl run {table} --scale {scale}", ran_with(told)
    return found


def _cells_of(scale: str, project: Path) -> list[tuple[tuple[str, Place], str, dict[str, Any]]]:
    try:
        return list(_cells(load(scale, project=project)))
    except ValueError as error:
        raise ValueError(f"papermill_runs/{scale}.yaml: {error}") from None


def _questions(graph: Graph) -> dict[str, Question]:
    """The tables that a scale has, by their names; asking fills the graph's jobs."""
    questions = {}
    for table in graph.questions:
        with suppress(NoSchedule):  # another paper's table
            questions[table] = graph.question(table)
    return questions


def _cells(graph: Graph) -> Iterator[tuple[tuple[str, Place], str, dict[str, Any]]]:
    """What each table quotes and has, the table's name, and the parameters of a run behind it."""
    questions = _questions(graph)
    told = {graph.run_id(job): job.params for job in graph.jobs.values()}
    for table, question in questions.items():
        for cell in (cell for cell in question.cells if cell.runs):
            given = json.loads(told[cell.runs[0]])
            dataset = cell.dataset or given.get("dataset", "")
            for metric in cell.metrics:
                place = Place(dataset, cell.row, str(cell.column), metric)
                yield from (((key, place), table, given) for key in question.printed)
