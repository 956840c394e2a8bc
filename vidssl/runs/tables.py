"""The engine of tables: from what a table asks and the records of its runs to rows, paired
differences and a figure. A page of tables keeps what is to be read:

    results = tables.read(run)
    results.shown()
    run.save_figure(results.figure(), table, publish=True, **results.origin())
    run.finish(results.metrics(), seeds=results.seeds)
    results.differences()
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.core import counted, did_you_mean, one_of
from vidssl.evaluation.classification import unfitted
from vidssl.evaluation.statistics import (
    Comparison,
    Difference,
    compare_seeds,
    detectable,
    mean_ci95,
    pairs_needed,
    spread_of,
)
from vidssl.progress import in_words
from vidssl.runs.cells import YARDSTICKS, Cell, Claim, Question, read_question
from vidssl.runs.earlier import MissingInput
from vidssl.runs.parameters import PlainError, read_yaml
from vidssl.runs.provenance import find_project
from vidssl.runs.records import caveats_of, read_whole, records_folder
from vidssl.visualize.methods import accuracy_beside_printed, accuracy_by_method
from vidssl.visualize.style import COLUMN_WIDTH, PAGE_WIDTH
from vidssl.visualize.tables import CHANCE_ROW, accuracy_by_setting

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from vidssl.runs.records import Run

PAPERS = Path(__file__).with_name("papers.yaml")
DIFFERENCE = "accuracy_difference"
NOT_DRAWN = ("train_accuracy", "auc_score", DIFFERENCE)
WITH_CHANCE = ("top1_accuracy", "pretext_accuracy", "recall")
ANSWERS = {1: "held", 0: "open", -1: "against"}  # by the sign that was expected
TOLD = ["points", "seeds", "seen from", "expected", "answer"]
NAMED = 3  # runs that a line names
FEW_TESTED = 100  # test videos up to which one of them is a point or more
CAN_SEE = ["seeds", "spread", "seen from", "on record", "seeds for that"]
OWN_SPREAD = 5  # seeds from which a difference's own spread is taken, not that of all the table's


class UnfitRuns(PlainError, ValueError):
    """Runs that cannot stand in one table."""


def read(run: Run) -> Results:
    """The results of the table that a page's parameters name.

    Which runs stand in which cell says the file ``cells``, which the graph hands over; of a page
    opened by hand the project's own graph is asked. Records lie in ``records``, else where the
    page's run lies, else among the project's. MissingInput where none of the runs has one.
    """
    import pandas as pd

    for limit in ("rows", "columns", "colwidth"):  # else pandas leaves out the middle of a long
        pd.set_option(f"display.max_{limit}", None)  # table, and the end of a long note
    question, records = _asked(run), run.params["records"]
    home = run.runs_root / "records" if run.runs_root else records_folder(run.project)
    results = Results(question, records_of(question, Path(records or home)))
    if not results.records:
        raise _no_records(question, run.scale)
    print(results)
    return results


def records_of(question: Question, root: Path) -> dict[str, dict[str, Any]]:
    """Id -> record of each run in a table; of one not run yet, its stand-in's under its own id."""
    found = {}
    for name in question.runs:
        for asked in (name, question.standing_in.get(name, name)):
            if name not in found and (root / f"{asked}.json").exists():
                found[name] = read_whole(root / f"{asked}.json")
    return found


def _asked(run: Run) -> Question:
    from vidssl.runs.graph import load

    table, told = run.params["table"], run.params["cells"]
    if not told:
        root = {"runs_root": str(run.runs_root)} if run.runs_root else {}
        return load(run.scale, root, run.project).question(table)
    question = read_question(Path(told))
    one_of(f"{told}: table", table, [question.name])
    return question


def _no_records(question: Question, scale: str) -> MissingInput:
    of_scale = f" --scale {scale}" if scale != "mini" else ""
    return MissingInput(
        f"{question.name} has no record of its runs: {_some(question.runs)}\n"
        f"{_power_before(question)}"
        f"  by command: vidssl run {question.name}{of_scale}\n"
        "  by hand:    pages explored by hand leave no records; this table is made of records alone"
    )


