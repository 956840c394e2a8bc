"""The parameters of a notebook: what its cell tagged "parameters" declares, and nothing else.

A notebook is a jupytext py:percent file; its defaults are the mini scale. Files
``papermill_runs/<scale>.yaml`` hold what another scale changes, by section:

    common:             # given to every notebook that declares the name
      frames: 8
    11_mosi_pretrain:   # one notebook's own
      steps: 20
    data: {...}         # numbers of the embedded data, see vidssl.data.synthetic.make_dataset
    targets: {...}      # seeds and settings of the Snakefile's targets
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vidssl.core import did_you_mean, one_of
from vidssl.files import require_utf8
from vidssl.runs.notebooks import notebook_cells, notebook_names, notebook_path
from vidssl.runs.provenance import find_project

PLAIN_TYPES = (bool, int, float, str, list, dict, type(None))
INJECTED = "# Parameters"  # how the cell that papermill adds begins
OTHER_SECTIONS = ("common", "data", "targets")


class PlainError:
    """An error whose words say all: notebooks show them without the code that led there."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"{type(self).__name__}: {self}"]


class ParameterError(PlainError, ValueError):
    """A parameter that a notebook does not have, or a value of the wrong kind."""


def declared_parameters(path: str | Path) -> dict[str, Any]:
    """Names and defaults in the cell tagged "parameters" of the py:percent file ``path``.

    Only literals: papermill injects values after this cell, so anything derived in it goes stale.
    """
    return dict(_declared(Path(path).read_text(encoding="utf-8"), path))


@cache
def _declared(text: str, path: str | Path) -> dict[str, Any]:
    tagged = [cell for cell in notebook_cells(text) if "parameters" in cell.tags]
    if len(tagged) != 1:
        raise ParameterError(
            f'{path}: needs one cell marked # %% tags=["parameters"], has {len(tagged)}'
        )
    declared = {}
    for statement in ast.parse(tagged[0].source).body:
        declared.update(_assignment(statement, tagged[0].line, path))
    return declared


def _assignment(statement: ast.stmt, first_line: int, path: str | Path) -> dict[str, Any]:
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    try:
        if len(targets) == 1 and isinstance(targets[0], ast.Name):
            return {targets[0].id: ast.literal_eval(statement.value)}
    except (ValueError, TypeError):
        pass
    line = first_line + statement.lineno - 1
    raise ParameterError(f"{path}:{line}: the parameters cell takes only NAME = LITERAL lines")


