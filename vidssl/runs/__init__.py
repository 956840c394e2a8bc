"""Runs: strict parameters, records, figures with their origin, and the launcher of notebooks.

A run is one execution of a notebook of ``notebooks/`` by papermill. It lives in
``papermill_runs/<scale>/<name>/`` and, once finished, leaves a small record in
``papermill_runs/records/``; tables, figures and ``vidssl trace`` are built from records alone.
Inside a notebook:

    run = runs.start("11_mosi_pretrain", globals())   # first cell after the parameters
    run.log(step=10, loss=2.3)
    run.save_figure(figure, "curves", data=rows, alt="...", dataset=dataset)
    run.finish({"top1_accuracy": 0.61}, seeds=[seed])
"""

from vidssl.runs.execute import RunFailed, RunLocked, execute
from vidssl.runs.figures import figure_files, read_origin, save_figure, trace
from vidssl.runs.graph import Graph, Job
from vidssl.runs.inputs import embedded_data
from vidssl.runs.notebooks import notebook_code, notebook_names, notebook_path, write_pairs
from vidssl.runs.parameters import (
    ParameterError,
    check_parameters,
    declared_parameters,
    parameters_for,
    scale_file,
    scale_names,
)
from vidssl.runs.provenance import code_hashes, find_project
from vidssl.runs.records import (
    Pooled,
    Run,
    by_seed,
    find_records,
    load_records,
    pool_folds,
    records_folder,
    start,
)

__all__ = [
    "Graph",
    "Job",
    "ParameterError",
    "Pooled",
    "Run",
    "RunFailed",
    "RunLocked",
    "by_seed",
    "check_parameters",
    "code_hashes",
    "declared_parameters",
    "embedded_data",
    "execute",
    "figure_files",
    "find_project",
    "find_records",
    "load_records",
    "notebook_code",
    "notebook_names",
    "notebook_path",
    "parameters_for",
    "pool_folds",
    "read_origin",
    "records_folder",
    "save_figure",
    "scale_file",
    "scale_names",
    "start",
    "trace",
    "write_pairs",
]
