"""Every notebooks/NN_name.py has the .ipynb that regeneration gives, byte for byte."""

import json

import pytest
from tiny_project import REPOSITORY

from vidssl.runs import declared_parameters
from vidssl.runs.clean_page import cleaned
from vidssl.runs.notebooks import notebook_names, notebook_path, pair_text

NAMES = notebook_names(REPOSITORY)


@pytest.mark.parametrize("name", NAMES)
def test_pair_is_what_regeneration_gives(name):
    path = notebook_path(name, REPOSITORY)
    pair = path.with_suffix(".ipynb")
    assert pair.exists(), f"{pair.name} is missing: make notebooks"
    told = f"{pair.name} is out of date: make notebooks"
    assert cleaned(pair.read_text()) == pair_text(path), told  # outputs of an exploration may stay


@pytest.mark.parametrize("name", NAMES)
def test_pair_has_no_outputs_and_distinct_stable_ids(name):
    path = notebook_path(name, REPOSITORY)
    cells = json.loads(pair_text(path))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert pair_text(path) == pair_text(path)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_tagged_literals_with_the_standard_ones(name):
    declared = declared_parameters(notebook_path(name, REPOSITORY))
    assert declared["scale"] == "mini", "the defaults are the mini scale"
    assert declared["run_folder"] == ""


def test_no_pair_is_left_without_its_source():
    assert {path.stem for path in (REPOSITORY / "notebooks").glob("*.ipynb")} <= set(NAMES)
