"""Executed notebooks whose stored outputs must come out again, letter by letter (strict nbval)."""

import subprocess
import sys
from pathlib import Path

import pytest

REFERENCES = sorted(Path(__file__).with_name("reference").glob("*.ipynb"))


def nbval(notebook):
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, notebook.name], cwd=notebook.parent, capture_output=True, text=True
    )


@pytest.mark.parametrize("notebook", REFERENCES, ids=lambda path: path.stem)
def test_stored_outputs_come_out_again(notebook):
    done = nbval(notebook)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_changed_number_is_noticed(tmp_path):
    changed = tmp_path / "changed.ipynb"
    changed.write_text(REFERENCES[0].read_text().replace("[209, 265", "[209, 266", 1))
    done = nbval(changed)
    assert done.returncode == 1, done.stdout[-3000:]
