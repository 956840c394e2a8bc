"""The sets that people bring, as they are now: what runs to come would refuse, and whether finished
runs were made of the same videos, labels and sides.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.runs.earlier import locate_all
from vidssl.runs.inputs import PATHS, open_inputs
from vidssl.runs.records import data_hash, full_record, made_here

if TYPE_CHECKING:
    from vidssl.core import VideoRecord
    from vidssl.data import Splits

# parameters that say which videos a page trains and tests on, `open_inputs`
ASKED = ("dataset", "root", "dataset_options", "data_seed", "validation")
ASKED += ("source_side", "without_classes")
CANNOT = (OSError, ValueError)  # what a set that is away, or no longer one, raises


class SetsNow:
    """Each set is opened once, however many runs read it.

    Of a run it is the folder that is asked, which knows where its set lies. A record alone, as git
    brings it, keeps the last part of that path: nothing is said of its set, and `vidssl run` makes
    such a run anyhow.
    """

    def __init__(self, project: Path):
        self._project = project
        self._opened: dict[str, tuple[Splits | Exception, list[str]]] = {}
        self._hashes: dict[str, str] = {}
        self._listed: dict[str, list[VideoRecord]] = {}

    def splits(self, params: Mapping[str, Any]) -> Splits:
        """What `open_inputs` gives, or raises, and warns of, each time that it is asked."""
        key = _key(params)
        if key not in self._opened:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                try:
                    found = open_inputs(self._located(params))
                except CANNOT as error:
                    found = error
            self._opened[key] = found, [str(warning.message) for warning in heard]
        found, told = self._opened[key]
        for message in told:
            warnings.warn(message, stacklevel=2)
        if isinstance(found, Exception):
            raise found
        return found

    def may_be_labelled(self, params: Mapping[str, Any]) -> list[VideoRecord]:
        """The videos that labels are drawn from: the training ones, or those of ``label_list``.
        What its reader warns of is said once."""
        from vidssl.data import read_label_list

        path = self._located(params).get("label_list")
        if not path:
            return self.splits(params).train
        key = _key(params) + path
        if key not in self._listed:
            self._listed[key] = read_label_list(path, self.splits(params))
        return self._listed[key]

    def hash(self, params: Mapping[str, Any]) -> str:
        """What a run with these parameters would write as `data_hash` now. Raises `CANNOT`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            splits, key = self.splits(params), _key(params)
            if params.get("label_list"):
                return data_hash(splits, self._labelled(splits, params), params["label_list"])
        if key not in self._hashes:
            self._hashes[key] = splits.fingerprint
        return self._hashes[key]

    def changed(self, path: Path, record: Mapping[str, Any]) -> bool:
        """Whether the run of the record in the file ``path`` was made of another state of its set;
        False where nobody can tell."""
        if made_here(record["parameters"]) or not record.get("data_hash"):
            return False
        try:
            full = full_record(path, record)
            return bool(full) and self.hash(full["parameters"]) != full["data_hash"]
        except (*CANNOT, KeyError, TypeError, AttributeError):  # or a damaged run.json
            return False

    def _located(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {**params, **locate_all(params, PATHS, self._project)}

    def _labelled(self, splits: Splits, params: Mapping[str, Any]) -> list[VideoRecord]:
        from vidssl.data import labelled_videos

        drawn = {"per_class": "videos_per_class", "fraction": "label_fraction"}
        drawn = {name: params.get(of, 0) for name, of in drawn.items()}
        place = self._located(params)["label_list"]
        return labelled_videos(splits, label_list=place, seed=params.get("seed", 0), **drawn)


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps([params.get(name) for name in ASKED], sort_keys=True, default=str)


def check_sets(every: Iterable[Mapping[str, Any]], sets: SetsNow) -> list[str]:
    """Open the sets that runs with these parameters name, each once, and read their lists of
    labels. Returns what readers warn of.

    ValueError and FileNotFoundError as the runs themselves would raise them.
    """
    from vidssl.data import read_label_list

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for params in every:
            splits = sets.splits(params)
            sets.may_be_labelled(params)
            for path in sets._located(params).get("label_lists", []):
                read_label_list(path, splits)
    return list(dict.fromkeys(str(warning.message) for warning in told))
