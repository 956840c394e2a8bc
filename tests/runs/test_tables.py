"""The engine of tables; those that stand are rebuilt from the records in git, digit for digit."""

import csv
import json
import math
import statistics
from dataclasses import replace

import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.evaluation.statistics import detectable
from vidssl.runs import tables
from vidssl.runs.cells import Cell, Claim, Question, compare, in_each, read_question, yardsticks
from vidssl.runs.notebooks import notebook_cells
from vidssl.runs.tables import Results

FIGURES = REPOSITORY / "figures"
RECORDS = REPOSITORY / "papermill_runs" / "records"


@pytest.fixture(scope="module")
def graph():
    return runs.load_graph(project=REPOSITORY)


def assert_as_published(name, rows, left_out=lambda row: False):
    """Every row of the table's file has the same numbers among ``rows``."""
    made = {place(row): row for row in rows}
    assert len(made) == len(rows), "two rows at one place"
    with open(FIGURES / f"{name}.csv", encoding="utf-8", newline="") as file:
        published = [row for row in csv.DictReader(file) if not left_out(row)]
    assert published
    for row in published:
        for key in ("mean", "ci95", "seeds", "paper"):
            was, now = row[key], made[place(row)][key]
            if was:
                assert math.isclose(float(was), now, rel_tol=1e-9, abs_tol=1e-12), (row, key, now)
            else:
                assert now is None, (row, key, now)


def place(row):
    return tuple(str(row[key]) for key in ("row", "column", "metric", "scale", "dataset"))


def is_of(name, row):
    """Whether a difference is the one of a row, which keeps its column apart."""
    column = row["column"]
    return name.startswith(f"{row['row']}, {column}") if column else name == row["row"]


def is_table(origin):
    """Whether a figure is one of a table, made from other runs by the run of its own name."""
    told = json.loads(origin.read_text(encoding="utf-8"))
    return told["from_runs"] and told["made_by"] == f"mini-{origin.stem}"


@pytest.mark.parametrize("name", [p.stem for p in sorted(FIGURES.glob("*.json")) if is_table(p)])
def test_tables_that_stand_are_what_their_records_give(name, graph):
    question = graph.question(name)
    results = Results(question, tables.records_of(question, RECORDS))
    if results.not_run:
        assert "not run: " in str(results), "a missing run is told"
        assert set(results.not_run) == set(question.runs) - set(results.records)
    own = name == "timebalance_classwise"  # its page adds what it computes class by class
    asked = {(cell.row, str(cell.column)) for cell in question.cells}
    columns = {column for _, column in asked}
    metrics = {metric for cell in question.cells for metric in cell.metrics}

    def left_out(row):
        """What the scale's file has cut since the table was made, or its page adds."""
        if row["metric"] == tables.DIFFERENCE:
            by_page = own and "frozen" not in row["row"]
            return by_page or not any(is_of(n, row) for n in results.compared)
        if row["row"] == "chance":
            return row["column"] not in columns
        if name == "one_protocol" and row["metric"] not in metrics:
            return True  # groups of classes and costs, which its page adds
        return not row["paper"] and (row["row"], row["column"]) not in asked

    assert_as_published(name, results.rows, left_out)


def test_a_row_whose_records_lack_its_numbers_is_told(graph):
    """A mistyped prefix names the nearest metric."""
    question = graph.question("mosi_lowshot")
    records = tables.records_of(question, RECORDS)
    wrong = replace(question.cells[0], prefix="scartch_")
    results = Results(replace(question, cells=[wrong, *question.cells[1:]], claims=()), records)
    told = "its records have no 'scartch_top1_accuracy'; did you mean 'scratch_top1_accuracy'?"
    assert f"\n{wrong.row}, {wrong.column}: {told}" in str(results)
    assert not Results(question, records).lacking


