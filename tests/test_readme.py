"""What the README and the pages of docs/ say is found in what the repository holds, and their
commands run. Those of runs, folds and own videos are in tests of their own."""

import csv
import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from vidssl import cli, runs
from vidssl.data import video_length, write_video
from vidssl.runs.provenance import file_hash

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "docs" / "results.md"
METHOD = ROOT / "docs" / "own_method.md"  # its .smk is read in test_graph.py
GUIDES = [ROOT / "docs" / f"{name}.md" for name in ("own_data", "batches", "kinetics")]
PAGES = [ROOT / "README.md", RESULTS, METHOD, *GUIDES]
OWN = "70"  # pages of the user's own methods are numbered from here on
TOLD = README + "".join(path.read_text(encoding="utf-8") for path in GUIDES)
INTERVAL = re.compile(r"(-?\d+(?:\.\d+)?) ± (\d+(?:\.\d+)?)")


def measured():
    """(mean, half-width) of every interval that figures' data and runs' records hold."""
    for file in (ROOT / "figures").glob("*.csv"):
        for row in csv.DictReader(file.open(encoding="utf-8")):
            if row.get("mean") and row.get("ci95"):
                yield float(row["mean"]), float(row["ci95"])
    for file in (ROOT / "papermill_runs" / "records").glob("*.json"):
        metrics = json.loads(file.read_text(encoding="utf-8"))["metrics"]
        for name, value in metrics.items():
            if isinstance(value, list) and len(value) == 3:  # mean, half-width, seeds
                yield value[0], value[1]
            elif f"{name}_ci95" in metrics:
                yield value, metrics[f"{name}_ci95"]


def untraced(text):
    """Intervals in ``text`` that no measurement rounds to, in either direction of a difference."""
    known = [(abs(mean), half) for mean, half in measured() if mean is not None and half]

    def is_known(mean, half):
        digits = len(half.partition(".")[2])
        slack = 0.5 * 10**-digits + 1e-6
        return any(
            abs(unit * m - abs(float(mean))) < slack and abs(unit * h - float(half)) < slack
            for m, h in known
            for unit in (1, 100)
        )

    found = INTERVAL.findall(re.sub(r"\s+", " ", text))
    return [f"{mean} ± {half}" for mean, half in found if not is_known(mean, half)]


def blocks(kind):
    """The blocks of code of one language, in the README and the guides."""
    return re.findall(rf"^```{kind}\n(.*?)^```", TOLD, re.MULTILINE | re.DOTALL)


def commands(name):
    """Their shell lines that begin with ``name``, as lists of words; comments left out."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.split()[:1] == [name]]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_interval_is_a_measured_one(page):
    assert not untraced(page.read_text(encoding="utf-8"))
    assert untraced("ahead by 12.3 ± 99.9 points") == ["12.3 ± 99.9"]


def test_all_results_have_their_page():
    assert len(INTERVAL.findall(RESULTS.read_text(encoding="utf-8"))) > 100


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_is_linked_exists(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if not re.match(r"\w+:", link)]
    assert inside
    assert not [link for link in inside if not (page.parent / link).exists()]


def test_every_page_of_docs_is_linked():
    linked = set(re.findall(r"\]\((docs/\w+\.md)\)", README))
    assert linked == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}


def test_every_notebook_is_linked():
    """Those of the house by the README; all, one's own too, by `vidssl pair`'s map."""
    linked = set(re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", README))
    names = set(runs.notebook_names(ROOT))
    assert {name for name in names if name < OWN} <= linked <= names
    drawn = (ROOT / "notebooks" / "00_start_here.py").read_text(encoding="utf-8")
    assert set(re.findall(r"^# \| \[\w+\]\((\w+)\.ipynb\)", drawn, re.MULTILINE)) == names - {
        "00_start_here"
    }


def test_it_stays_short():
    assert len(README.splitlines()) <= 95


def test_the_animation_is_small_and_knows_what_made_it():
    [name] = re.findall(r"\]\((figures/\w+\.webp)\)", README)
    assert (ROOT / name).stat().st_size < 2**20
    _, origin = runs.read_origin(ROOT / name)
    assert origin["files"][Path(name).name] == file_hash(ROOT / name)
    assert Path(name).name in "\n".join(runs.trace(ROOT / name))


def test_the_library_lines_run():
    [lines] = blocks("python")
    names: dict = {}
    exec(compile(lines, "README.md", "exec"), names)
    assert names["clips"].shape == (9, 3, 8, 64, 64), "as the comment says"
    assert names["loss"].isfinite()
    assert lines.count("vidssl") >= 2


def test_the_make_targets_exist():
    targets = set(re.findall(r"^(?:.*`|.*`VENV=\S+ )?make ([a-z-]+)", TOLD, re.MULTILINE))
    assert {"demo", "test", "lab"} <= targets
    for target in sorted(targets):
        words = ["make", "--dry-run", "VENV=nowhere", target]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_environments_are_those_of_the_files():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert f"conda activate {environment['name']}`" in README
    assert "VENV ?= .venv\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "`. .venv/bin/activate`" in README
    assert README.index("bin/activate") < README.index("papermill ")


def test_prepare_and_flow_run_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {"/my/videos": "videos", "/my/small_videos": "small", "/my/flow": "flow"}
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 255, (6, 150, 200, 3), dtype=np.uint8)
        write_video(tmp_path / "videos" / "a" / f"{number}.mp4", noise)
    written = [line for line in commands("vidssl") if line[1] in ("prepare", "flow")]
    assert len(written) == 2
    for _, *words in written:
        assert cli.main([folders.get(word, word) for word in words]) == 0
    assert video_length(tmp_path / "small" / "a" / "1.mp4") == 6
    assert [path.name for path in (tmp_path / "flow").rglob("*.npz")] == ["0.mp4.npz"]


def test_what_the_commands_write_is_not_tracked():
    outputs = [word for line in (commands("papermill") + commands("vidssl")) for word in line]
    own = {word for word in outputs if word.startswith("my_runs/")}
    assert {"my_runs/11.ipynb", "my_runs/03.ipynb"} <= own
    folder = ROOT / "my_runs"
    assert folder.is_dir(), "papermill makes no folders"
    asked = subprocess.run(["git", "check-ignore", *own], cwd=ROOT, capture_output=True, text=True)
    if asked.returncode == 128:
        pytest.skip("no git repository here")
    assert set(asked.stdout.split()) == own


def test_the_papers_are_cited_alike():
    [bibtex] = blocks("bibtex")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    assert len(cited["references"]) == bibtex.count("@inproceedings{") == 3
    assert bibtex.count("{") == bibtex.count("}")
    for paper in cited["references"]:
        entry = bibtex[bibtex.index(f"title={{{paper['title']}}}") :]
        assert f"year={{{paper['year']}}}" in entry
        assert all(author["family-names"] in entry for author in paper["authors"])
