"""The parameters of a notebook: what its cell tagged "parameters" declares, and nothing else.

A notebook is a jupytext py:percent file; its defaults are the mini scale. Files
``papermill_runs/<scale>.yaml`` hold what another scale changes, by section:

    common:             # given to every notebook that declares the name
      frames: 8
    11_mosi_pretrain:   # one notebook's own
      steps: 20
      dataset_options.split: 2   # one entry of a dictionary, beside those given so far
    data: {...}         # numbers of the embedded data, see vidssl.data.synthetic.make_dataset
    targets: {...}      # seeds and settings of the Snakefile's targets
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from vidssl.core import PlainError, did_you_mean, one_of
from vidssl.files import require_utf8
from vidssl.runs.notebooks import notebook_cells, notebook_names, notebook_path
from vidssl.runs.provenance import find_project

PLAIN_TYPES = (bool, int, float, str, list, dict, type(None))
MOST_VALUES, DEEPEST = 100_000, 100  # in a file of parameters: in all, and in each other
INJECTED = "# Parameters"  # how the cell that papermill adds begins
OTHER_SECTIONS = ("common", "data", "targets", "without")
PAPER_SCALES = "paper"  # how the names of the scales with the papers' own data and lengths begin
ENTRIES = {  # dictionaries whose entries are known, each with a value of its kind
    "dataset_options": {  # of `vidssl.data.open_dataset`
        "annotations": "",
        "split": 1,
        "group_pattern": "",
        "test_groups": [],
        "missing": "refuse",
        "missing_at_most": 0.2,
    },
    "augmentation": {  # of `vidssl.data.Augmentation`
        "scale": [],
        "flip": 0.0,
        "color": [],
        "color_probability": 1.0,
        "grey": 0.0,
        "erase": 0.0,
        "erasings": 1,
    },
}
ENTRIES |= {f"{kind}_augmentation": ENTRIES["augmentation"] for kind in ("view", "weak", "strong")}

NAMES = (
    "dataset_options.test_groups",
)  # lists of names, some of which YAML takes for other things

AT_LEAST_ONE = (  # numbers of things: with none of them a run ends in an error, perhaps after hours
    *("accumulate", "batch_images", "batch_size", "batch_videos", "clips", "clips_per_video"),
    *("clusters", "compared_pairs", "dense_step", "flow_side", "frames", "global_stride"),
    *("held_out_images", "held_out_videos", "k", "local_stride", "locals_count", "neighbours"),
    *("num_clusters", "perplexity", "probe_clips", "processes", "retrieval_clips", "short_side"),
    *("size", "strips", "test_clips", "train_clips", "tuning_frames", "videos_shown"),
    *("window_step", "zoom"),
)
LEAST = {
    **dict.fromkeys(AT_LEAST_ONE, 1),
    "frame_stride": 0,  # over the whole video
    **dict.fromkeys(["tsne_clips", "videos"], 2),  # points of a map
    **{"fractions": 1, "paces": 2},  # entries of a list
}


class ParameterError(PlainError, ValueError):
    """A parameter that a notebook does not have, or a value of the wrong kind."""


class NoSchedule(ParameterError):
    """A paper's scale that does not say how long a page trains."""


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
        default = default_of(name, declared, where)
        _require_utf8(texts_in(value), f"{where}: parameter {name}")
        value = _checked_value(name, value, default, where)
        _require_enough(name, value, where)
        _require_names_in(name, value, where)
        if name in ENTRIES and isinstance(value, dict):
            dotted = {f"{name}.{key}": entry for key, entry in value.items()}
            value = dict(zip(value, check_parameters(dotted, {name: {}}, where).values()))
        checked[name] = value
    return checked


def _require_enough(name: str, value: Any, where: str) -> None:
    """ParameterError for a number, or a list, that is less than is needed of it."""
    least, about = LEAST.get(name, -math.inf), f"{where}: parameter {name} must"
    if isinstance(value, list) and len(value) < least:
        raise ParameterError(f"{about} name at least {least}, got {value}")
    if type(value) in (int, float) and value < least:
        raise ParameterError(f"{about} be at least {least}, got {value}")


