"""One table over all methods: the same network, labels, training and start, and no run twice."""

import json
import os

import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.runs.graph import Graph

STUDENT, TEACHERS = "32_timebalance_student", "30_timebalance_teachers"
SEEN = ("backbone", "width", "frame_stride", "size", "short_side", "data_seed", "augmentation")
TUNED = ("steps", "epochs", "lr", "warmup", "weight_decay", "batch_size")
RIVALS = ("FixMatch", "TG-FixMatch", "Mean Teacher", "Pseudo-Label")


@pytest.fixture(scope="module", params=["mini", "smoke"])
def graph(request):
    return runs.load_graph(request.param, project=REPOSITORY)


def jobs_of(graph: Graph):
    """(row, share, seed) -> the job that gives the row's accuracy."""
    asked = graph._whole("one_protocol")
    tuned = [(cell, job) for cell in asked.cells if cell.behind for job in cell.runs]
    return {(cell.row, cell.column, told(graph, job)["seed"]): job for cell, job in tuned}


def told(graph, job):
    page = os.path.basename(job.log[0]).removesuffix(".ipynb")
    return {name: graph.parameter(page, name) for name in declared(page)} | json.loads(job.params)


def declared(page):
    return runs.declared_parameters(REPOSITORY / "notebooks" / f"{page}.py")


def labels_and_tuning(graph, job):
    """What a fine-tuning sees, and how it is trained, whatever its page calls it."""
    its, page = told(graph, job), os.path.basename(job.log[0])
    shares = its.get("fractions") or [its.get("fraction") or its["label_fraction"]]
    frames = its["tuning_frames"] if page.startswith(TEACHERS) else its["frames"]
    tuned = {n: its.get(f"tuning_{n}", its.get(n)) for n in TUNED}
    return shares, frames, {n: its[n] for n in SEEN}, tuned, its["test_clips"]


def test_every_row_has_the_same_labels_network_and_training(graph):
    found = {place: labels_and_tuning(graph, job) for place, job in jobs_of(graph).items()}
    assert len({row for row, _, _ in found}) > 20
    first = next(iter(found.values()))
    for (row, share, seed), (shares, *others) in found.items():
        assert float(share) / 100 in shares, row
        assert others == list(first[1:]), (row, share, seed)


def test_rivals_begin_where_timebalance_s_student_does(graph):
    jobs = jobs_of(graph)
    for (row, share, seed), job in jobs.items():
        if row.endswith("from TCLR"):
            start = told(graph, job)["pretrained"]
            assert start == told(graph, jobs["TimeBalance", share, seed])["pretrained"]
            before = {each.name for each in graph.before(job)}
            assert before < {each.name for each in graph.before(jobs["TimeBalance", share, seed])}
    for row in RIVALS:
        starts = {
            told(graph, job)["pretrained"]
            for (name, _, seed), job in jobs.items()
            if name.partition(",")[0] == row and seed == 0
        }
        assert len(starts) == 3, "its own, MoSI's and TCLR's"
        assert "" in starts


def test_no_run_is_made_twice(graph):
    """Two names of one setting would be two trainings."""
    seen = {}
    for job in graph.behind("one_protocol"):
        for log in job.log:
            left_out = ("publish", "baselines")  # pictures and yardsticks, no training
            given = {k: v for k, v in json.loads(job.params).items() if k not in left_out}
            key = os.path.basename(log), json.dumps(given, sort_keys=True), job.inputs
            assert key not in seen, (job.name, seen[key])
            seen[key] = job.name


def test_it_takes_the_runs_of_the_other_tables():
    graph = runs.load_graph("mini", project=REPOSITORY)
    jobs = jobs_of(graph)
    main = {job.name for job in graph.behind("timebalance_main")}
    shared = {row for (row, _, _), job in jobs.items() if job.name in main}
    assert {"MoSI", "3DRotNet", "MoSI → MotionFit", "TCLR", "average", "TimeBalance"} < shared
    assert {f"{row}, from MoSI" for row in RIVALS} < shared


def test_rows_of_a_longer_pretraining_need_a_length_and_rows_can_be_cut():
    graph = runs.load_graph("smoke", project=REPOSITORY)
    rows = {cell.row for cell in graph.question("one_protocol").cells}
    assert {"MoSI, longer", "pace, from MoSI", "FixMatch"} < rows
    graph.sections["targets"]["one_protocol"] = {"only": {"FixMatch": []}, "features": []}
    cut = {cell.row for cell in graph.question("one_protocol").cells}
    assert not cut & {"MoSI, longer", "pace, from MoSI", "FixMatch"}
    graph.sections["targets"]["one_protocol"] = {"only": {"FixMatsh": []}}
    with pytest.raises(ValueError, match=r"one_protocol, only='FixMatsh' is .*mean 'FixMatch'"):
        graph.question("one_protocol")


def test_candidates_of_the_premise_are_of_data_seed_0_whatever_the_scale(graph):
    for job in graph.behind("timebalance_premise"):
        if job.log and not job.name.startswith("timebalance_premise"):
            assert told(graph, job)["data_seed"] == 0, job.name
    asked = graph.question("timebalance_premise")
    assert {"as it is", "from scratch"} < {cell.column for cell in asked.cells}
    graph.sections["targets"]["timebalance_premise"] = {"candidates": ["from scrach"]}
    with pytest.raises(ValueError, match=r"candidate='from scrach' is .*mean 'from scratch'"):
        graph.question("timebalance_premise")
