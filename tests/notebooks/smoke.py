"""Runs a notebook at smoke scale: papermill injects the parameters, nbval executes every cell.

The checks of what a notebook shows are asserts in its own cells.
"""

import json

from forked_kernels import nbval

from vidssl import runs
from vidssl.runs.promises import figures_of, files_of

NOTEBOOKS = runs.find_project() / "notebooks"


def execute(notebook, place, name, scale="smoke", **parameters):
    """Run a notebook under nbval; its folder is ``<place>/smoke/<name>``.

    Of another ``scale`` are its parameters alone."""
    import papermill

    declared = runs.declared_parameters(NOTEBOOKS / f"{notebook}.py")
    parameters["run_folder"] = str(place / "smoke" / name)
    if "root" in declared:
        parameters.setdefault("root", str(place / "data"))
    prepared = place / f"{name}.ipynb"
    given = {**runs.parameters_for(notebook, scale, parameters), "scale": "smoke"}
    papermill.execute_notebook(
        str(NOTEBOOKS / f"{notebook}.ipynb"),
        str(prepared),
        parameters=given,
        kernel_name="python3",
        prepare_only=True,
        progress_bar=False,
    )
    passed, printed = nbval(prepared, seconds=300 if scale == "smoke" else 1800)
    assert passed, printed[:9000]  # the first cell that failed
    run = json.loads((place / "smoke" / name / "run.json").read_text())
    assert_made_what_was_promised(notebook, given, run, place / "smoke" / name)
    return run


def assert_made_what_was_promised(notebook, given, run, folder):
    """What the graph reads off a notebook before it runs is what came."""
    path = NOTEBOOKS / f"{notebook}.py"
    for figure in figures_of(path, given):
        came = {figure.name, f"smoke_{figure.name}"} & set(run["figures"])
        assert figure.made in (None, bool(came)), figure
        assert not came or (came != {figure.name}) == figure.published
    for file in files_of(path, given):
        if file.name in ("example.npz", "cut_short.mp4"):
            continue  # made, looked at and deleted
        assert file.made in (None, (folder / file.name).exists()), file
