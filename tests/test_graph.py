"""The graph of every target at every scale: what it promises is what the notebooks make."""

import json
import os
import re
import textwrap

import pytest
from tiny_project import REPOSITORY

from vidssl import cli, runs
from vidssl.runs.promises import figures_of, files_of

HOME = REPOSITORY / "papermill_runs"
SCALES = runs.scale_names(REPOSITORY)


def load(path, names):
    """Run a Snakefile as Python: its own code, and of a rule its input."""
    text = path.read_text(encoding="utf-8")
    for block in re.split(r"^(?=include:|rule |onerror:)", text, flags=re.MULTILINE):
        if block.startswith("include:"):
            _, file, rest = block.split('"', 2)
            if file != "rules.smk":
                load(path.parent / file, names)
            exec(rest, names)
        elif block.startswith("rule "):
            exec(textwrap.dedent(block.split("input:\n")[1]), names)
        else:
            exec(compile(block, str(path), "exec"), names)


def graph_of(scale, tmp_path, **overrides):
    config = {"scale": scale, "runs_root": str(tmp_path), "overrides": overrides}
    names = {"config": config}
    load(HOME / "Snakefile", names)
    return names["graph"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_target_of_every_scale_promises_what_its_parameters_make(scale, tmp_path):
    graph = graph_of(scale, tmp_path)
    assert set(graph.targets) == set(cli.targets(HOME))
    for target in graph.targets:
        graph.note_results(target)  # refuses a file that is not made, a figure of two runs
        jobs = graph.behind(target)
        promised = [figure.name for job in jobs for figure in job.figures if figure.made]
        assert len(promised) == len(set(promised))
        if any(job.log for job in graph.targets[target]) and target != "supervised_baseline":
            assert promised, f"{target} shows nothing"


def named(figures):
    return {os.path.basename(figure.name): figure.made for figure in figures}


@pytest.mark.parametrize(
    ("scale", "gallery"),
    [("mini", True), ("smoke", True), ("paper-motionfit", True), ("folds", None)],
)
def test_a_gallery_of_neighbours_is_promised_where_neighbours_are_looked_for(
    scale, gallery, tmp_path
):
    job = graph_of(scale, tmp_path).jobs["motionfit_transfer_motionfit-s0"]
    prefix = "" if scale == "mini" else f"{scale}_"
    assert named(job.figures).get(f"{prefix}motionfit_retrieval_gallery") == gallery


def test_what_a_user_switches_off_is_not_promised(tmp_path):
    graph = graph_of("smoke", tmp_path, publish="false", retrieval_clips="0")
    for name in ("mosi_gradcam-s0", "mosi_clusters", "motionfit_transfer_motionfit-s0"):
        assert graph.jobs[name].figures == ()
    graph.note_results("motionfit_transfer")


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
        graph.note_results("reproduce")


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
    from vidssl.runs.graph import RESULTS, results

    job = {"notebooks": ["x.ipynb"], "marker": "run.json"}
    job["figures"] = {"figures/a": True, "figures/b": True, "figures/c": False}
    (tmp_path / RESULTS).write_text(json.dumps([job]))
    (tmp_path / "run.json").write_text(json.dumps({"figures": {"a": "0"}}))
    assert results(tmp_path, tmp_path) == {
        "executed notebooks": ["x.ipynb"],
        "figures": ["figures/a.png"],
        "figures not made": ["figures/b.png"],
    }