def check_parameters(
    given: Mapping[str, Any], declared: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """``given`` with numbers brought to the kind of their default.

    ParameterError for a name that is not declared (the nearest one is named) and for a value of
    another kind than the default's; a default of None takes any value.
    """
    checked = {}
    for name, value in given.items():
        if name not in declared:
            raise ParameterError(
                f"{where}: no parameter {name!r}{did_you_mean(name, list(declared))}"
            )
        if isinstance(value, str):
            _require_utf8(value, f"{where}: parameter {name}")
        checked[name] = _checked_value(name, value, declared[name], where)
    return checked


def _require_utf8(value: str, where: str) -> None:
    try:
        require_utf8([value], where)
    except ValueError as error:
        raise ParameterError(str(error)) from None


def _checked_value(name: str, value: Any, default: Any, where: str) -> Any:
    if default is None or type(value) is type(default):
        return value
    if type(default) is float and type(value) in (int, str):
        try:
            return finite(value)  # YAML 1.1, as papermill reads it, takes 1e-3 for a word
        except ValueError:
            pass
    if isinstance(default, list) and isinstance(value, tuple):
        return list(value)
    written = ", written as YAML" if isinstance(default, (list, dict)) else ""
    raise ParameterError(
        f"{where}: parameter {name} must be of type {type(default).__name__} "
        f"like {default!r}{written}, got {value!r}"
    )


def parameters_in(namespace: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The declared parameters' values in a notebook's globals, strictly.

    Meant for the cell after the parameters: a plain literal that nobody declared is a mistyped
    parameter. A live notebook runs that cell again when later cells have left their variables:
    these are forgiven then.
    """
    declared = declared_parameters(path)
    forgiven = _assigned_names(path) if namespace.get("_vidssl_started") else frozenset()
    given = {
        name: value
        for name, value in namespace.items()
        if type(value) in PLAIN_TYPES
        and not name.startswith("_")
        and name not in ("In", "Out")
        and (name in declared or name not in forgiven)
    }
    return dict(declared) | check_parameters(given, declared, path.stem)


def given_names(namespace: Mapping[str, Any], declared: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that the user set: those with another value than the default, and those of
    the cell that papermill injected, be they equal to the default or not."""
    injected = [s for s in namespace.get("In", ()) if str(s).startswith(INJECTED)]
    names = {name for source in injected for name in _stored_names(source)}
    changed = {name for name, default in declared.items() if namespace.get(name) != default}
    return frozenset(changed | (names & declared.keys()))


def _assigned_names(path: Path) -> frozenset[str]:
    names = set()
    for cell in notebook_cells(path.read_text(encoding="utf-8")):
        if cell.kind == "code":
            names |= _stored_names(cell.source)
    return frozenset(names)


def _stored_names(source: str) -> set[str]:
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def scale_names(project: Path | None = None) -> list[str]:
    """The scales that have a parameter file, and mini, which is the notebooks' own defaults."""
    folder = (project or find_project()) / "papermill_runs"
    return sorted({"mini", *(path.stem for path in folder.glob("*.yaml"))})


def scale_file(scale: str, project: Path | None = None) -> dict[str, dict[str, Any]]:
    """The sections of ``papermill_runs/<scale>.yaml``, each name in them checked."""
    project = project or find_project()
    one_of("scale", scale, scale_names(project))
    return _read_scale_file(project / "papermill_runs" / f"{scale}.yaml", project)


@cache
def _yaml_loader() -> type:
    """YAML 1.1 as PyYAML reads it, but 1e-3 is a number."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def read_yaml(text: str) -> Any:
    """What YAML ``text`` says; ValueError, one line, where it is none."""
    import yaml

    try:
        return yaml.load(text, _yaml_loader())
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def read_value(name: str, text: str, default: Any, where: str) -> Any:
    """The value that ``text``, given by -p, has for a parameter whose default is ``default``.

    A text's is taken as it is; numbers are checked; anything else is read as YAML. ParameterError,
    one line, for what cannot be read.
    """
    if isinstance(default, str):
        return text
    try:
        value = {int: int, float: finite}.get(type(default), _structured)(text)
    except ValueError:
        value = text
    fits = default is None or type(value) is type(default)
    return _checked_value(name, value if fits else text, default, where)


def _structured(text: str) -> Any:
    try:
        return json.loads(text)  # as `text_of` writes it: YAML refuses some characters of a text
    except ValueError:
        return read_yaml(text)


def text_of(value: Any) -> str:
    """The text that `read_value` reads as ``value``."""
    return value if isinstance(value, str) else json.dumps(value)


def finite(value: Any) -> float:
    """``value`` as a float; ValueError for what is no number, or none to compute with."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number


@cache
def _read_scale_file(path: Path, project: Path) -> dict[str, dict[str, Any]]:
    try:
        sections = read_yaml(path.read_text(encoding="utf-8")) or {} if path.exists() else {}
    except ValueError as error:
        raise ParameterError(f"{path}: not YAML: {error}") from None
    known = {
        name: declared_parameters(notebook_path(name, project)) for name in notebook_names(project)
    }
    for section, values in sections.items():
        if section in known:
            check_parameters(values or {}, known[section], f"{path}, section {section}")
        elif section not in OTHER_SECTIONS:
            hint = did_you_mean(section, [*known, *OTHER_SECTIONS])
            raise ParameterError(f"{path}: unknown section {section!r}{hint}")
    everywhere = {name: None for declared in known.values() for name in declared}
    check_parameters(sections.get("common") or {}, everywhere, f"{path}, section common")
    return {section: values or {} for section, values in sections.items()}


def parameters_for(
    notebook: str,
    scale: str,
    overrides: Mapping[str, Any] | None = None,
    project: Path | None = None,
) -> dict[str, Any]:
    """What a notebook is given at a scale: common, then its section, then ``overrides``.

    Only what differs from the defaults' source is in it, plus ``scale``; names and kinds checked.
    """
    path = notebook_path(notebook, project)
    declared = declared_parameters(path)
    sections = scale_file(scale, project)
    common = {k: v for k, v in sections.get("common", {}).items() if k in declared}
    given = {**common, **sections.get(path.stem, {}), **(overrides or {})}
    return check_parameters({**given, "scale": scale}, declared, path.stem)


def usual_settings(
    notebook: str, scale: str, project: Path | None = None, *, by_hand: bool = False
) -> dict[str, Any]:
    """Every parameter's value where nothing is changed: by a command that of the scale; a page that
    is opened by hand at mini has the values that it declares."""
    declared = declared_parameters(notebook_path(notebook, project))
    given = {} if by_hand and scale == "mini" else parameters_for(notebook, scale, {}, project)
    return {**declared, **given}


def changed_settings(
    notebook: str, params: Mapping[str, Any], project: Path | None = None, *, by_hand: bool = False
) -> dict[str, Any]:
    """Those of ``params`` that are not the usual ones at their scale, see `usual_settings`."""
    usual = usual_settings(notebook, params["scale"], project, by_hand=by_hand)
    return {name: v for name, v in params.items() if name in usual and v != usual[name]}
