"""What a user gives on the command line by -p NAME VALUE, and what each notebook makes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidssl.runs.notebooks import notebook_names, notebook_path
from vidssl.runs.parameters import (
    ParameterError,
    check_parameters,
    declared_parameters,
    default_of,
    read_value,
    require_declared,
    takes,
)
from vidssl.runs.provenance import find_project, short

PATHS = (  # parameters that name a file or a folder, or hold such names
    "dataset_options.annotations",
    *("cells", "compare", "distinctive", "features", "flow", "image", "invariant"),
    *("label_list", "label_lists", "mars_start", "mosi_unmasked_weights", "mosi_weights"),
    *("motion_model", "motion_predictions", "pretrained", "pseudo_labels", "records"),
    *("rgb_predictions", "root", "similarities", "starts", "supervised_weights"),
    *("teacher_features", "without_classes"),
)
SET_BY_RUNS = {"scale": "--scale", "run_folder": "the folder of the run"}


class Given:
    """Parameters that a user gave for ``notebooks`` (stems; default: all of the project).

    ``values``: texts, read as each notebook's declared type asks (see `read_value`), or values of
    Python, which are checked; "name.key" is an entry of a dictionary. Relative paths start at
    ``folder``, where the user stands. Where notebooks declare a name with several types, those take
    a value that can. ParameterError for a name that no notebook declares, and for a value that none
    can take.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        notebooks: Sequence[str] = (),
        *,
        folder: Path | None = None,
        project: Path | None = None,
    ):
        self.project = project or find_project()
        self.folder = folder or Path.cwd()
        declared = {
            name: declared_parameters(notebook_path(name, self.project))
            for name in notebooks or notebook_names(self.project)
        }
        require_declared(values, declared.values(), ", ".join(notebooks) or "all notebooks")
        self._of: dict[str, dict[str, Any]] = {notebook: {} for notebook in declared}
        for name, value in values.items():
            if name in SET_BY_RUNS:
                told = f"-p {name} is not to be given: {SET_BY_RUNS[name]} sets it"
                raise ParameterError(told)
            asked = {nb: names for nb, names in declared.items() if takes(names, name)}
            for notebook, read in self._taken(name, value, asked).items():
                self._of[notebook][name] = read

    def of(self, notebook: str) -> dict[str, Any]:
        """The values for one notebook, by its stem."""
        return dict(self._of[notebook])

    def settings(self) -> dict[str, list[Any]]:
        """Name -> its values, each once: the same where two ways of writing mean the same."""
        settings: dict[str, list[Any]] = {}
        for values in self._of.values():
            for name, value in values.items():
                values_of = settings.setdefault(name, [])
                values_of += [value] if value not in values_of else []
        return dict(sorted(settings.items()))

    def _taken(self, name: str, value: Any, declared: Mapping[str, Mapping]) -> dict[str, Any]:
        """Notebook -> the value of ``name`` there, for the notebooks that take it."""
        taken, refused = {}, []
        for notebook in declared:
            try:
                taken[notebook] = self._read(name, value, declared[notebook], notebook)
            except ParameterError as error:
                refused.append(error)
        kinds = {type(default_of(name, names, nb)) for nb, names in declared.items()}
        if refused and (len(kinds) == 1 or not taken):
            raise refused[0]
        return taken

    def _read(self, name: str, value: Any, declared: Mapping[str, Any], notebook: str) -> Any:
        if isinstance(value, str):
            value = read_value(name, value, default_of(name, declared, notebook), notebook)
        value = check_parameters({name: value}, declared, notebook)[name]
        if {name, name.partition(".")[0]} & set(PATHS):
            return self._placed(value)
        if isinstance(value, dict):
            return {k: self._placed(v) if f"{name}.{k}" in PATHS else v for k, v in value.items()}
        return value

    def _placed(self, value: Any) -> Any:
        """Paths as notebooks take them: from the project's folder where they lie inside."""
        if isinstance(value, dict):
            return {key: self._placed(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._placed(part) for part in value]
        if not isinstance(value, str) or not value or os.path.isabs(value):
            return value
        return short(Path(os.path.abspath(self.folder / value)), self.project)