def test_what_the_page_of_timebalance_adds_class_by_class_stands_too(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    path = REPOSITORY / "notebooks" / "34_timebalance_tables.py"
    code = [c.source for c in notebook_cells(path.read_text(encoding="utf-8")) if c.kind == "code"]
    found = {}
    exec(code[0], found)
    found |= {"table": "timebalance_classwise", "records": str(RECORDS)}
    found["run_folder"] = str(tmp_path / "mini" / "timebalance_classwise")
    for source in code[1:]:
        exec(source, found)
    results = found["results"]
    if not results.values("invariant", "5", "both_accuracy"):
        pytest.skip("the recorded runs are of the first version of the embedded data")
    assert_as_published("timebalance_classwise", results.rows)
    differences = found["results"].differences()
    assert differences.loc["f_D - f_I, ordered, 10 %", "answer"] == "against"


# --- the engine ----------------------------------------------------------------------------------


def record(name, seed, scale="mini", dataset="embedded", **metrics):
    about = {"dataset": dataset, "data_seed": 1}
    return {"run": name, "scale": scale, "parameters": about, "metrics": metrics, "seeds": [seed],
            "seconds": 60.0, "device": "a machine"}  # fmt: skip


def small(accuracies, **about):
    """A table of two rows in one column; row -> one accuracy a seed, None for a run to come."""
    cells, found = [], {}
    for row, values in accuracies.items():
        names = [f"mini-{row}-s{seed}" for seed in range(len(values))]
        cells.append(Cell(row, 5, names, f"{row}_"))
        for seed, (name, value) in enumerate(zip(names, values)):
            if value is not None:
                kept = {f"{row}_top1_accuracy": value, "chance": 0.25}
                found[name] = record(name, seed, **kept)
    claims = [compare(("a", 5), ("b", 5), **about), *in_each([5, 7], "a", "c")]
    return Question(cells, claims, "labels", name="small", about="Is it?"), found


def test_rows_have_mean_interval_seeds_and_exact_chance():
    results = Results(*small({"a": [0.5, 0.7], "b": [0.25]}))
    first, second, chance, difference = results.rows
    assert ",".join(first) == "table,row,column,metric,mean,ci95,seeds,scale,dataset,paper"
    assert first["mean"] == pytest.approx(0.6)
    assert first["ci95"] == pytest.approx(12.706 * 0.1, rel=1e-4)  # t(.975, 1) s / sqrt(2)
    assert (second["ci95"], second["seeds"]) == (None, 1)
    assert (chance["mean"], chance["ci95"], chance["seeds"]) == (0.25, None, 0)
    assert (difference["row"], difference["metric"]) == ("a - b, 5", "accuracy_difference")
    assert results.shown().loc["a", "5"].replace("\xa0", " ") == "60.0 ± 127.1 (2)"
    assert str(results) == "small: Is it?\n3 runs, 3 min in all"


def test_a_standard_deviation_stands_where_a_paper_prints_one():
    """It follows from interval and seeds, so that the table's file needs no row of it."""
    question, found = small({"a": [0.5, 0.62, 0.7], "b": [0.25]})
    assert not list(Results(question, found).deviations)
    results = Results(replace(question, printed=["motionfit_cliplength_deviation"]), found)
    [row] = results.deviations
    assert row["mean"] == pytest.approx(statistics.stdev([0.5, 0.62, 0.7]))
    assert row not in results.rows
    shown = results.shown().loc[("top1 accuracy deviation", "a"), "5"]
    assert shown.replace("\xa0", " ") == "10.1 (3)"


@pytest.mark.parametrize(
    ("a", "b", "expected", "answer"),
    [
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.31], 1, "held"),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.31], -1, "against"),
        ([0.1, 0.9, 0.5], [0.5, 0.5, 0.5], 1, "open"),
        ([0.5], [0.1], 1, "one seed"),
        ([0.5, 0.6, 0.7], [0.1, 0.2, 0.31], 0, ""),
        ([None], [0.1], 1, "not run"),
    ],
)
def test_expectations_are_held_open_against_or_not_run(a, b, expected, answer):
    results = Results(*small({"a": a, "b": b}, expected=expected))
    differences = results.differences()
    assert list(differences.index) == ["a - b, 5"], "of a row that is no part of it nothing is said"
    assert differences.loc["a - b, 5", "answer"] == answer
    if answer == "not run":
        assert results.shown().loc["a", "5"] == "not run"
        assert str(results).endswith("not run: mini-a-s0")


