"""From a notebook's parameters to the data set they name; the embedded data made where missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.runs.parameters import ParameterError, scale_file
from vidssl.runs.provenance import find_project

if TYPE_CHECKING:
    from vidssl.data import Splits

READER_OPTIONS = ("annotations", "split", "data_seed")
FOLDER_OPTIONS = ("group_pattern", "test_groups")  # of dataset="folder" alone


def embedded_data(scale: str = "mini", data_seed: int = 0, runs_root: str | Path = "") -> Path:
    """The embedded data of a scale, made where they are missing, in
    ``<runs_root>/data/<scale>-seed<data_seed>`` (default: the project's papermill_runs).

    The section ``data`` of the scale's file gives `make_dataset` its numbers.
    """
    from vidssl.data.synthetic import make_dataset

    root = Path(runs_root) if runs_root else find_project() / "papermill_runs"
    numbers = {"scale": scale, **scale_file(scale).get("data", {})}
    return make_dataset(root / "data" / f"{scale}-seed{data_seed}", data_seed=data_seed, **numbers)


def open_inputs(params: Mapping[str, Any], labelled: bool = False) -> Splits:
    """The data set that ``dataset``, ``root`` and their companions in ``params`` name.

    An empty ``root`` means the embedded data of the scale. ``labelled=True`` refuses data without
    classes or without test videos. A ``validation`` above 0 is the share of the training videos,
    in whole groups, that takes the place of the test videos: settings are chosen on those, so that
    the test videos are met once. Raises as `vidssl.data.open_dataset` does.
    """
    from vidssl.data import open_dataset, validation_split

    dataset, root = params["dataset"], _videos_root(params)
    options = {name: params[name] for name in READER_OPTIONS if name in params}
    options |= {name: params[name] for name in FOLDER_OPTIONS if params.get(name)}
    splits = open_dataset(dataset, root, **options)
    if labelled and not splits.test:
        raise ParameterError(
            f"root={str(root)!r} has no labelled test videos: put videos into one folder a class"
        )
    if params.get("validation"):
        train, held_out = validation_split(splits.train, params["validation"], options["data_seed"])
        name = f"{splits.name}, validation"
        splits = replace(splits, train=train, test=held_out, name=name)
    return splits


def _videos_root(params: Mapping[str, Any]) -> str | Path:
    root = params.get("root", "")
    if not root and params["dataset"] != "embedded":
        raise ParameterError(f"dataset={params['dataset']!r} needs root, the folder of its videos")
    return root or embedded_data(params["scale"], params.get("data_seed", 0))


def open_flow(params: Mapping[str, Any]) -> dict[str, str]:
    """Where the optical flow of a notebook's videos lies: ``flow``, and ``root``, the videos'.

    An empty ``flow`` in ``params`` means a folder beside the videos, named after ``flow_method``
    and ``flow_side`` (px of the short side that flow is computed at). What is missing there is
    extracted now; a run beside this one waits for it. A video that cannot be read gets no flow.
    """
    from vidssl.motion.extract import extract_flow

    root, method, side = _videos_root(params), params["flow_method"], params["flow_side"]
    folder = params["flow"] or f"{root}-flow-{method}{side}"
    if not params["flow"]:
        print(extract_flow(root, folder, method=method, short_side=side, workers=os.cpu_count()))
    return {"flow": str(folder), "root": str(root)}
