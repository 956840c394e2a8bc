"""Flow and small copies of a data set as jobs of the graph: shards side by side, and their join."""

import json
import shutil

import numpy as np
import pytest
from tiny_project import REPOSITORY, empty_project

from vidssl import cli, runs
from vidssl.data import write_video

pytest.importorskip("av")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project's pages and the folder ``videos``: five of them and one that cannot be read."""
    made = empty_project(tmp_path / "project")
    home = REPOSITORY / "papermill_runs"
    for path in (home / "Snakefile", *home.glob("*.smk")):
        shutil.copy(path, made / "papermill_runs")
    shutil.copytree(home / "profiles", made / "papermill_runs" / "profiles")
    for i in range(5):
        path = made / "videos" / "clap" / f"{i}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, np.full((4, 32, 48, 3), 40 * i, np.uint8), fps=25)
    (made / "videos" / "clap" / "broken.mp4").write_bytes(b"no video")
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize(
    ("target", "folder", "suffix", "manifest"),
    [
        ("flow", "videos-flow-farneback64", ".npz", "flow"),
        pytest.param("prepare", "videos-small128", "", "prepared", marks=pytest.mark.slow),
    ],
)
def test_shards_are_made_and_joined(target, folder, suffix, manifest, project, capfd):
    scale = project / "papermill_runs" / "smoke.yaml"
    own = "targets: {flow: {shards: 2}, prepare: {shards: 2}}\n"
    scale.write_text(scale.read_text().partition("targets:")[0] + own)
    words = ["run", target, "--scale", "smoke", "-p", "root", "videos", "-j", "3"]
    assert cli.main(words) == 0, capfd.readouterr().err
    made = project / folder
    names = {path.name for path in (made / "clap").iterdir()}
    assert names == {f"{i}.mp4{suffix}" for i in range(5)}
    for i in (1, 2):
        lines = (made / f"{manifest}.{i}of2.jsonl").read_text().splitlines()[1:]
        assert len(lines) == 3, "half of the videos each"
    [failed] = (made / "failures.txt").read_text().splitlines()
    assert failed.startswith("clap/broken.mp4: ")
    assert "Nothing to be done" not in capfd.readouterr().err
    assert cli.main([*words[:-1], "2"]) == 0, "how many at once is no reason to do it again"
    assert "Nothing to be done" in capfd.readouterr().err


def test_what_a_killed_shard_left_is_made_by_the_join(project):
    words = ["videos", "flow", "--method", "farneback"]
    assert cli.main(["flow", *words, "--shard", "1/2", "--made", "first"]) == 0
    lines = (project / "flow" / "flow.1of2.jsonl").read_text().splitlines()
    lost = json.loads(lines[-1])["file"]
    (project / "flow" / f"{lost}.npz").write_bytes(b"half")
    assert cli.main(["flow", *words, "--made", "all"]) == 0
    whole = [(project / "flow" / f"clap/{i}.mp4.npz").stat().st_size for i in range(5)]
    assert min(whole) > 100
    assert cli.main(["flow", *words]) == 1, "without --made a video that fails is a failure"


def test_flow_and_copies_are_asked_for_by_name_alone():
    graph = runs.load_graph("smoke", project=REPOSITORY)
    assert not {job.name for job in graph.behind("reproduce") if job.name.startswith("flow-")}
    assert len(graph.behind("flow")) == 4 + 1 + 1, "shards, their join and the data"