def test_a_cost_is_that_of_all_that_was_trained_for_a_run(tmp_path):
    """A student's: its own, its start's, and of its teachers the part that it hears."""
    parts = [("mini-a-s0", "a_"), ("mini-teacher", ""), ("mini-teacher", "tuned_5_"),
             ("mini-clusters", "")]  # fmt: skip
    question, found = small({"a": [0.5], "b": [0.25]})
    question = replace(question, cells=[replace(question.cells[0], behind=[parts])])
    found["mini-a-s0"]["metrics"] |= {"a_training_seconds": 20.0, "a_clips_seen": 100}
    found["mini-teacher"] = record(
        "mini-teacher", 0, training_seconds=40.0, clips_seen=1000, tuned_5_training_seconds=5.0,
        tuned_5_clips_seen=50, tuned_10_training_seconds=7.0, tuned_10_clips_seen=70,
    )  # fmt: skip
    results = Results(question, found)
    assert results.spent("a", 5, "training_seconds") == {}, "clusters are not on record yet"
    found["mini-clusters"] = record("mini-clusters", 0, purity=0.5)  # a minute, trains nothing
    results = Results(question, found)
    assert results.spent("a", 5, "training_seconds") == {0: 20.0 + 40.0 + 5.0 + 60.0}
    assert results.spent("a", 5, "clips_seen") == {0: 1150}
    assert set(question.runs) == set(found) - {"mini-b-s0"}, "a table waits for all of it"
    assert results.devices == ["a machine"]
    found["mini-teacher"]["device"] = "a GPU, 16 runs at a time"
    assert not Results(question, found).times_compare()
    (tmp_path / "cells.json").write_text(question.text())
    assert read_question(tmp_path / "cells.json").text() == question.text()


def test_power_is_told_before_a_table_runs_and_by_its_own_spread_after():
    question, found = small({"a": [0.5, 0.62, 0.7], "b": [0.4, 0.5, 0.61]})
    power = Results(question, found).power()
    assert list(power.index) == ["a - b, 5"]
    spread = math.sqrt(sum((g - 0.31 / 3) ** 2 for g in (0.1, 0.12, 0.09)) / 2)
    assert power.loc["a - b, 5"].tolist() == [
        "3", f"{100 * spread:.1f}", f"{100 * detectable(spread, 3):.1f}", "+10.3", "3",
    ]  # fmt: skip
    before = Results(question, {}).power().loc["a - b, 5"]
    assert before["spread"] == f"{100 * tables.spread_on_record(REPOSITORY):.1f}"
    assert (before["seeds"], before["on record"], before["seeds for that"]) == ("3", "", "")
    told = str(tables._no_records(question, "mini"))
    assert f"3 seeds {before['seen from']} points" in told


def test_differences_of_differences_and_yardsticks():
    question, found = small({"a": [0.5, 0.6], "b": [0.3, 0.3]})
    for name in ("mini-b-s0", "mini-b-s1"):
        found[name]["metrics"]["static_frame_top1_accuracy"] = 0.2
    cells = [*question.cells, *yardsticks(5, ["mini-b-s0", "mini-b-s1"])]
    claim = Claim("twice", [("a", 5), ("a", 5)], [("b", 5), ("static frame", 5)], column=5)
    results = Results(replace(question, cells=cells, claims=[claim]), found)
    assert results.rows[-1]["mean"] == pytest.approx(2 * 0.55 - 0.3 - 0.2)
    assert "twice, 5" in results.compared
    averaged = replace(question, cells=cells, claims=[replace(claim, mean=True)])
    assert Results(averaged, found).rows[-1]["mean"] == pytest.approx(0.55 - (0.3 + 0.2) / 2)
    assert [row["row"] for row in results.rows].count("static frame") == 1
    assert "frame difference" not in results.shown().index, "not measured, though it was run"


