"""The graph of every target at every scale: what it promises is what the notebooks make."""

import json
import os
import re
import shutil
import textwrap
from dataclasses import replace

import pytest
from tiny_project import REPOSITORY, make_project

from vidssl import runs
from vidssl.runs.cells import Cell, Question, in_each, read_question
from vidssl.runs.parameters import NoSchedule
from vidssl.runs.promises import Promise, figures_of, files_of

SCALES = runs.scale_names(REPOSITORY)


def graph_of(scale, tmp_path, **overrides):
    return runs.load_graph(scale, {"runs_root": str(tmp_path), "overrides": overrides}, REPOSITORY)


def has_its_schedule(graph, target):
    try:
        return bool(graph.behind(target))
    except NoSchedule:
        return False


@pytest.mark.parametrize("scale", SCALES)
def test_every_target_of_every_scale_promises_what_its_parameters_make(scale, tmp_path):
    graph = graph_of(scale, tmp_path)
    able = [target for target in graph.targets if has_its_schedule(graph, target)]
    assert able == list(graph.targets) or scale in ("paper-motionfit", "paper-imagenet")
    assert len(able) > 7
    for target in able:
        jobs = graph.checked(target)  # refuses a file that is not made, a figure of two runs
        promised = [figure.name for job in jobs for figure in job.figures if figure.made]
        assert len(promised) == len(set(promised))
        pages = {
            os.path.basename(log).removesuffix(".ipynb")
            for job in graph.targets[target].jobs
            for log in job.log
        }
        own = [json.loads(job.params) for job in graph.targets[target].jobs]
        given = [told for told in own if isinstance(told, dict)]
        others = any(told.get("dataset", "embedded") != "embedded" for told in given)
        if not others and not pages <= {"02_supervised_baseline", "03_transfer"}:  # tables do
            assert promised, f"{target} shows nothing"


def named(figures):
    return {os.path.basename(figure.name): figure.made for figure in figures}


@pytest.mark.parametrize("scale", ["mini", "smoke"])
def test_one_gallery_of_neighbours_is_promised(scale, tmp_path):
    behind = graph_of(scale, tmp_path).behind("motionfit_retrieval")
    figure = f"{'' if scale == 'mini' else f'{scale}_'}motionfit_retrieval_gallery"
    shown = [job.name for job in behind if figure in named(job.figures)]
    assert shown == ["motionfit_retrieval_motionfit-s0"]


