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
from vidssl.runs.parameters import PAPER_SCALES, NoSchedule, scale_names
from vidssl.runs.tables import Results, papers, printed_rows, readable, records_of

OTHER_METHOD = "another method: quoted only"
NO_TARGET = "no target at this setting yet"
Lookup = dict[tuple[str, "Place"], str]  # by the key of papers.yaml and a place in our tables

SHOWN = {  # what the papers show or say beside numbers: the target that makes ours, or why none
    "MoSI, figures 1 to 3: pseudo motions and masks": "mosi_pseudo_motion",
    "MoSI, figures 4 and 8: where networks look": "mosi_attention",
    "MoSI, figure 5: clusters of features": "mosi_clusters",
    "MoSI, figure 6: frozen stages": "mosi_frozen",
    "MoSI, section 4.1: the last stage tuned alone": "mosi_frozen",
    "MoSI, figure 7: side of the mask": "mosi_mask",
    "MotionFit, figures 1 and 2: the method, clusters of motion": "motionfit_clusters_seen",
    "MotionFit, section 4.4: lambda of each level": "motionfit_order",
    "MotionFit, 5.7 % ahead of Jing with half the labels": "4.7 by the paper's own table 8",
    "TimeBalance, how alike the times of videos are": "timebalance_classwise",
    "TimeBalance, framework": "timebalance_classwise",
    "TimeBalance, accuracy class by class": "timebalance_classwise",
    "TimeBalance, 13.5 M parameters": "fits no network of the public code; page 34 tells ours",
    "TimeBalance, ablations": "not on its page; timebalance_ablation is our own",
}


class Place(NamedTuple):
    """Where a number stands: in what table's cell, of which data."""

    dataset: str
    row: str
    column: str
    metric: str


@dataclass(frozen=True)
class Claim:
    """A printed number (a fraction), ours of the same row and column at the scale that was asked
    for ("" where no record has it), and ``answer``: a command, or why there is none. ``place`` is
    the paper's, ``here`` that of our tables that quote it."""

    source: str
    key: str
    place: Place
    here: Place
    printed: float
    ours: str
    answer: str


def claims(
    scale: str = "mini", records: Path | None = None, project: Path | None = None
) -> list[Claim]:
    """All of them, in the order of papers.yaml, see `Claim`. ``records``: the folder of records."""
    graph = load(scale, project=project)
    measured = _measured(graph, records or graph.project / "papermill_runs" / "records")
    answers = _answers(graph.project)
    methods = {place.row for _, place in [*answers, *measured]}
    return [
        Claim(
            papers()[key]["source"],
            key,
            place,
            here,
            row["paper"],
            _ours(measured, key, _where_measured(key, place, here)),
            answers.get((key, here)) or _unanswered(key, here.row, methods),
        )
        for key in papers()
        for row in printed_rows(key)
        for place in [_place(row["dataset"], row)]
        for here in [_here(key, place)]
    ]


def _place(dataset: str, row: Mapping[str, Any]) -> Place:
    return Place(dataset, row["row"], str(row["column"]), row["metric"])


def _here(key: str, place: Place) -> Place:
    """Where our tables have the number of a printed place."""
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


def _answers(project: Path) -> Lookup:
    """The cells of every table at every paper scale, and the command that makes them; of several
    scales that of the table's own paper, else the first."""
    found: Lookup = {}
    for scale in scale_names(project):
        if scale.startswith(PAPER_SCALES):
            for at, table in _cells(load(scale, project=project)):
                if at not in found or scale == f"{PAPER_SCALES}-{table.partition('_')[0]}":
                    found[at] = f"vidssl run {table} --scale {scale}"
    return found


def _questions(graph: Graph) -> dict[str, Question]:
    """The tables that a scale has, by their names; asking fills the graph's jobs."""
    questions = {}
    for table in graph.questions:
        with suppress(NoSchedule):  # another paper's table
            questions[table] = graph.question(table)
    return questions


def _cells(graph: Graph) -> Iterator[tuple[tuple[str, Place], str]]:
    """What each table quotes and has, and the table's name."""
    questions = _questions(graph)
    told = {graph.run_id(job): job.params for job in graph.jobs.values()}
    for table, question in questions.items():
        for cell in (cell for cell in question.cells if cell.runs):
            dataset = cell.dataset or json.loads(told[cell.runs[0]]).get("dataset", "")
            for metric in cell.metrics:
                place = Place(dataset, cell.row, str(cell.column), metric)
                yield from (((key, place), table) for key in question.printed)