def test_a_figure_says_which_row_does_not_fit_what_it_was_trained_on():
    question, found = small({"a": [0.5, 0.6], "b": [0.1, 0.2]})
    for name, each in found.items():
        row = name.split("-")[1]
        each["metrics"][f"{row}_train_accuracy"] = {"a": 0.95, "b": 0.2}[row]
    told = "does not fit its training videos: b (20 %)"
    results = Results(question, found)
    assert str(results).endswith(f"\n{told}")
    assert results.figure().get_supxlabel() == f"embedded · mini\n{told}"
    both = {"top1_accuracy": "test", "train_accuracy": "training"}
    drawn = Results(replace(question, panels=both), found).figure()
    assert [axis.get_title(loc="left") for axis in drawn.axes] == ["test", "training"]
    for each in found.values():
        each["metrics"] = {k: max(v, 0.9) for k, v in each["metrics"].items()}
    fitting = Results(question, found)
    assert (fitting.unfitted, fitting.figure().get_supxlabel()) == ("", "embedded · mini")


def test_two_scales_two_data_sets_and_two_runs_of_a_seed_are_refused():
    question, found = small({"a": [0.5, 0.6], "b": [0.3, 0.3]})
    found["mini-b-s1"]["scale"] = "gpu"
    with pytest.raises(ValueError, match="small: runs of two values of scale, 'mini' in mini-a-s0"):
        Results(question, found)
    found["mini-b-s1"] |= {"scale": "mini", "parameters": {"dataset": "ucf101", "data_seed": 1}}
    with pytest.raises(ValueError, match="of dataset, 'embedded' in mini-a-s0 and 'ucf101' in"):
        Results(question, found)
    question, found = small({"a": [0.5, 0.6]})
    found["mini-a-s1"]["seeds"] = [0]
    with pytest.raises(ValueError, match="mini-a-s1: a second run of seed 0 at a"):
        Results(question, found)


def test_a_question_goes_through_a_file(tmp_path):
    question, found = small({"a": [0.5, 0.7], "b": [0.2, 0.3]})
    (tmp_path / "cells.json").write_text(question.text())
    read = read_question(tmp_path / "cells.json")
    assert Results(read, found).rows == Results(question, found).rows
    assert read.text() == question.text()


def test_an_earlier_record_stands_in_for_a_run_to_come_and_is_named_as_the_source(tmp_path):
    question, found = small({"a": [0.5, 0.7]})
    for seed, each in enumerate(found.values()):
        (tmp_path / f"mini-old-s{seed}.json").write_text(
            json.dumps(each | {"run": f"mini-old-s{seed}"})
        )
    cell = replace(question.cells[0], formerly=["mini-old-s0", "mini-old-s1"])
    question = replace(question, cells=[cell])
    results = Results(question, tables.records_of(question, tmp_path))
    assert results.rows[0]["mean"] == pytest.approx(0.6)
    assert results.origin()["from_runs"] == ["mini-old-s0", "mini-old-s1"]
    now = found["mini-a-s0"]
    now["metrics"]["a_top1_accuracy"] = 0.9
    (tmp_path / "mini-a-s0.json").write_text(json.dumps(now))
    results = Results(question, tables.records_of(question, tmp_path))
    assert results.values("a", 5) == {0: 0.9, 1: 0.7}, "a run of its own comes first"


PAGE = {"table": "mosi_lowshot", "cells": "", "records": "", "scale": "smoke"}


class Asking:
    """What the engine asks of a run."""

    def __init__(self, root, **params):
        self.params, self.scale = {**PAGE, **params}, "smoke"
        self.runs_root, self.project = root, REPOSITORY


