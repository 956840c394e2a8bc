"""Runs a notebook at smoke scale: papermill injects the parameters, nbval executes every cell.

The checks of what a notebook shows are asserts in its own cells.
"""

import json
import subprocess
import sys

from vidssl import runs

NOTEBOOKS = runs.find_project() / "notebooks"


def execute(notebook, place, name, **parameters):
    """Run a notebook under nbval; its folder is ``<place>/smoke/<name>``."""
    import papermill

    declared = runs.declared_parameters(NOTEBOOKS / f"{notebook}.py")
    parameters["run_folder"] = str(place / "smoke" / name)
    if "root" in declared:
        parameters.setdefault("root", str(place / "data"))
    prepared = place / f"{name}.ipynb"
    papermill.execute_notebook(
        str(NOTEBOOKS / f"{notebook}.ipynb"),
        str(prepared),
        parameters=runs.parameters_for(notebook, "smoke", parameters),
        kernel_name="python3",
        prepare_only=True,
        progress_bar=False,
    )
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [*command, "--nbval-cell-timeout=300", prepared.name],
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[:4000]  # the first cell that failed
    return json.loads((place / "smoke" / name / "run.json").read_text())
