"""A page as git keeps it: source alone, no outputs. Run as a file, it is git's filter for pages.

A page that was run and saved holds pictures and numbers; they stay in the working file, to be read
again, and out of git. ``make lab`` makes `after_saving` JupyterLab's hook: it sets the filter up in
the clone, and tells git that a page which changed in size alone has not changed.

Nothing but the standard library is imported: git calls it for each page it looks at.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

FILTER = "vidssl-page"  # named in .gitattributes
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
KEPT = ("tags", "lines_to_next_cell")  # of a cell's metadata; the second is jupytext's


def cleaned(text: str) -> str:
    """The text of a notebook without outputs, counts and all that a session leaves in it.

    What is no notebook comes back as it is: a filter must not stand in git's way.
    """
    try:
        notebook = json.loads(text)
        cells = [_cleaned_cell(cell) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    bare = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    # as nbformat writes it
    written = json.dumps(bare, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": "))
    return written + "\n"


def _cleaned_cell(cell: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in cell["metadata"].items() if name in KEPT}
    source = cell["source"]
    lines = source.splitlines(keepends=True) if isinstance(source, str) else source
    bare = {"cell_type": cell["cell_type"], "id": cell["id"], "metadata": kept, "source": lines}
    if cell["cell_type"] == "code":
        bare |= {"execution_count": None, "outputs": []}
    return bare


def after_saving(os_path: str, **_: Any) -> None:
    """JupyterLab's post-save hook. Without git, or outside a clone, it does nothing."""
    path = Path(os_path)
    program = shlex.join([sys.executable, "vidssl/runs/clean_page.py"])  # from the clone's top
    setting = "config", f"filter.{FILTER}.clean"
    if path.suffix != ".ipynb" or git_says(path.parent, *setting, program) is None:
        return
    kept = git_says(path.parent, "show", f":./{path.name}")
    # git takes another size for another content before it asks the filter; adding the same
    # content anew stages nothing and settles it
    if kept is not None and kept == cleaned(path.read_text(encoding="utf-8")):
        git_says(path.parent, "add", "--", path.name)


def git_says(folder: Path, *words: str) -> str | None:
    """What git says in ``folder``; None where it fails."""
    command = ["git", "-C", str(folder), *words]
    told = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    try:
        return subprocess.run(command, check=True, **told).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def main() -> None:
    """The filter: a page from the standard input, cleaned to the standard output."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    sys.stdout.buffer.write(cleaned(text).encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