def test_a_table_without_records_says_which_runs_and_what_to_type(tmp_path):
    with pytest.raises(runs.MissingInput) as refused:
        tables.read(Asking(tmp_path))
    first, command, by_hand = str(refused.value).splitlines()
    assert first.startswith(
        "mosi_lowshot has no record of its runs: smoke-mosi_transfer-scratch-n2"
    )
    assert command == "  by command: vidssl run mosi_lowshot --scale smoke"
    assert "explored by hand leave no records" in by_hand


def test_unknown_tables_and_another_table_s_cells_name_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="table='mosi_lowsoth' is unknown; did you mean"):
        tables.read(Asking(tmp_path, table="mosi_lowsoth"))
    question, _ = small({"a": [0.5]})
    path = tmp_path / "cells.json"
    path.write_text(question.text(), encoding="utf-8")
    with pytest.raises(ValueError, match=r"cells.json: table='mosi_lowshot' .*known: small"):
        tables.read(Asking(tmp_path, cells=str(path)))


def test_no_line_of_a_long_table_is_left_out(tmp_path):
    question, found = small({f"row {i}": [0.5] for i in range(70)})
    (tmp_path / "cells.json").write_text(question.text(), encoding="utf-8")
    for name, record in found.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    asked = Asking(tmp_path, table="small", cells=str(tmp_path / "cells.json"))
    asked.params["records"] = str(tmp_path)
    shown = tables.read(asked).shown()
    html = shown.assign(note=60 * "note ")._repr_html_()
    assert all(f">row {i}<" in html for i in range(70))
    assert 59 * "note " in html, "nor the end of a long note"


# --- what papers print ---------------------------------------------------------------------------

COUNTED = {  # lines and columns of the papers' own tables
    "mosi_baseline": (4, 2), "mosi_speeds": (2, 4), "mosi_frames": (2, 5), "mosi_lowshot": (2, 7),
    "mosi_stills": (2, 5), "mosi_comparison": (12, 2), "motionfit_multiclip": (2, 6),
    "motionfit_granularity": (1, 4), "motionfit_clusters": (2, 4), "motionfit_cliplength": (2, 2),
    "motionfit_transfer": (7, 2), "motionfit_comparison": (16, 2), "motionfit_retrieval": (6, 3),
    "motionfit_retrieval_hmdb51": (3, 3), "motionfit_semi": (3, 2), "timebalance_ucf101": (22, 5),
    "timebalance_hmdb51": (14, 3), "timebalance_kinetics": (9, 2),
}  # fmt: skip
SMALL = ("motionfit_cliplength_deviation", "motionfit_heads")  # points, no accuracies


@pytest.mark.parametrize("key", list(tables.papers()))
def test_each_printed_entry_has_its_source_and_as_many_numbers_as_its_axes(key):
    entry = tables.paper(key)
    assert entry["source"].startswith(("MoSI, ", "MotionFit, ", "TimeBalance, "))
    [names] = entry["across"].values()
    lines = entry["numbers"].values()
    assert all(len(line) == len(names) for line in lines)
    if key in COUNTED:
        assert (len(lines), len(names)) == COUNTED[key]
    rows = list(tables.printed_rows(key))
    assert len(rows) == sum(number is not None for line in lines for number in line)
    assert all(0 < row["paper"] <= 1 for row in rows)
    assert min(row["paper"] for row in rows) > 0.03 or key in SMALL
    assert len({(r["row"], r["column"], r["metric"], r["dataset"]) for r in rows}) == len(rows)


def test_every_number_of_the_three_papers_is_there():
    per_paper = {"mosi": 0, "motionfit": 0, "timebalance": 0}
    for key in tables.papers():
        per_paper[key.partition("_")[0]] += len(list(tables.printed_rows(key)))
    # as counted in the papers; MoSI's table 4 prints the pretext accuracy once for both data sets,
    # MotionFit's section 4.3 repeats two numbers of table 1
    assert per_paper == {"mosi": 100 + 4, "motionfit": 118 + 2, "timebalance": 138}