def _require_names_in(name: str, value: Any, where: str) -> None:
    """ParameterError for an entry of a list of `NAMES` that is none any more; whole numbers are."""
    for entry in value if name in NAMES else ():
        if type(entry) not in (str, int):
            raise ParameterError(
                f"{where}: parameter {name}: {entry!r} is no name; YAML takes yes, no, on, 1.10 "
                "and their like for something else: put them in quotes, 'yes', '1.10'"
            )


def require_declared(
    names: Iterable[str], notebooks: Iterable[Mapping[str, Any]], where: str
) -> None:
    """ParameterError for a name that none of the notebooks' declarations has."""
    everywhere: dict[str, Any] = {}
    for declared in notebooks:
        dictionaries = {n: v for n, v in declared.items() if isinstance(v, dict)}
        everywhere = {**declared, **everywhere, **dictionaries}
    for name in names:
        default_of(name, everywhere, where)


def default_of(name: str, declared: Mapping[str, Any], where: str) -> Any:
    """The default of a parameter, or of the entry ``key`` of a dictionary, "name.key".

    None for an entry of which nothing is known. ParameterError for what there is not.
    """
    head, dot, key = name.partition(".")
    if head not in declared:
        raise ParameterError(f"{where}: no parameter {head!r}{_nearest(head, declared)}")
    default = declared[head]
    if not dot:
        return default
    if not isinstance(default, dict):
        raise ParameterError(f"{where}: no parameter {name!r}: {head} is no dictionary")
    if head in ENTRIES and key not in ENTRIES[head]:
        hint = did_you_mean(key, list(ENTRIES[head]))
        raise ParameterError(f"{where}: no entry {key!r} in {head}{hint}")
    entries = ENTRIES.get(head, default)
    alike = len({type(value) for value in entries.values()}) == 1
    return entries.get(key, next(iter(entries.values())) if alike else None)


def takes(declared: Mapping[str, Any], name: str) -> bool:
    """Whether a notebook declares a parameter, or the dictionary of an entry "name.key"."""
    head, dot, _ = name.partition(".")
    return isinstance(declared.get(head), dict) if dot else name in declared


def _nearest(name: str, declared: Mapping[str, Any]) -> str:
    """The tail of an error message: the nearest parameter, or entry of a dictionary."""
    entries = {
        key: f"{head}.{key}"
        for head, default in declared.items()
        if isinstance(default, dict)
        for key in ENTRIES.get(head, default)
    }
    [near] = get_close_matches(name, [*declared, *entries], n=1) or [name]
    return did_you_mean(entries.get(near, name), [*declared, *entries.values()])


def value_in(params: Mapping[str, Any], name: str) -> Any:
    """The value of a parameter, or of an entry "name.key"; "" where there is none."""
    head, dot, key = name.partition(".")
    return params.get(head, {}).get(key, "") if dot else params.get(name, "")


def put_value(params: dict[str, Any], name: str, value: Any) -> None:
    """Set a parameter, or an entry "name.key" of one; the dictionary that was there stays as it
    is."""
    head, dot, key = name.partition(".")
    params[head] = {**params[head], key: value} if dot else value


