"""Every page reads as a chapter: short cells, equations displayed, records before judgements."""

import ast
import re

import pytest

from vidssl import runs
from vidssl.runs.notebooks import notebook_cells, notebook_path

PAGES = runs.notebook_names()
LONGEST = 40  # lines of a cell of code; a parameters cell may be longer
EQUATIONS = {  # displayed ones that a page has at least: the papers' own, where they are worked out
    "02_supervised_baseline": 1,
    "03_transfer": 1,
    "10_mosi_pseudo_motion": 3,
    "11_mosi_pretrain": 1,
    "13_mosi_gradcam": 1,
    "21_motionfit_motion_model": 1,
    "22_motionfit_pseudo_labels": 1,
    "23_motionfit_self_training": 1,
    "30_timebalance_teachers": 3,
    "31_timebalance_similarity": 2,
    "32_timebalance_student": 2,
    "33_timebalance_weights": 1,
    "50_pace_pretrain": 1,
    "60_rotation_pretrain": 1,
}


def cells(page, kind):
    found = notebook_cells(notebook_path(page).read_text(encoding="utf-8"))
    return [cell for cell in found if cell.kind == kind and "parameters" not in cell.tags]


def prose(page):
    """What stands in the markdown cells, without the comment signs."""
    sources = [re.sub(r"^# ?", "", c.source, flags=re.MULTILINE) for c in cells(page, "markdown")]
    return "\n\n".join(sources)


@pytest.mark.parametrize("page", PAGES)
def test_no_cell_of_code_is_longer_than_a_screen(page):
    long = {c.line: len(c.source.strip().splitlines()) for c in cells(page, "code")}
    assert {line: length for line, length in long.items() if length > LONGEST} == {}


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_asserted_of_a_result(page):
    """A disappointing run keeps its record; `run.finish` says what it is, as the last code does."""
    trees = [ast.parse(cell.source) for cell in cells(page, "code")]
    asserted = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert asserted == []
    finishes = ["run.finish(" in cell.source for cell in cells(page, "code")]
    assert finishes.count(True) == 1
    assert finishes[-1], "run.finish stands in the last cell of code"


@pytest.mark.parametrize("page", PAGES)
def test_it_opens_with_a_question_and_closes_with_what_to_try_next(page):
    text = prose(page)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[-1] == "What to try next"
    assert len(re.findall(r"^- ", text.rpartition("## What to try next")[2], re.MULTILINE)) >= 2
    assert "**Question.**" in text.partition("\n## ")[0]


@pytest.mark.parametrize("page", EQUATIONS)
def test_its_equations_are_displayed(page):
    displayed = re.findall(r"\$\$(.+?)\$\$", prose(page), re.DOTALL)
    assert len(displayed) >= EQUATIONS[page]
    for equation in displayed:
        assert equation.count("{") == equation.count("}"), equation
        sides = [len(re.findall(rf"\\{side}(?![a-z])", equation)) for side in ("left", "right")]
        assert sides[0] == sides[1], equation
        assert not re.search(r"\n\s*\n", equation), "an empty line ends an equation"


@pytest.mark.parametrize("page", PAGES)
def test_no_line_of_a_paragraph_begins_as_a_list_would(page):
    """Markdown would show "*a" and a list of one entry, where "*a - b*" was broken at its minus."""
    for paragraph in prose(page).split("\n\n"):
        first, *others = paragraph.strip().splitlines() or [""]
        if not re.match(r"[-+*] |\d+[.)] ", first):
            assert not [line for line in others if re.match(r"[-+*] |\d+[.)] ", line)]


@pytest.mark.parametrize("page", PAGES)
def test_names_are_imported_where_they_are_used_first(page):
    """In the cell that imports them, or the one after it."""
    far = []
    trees = [ast.parse(cell.source) for cell in cells(page, "code")]
    for i, tree in enumerate(trees):
        near = [node for part in trees[i : i + 2] for node in ast.walk(part)]
        used = {node.id for node in near if isinstance(node, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
                far += sorted(names - used)
    assert far == []