def _power_before(question: Question) -> str:
    """What its seeds will see, by the spread of the tables that there are; "" without claims."""
    seeds = sorted({len(cell.runs) for cell in question.cells} - {0, 1})
    try:
        spread = spread_on_record() if question.claims else 0.0
    except ValueError:
        return ""
    told = [f"{n} seeds {100 * detectable(spread, n):.1f} points" for n in seeds]
    by = f"with 80 % power, by a spread of {100 * spread:.1f} points on record, its seeds will see"
    return f"  {by}: {', '.join(told)}\n" if told and spread else ""


def _some(runs: Sequence[str]) -> str:
    rest = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return ", ".join(runs[:NAMED]) + rest


class Results:
    """A table: its `Question` and the records of the runs in it, id -> record.

    ``rows`` are those of the table's file: measured ones, chance, what papers print, and a row of
    each paired difference. ``not_run``: ids without a record. UnfitRuns for runs of two scales or
    data sets, for two runs of one seed in a cell.
    """

    def __init__(self, question: Question, records: Mapping[str, Mapping[str, Any]]):
        self.question, self.records = question, records
        self.not_run = [name for name in question.runs if name not in records]
        self.scale = self._only("scale", records.values())
        judged = list(self._judged())
        self.dataset = self._only("dataset", judged)
        self.data_seed = self._only("data_seed", judged)
        for column in dict.fromkeys(cell.column for cell in question.cells):
            self._only("data_hash", self._judged(column))
        self.rows = [*self._measured(), *self._chance()]
        for key in question.printed:
            self.rows += [{**row, "table": question.name} for row in printed_rows(key)]
        self.compared: dict[str, tuple[Comparison | None, int]] = {}
        for claim in question.claims:
            self._judge(claim)

    def __str__(self) -> str:
        runs, spent = counted(len(self.sources), "run"), in_words(self.minutes * 60)
        told = f"{self.question.name}: {self.question.about}\n{runs}, {spent} in all"
        told += f"\nnot run: {_some(self.not_run)}" if self.not_run else ""
        told += f"\n{self.unfitted}" if self.unfitted else ""
        told += f"\n{self.caveats}" if self.caveats else ""
        return told + "".join(f"\n{line}" for line in self.lacking)

    @property
    def lacking(self) -> list[str]:
        """A line for each cell whose records hold none of its metrics; yardsticks may lack."""
        lacking = []
        for cell in self.question.cells:
            names = [cell.prefix + kept for kept in cell.metrics.values()]
            held = {name for record in self.found(cell) for name in record["metrics"]}
            if held and held.isdisjoint(names) and cell.row not in YARDSTICKS:
                told = f"{cell.row}, {cell.column}: its records have no {names[0]!r}"
                lacking.append(told + did_you_mean(names[0], sorted(held)))
        return lacking

    @property
    def unfitted(self) -> str:
        """Which rows do not fit, judged in the column where they know least; "" where all do."""
        low: dict[str, float] = {}
        for row in self.rows:
            if row["metric"] == "train_accuracy":
                low[row["row"]] = min(row["mean"], low.get(row["row"], 1.0))
        return unfitted(low)

    @property
    def caveats(self) -> str:
        """What is to be known of the videos behind its numbers; "" where all is well."""
        judged = list(self._judged())
        told = [line for record in judged for line in caveats_of(record)]
        tested = sorted({record["metrics"].get("test_videos") or 0 for record in judged} - {0})
        if tested and tested[0] <= FEW_TESTED:
            told.append(f"{tested[0]} test videos: one is {100 / tested[0]:.1f} points")
        return " · ".join(dict.fromkeys(told))

    @property
    def sources(self) -> dict[str, Mapping[str, Any]]:
        """Run -> record, of the runs whose records are read."""
        return {record["run"]: record for record in self.records.values()}

    @property
    def minutes(self) -> float:
        """What the runs took in all."""
        return sum(record["seconds"] for record in self.sources.values()) / 60

    @property
    def seeds(self) -> list[int]:
        return sorted({seed for record in self.records.values() for seed in record["seeds"]})

    @property
    def deviations(self) -> Iterator[dict[str, Any]]:
        """Rows of the standard deviation over seeds, of a metric of which a paper prints it, too;
        the table's file holds it as an interval and a number of seeds."""
        printed = {row["metric"] for row in self.rows if row["paper"] is not None}
        for row in self.rows:
            if f"{row['metric']}_deviation" in printed and row["ci95"] is not None:
                spread = spread_of(Difference(row["mean"], row["ci95"], row["seeds"]))
                yield {**row, "metric": f"{row['metric']}_deviation", "mean": spread, "ci95": None}

    def at(self, row: str, column: Any) -> list[Cell]:
        """The cells of a place: several where its metrics come from several kinds of runs."""
        cells = self.question.cells
        return [cell for cell in cells if (cell.row, cell.column) == (row, column)]

    def columns(self, *rows: str) -> list[Any]:
        """The columns of some rows, in order."""
        return list(dict.fromkeys(cell.column for cell in self.question.cells if cell.row in rows))

    def found(self, cell: Cell) -> list[Mapping[str, Any]]:
        """The records of a cell."""
        return [self.records[name] for name in cell.runs if name in self.records]

    def values(self, row: str, column: Any, metric: str = "top1_accuracy") -> dict[int, Any]:
        """Seed -> a metric of the runs at a place: one of the table, or any of their records."""
        cells = self.at(row, column)
        named = [cell for cell in cells if metric in cell.metrics] or cells
        values: dict[int, Any] = {}
        for cell, record in ((each, found) for each in named for found in self.found(each)):
            value = record["metrics"].get(cell.prefix + cell.metrics.get(metric, metric))
            if value is not None:
                [seed] = record["seeds"]
                if seed in values:
                    raise UnfitRuns(f"{record['run']}: a second run of seed {seed} at {row}")
                values[seed] = value
        return values

    def spent(self, row: str, column: Any, metric: str) -> dict[int, float]:
        """Seed -> ``metric`` of a place's runs and of all that was trained for them, in sum.

        "training_seconds" or "clips_seen". What trains nothing, such as clusters, counts
        with its whole time. Seeds are left out of which a part is not on record.
        """
        totals = {}
        for cell in self.at(row, column):
            for run, parts in zip(cell.runs, cell.behind):
                values = [_part(self.records.get(name), at, metric) for name, at in parts]
                if values and None not in values:
                    [seed] = self.records[run]["seeds"]
                    totals[seed] = sum(values)
        return totals

    @property
    def devices(self) -> list[str]:
        """What the runs on record were made on; times compare where it is one."""
        return sorted({record["device"] for record in self.records.values()})

    def times_compare(self) -> bool:
        """Whether the runs on record had one device; if not, it is said which."""
        if len(self.devices) > 1:
            print(f"no times: these runs had {' and '.join(self.devices)}")
        return len(self.devices) <= 1

    def add(self, row: str, metric: str, values: Sequence[float], column: Any = "") -> None:
        """Put one more row into the table."""
        self.rows.append(self._row(row, column, metric, values))

    def compare(
        self,
        name: str,
        gains: Mapping[int, float],
        expected: int = 0,
        column: Any = "",
        unit: str = "",
    ) -> None:
        """Add a paired difference, seed -> gain: a row of the table, and one to be judged."""
        self.add(name, DIFFERENCE, [*gains.values()], column)
        at = f"{name}, {column}{unit}" if column else name
        self.compared[at] = compare_seeds(gains, dict.fromkeys(gains, 0.0)), expected

    # --- to look at ------------------------------------------------------------------------------

    def shown(self) -> pd.DataFrame:
        """Our own rows, in per cent: "36.8 ± 5.6 (5)" is the mean, the half-width of its 95 %
        interval, the number of seeds; "6.6 (3)" a deviation over them. Where papers print columns
        beside their numbers, these say what ours ran with."""
        rows = [*(row for row in self.rows if self._is_own(row)), *self.deviations]
        cells = {_place(row): readable(row) for row in rows}
        for cell in self.question.cells:
            if cell.runs and not self.found(cell):
                metric = next(iter(cell.metrics))
                cells.setdefault((metric, cell.row, cell.column), "not run")
        return _beside(_as_table(cells), self.ran_with())

    def ran_with(self) -> dict[str, dict[str, str]]:
        """Row -> what its networks ran with, in those columns that a quoted paper prints, too."""
        columns = _columns(printed_about(self.question.printed))
        cells = [cell for cell in self.question.cells if columns and cell.row not in YARDSTICKS]
        runs: dict[str, list[dict[str, Any]]] = {}
        for cell in cells:
            found = [ran_with(record["parameters"]) for record in self.found(cell)]
            runs.setdefault(cell.row, []).extend(found)
        return {
            row: {name: _several(run.get(name, "") for run in its) for name in columns}
            for row, its in runs.items()
        }

    def printed(self) -> pd.DataFrame:
        """What the papers print, in per cent, of their own networks and data."""
        rows = [row for row in self.rows if row["paper"] is not None]
        print("; ".join(dict.fromkeys(paper(key)["source"] for key in self.question.printed)))
        cells = {(row["metric"], row["row"], _column_of(row)): readable(row) for row in rows}
        order = [_column_of(r) for key in self.question.printed for r, _ in _printed_places(key)]
        table = _as_table(cells)
        table = table[sorted(table.columns, key=order.index)]
        return _beside(table, printed_about(self.question.printed))

    def differences(self, *names: str) -> pd.DataFrame:
        """Paired differences on the same seeds, in points, beside what was expected of each.

        "seen from" is the smallest true difference that these seeds would have told from none. The
        interval answers: "held", "open" (it holds zero) or "against". ``names``: only these.
        """
        import pandas as pd

        chosen = {n: judged for n, judged in self.compared.items() if not names or n in names}
        lines = {name: _told(*judged) for name, judged in chosen.items()}
        found = pd.DataFrame.from_dict(lines, orient="index", columns=TOLD)
        return found.fillna("")

    def power(self) -> pd.DataFrame:
        """What its seeds can see of each difference in question, in points, before it is answered.

        ``spread`` is that of single seeds' differences on record: its own from 5 seeds on, else
        that of the whole table, else that of all tables in ``figures/``. "seen from" is the true
        difference found with 80 % power; the last column says how many seeds the difference on
        record would take.
        """
        import pandas as pd

        lines = {c.name: self._power_of(c) for c in self.question.claims if self._planned(c)}
        return pd.DataFrame.from_dict(lines, orient="index", columns=CAN_SEE).fillna("")

    def _planned(self, claim: Claim) -> int:
        """The seeds that both sides of a claim will have; 0 where one is no part of the table."""
        places = [tuple(place) for place in (*claim.first, *claim.second)]
        return min(max((len(cell.runs) for cell in self.at(*p)), default=0) for p in places)

    def _power_of(self, claim: Claim) -> list[str]:
        at = f"{claim.name}, {claim.column}{claim.unit}" if claim.column else claim.name
        compared, _ = self.compared.get(at, (None, 0))
        known = compared.difference if compared else Difference(float("nan"), float("nan"), 0)
        spread = spread_of(known) if known.n >= OWN_SPREAD else self.spread
        planned = self._planned(claim)
        needed = pairs_needed(spread, known.mean) if known.n > 1 else ""
        return [
            str(planned),
            f"{100 * spread:.1f}",
            f"{100 * detectable(spread, planned):.1f}" if planned > 1 else "",
            f"{100 * known.mean:+.1f}" if known.n else "",
            "more than 30" if needed is None else str(needed),
        ]

    @property
    def spread(self) -> float:
        """By how much single seeds' differences deviate: the table's, else that of all tables."""
        own = [c.difference for c, _ in self.compared.values() if c and c.difference.n > 2]
        return _pooled(own) if own else spread_on_record()

    def figure(self) -> Figure:
        """The table drawn, as its question says."""
        about, shown = self.question, self.question.shown
        left_out = set(NOT_DRAWN) - set(about.panels)
        own = [r for r in self.rows if self._is_own(r) and r["metric"] not in left_out]
        own = [row for row in own if not shown or row["row"] in shown]
        if about.draw == "beside printed":
            quoted = [row for row in self.rows if row["paper"] is not None]
            return accuracy_beside_printed(own + quoted, metric=about.measured)
        if about.draw == "methods":
            return accuracy_by_method(own)
        look: dict[str, Any] = {"setting": about.setting, "metric": about.measured}
        if about.note or self.unfitted or self.caveats:
            told = " · ".join(filter(None, (self.dataset, self.scale, about.note)))
            look["note"] = "\n".join(filter(None, (told, self.unfitted, self.caveats)))
        wide = about.panels or len({row["column"] for row in own}) > 8
        look["width"] = PAGE_WIDTH if wide else COLUMN_WIDTH
        if about.panels:
            own, look["panel"] = list(_in_panels(own, about.panels)), "panel"
        return accuracy_by_setting(own, **look)

    def origin(self) -> dict[str, Any]:
        """What `Run.save_figure` is told of the table: data, description, data set, runs."""
        drawn = dict.fromkeys(r["row"] for r in self.rows if self._is_own(r))
        rows = [row for row in drawn if not self.question.shown or row in self.question.shown]
        what = f"{self.question.measured} of {', '.join(rows)}"
        by = f" by {self.question.setting}" if self.question.setting else ""
        return {
            "data": self.rows,
            "alt": f"{self.question.about} {what}{by}{self._bars_in_words()}.",
            "dataset": " · ".join(
                filter(None, (f"{self.dataset}, data seed {self.data_seed}", self.caveats))
            ),
            "from_runs": sorted(self.sources),
        }

    def _bars_in_words(self) -> str:
        """What bars stand for, if there are any: not of one seed."""
        has_bars = any(row["ci95"] is not None for row in self.rows if self._is_own(row))
        return (
            "; bars are 95 % intervals over seeds" if has_bars else "; one seed, without intervals"
        )

    def metrics(self) -> dict[str, Any]:
        """What the page's own record keeps: each difference, how many runs, how long they took."""
        judged = {n: list(c.difference) for n, (c, _) in self.compared.items() if c}
        return {**judged, "runs": len(self.sources), "minutes": self.minutes}

    # --- rows ------------------------------------------------------------------------------------

    def _only(self, key: str, records: Iterable[Mapping[str, Any]]) -> Any:
        """What all records say of ``key``; a table is of one scale and one data set."""
        said: dict[Any, str] = {}
        for record in records:
            said.setdefault(record.get(key, record["parameters"].get(key)), record["run"])
        if len(said) > 1:
            (one, first), (other, second) = list(said.items())[:2]
            raise UnfitRuns(
                f"{self.question.name}: runs of two values of {key}, {one!r} in {first} and "
                f"{other!r} in {second}: a table is of one"
            )
        return next(iter(said), "")

    def _judged(self, column: Any = None) -> Iterator[Mapping[str, Any]]:
        """The records of what is tested, in a column alone if it is given; the source of a
        pretraining may be anything."""
        for cell in self.question.cells:
            if "pretext_accuracy" in cell.metrics or column not in (None, cell.column):
                continue
            if not cell.dataset:
                yield from self.found(cell)
            for record in self.found(cell) if cell.dataset else ():
                told = record["parameters"]["dataset"]
                if told != cell.dataset:
                    raise ValueError(
                        f"{self.question.name}: {record['run']} is of {told!r}, its cell "
                        f"{cell.row!r} of {cell.dataset!r}"
                    )

    def _row(self, row: str, column: Any, metric: str, values: Sequence[float]) -> dict[str, Any]:
        mean, half = mean_ci95(values)
        measured = {"mean": mean, "ci95": half if len(values) > 1 else None, "seeds": len(values)}
        return self._line(row, column, metric, measured)

    def _line(self, row: str, column: Any, metric: str, measured: Mapping) -> dict[str, Any]:
        about = {"table": self.question.name, "row": row, "column": column, "metric": metric}
        return {**about, **measured, "scale": self.scale, "dataset": self.dataset, "paper": None}

    def _is_own(self, row: Mapping[str, Any]) -> bool:
        return row["paper"] is None and row["metric"] != DIFFERENCE

    def _measured(self) -> Iterator[dict[str, Any]]:
        for cell in self.question.cells:
            for metric in cell.metrics:
                values = self.values(cell.row, cell.column, metric)
                if values:
                    row = self._row(cell.row, cell.column, metric, [*values.values()])
                    yield {**row, "dataset": cell.dataset or self.dataset}

    def _chance(self) -> Iterator[dict[str, Any]]:
        """Chance in each column: exact, without seeds; of k neighbours that any has the class."""
        levels = {
            (cell.column, metric): record["metrics"]["chance"]
            for cell in self.question.cells
            for metric, record in product(cell.metrics, self.found(cell)[:1])
            if not cell.dataset and metric in WITH_CHANCE and "chance" in record["metrics"]
        }
        for (column, metric), level in levels.items():
            level = 1 - (1 - level) ** column if metric == "recall" else level
            exact = {"mean": level, "ci95": None, "seeds": 0}
            yield self._line(CHANCE_ROW, column, metric, exact)

    def _judge(self, claim: Claim) -> None:
        """Compare what a claim names; of what is no part of this table nothing is said."""
        places = [tuple(place) for place in (*claim.first, *claim.second)]
        cells = [self.at(*place) for place in places]
        if not all(any(cell.runs for cell in each) for each in cells):
            return
        terms = [self.values(*place, claim.metric) for place in places]
        common = sorted(set.intersection(*(set(term) for term in terms)))
        signs = [1] * len(claim.first) + [-1] * len(claim.second)
        of = len(claim.first) if claim.mean else 1
        gains = {s: sum(k * term[s] for k, term in zip(signs, terms)) / of for s in common}
        if gains:
            self.compare(claim.name, gains, claim.expected, claim.column, claim.unit)
        elif not all(any(self.found(cell) for cell in each) for each in cells):
            self.compared[claim.name] = None, claim.expected