def overlaid(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """``upper`` over ``lower``: a whole dictionary replaces the one below, "name.key" an entry."""
    below = {k: v for k, v in lower.items() if k.partition(".")[0] not in upper}
    return {**below, **upper}


def _resolved(given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with each "name.key" put into the dictionary given as "name", or the default."""
    whole = {name: value for name, value in given.items() if "." not in name}
    for name in (name for name in given if "." in name):
        head = name.partition(".")[0]
        whole.setdefault(head, declared[head])
        put_value(whole, name, given[name])
    return whole


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a parameter's or a metric's value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(part)


def _require_utf8(texts: Iterable[str], where: str) -> None:
    try:
        require_utf8(texts, where)
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
    path = project / "papermill_runs" / f"{scale}.yaml"
    if not path.is_file() or path.name != f"{scale}.yaml":  # such as ../x
        one_of("scale", scale, scale_names(project))
    return _read_scale_file(path, project)


@cache
def _yaml_loader() -> type:
    """YAML 1.1 as PyYAML reads it, but 1e-3 is a number, and 02, 0100, 1:30 and 1_0, of which it
    would make 2, 64, 90 and 10, stay text; so does a day: 2026-01-02."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    changed = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")
    Loader.yaml_implicit_resolvers = {
        first: [each for each in known if each[0] not in changed]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    whole = re.compile(r"^[-+]?(0|[1-9]\d*|[1-9]\d{0,2}(_\d{3})+)$")
    number = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", whole, list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def read_yaml(text: str) -> Any:
    """What YAML ``text`` says; ValueError, one line, where it is none."""
    import yaml

    depths = accumulate((letter in "[{") - (letter in "]}") for letter in text)
    if max(depths, default=0) > DEEPEST:  # which would take minutes to read
        raise ValueError(f"more than {DEEPEST} brackets in each other")
    try:
        found = yaml.load(text, _yaml_loader())
    except (yaml.YAMLError, ValueError) as error:  # a date that cannot be is a ValueError
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("lists too deep in each other") from None
    _refuse_endless(found)
    return found


def _refuse_endless(value: Any) -> None:
    """ValueError where aliases make more of a text than anybody wrote, or hold themselves."""
    waiting, seen = [value], 0
    while waiting:
        part, seen = waiting.pop(), seen + 1
        if seen > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values, by aliases that hold each other")
        if isinstance(part, (dict, list)):
            waiting += part.values() if isinstance(part, dict) else part


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
    except (ValueError, RecursionError):
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
    _require_names(sections, f"{path}")
    sections = {section: values or {} for section, values in sections.items()}
    targets = sections.get("targets", {})
    _require_names(targets, f"{path}, targets")
    for section, values in [*sections.items(), *targets.items()]:
        _require_names(values, f"{path}, {section}")
    known = {
        name: declared_parameters(notebook_path(name, project)) for name in notebook_names(project)
    }
    for section, values in sections.items():
        if section in known:
            check_parameters(values, known[section], f"{path}, section {section}")
        elif section not in OTHER_SECTIONS:
            hint = did_you_mean(section, [*known, *OTHER_SECTIONS])
            raise ParameterError(f"{path}: unknown section {section!r}{hint}")
    require_declared(sections.get("common", {}), known.values(), f"{path}, section common")
    return sections


def _require_names(values: Any, where: str) -> None:
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParameterError(f"{where}: must be lines of NAME: VALUE, got {str(values)[:80]!r}")


def parameters_for(
    notebook: str,
    scale: str,
    overrides: Mapping[str, Any] | None = None,
    project: Path | None = None,
) -> dict[str, Any]:
    """What a notebook is given at a scale: common, then its section, then ``overrides``.

    A name "name.key" sets one entry of a dictionary, beside those given so far. Only what differs
    from the defaults' source is in it, plus ``scale``; names and kinds checked.
    """
    path = notebook_path(notebook, project)
    declared = declared_parameters(path)
    sections = scale_file(scale, project)
    common = {k: v for k, v in sections.get("common", {}).items() if takes(declared, k)}
    given = overlaid(overlaid(common, sections.get(path.stem, {})), overrides or {})
    return _resolved(check_parameters({**given, "scale": scale}, declared, path.stem), declared)


def parameters_to_run(
    notebook: str,
    scale: str,
    overrides: Mapping[str, Any] | None = None,
    project: Path | None = None,
) -> dict[str, Any]:
    """`parameters_for` a run. NoSchedule where a paper's scale does not say how long the page
    trains: full-size networks would train by the mini scale's schedule."""
    given = parameters_for(notebook, scale, overrides, project)
    trains = "epochs" in declared_parameters(notebook_path(notebook, project))
    if trains and scale.startswith(PAPER_SCALES) and not {"epochs", "steps"} & given.keys():
        others = [name for name in scale_names(project) if name.startswith(PAPER_SCALES)]
        able = [name for name in others if "epochs" in parameters_for(notebook, name, {}, project)]
        raise NoSchedule(
            f"{notebook}: papermill_runs/{scale}.yaml does not say how long it trains: "
            f"{'use scale ' + ' or '.join(able) + ', ' if able else ''}give -p epochs, or add a "
            "section for it"
        )
    return given


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
