"""Notebooks as text: jupytext py:percent files, their cells, and the .ipynb beside each."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tokenize import TokenError

from vidssl.core import one_of
from vidssl.runs.clean_page import METADATA, cleaned
from vidssl.runs.provenance import code_hashes, find_project, meaning, write_atomic

CELL_MARK = re.compile(r"^# %%(.*)$")
PLOTS = ("visualize",)  # rooms that no number depends on
TAGS = re.compile(r"tags=(\[[^\]]*\])")


@dataclass(frozen=True)
class Cell:
    """One cell of a py:percent file; ``line`` is the 1-based line of its first line of source."""

    kind: str  # "code" or "markdown"
    tags: tuple[str, ...]
    source: str
    line: int


def notebook_cells(text: str) -> Iterator[Cell]:
    """The cells of a py:percent notebook, without the header before the first ``# %%``."""
    lines = text.splitlines()
    marks = [(i, CELL_MARK.match(line)) for i, line in enumerate(lines)]
    starts = [(i, mark[1]) for i, mark in marks if mark]
    ends = [i for i, _ in starts[1:]] + [len(lines)]
    for (i, header), end in zip(starts, ends):
        tags = TAGS.search(header)
        kind = "markdown" if "[markdown]" in header or "[raw]" in header else "code"
        source = "\n".join(lines[i + 1 : end])
        yield Cell(kind, tuple(ast.literal_eval(tags[1])) if tags else (), source, i + 2)


def notebook_names(project: Path | None = None) -> list[str]:
    """Stems of all notebooks of the project, e.g. "11_mosi_pretrain"; JupyterLab's copies of pages
    (11_mosi_pretrain-Copy1) are the user's own and none of them."""
    folder = (project or find_project()) / "notebooks"
    return sorted(path.stem for path in folder.glob("*.py") if "-Copy" not in path.stem)


def notebook_path(notebook: str, project: Path | None = None) -> Path:
    """The py:percent file of a notebook's stem; an unknown one is refused with the nearest."""
    project = project or find_project()
    stem = Path(notebook).stem if str(notebook).endswith((".py", ".ipynb")) else str(notebook)
    path = project / "notebooks" / f"{stem}.py"
    if not path.is_file() or "-Copy" in stem or path.name != f"{stem}.py":  # such as ../x
        one_of("notebook", stem, notebook_names(project))
    return path


def notebook_code(path: Path, without: tuple[str, ...] = ("runs", "cli")) -> dict[str, str]:
    """12-digit hashes of the code behind a notebook: its own code cells and the rooms it uses."""
    cells = notebook_cells(path.read_text(encoding="utf-8"))
    source = "\n".join(cell.source for cell in cells if cell.kind == "code")
    own = sha256(meaning(source).encode()).hexdigest()[:12]
    return {"notebook": own, **code_hashes(source, without)}


class CodeNow:
    """The code of a project's notebooks as it is now, each read once."""

    def __init__(self, project: Path):
        self._folder = project / "notebooks"
        self._hashes: dict[str, dict[str, str]] = {}

    def differs(
        self, notebook: str, was: Mapping[str, str], without: tuple[str, ...] = ()
    ) -> list[str]:
        """The rooms, but for those in ``without``, that are not what the hashes ``was`` say.

        ["notebook"] where the notebook is gone or its code cannot be read.
        """
        if notebook not in self._hashes:
            try:
                self._hashes[notebook] = notebook_code(self._folder / f"{notebook}.py")
            except (OSError, SyntaxError, UnicodeError, TokenError):
                self._hashes[notebook] = {"notebook": "unreadable"}
        now = self._hashes[notebook]
        rooms = ["notebook"] if now["notebook"] == "unreadable" else {*was, *now} - {*without}
        return sorted(room for room in rooms if was.get(room) != now.get(room))


def pair_text(path: Path) -> str:
    """The .ipynb that belongs beside the py:percent notebook ``path``: no outputs, and cell ids
    made from what they say, so that equal text gives equal files and a new cell changes no other's
    id."""
    import jupytext
    import nbformat

    notebook = jupytext.read(path)
    alike: Counter[str] = Counter()
    for cell in notebook.cells:
        content = f"{path.stem}/{cell.cell_type}/{cell.source}"
        cell["id"] = sha256(f"{content}/{alike[content]}".encode()).hexdigest()[:12]
        alike[content] += 1
    notebook.metadata = METADATA
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook) + "\n"


def write_pairs(project: Path | None = None) -> list[Path]:
    """Bring every .ipynb of ``notebooks/`` in line with its .py; returns those that changed."""
    project = project or find_project()
    changed = []
    for name in notebook_names(project):
        source = notebook_path(name, project)
        text, pair = pair_text(source), source.with_suffix(".ipynb")
        if (
            not pair.exists() or cleaned(pair.read_text(encoding="utf-8")) != text
        ):  # outputs may stay
            write_atomic(pair, text)
            changed.append(pair)
    return changed