def _part(record: Mapping[str, Any] | None, prefix: str, metric: str) -> float | None:
    """What one run adds to the cost of another."""
    if record is None:
        return None
    told = record["metrics"]
    if prefix or "training_seconds" in told or f"{prefix}{metric}" in told:
        return told.get(prefix + metric)
    return record["seconds"] if metric == "training_seconds" else 0.0


def _pooled(differences: Sequence[Difference]) -> float:
    """The root of the mean variance of single differences."""
    return (sum(spread_of(each) ** 2 for each in differences) / len(differences)) ** 0.5


def spread_on_record(project: Path | None = None) -> float:
    """By how much single seeds' differences of accuracy deviate in the tables of ``figures/``.

    ValueError where none of them has a difference over three seeds or more.
    """
    found = []
    for path in sorted(((project or find_project()) / "figures").glob("*.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("metric") == DIFFERENCE]
        told = [row for row in rows if row["ci95"] and int(row["seeds"]) > 2]
        found += [Difference(float(r["mean"]), float(r["ci95"]), int(r["seeds"])) for r in told]
    if not found:
        raise ValueError("figures/*.csv hold no difference over three seeds or more")
    return _pooled(found)


# --- what papers print ---------------------------------------------------------------------------


@cache
def papers() -> dict[str, dict[str, Any]]:
    """Every number of the three papers, by the keys of papers.yaml."""
    return read_yaml(PAPERS.read_text(encoding="utf-8"))


def paper(key: str) -> dict[str, Any]:
    """One entry. ValueError, with the nearest, for a key that is none."""
    return papers()[one_of("printed", key, list(papers()))]


def printed_rows(key: str) -> Iterator[dict[str, Any]]:
    """The rows of a table's file that quote an entry: fractions under ``paper``, all else empty."""
    empty = {"mean": None, "ci95": None, "seeds": None, "scale": "paper"}
    for place, number in _printed_places(key):
        if number is not None:
            yield {**place, **empty, "paper": number / 100}


def _printed_places(key: str) -> Iterator[tuple[dict[str, Any], float | None]]:
    """Row, column, metric and data set of each number of an entry, and the number."""
    entry = paper(key)
    [(across, names)] = entry["across"].items()
    for line, numbers in entry["numbers"].items():
        for name, number in zip(names, numbers, strict=True):
            told = {"metric": "top1_accuracy", **entry, entry["down"]: line, across: name}
            told.setdefault("column", told["dataset"])
            yield {axis: told[axis] for axis in ("row", "column", "metric", "dataset")}, number


def printed_about(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Line -> what the papers print beside its numbers, by column; last a note, if there is one."""
    lines: dict[str, dict[str, str]] = {}
    for entry in map(paper, keys):
        about = entry.get("about", {"columns": [], "lines": {}})
        for line, values in about["lines"].items():
            told = zip(about["columns"], values, strict=True)
            lines.setdefault(line, {}).update({n: "-" if v is None else str(v) for n, v in told})
        for line, note in entry.get("notes", {}).items():
            lines.setdefault(line, {})["note"] = note
    return lines


def ran_with(told: Mapping[str, Any]) -> dict[str, Any]:
    """A run's parameters, called as the columns that papers print beside their numbers: what the
    network sees that is judged. Input is V, RGB, or F, flow."""
    return {
        "backbone": told.get("backbone", ""),
        "input": "F" if told.get("modality") == "flow" else "V",
        "frames": told.get("tuning_frames") or told.get("frames", ""),
        "pixels": told.get("size", ""),
    }


# --- text ----------------------------------------------------------------------------------------


def _place(row: Mapping[str, Any]) -> tuple[str, str, Any]:
    return row["metric"], row["row"], row["column"]


def readable(row: Mapping[str, Any]) -> str:
    """A row's number in per cent: what a paper prints, else mean, interval and seeds."""
    if row["paper"] is not None:
        return f"{100 * row['paper']:.1f}"
    words = [f"{100 * row['mean']:.1f}"]
    words += ["±", f"{100 * row['ci95']:.1f}"] if row["ci95"] is not None else []
    words += [f"({row['seeds']})"] if row["seeds"] else []
    return "\xa0".join(words)  # one line a cell, however narrow the page


def _as_table(cells: Mapping[tuple[str, str, Any], str]) -> pd.DataFrame:
    """A line a row, a column a setting; several metrics stand below each other."""
    import pandas as pd

    metrics = list(dict.fromkeys(metric for metric, _, _ in cells))
    columns = list(dict.fromkeys(column for _, _, column in cells))
    columns = sorted(columns) if all(isinstance(c, (int, float)) for c in columns) else columns
    keys = dict.fromkeys((metric, row) for metric, row, _ in cells)
    keys = sorted(keys, key=lambda key: metrics.index(key[0]))
    lines = [[cells.get((*key, column), "") for column in columns] for key in keys]
    index = pd.MultiIndex.from_tuples([(m.replace("_", " "), row) for m, row in keys])
    shown = pd.DataFrame(lines, index=index, columns=list(map(str, columns)))
    return shown if len(metrics) > 1 else shown.droplevel(0)


def _column_of(row: Mapping[str, Any]) -> str:
    """What a printed number's column is called: its data set, and the column where that is more."""
    return ", ".join(dict.fromkeys([row["dataset"], str(row["column"])]))


def _columns(about: Mapping[str, Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for told in about.values() for name in told))


def _several(values: Iterable[Any]) -> str:
    """Values that differ between runs, each once."""
    return " / ".join(dict.fromkeys(map(str, values)))


def _beside(table: pd.DataFrame, about: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """A table with what is to be told of its rows as first columns, and notes as the last one."""
    rows = table.index.get_level_values(-1)
    told = {n: [about.get(row, {}).get(n, "") for row in rows] for n in _columns(about)}
    filled = [name for name, values in told.items() if any(values)]
    for name in reversed(filled):
        table.insert(len(table.columns) if name == "note" else 0, name, told[name])
    return table


def _told(compared: Comparison | None, expected: int) -> list[str]:
    """One line of `Results.differences`."""
    hoped = {1: "above zero", -1: "below zero", 0: ""}[expected]
    if compared is None:
        return ["", "", "", hoped, "not run"]
    mean, half, seeds = compared.difference
    points = f"{100 * mean:+.1f}"
    if seeds == 1:
        return [points, "1", "", hoped, "one seed" if expected else ""]
    answer = ANSWERS[expected * compared.sign] if expected else ""
    seen = f"{100 * compared.smallest:.1f}"
    return [f"{points}\xa0±\xa0{100 * half:.1f}", str(seeds), seen, hoped, answer]


def _in_panels(rows: Iterable[Mapping], panels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows with the title of their panel: of their metric, or of their kind, "MoSI (clip)"."""
    for row in rows:
        if row["metric"] in panels:
            yield {**row, "panel": panels[row["metric"]]}
            continue
        for key, title in panels.items():
            name = row["row"].removesuffix(f" ({key})")
            if name != row["row"] or name == CHANCE_ROW:
                yield {**row, "row": name, "panel": title}
