"""The map of the pages is made of their first cells; what has been run, of whatever is there."""

import json
import re
import time

import pytest
from tiny_project import REPOSITORY, leave_record, make_project

from vidssl import runs
from vidssl.runs.notebooks import notebook_cells
from vidssl.runs.pages import MAP_PAGE, MARKS, page_head

NAMES = runs.notebook_names(REPOSITORY)
HEAD = """\
# %% [markdown]
# # Tiny: a page
#
# **Question.** What is
# asked? And more?
#
# A second paragraph.
#
# | | |
# | --- | --- |
# | needs | weights of `90_tiny` |
# | takes | 5 s |
# | gives | a line |

# %%
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = make_project(tmp_path / "project")
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_every_page_says_what_it_needs_takes_and_gives(name):
    head = page_head(REPOSITORY / "notebooks" / f"{name}.py")
    assert head.question.endswith("?")
    assert re.match(r"\d+ (s|min)\b", head.takes)
    for page in re.findall(r"`(\d\d_\w+)`", head.needs):
        assert page in NAMES
        assert page < name, "a page needs pages before it"


def test_a_head_is_read_and_what_it_lacks_is_named(tmp_path):
    path = tmp_path / "91_page.py"
    path.write_text(HEAD)
    head = page_head(path)
    assert (head.title, head.question) == ("Tiny: a page", "What is asked? And more?")
    assert (head.needs, head.takes, head.gives) == ("weights of `90_tiny`", "5 s", "a line")
    path.write_text(HEAD.replace("| takes", "| time"))
    with pytest.raises(ValueError, match=r"91_page\.py: its first cell has no takes"):
        page_head(path)


def test_the_map_holds_the_table_of_all_other_pages_and_its_links_exist():
    text = (REPOSITORY / "notebooks" / f"{MAP_PAGE}.py").read_text()
    between = text.split(MARKS[0])[1].split(MARKS[1])[0]
    lines = [line.removeprefix("# ") for line in between.splitlines() if line != "#"]
    assert "\n".join(lines) == runs.page_table(REPOSITORY), "vidssl pair"
    linked = re.findall(r"\]\(([^)]+)\)", text)
    assert {f"{name}.ipynb" for name in NAMES} - set(linked) == {f"{MAP_PAGE}.ipynb"}
    assert all((REPOSITORY / "notebooks" / link).exists() for link in linked)


def test_three_ways_in_of_at_most_five_steps():
    first = next(notebook_cells((REPOSITORY / "notebooks" / f"{MAP_PAGE}.py").read_text()))
    ways = re.split(r"\*\*(Explore|Batch|Figures)[.,]", first.source.split("## All pages")[0])[1:]
    assert ways[::2] == ["Explore", "Batch", "Figures"]
    for way in ways[1::2]:
        assert 2 <= len(re.findall(r"^# \d\. ", way, re.MULTILINE)) <= 5


def test_the_map_names_targets_and_options_that_exist():
    text = (REPOSITORY / "notebooks" / f"{MAP_PAGE}.py").read_text()
    known = runs.load_graph(project=REPOSITORY).targets
    named = re.findall(r"`vidssl run (\w+)", text)
    assert named
    assert set(named) <= set(known)


def test_pair_fills_the_map(project, capsys):
    pages = project / "notebooks"
    (pages / "90_tiny.py").write_text(HEAD.replace("`90_tiny`", "nothing") + "x = 1\n")
    empty = HEAD.replace("# | gives | a line\n", "# | gives | a map |\n")
    empty = empty.replace("`90_tiny`", "nothing") + "".join(MARKS)
    (pages / f"{MAP_PAGE}.py").write_text(empty)
    (pages / "91_page.py").write_text(HEAD)
    assert runs.fill_map(project)
    assert not runs.fill_map(project), "it is filled already"
    made = (pages / f"{MAP_PAGE}.py").read_text()
    assert (
        "# | [91_page](91_page.ipynb) | What is asked? And more? | weights of [90](90_tiny.ipynb) |"
        in made
    )
    (pages / "91_page.py").write_text(HEAD.replace("90_tiny", "92_gone"))
    with pytest.raises(ValueError, match="92_gone, which is no page"):
        runs.fill_map(project)


# --- what has been run -----------------------------------------------------------------------


def test_nothing_run_is_a_sentence(project):
    assert runs.overview(project) == []
    assert "nothing yet" in runs.overview_table([])


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_overview_counts_by_page(project):
    home = project / "papermill_runs"
    for seed, scale, day in ((0, "mini", "2026-01-02"), (1, "mini", "2026-01-03"), (0, "gpu", "")):
        leave_record(home, f"{scale}-a-s{seed}", finished=day)
    put(home / "records" / "old.json", {"run": "old"})
    put(home / "records" / "cut.json", "{")
    leave_record(home, "mini-gone", notebook="80_gone")
    for name in ("half", "whole"):
        put(home / "mini" / name / ".attempt.json", {})
        put(home / "mini" / name / "90_tiny.ipynb", {})
    put(home / "mine" / "90_tiny-seed3" / "run.json", {"notebook": "90_tiny"})
    put(project / "my_runs" / "wide" / "run.json", {"notebook": "90_tiny"})
    put(home / "mini" / "half" / ".90_tiny.source.ipynb", {})  # of a run that was killed
    put(home / "mini" / "whole" / "run.json", {})
    runs.start("90_tiny", {})
    tiny, *others = runs.overview(project)
    day = time.strftime("%Y-%m-%d")
    assert tiny == {
        "page": "90_tiny",
        "finished runs": "3",
        "scales": "gpu, mini",
        "last": "2026-01-03",
        "besides": "2 runs of your own, without a record; 1 run begun, not finished; "
        f"explored by hand, last {day}",
    }
    assert {row["page"]: row["finished runs"] for row in others} == {
        "(unreadable records)": "2",
        "80_gone": "1",
    }
    assert list(runs.overview_table([tiny]).index) == ["90_tiny"]


def test_copies_of_pages_are_no_pages(tmp_path):
    for folder in ("notebooks", "papermill_runs"):
        (tmp_path / folder).mkdir()
    for name in ("01_a.py", "01_a-Copy1.py"):
        (tmp_path / "notebooks" / name).write_text("# %%\n")
    assert runs.notebook_names(tmp_path) == ["01_a"]
