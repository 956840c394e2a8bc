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

# ruff: noqa: F401, what is imported here is passed on
from vidssl.runs.earlier import MissingInput, Need, teacher_needs
from vidssl.runs.execute import RunFailed, RunLocked, execute
from vidssl.runs.expectations import Expectation, expectations_table
from vidssl.runs.figures import figure_files, save_figure
from vidssl.runs.folds import pool_folds
from vidssl.runs.given import Given
from vidssl.runs.graph import Graph
from vidssl.runs.graph import load as load_graph
from vidssl.runs.inputs import embedded_data
from vidssl.runs.launch import run_target
from vidssl.runs.machine import Machine
from vidssl.runs.notebooks import notebook_code, notebook_names, notebook_path, write_pairs
from vidssl.runs.pages import fill_map, overview, overview_table, page_table
from vidssl.runs.parameters import (
    ParameterError,
    declared_parameters,
    parameters_for,
    scale_file,
    scale_names,
)
from vidssl.runs.provenance import code_hashes, find_project
from vidssl.runs.records import (
    CHECKPOINTS,
    Run,
    data_hash,
    labels_said,
    load_records,
    start,
)
from vidssl.runs.tracing import read_origin, trace
