"""What a table asks: cells with the runs that answer, comparisons, what papers print beside it.

A method's ``.smk`` writes it down, once, with jobs of the graph; the page of tables reads it with
the ids of their records, see `vidssl.runs.tables`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vidssl.files import read_json

Place = tuple[str, Any]  # a row and a column
ACCURACIES = {"top1_accuracy": "top1_accuracy", "train_accuracy": "train_accuracy"}
YARDSTICKS = {"static frame": "static_frame_", "frame difference": "frame_difference_"}


@dataclass(frozen=True)
class Cell:
    """One row in one column: its runs, one a seed, and where their number stands in the records.

    ``metrics``: name in the table -> what the records call it after ``prefix``. ``formerly``: runs,
    or their names, whose records held these numbers before; they stand in for those not run yet.
    ``dataset``: the one they are tested on, where it is not that of the table's other cells.
    ``behind``: for each run what was trained for it: earlier runs, each with what the metrics of
    its part there begin with (a teacher's are those of its fine-tuning, too).
    """

    row: str
    column: Any
    runs: Sequence[Any]  # jobs of the graph; ids of records once they are named
    prefix: str = ""
    metrics: Mapping[str, str] = field(default_factory=lambda: dict(ACCURACIES))
    formerly: Sequence[Any] = ()
    dataset: str = ""
    behind: Sequence[Sequence[tuple[Any, str]]] = ()


@dataclass(frozen=True)
class Claim:
    """A difference in question: the cells ``first`` minus the cells ``second``, seed by seed; their
    sums, or with ``mean`` what one of ``first`` is ahead on the average.

    ``expected``: 1 above zero, -1 below, 0 where nothing is. ``column``: of its row in the table,
    told with its ``unit`` behind the name.
    """

    name: str
    first: Sequence[Place]
    second: Sequence[Place]
    expected: int = 1
    metric: str = "top1_accuracy"
    column: str = ""
    unit: str = ""
    mean: bool = False


@dataclass(frozen=True)
class Question:
    """A table. ``setting`` says what its columns are, ``printed`` are keys of papers.yaml.

    ``draw``: "settings" (rows over columns), "methods" (a dot a row, of one column), or "beside
    printed" (a panel a data set); ``shown``: the rows drawn, all if empty; ``panels``: title of
    each metric that has a panel of its own, or of each kind of row, "MoSI (clip)".
    """

    cells: Sequence[Cell]
    claims: Sequence[Claim] = ()
    setting: str = ""
    printed: Sequence[str] = ()
    draw: str = "settings"
    measured: str = "top-1 accuracy (%)"
    shown: Sequence[str] = ()
    panels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    name: str = ""
    about: str = ""

    @property
    def runs(self) -> list[Any]:
        """Every run in it, once; last those that only count for what others cost."""
        behind = [run for cell in self.cells for parts in cell.behind for run, _ in parts]
        return list(dict.fromkeys([*(run for cell in self.cells for run in cell.runs), *behind]))

    @property
    def standing_in(self) -> dict[str, str]:
        """Run -> the one whose record holds its numbers where it has none."""
        return {run: old for cell in self.cells for run, old in zip(cell.runs, cell.formerly)}

    def named(self, name: str, about: str, run_id: Callable[[Any], str]) -> Question:
        """The same table with its name, its question and ids for jobs."""

        def ids(jobs: Sequence[Any]) -> list[str]:
            return [run_id(job) for job in jobs]

        cells = [
            replace(
                cell,
                runs=ids(cell.runs),
                formerly=ids(cell.formerly),
                behind=[[(run_id(job), part) for job, part in each] for each in cell.behind],
            )
            for cell in self.cells
        ]
        return replace(self, cells=cells, name=name, about=" ".join(about.split()))

    def joined(self, other: Question) -> Question:
        """The same table with another one's cells and claims; rows that are drawn stay so."""
        shown = [*self.shown, *(cell.row for cell in other.cells)] if self.shown else ()
        cells, claims = [*self.cells, *other.cells], [*self.claims, *other.claims]
        return replace(self, cells=cells, claims=claims, shown=shown)

    def text(self) -> str:
        """As JSON, for the page in another process."""
        return json.dumps(asdict(self))


def read_question(path: Path) -> Question:
    """What `Question.text` wrote, in a file; ValueError that names it where it is damaged."""
    told = read_json(path)
    try:
        told["cells"] = [Cell(**cell) for cell in told["cells"]]
        told["claims"] = [Claim(**claim) for claim in told["claims"]]
        return Question(**told)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} does not say what a table asks ({error})") from None


def yardsticks(column: Any, runs: Sequence[Any]) -> list[Cell]:
    """What linear classifiers of pictures reach on the labels of ``runs``, which fitted them."""
    only = {"top1_accuracy": "top1_accuracy"}
    return [Cell(row, column, runs, prefix, only) for row, prefix in YARDSTICKS.items()]


def compare(first: Place, second: Place, expected: int = 1, *, unit: str = "", **about) -> Claim:
    """The claim that one cell is above another, named by what differs between them."""
    (row, column), (other, at) = first, second
    name = f"{row}, {column}{unit} - {other}, {at}{unit}"
    if column == at:
        name = f"{row} - {other}, {column}{unit}"
    elif row == other:
        name = f"{row}, {column}{unit} - {at}{unit}"
    told = {"name": name, "expected": expected, **about}
    return Claim(first=[first], second=[second], **told)


def in_each(
    columns: Iterable[Any], first: str, second: str, expected: int = 1, **about
) -> list[Claim]:
    """The claim that one row is above another, column by column."""
    return [compare((first, c), (second, c), expected, **about) for c in columns]
