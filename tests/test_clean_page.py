"""Running and saving pages leaves git clean: outputs stay in the file and out of git."""

import json
import shutil
import subprocess

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupytext.async_contentsmanager import build_async_jupytext_contents_manager_class
from run_async import run_async
from tiny_project import REPOSITORY, make_project
from traitlets.config import Config

from vidssl import runs
from vidssl.runs.clean_page import after_saving, cleaned

HOOK = "vidssl.runs.clean_page.after_saving"
PAGE = "notebooks/90_tiny.ipynb"


def save(clone, source=lambda text: text):
    """Run and save the page as JupyterLab does, with jupytext beside it."""
    settings = Config({"FileContentsManager": {"post_save_hook": HOOK}})
    kind = build_async_jupytext_contents_manager_class(AsyncLargeFileManager)
    manager = kind(root_dir=str(clone), config=settings)
    model = run_async(manager.get(PAGE))
    notebook = nbformat.from_dict(model["content"])
    for number, cell in enumerate(notebook.cells):
        cell.source = source(cell.source)
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text=f"très {number}\n")]
            cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11.9"}
    saved = {"type": "notebook", "content": notebook, "format": "json"}
    run_async(manager.save(saved, PAGE))
    assert "très" in (clone / PAGE).read_text(encoding="utf-8")


@pytest.fixture
def clone(tmp_path):
    made = make_project(tmp_path / "clone")
    (made / "vidssl" / "runs").mkdir(parents=True)
    shutil.copy(REPOSITORY / "vidssl" / "runs" / "clean_page.py", made / "vidssl" / "runs")
    shutil.copy(REPOSITORY / ".gitattributes", made)
    shutil.copy(REPOSITORY / ".gitignore", made)
    shutil.copy(REPOSITORY / "notebooks" / "jupytext.toml", made / "notebooks")
    runs.write_pairs(made)
    git(made, "add", ".")
    git(made, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "pages")
    return made


def git(folder, *words):
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_saved_outputs_leave_git_clean_and_stay_in_the_file(clone):
    save(clone)
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "diff") == ""
    assert runs.write_pairs(clone) == [], "`vidssl pair` leaves the outputs, too"


def test_an_edit_of_the_source_is_seen_unstaged_and_without_the_outputs(clone):
    save(clone, source=lambda text: text.replace("range(3)", "range(4)"))
    assert git(clone, "status", "--porcelain").split() == ["M", "notebooks/90_tiny.ipynb", "M",
                                                           "notebooks/90_tiny.py"]  # fmt: skip
    assert git(clone, "diff", "--cached") == ""
    changed = git(clone, "diff")
    assert "range(4)" in changed
    assert "très" not in changed


def test_make_lab_sets_the_hook():
    assert f"--FileContentsManager.post_save_hook={HOOK}" in (REPOSITORY / "Makefile").read_text()


def test_every_page_is_clean_already():
    for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        once = cleaned(path.read_text(encoding="utf-8"))
        assert cleaned(once) == once
        assert json.loads(once)["metadata"] == json.loads(path.read_text())["metadata"]


@pytest.mark.parametrize("text", ["", "no notebook", "[]", '{"cells": [1]}', '{"cells": [{}]}'])
def test_what_is_no_notebook_passes_as_it_is(text):
    assert cleaned(text) == text


def test_outside_a_clone_nothing_happens(tmp_path):
    page = tmp_path / "page.ipynb"
    page.write_text("{}")
    after_saving(str(page))
    assert [path.name for path in tmp_path.iterdir()] == ["page.ipynb"]