def test_each_entry_is_quoted_by_a_table_and_a_wrong_key_names_the_nearest(graph):
    quoted = {key for name in graph.questions for key in graph.question(name).printed}
    assert set(tables.papers()) == quoted
    with pytest.raises(ValueError, match="did you mean 'mosi_lowshot'"):
        list(tables.printed_rows("mosi_lowshto"))


def test_columns_that_a_paper_prints_stand_beside_its_numbers_and_ours(graph):
    question = graph.question("timebalance_main")
    results = Results(question, tables.records_of(question, RECORDS))
    printed, shown = results.printed(), results.shown().loc["top1 accuracy"]
    assert list(printed.columns[:4]) == ["backbone", "params (M)", "input", "frames"]
    assert list(printed.columns[4:7]) == ["ucf101, 1", "ucf101, 5", "ucf101, 10"]
    assert [*printed.loc["MvPL", ["params (M)", "input", "frames"]]] == ["13.5", "VFG", "8"]
    assert printed.loc["TCL, TSM-R18", "params (M)"] == "-"
    assert printed.columns[-1] == "note"
    assert printed.loc["TACL (a)", "note"].startswith("printed twice")
    assert list(shown.columns[:3]) == ["backbone", "input", "frames"]
    assert [*shown.loc["Mean Teacher", ["input", "frames"]]] == ["V", "8"], "as the student's"
    assert shown.loc["TCLR", "frames"] == "8", "of its fine-tuning"
    assert not shown.loc["static frame", "backbone"]


def test_what_a_mark_means_is_told(graph):
    question = graph.question("motionfit_transfer")
    printed = Results(question, tables.records_of(question, RECORDS)).printed()
    assert printed["note"].str.startswith("†").sum() == 2
    rows = {name for key in question.printed for name in tables.printed_about([key])}
    assert rows <= set(printed.index)


def test_what_is_told_of_lines_is_told_of_lines_that_there_are():
    """Entries of one table share what is told, so the lines of all of them count."""
    every = {row["row"] for key in tables.papers() for row in tables.printed_rows(key)}
    for key in tables.papers():
        entry, rows = tables.paper(key), {row["row"] for row in tables.printed_rows(key)}
        lines = entry.get("about", {"lines": dict.fromkeys(rows)})["lines"]
        assert rows <= lines.keys() <= every, key
        assert entry.get("notes", {}).keys() <= every, key


def test_cells_of_another_data_set_are_told_apart_and_refused_where_they_are_not():
    """The other's row has its own data set in the file; chance is that of the table's own."""
    both = [Cell("a", 1, ["mini-x-s0"], "a_"), Cell("a elsewhere", 1, ["mini-y-s0"], "a_")]
    told = {"mini-x-s0": ("ucf101", 0.01), "mini-y-s0": ("hmdb51", 0.02)}
    records = {
        name: record(name, 0, dataset=dataset, a_top1_accuracy=0.5, chance=chance)
        for name, (dataset, chance) in told.items()
    }
    with pytest.raises(ValueError, match="two values of dataset, 'ucf101' in mini-x-s0"):
        Results(Question(both, name="t"), records)
    both[1] = replace(both[1], dataset="hmdb51")
    rows = Results(Question(both, name="t"), records).rows
    assert {row["row"]: row["dataset"] for row in rows if row["metric"] == "top1_accuracy"} == {
        "a": "ucf101", "a elsewhere": "hmdb51", "chance": "ucf101"
    }  # fmt: skip
    both[1] = replace(both[1], dataset="kinetics")
    with pytest.raises(ValueError, match=r"mini-y-s0 is of 'hmdb51', its cell .* 'kinetics'"):
        Results(Question(both, name="t"), records)
