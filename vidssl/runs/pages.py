"""The map of the pages, made from their first cells, and what has been run of them.

The first cell of each page has a title, a question, and a table of what the page needs, how long it
takes (mini scale) and what it gives:

    # # MoSI: pretraining
    #
    # **Question.** Can a network learn to name pseudo motions? More may follow.
    #
    # | | |
    # | --- | --- |
    # | needs | videos |
    # | takes | 2 min on one core |
    # | gives | `backbone.pt` |

``00_start_here`` shows all of them in a table, between two marks; `fill_map` writes it there.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidssl.core import counted
from vidssl.runs.earlier import EXPLORATION, _read
from vidssl.runs.listing import OWN_RUNS, Listed, read_runs
from vidssl.runs.notebooks import notebook_cells, notebook_names, notebook_path
from vidssl.runs.provenance import find_project, write_atomic

if TYPE_CHECKING:
    import pandas as pd

MAP_PAGE = "00_start_here"
MARKS = "# <!-- pages -->\n", "# <!-- end of pages -->\n"
UNREADABLE = "(unreadable records)"
ROWS = ("needs", "takes", "gives")


@dataclass(frozen=True)
class PageHead:
    """What the first cell of a page says of it, as Markdown."""

    name: str
    title: str
    question: str
    needs: str
    takes: str
    gives: str


def page_head(path: Path) -> PageHead:
    """The head of the page ``path``; ValueError naming the file and what its first cell lacks."""
    cell = next(notebook_cells(path.read_text(encoding="utf-8")))
    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in cell.source.splitlines())
    found = {name: re.search(rf"^\| {name} \| (.+) \|$", text, re.MULTILINE) for name in ROWS}
    found["title"] = re.search(r"\A# (.+)$", text, re.MULTILINE)
    found["question"] = re.search(r"^\*\*Question\.\*\* (.+?)(?:\n\n|\Z)", text, re.M | re.DOTALL)
    lacking = [name for name, match in found.items() if match is None]
    if cell.kind != "markdown" or lacking:
        raise ValueError(f"{path}: its first cell has no {', no '.join(lacking or ROWS)}")
    return PageHead(path.stem, **{name: " ".join(m[1].split()) for name, m in found.items()})


def page_table(project: Path | None = None) -> str:
    """All pages but the map itself as a Markdown table, with links that work in JupyterLab and
    on GitHub, from ``notebooks/``."""
    names = [name for name in notebook_names(project) if name != MAP_PAGE]
    lines = ["| page | question | needs | takes | gives |", "| --- | --- | --- | --- | --- |"]
    for head in (page_head(notebook_path(name, project)) for name in names):
        needs = re.sub(r"`(\d\d_\w+)`", lambda m: _link(m[1], m[1][:2], names), head.needs)
        cells = (_link(head.name, head.name, names), head.question, needs, head.takes, head.gives)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _link(name: str, text: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ValueError(f"a page names {name}, which is no page")
    return f"[{text}]({name}.ipynb)"


def fill_map(project: Path | None = None) -> bool:
    """Write the table of pages into the map, if there is one; True where it was another one."""
    if MAP_PAGE not in notebook_names(project):
        return False
    path = notebook_path(MAP_PAGE, project)
    text = path.read_text(encoding="utf-8")
    (before, rest), table = text.split(MARKS[0]), page_table(project)
    _, after = rest.split(MARKS[1])
    lines = "".join(f"# {line}\n" for line in table.splitlines())
    made = f"{before}{MARKS[0]}#\n{lines}#\n{MARKS[1]}{after}"
    if made != text:
        write_atomic(path, made)
    return made != text


# --- what has been run ---------------------------------------------------------------------------


def overview(project: Path | None = None) -> list[dict[str, str]]:
    """What has been run, a row a page: how many runs are finished (their records), at which scales,
    when the last one was; how many have no record, being in a folder of one's own; how many were
    begun and not finished, how many explored by hand.

    Nothing is assumed: a missing folder is empty, and a file that is no record is counted.
    """
    project = project or find_project()
    home = project / "papermill_runs"
    listed, unreadable = read_runs(home)
    runs: dict[str, list[Listed]] = defaultdict(list)
    explored: dict[str, list[float]] = defaultdict(list)
    for run in listed:
        runs[run.notebook].append(run)
    own = [*home.glob("mine/*/run.json"), *(project / OWN_RUNS).rglob("run.json")]
    mine = Counter(str(_read(path).get("notebook") or UNREADABLE) for path in own)
    for path in home.glob(f"explore/*/*/{EXPLORATION}"):
        explored[path.parents[1].name].append(path.stat().st_mtime)
    pages = runs.keys() | explored.keys() | mine.keys()
    known = [name for name in notebook_names(project) if name in pages]
    rows = [
        _row(name, runs[name], explored[name], mine[name])
        for name in [*known, *sorted(pages - set(known))]
    ]
    if unreadable:
        about = "no record of a run, or an older version's; `vidssl runs` names them"
        rows.append(_row(UNREADABLE, [], []) | {"besides": about})
        rows[-1]["finished runs"] = str(len(unreadable))
    return rows


def _row(
    name: str, runs: Sequence[Listed], explored: Sequence[float], own: int = 0
) -> dict[str, str]:
    finished = [run for run in runs if not run.state]
    begun = len(runs) - len(finished)
    state = [f"{counted(begun, 'run')} begun, not finished"] * bool(begun)
    if own:
        state.insert(0, f"{counted(own, 'run')} of your own, without a record")
    if explored:
        last = time.strftime("%Y-%m-%d", time.localtime(max(explored)))
        state.append(f"explored by hand, last {last}")
    return {
        "page": name,
        "finished runs": str(len(finished)),
        "scales": ", ".join(sorted({run.scale for run in finished} - {""})),
        "last": max((run.record["finished"] for run in finished), default=""),
        "besides": "; ".join(state),
    }


def overview_table(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame | str:
    """The rows of `overview` to look at; a sentence where there are none."""
    import pandas as pd

    if not rows:
        return "nothing yet: run a page, or `vidssl run demo`"
    return pd.DataFrame(rows).set_index("page")