def test_what_a_user_switches_off_is_not_promised(tmp_path):
    graph = graph_of("smoke", tmp_path, publish="false")
    graph.behind("reproduce")
    for name in ("mosi_gradcam-s0", "mosi_clusters", "motionfit_retrieval_motionfit-s0"):
        assert graph.jobs[name].figures == ()
    graph.checked("motionfit_transfer")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"multi_clip_weight": "0"}, "reads .*predictions.npz, which .* does not make with its"),
        ({"publish": "true"}, "would both write the figure .*: leave publish to the graph"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(overrides, message, tmp_path):
    graph = graph_of("smoke", tmp_path, **overrides)
    with pytest.raises(ValueError, match=message):
        graph.checked("reproduce")


def test_a_method_s_own_file_is_all_that_it_takes(tmp_path):
    project = make_project(tmp_path / "project")
    home = project / "papermill_runs"
    (home / "another.smk").write_text(ANOTHER)
    graph = runs.load_graph("smoke", project=project)
    assert [job.name for job in graph.behind("another")] == ["c", "second", "first"]
    assert graph.targets["another"].about == "All of it."
    assert {job.name for job in graph.behind("reproduce")} == {"first", "second", "c"}
    assert graph.jobs["c"].inputs == ("smoke/second/run.json",), "made by the other file's function"
    (home / "tiny2.smk").write_text(ANOTHER)
    with pytest.raises(ValueError, match=r"tiny2\.smk: target third stands in another.smk, too"):
        runs.load_graph("smoke", project=project)


ANOTHER = """\
'''All of it. And more.'''

@graph.target
def third():
    return graph.run("90_tiny", "c", after=[tiny.pair()], seed=5)

@graph.target
def fourth():
    return third()
"""


def test_a_method_adds_its_rows_to_another_s_table(tmp_path):
    graph = graph_of("smoke", tmp_path)
    alone = graph.question("mosi_comparison")

    @graph.adds_to("mosi_comparison")
    def own_row():
        job = graph.run("02_supervised_baseline", "own_transfer-s0", seed=0)
        return Question([Cell("mine", 20, [job], "own_")], in_each([20], "mine", "scratch"))

    asked = graph.question("mosi_comparison")
    assert set(asked.runs) - set(alone.runs) == {"smoke-own_transfer-s0"}
    assert asked.claims[-1].name == "mine - scratch, 20"
    [table] = graph.targets["mosi_comparison"].jobs
    assert "smoke/own_transfer-s0/run.json" in table.inputs


def test_the_method_of_the_guide_is_read_as_it_is_written(tmp_path):
    """docs/own_method.md, with the page that it takes for granted."""
    project = tmp_path / "project"
    home = project / "papermill_runs"
    home.mkdir(parents=True)
    for path in (REPOSITORY / "papermill_runs").glob("*.[sy][ma]*"):
        shutil.copy(path, home)
    pages = shutil.copytree(REPOSITORY / "notebooks", project / "notebooks")
    shutil.copy(pages / "11_mosi_pretrain.py", pages / "90_own_pretrain.py")
    guide = (REPOSITORY / "docs" / "own_method.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (home / "own.smk").write_text(code, encoding="utf-8")
    graph = runs.load_graph("mini", {"runs_root": str(tmp_path / "runs")}, project)
    assert graph.targets["own_lowshot"].about.startswith("Few labels")
    made = {job.name for job in graph.behind("own_lowshot")}
    assert {"own_pretrain-s0", "own_transfer-n20-s2", "mosi_transfer-scratch-n5-s1"} <= made
    assert "mini-own_transfer-n20-s4" in graph.question("mosi_comparison").runs
    assert "own_lowshot" in {job.name for job in graph.targets["reproduce"].jobs}


def test_unknown_targets_and_settings_name_the_nearest(tmp_path):
    project = make_project(tmp_path / "project")
    graph = runs.load_graph("smoke", project=project)
    with pytest.raises(ValueError, match="did you mean 'pair'"):
        graph.behind("pari")
    (project / "papermill_runs" / "own.yaml").write_text("targets: {pari: {seeds: [1]}}\n")
    with pytest.raises(ValueError, match=r"own\.yaml, targets='pari' is .*mean 'pair'"):
        runs.load_graph("own", project=project)


@pytest.mark.parametrize(
    ("page", "given", "told"),
    [
        ("90_tinny", "seed=0", "notebook='90_tinny' is unknown; did you mean '90_tiny'"),
        ("90_tiny", "sed=0", "no parameter 'sed'.*did you mean 'seed'"),
    ],
)
def test_what_a_job_asks_for_is_refused_before_anything_starts(tmp_path, page, given, told):
    project = make_project(tmp_path / "project")
    lines = f'@graph.target\ndef own():\n    return graph.run("{page}", "own-s0", {given})\n'
    (project / "papermill_runs" / "own.smk").write_text(lines)
    root = tmp_path / "runs"
    with pytest.raises(ValueError, match=told):
        runs.run_target("own", project, scale="smoke", given={}, runs_root=str(root))
    assert not root.exists()


def test_a_table_waits_for_the_runs_in_its_cells_and_is_handed_their_ids(tmp_path):
    graph = graph_of("smoke", tmp_path)
    question = graph.question("mosi_lowshot")
    ids = ["smoke-mosi_transfer-scratch-n2-s0", "smoke-mosi_transfer-xy-n2-s0"]
    assert sorted(question.runs) == ids
    assert question.about.startswith("Fine-tuning on few labelled videos")
    [table] = graph.targets["mosi_lowshot"].jobs
    assert sorted(table.inputs) == [f"smoke/{name[6:]}/run.json" for name in ids]
    graph.leave_questions([table])
    path = tmp_path / "smoke" / "mosi_lowshot" / "cells.json"
    assert json.loads(table.params)["cells"] == str(path)
    assert read_question(path).text() == question.text()
    with pytest.raises(ValueError, match="table='mosi_lowsoth' is unknown; did you mean"):
        graph.question("mosi_lowsoth")


def test_pictures_of_others_videos_are_published_only_when_a_user_asks(tmp_path):
    """Tables, which are numbers alone, are; what shows the embedded data is."""
    names = ("mosi_gradcam-s0", "mosi_clusters", "timebalance_weights-f50-s0")

    def shown(**given):
        graph = graph_of("smoke", tmp_path, **given)
        graph.behind("reproduce")
        kept = {name: named(graph.jobs[name].figures) for name in names if name in graph.jobs}
        return kept, graph.jobs["timebalance_main"].figures

    pages, table = shown()
    assert all(pages.values())
    pages, table = shown(dataset="folder", root=str(tmp_path))
    assert not any(pages.values())
    assert table, "a table is numbers"
    pages, _ = shown(dataset="folder", root=str(tmp_path), publish="true")
    assert all(pages.values())


def test_a_scale_leaves_targets_out_of_its_sums_and_can_still_be_asked_for_them(tmp_path):
    project = make_project(tmp_path / "project")
    home = project / "papermill_runs"
    (home / "another.smk").write_text(ANOTHER)
    (home / "own.yaml").write_text("without: {third: it sees nothing, pair: the same}\n")
    graph = runs.load_graph("own", project=project)
    assert {job.name for job in graph.targets["reproduce"].jobs} == {"c"}, "fourth's"
    assert [job.name for job in graph.targets["another"].jobs] == ["c"]
    assert [job.name for job in graph.targets["pair"].jobs] == ["second"]
    (home / "typo.yaml").write_text("without: {pari: mistyped}\n")
    with pytest.raises(ValueError, match=r"typo\.yaml, without='pari' is .*mean 'pair'"):
        runs.load_graph("typo", project=project)


def test_what_a_run_follows_from_is_found_at_any_distance(tmp_path):
    graph = graph_of("smoke", tmp_path)
    graph.behind("timebalance_main")
    student = graph.jobs["timebalance_student-timebalance-f50-s0"]
    assert {job.name for job in graph.before(student)} == {
        *(f"timebalance_teacher-{kind}-s0" for kind in ("invariant", "distinctive", "tclr")),
        "timebalance_similarity-s0",
    }, "pages alone, not the making of the data"


def written(tmp_path, code):
    path = tmp_path / "90_tiny.py"
    head = '# %% tags=["parameters"]\ntable = "a"\nclips = 0\npublish = True\n\n# %%\n'
    path.write_text(head + textwrap.dedent(code))
    return path


def test_conditions_are_read_off_the_notebook(tmp_path):
    path = written(
        tmp_path,
        """\
        known = table == "a"
        run.save_figure(figure, table, publish=publish)
        run.save_figure(figure, "own")
        if known and clips:
            run.save_figure(figure, "clips", publish=True)
        else:
            run.save_figure(figure, "none", publish=True)
        if clips or values:
            run.save_figure(figure, "values", publish=True)
        if not clips:
            save(run.folder / "b.npz")
        for name in values:
            run.save_figure(figure, f"{name}", publish=True)
            run.save_figure(figure, "each", publish=publish)
        publish = publish and values
        """,
    )
    found = {f.name: (f.made, f.published) for f in figures_of(path, {})}
    assert found == {
        "a": (True, None),  # the notebook changes `publish` itself
        "own": (True, False),
        "clips": (False, True),
        "none": (True, True),
        "values": (None, True),
        "each": (None, None),
    }
    given = {f.name: f.made for f in figures_of(path, {"clips": 2, "table": "b"})}
    assert given["values"] is True
    assert given["clips"] is False
    assert "b" in given
    assert [f.made for f in files_of(path, {})] == [True]
    assert [f.made for f in files_of(path, {"clips": 1})] == [False]


def test_results_tell_what_was_made(tmp_path):
    graph = runs.Graph({"runs_root": str(tmp_path)}, make_project(tmp_path / "project"))
    job = graph.run("90_tiny", "x", publish=True)
    names = {"a": True, "b": True, "c": None}
    job = replace(job, figures=[Promise(f"figures/{name}", made) for name, made in names.items()])
    (tmp_path / "mini/x").mkdir(parents=True)
    (tmp_path / job.marker).write_text(json.dumps({"figures": {"a": "0"}}))
    assert graph.results([job]) == {
        "executed notebooks": [str(tmp_path / "mini/x/90_tiny.ipynb")],
        "figures": [str(tmp_path / "figures/a.png")],
        "figures not made": [str(tmp_path / "figures/b.png")],
    }
