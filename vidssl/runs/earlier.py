"""What a page takes from earlier runs: one rule to find it, asked before anything is computed.

A path that is given counts from where the user stands, and from the project's folder where it is
not there: a kernel of JupyterLab stands in ``notebooks/``, the paths that the tool prints begin at
the project. A path left empty means the run of the page that makes the file, explored by hand or
made by a command: one on the same data goes first, then one explored by hand, and of commands the
one whose settings are the most usual; of equals the newest. What is explored by hand has a folder
for each set of settings, and no record.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.core import PlainError, did_you_mean
from vidssl.files import read_json
from vidssl.runs.notebooks import notebook_names, notebook_path
from vidssl.runs.parameters import (
    ParameterError,
    changed_settings,
    put_value,
    scale_names,
    text_of,
    usual_settings,
    value_in,
)
from vidssl.runs.provenance import short, write_atomic

if TYPE_CHECKING:
    from vidssl.runs.records import Run

EXPLORATION = "exploration.json"  # what a page explored by hand was asked
OF_THE_DATA = ("dataset", "root", "dataset_options", "data_seed")
NOT_A_SETTING = {"scale", "run_folder", "seed", "publish", "num_workers", *OF_THE_DATA}
NAME_LENGTH = 80  # of an exploration's folder


class MissingInput(PlainError, FileNotFoundError):
    """Something that a page needs is not there; the message says how to make it."""


@dataclass(frozen=True)
class Need:
    """What a page needs of another one.

    ``parameter`` names it ("pretrained.mers": the entry of a dictionary), ``notebook`` makes it,
    ``files`` are what its run must have left. The parameter's value is the path of the only file;
    of several files, or with ``folder``, that of the run's folder. ``settings`` are parameters
    that the earlier run must have had; backbone and width are held against a given file, too.
    ``made_with`` are lists that others must hold for the files to be made, for the advice. What is
    not ``required`` may stay empty, and is looked for while exploring by hand only, so that what a
    recorded run used stands in its parameters. Without ``when``, it is not needed at all.
    """

    parameter: str
    notebook: str = ""
    files: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    required: bool = True
    when: bool = True
    folder: bool = False

    @property
    def names_folder(self) -> bool:
        return self.folder or len(self.files) > 1


@dataclass(frozen=True)
class Earlier:
    """A run of a page: ``is_whole`` where it left all its files. ``made`` is when it left the last
    of them, or was begun, in seconds since the epoch."""

    folder: Path
    params: Mapping[str, Any]
    by_hand: bool
    is_whole: bool
    made: float


# --- paths ---------------------------------------------------------------------------------------


def located(value: str | Path, project: Path) -> Path | None:
    """The existing file or folder that ``value`` names from here or from the project, or None."""
    path = Path(value).expanduser()
    return next((p for p in (path, project / path) if p.exists()), None)


def locate_all(params: Mapping[str, Any], names: Iterable[str], project: Path) -> dict[str, Any]:
    """Those of the parameters ``names`` that are found from the project's folder alone, as whole
    paths. A list of paths is looked through one by one."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(part) for part in value]
        if not value or not isinstance(value, str) or Path(value).expanduser().exists():
            return value
        return str(located(value, project) or value)

    found = dict(params)
    for name in names:
        if value := value_in(params, name):
            put_value(found, name, moved(value))
    return {name: value for name, value in found.items() if value != params[name]}


def not_there(parameter: str, value: str, project: Path) -> MissingInput:
    """The error for a path that is neither here nor below the project."""
    places = dict.fromkeys([Path.cwd(), project]) if not Path(value).is_absolute() else ()
    looked = f" (looked in {' and '.join(map(str, places))})" if places else ""
    return MissingInput(f"{parameter}={value!r}: there is no such file or folder{looked}")


# --- explorations --------------------------------------------------------------------------------


def explore_folder(project: Path, notebook: str, params: Mapping[str, Any]) -> Path:
    """Where a page that is run by hand, without ``run_folder``, keeps its files:
    ``papermill_runs/explore/<page>/<scale>,<what differs from the scale's settings>``.

    Two settings never share a folder, so a second exploration leaves the first one's files alone.
    """
    changed = changed_settings(notebook, params, project, by_hand=True)
    settings = ",".join([params["scale"], *(f"{name}={value}" for name, value in changed.items())])
    name = re.sub(r"[^\w=,.-]+", "_", settings)[:NAME_LENGTH]
    if name != settings:  # something was left out: only a hash still tells two settings apart
        name += "-" + sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
    return project / "papermill_runs" / "explore" / notebook / name


def note_exploration(folder: Path, notebook: str, params: Mapping[str, Any]) -> None:
    """Leave in ``folder`` what the page was asked: later pages choose by it."""
    about = {"notebook": notebook, "parameters": dict(params)}
    about["begun"] = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    write_atomic(folder / EXPLORATION, json.dumps(about, indent=1, default=str) + "\n")


def explained(run: Run) -> str:
    """What the end of an exploration says: what stays, what does not count, what would."""
    changed = changed_settings(run.notebook, run.params, run.project)
    changed.pop("run_folder", None)
    command = make_command(run.notebook, changed, run.scale, recorded=True)
    return (
        f"explored by hand: later pages find its files in {short(run.folder, run.project)}.\n"
        "It has no record: `vidssl runs` and the tables leave it out. A run with one:\n"
        f"  {command}"
    )


# --- the rule ------------------------------------------------------------------------------------


def find_inputs(needs: Sequence[Need], run: Run) -> list[str]:
    """The path of each need of ``run``, "" where there is none and none is required.

    The run's parameters get what was found, so that its record says what was used. MissingInput
    names all that is missing, each with the page to open and the command that makes it.
    """
    found, missing = [], []
    for need in needs:
        try:
            found.append(_found(need, run) if need.when else "")
        except MissingInput as error:
            missing.append(str(error))
    if missing:
        raise MissingInput("\n".join(missing))
    return found


def _found(need: Need, run: Run) -> str:
    value = value_in(run.params, need.parameter)
    if value:
        path = _given(need, str(value), run.project)
    elif need.required or (need.notebook and not run.keeps_record):
        earlier, begun = newest(need, run)
        if earlier is None and need.required:
            raise MissingInput(_how_to_make(need, run, begun))
        if earlier is None:
            print(_how_to_make(need, run, begun).replace(" needs ", ", left out: ", 1))
            return ""
        path = earlier.folder if need.names_folder else earlier.folder / need.files[0]
        origin = "explored by hand" if earlier.by_hand else "made by a command"
        if begun:
            origin += f"; {short(begun, run.project)} was begun later and has not got so far"
        print(f"{need.parameter}: {short(path, run.project)}, {origin}")
    else:
        return ""
    put_value(run.params, need.parameter, str(path))
    return str(path)


def _given(need: Need, value: str, project: Path) -> Path:
    path = located(value, project)
    if path is None:
        raise not_there(need.parameter, value, project)
    if need.names_folder and path.is_file():
        path = path.parent
    if not need.names_folder and path.is_dir():
        path = path / need.files[0] if need.files else path
    lacking = [path.name] if not path.exists() else []
    if need.names_folder:
        lacking = [name for name in need.files if not (path / name).exists()]
    if lacking:
        folder = path if need.names_folder else path.parent
        there = sorted(p.name for p in folder.glob("[!.]*.*")) or ["nothing"]
        raise MissingInput(
            f"{need.parameter}={value!r} has no {', no '.join(lacking)} (it has "
            f"{', '.join(there)}): {_make_by(need)}"
        )
    if path.suffix == ".pt":
        _refuse_another_network(need, path)
    return path


def _make_by(need: Need) -> str:
    asked = _as_code(need.settings)
    return f"take a run of {need.notebook}{' with ' + asked if asked else ''}"


def _refuse_another_network(need: Need, path: Path) -> None:
    """Compare backbone and width of a file of weights with those that the page builds."""
    from vidssl.models.released import CheckpointError, read_checkpoint

    asked = {k: need.settings[k] for k in ("backbone", "width") if k in need.settings}
    try:
        content = read_checkpoint(path)
    except CheckpointError as error:
        raise MissingInput(f"{need.parameter}: {error}; {_make_by(need)}") from None
    about = content.get("about", {}) if isinstance(content, dict) else {}
    other = {k: about[k] for k in asked if k in about and about[k] != asked[k]}
    if other:
        raise MissingInput(
            f"{need.parameter}={str(path)!r} holds another network than this page builds: "
            f"{_as_code(other)} instead of {_as_code({k: asked[k] for k in other})}"
        )


def newest(need: Need, run: Run) -> tuple[Earlier | None, Path | None]:
    """The run that an empty value means, see the head of this file, and the folder of the last one
    that was begun after it and is not whole; None where there is none."""
    every = [*_earlier_runs(need, run)] if need.notebook else []

    def rank(earlier: Earlier) -> tuple:
        same_data = _data(earlier.params, run.project) == _data(run.params, run.project)
        same_seed = earlier.params.get("seed") == run.params.get("seed")
        unusual = 0 if earlier.by_hand else _unusual(need, earlier.params, run.project)
        return same_data, earlier.by_hand, -unusual, same_seed, earlier.made

    taken = max((each for each in every if each.is_whole), key=rank, default=None)
    begun = [each for each in every if not each.is_whole and (not taken or each.made > taken.made)]
    last = max(begun, key=lambda each: each.made, default=None)
    return taken, last and last.folder


def _unusual(need: Need, params: Mapping[str, Any], project: Path) -> int:
    """How many settings of a run are not the usual ones at its scale, nor asked for."""
    if params.get("scale") not in scale_names(project):
        return len(params)
    changed = changed_settings(need.notebook, params, project)
    return len(changed.keys() - need.settings.keys() - NOT_A_SETTING)


def _data(params: Mapping[str, Any], project: Path) -> tuple:
    """What tells one data set from another, however its path was written."""
    name = params.get("dataset", "embedded")
    if name == "embedded":
        return name, params.get("scale"), params.get("data_seed", 0)
    root = str(params.get("root", ""))
    return name, str((located(root, project) or Path(root)).resolve())


def _earlier_runs(need: Need, run: Run) -> Iterator[Earlier]:
    """Runs of another page, with the settings that are needed; what cannot be read is passed over.

    One made by a command is finished (``run.json``), or was only begun. One explored by hand need
    not be finished: its folder belongs to its settings alone, and files appear whole.
    """
    home = run.project / "papermill_runs"
    marks = ["*/*/run.json", "variants/*/*/*/run.json", f"explore/{need.notebook}/*/{EXPLORATION}"]
    for root in dict.fromkeys(path.resolve() for path in (home, run.runs_root or home)):
        for path in (path for mark in marks for path in root.glob(mark)):
            told, by_hand = _read(path), path.name == EXPLORATION
            params = told.get("parameters") if told.get("notebook") == need.notebook else None
            made = [path, *(path.parent / name for name in need.files)]
            is_whole = all(file.exists() for file in made)
            if _fits(params, need.settings) and (is_whole or by_hand):
                latest = max(file.stat().st_mtime for file in (made if is_whole else [path.parent]))
                yield Earlier(path.parent, params, by_hand, is_whole, latest)
        for folder in (path.parent for path in root.glob(f"*/*/{need.notebook}.ipynb")):
            if not (folder / "run.json").exists():
                yield Earlier(folder, {}, False, False, folder.stat().st_mtime)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


# --- what to do ----------------------------------------------------------------------------------


def _how_to_make(need: Need, run: Run, begun: Path | None) -> str:
    what = f"{run.notebook} needs {need.parameter}"
    if not need.notebook:
        return f"{what}: give it the path of a file"
    of = f" with {_as_code(need.settings)}" if need.settings else ""
    what += f": no run of {need.notebook}{of} has left {' and '.join(need.files)}"
    if begun:
        what += f"; {short(begun, run.project)} was begun and has not got so far"
    by_hand = _as_code(_to_change(need, run, by_hand=True), " = ")
    first = f"open {need.notebook}.ipynb, {f'set {by_hand}, ' if by_hand else ''}run all its cells"
    command = make_command(need.notebook, _to_change(need, run, by_hand=False), run.scale)
    return "\n".join(
        [
            what,
            f"  by hand:    {first}, then this page again",
            f"  by command: {command}",
            f"  or give {need.parameter} the path of {'a run' if need.names_folder else 'a file'}",
        ]
    )


def _to_change(need: Need, run: Run, by_hand: bool) -> dict[str, Any]:
    """The parameters that a run of the other page must be given to serve this one."""
    usual = usual_settings(need.notebook, run.scale, run.project, by_hand=by_hand)
    wanted = {name: run.params[name] for name in OF_THE_DATA if name in run.params}
    wanted |= need.settings
    for name, value in need.made_with.items():
        if set(value) - set(usual[name]):  # lists, of labelled shares: the usual ones may hold it
            wanted[name] = value
    return {k: v for k, v in wanted.items() if k in usual and v != usual[k]}


def _fits(params: Any, settings: Mapping[str, Any]) -> bool:
    return isinstance(params, dict) and all(params.get(k) == v for k, v in settings.items())


def make_command(
    notebook: str, changed: Mapping[str, Any], scale: str, *, recorded: bool = False
) -> str:
    """The command, typed in the project's folder, that runs a page with ``changed`` settings.

    Its folder is one in which later pages find it; with ``recorded`` it leaves a record as well.
    """
    root = Path(str(changed.get("root", ""))).name
    data = re.sub(r"\W+", "_", root or str(changed.get("dataset", "")))
    own = [data] if data else []
    own += [_word(name, value) for name, value in changed.items() if name not in OF_THE_DATA]
    apart = [] if recorded or scale == "mini" else [scale]
    folder = f"papermill_runs/{scale if recorded else 'mine'}/{'-'.join([notebook, *apart, *own])}"
    command = ["vidssl", "execute", notebook, folder]
    command += ["--scale", scale] if scale != "mini" else []
    for name, value in changed.items():
        command += ["-p", name, text_of(value)]
    return shlex.join(command)


def _word(name: str, value: Any) -> str:
    """A setting as part of a folder's name: "distinctive", "seed3", "pretrained"."""
    if isinstance(value, str) and value:
        return name if "/" in value else re.sub(r"\W+", "", value)
    return re.sub(r"\W+", "", f"{name}{value}")


def _as_code(settings: Mapping[str, Any], equals: str = "=") -> str:
    return ", ".join(f"{name}{equals}{value!r}" for name, value in settings.items())


def teacher_needs(fraction: float, **about: Any) -> list[Need]:
    """Both teachers of 30_timebalance_teachers, with what is fine-tuned on a labelled share.

    ``about``: further fields of `Need`, such as ``when``.
    """
    from vidssl.methods.timebalance import finetuned_name

    files = ("backbone.pt", "teacher.pt", finetuned_name(fraction))
    made_with = {"fractions": [fraction]}
    return [
        Need(kind, "30_timebalance_teachers", files, {"objective": kind}, made_with, **about)
        for kind in ("invariant", "distinctive")
    ]


FROM_SCRATCH = "scratch"


def start_needs(params: Mapping[str, Any], project: Path) -> dict[str, Need]:
    """What the parameter ``starts`` (name -> path of weights) needs of earlier runs.

    "scratch" needs nothing. A name without a path is that of the pages ``NN_<name>_...``: the
    first of them that leaves a ``backbone.pt`` makes it. ParameterError for a name without either.
    """
    from vidssl.runs.promises import files_of

    needs = {}
    for name, path in params["starts"].items():
        if name == FROM_SCRATCH:
            continue
        pages = [p for p in notebook_names(project) if p.partition("_")[2].startswith(f"{name}_")]
        left = {p: [f.name for f in files_of(notebook_path(p, project), {})] for p in pages}
        makers = [p for p in pages if "backbone.pt" in left[p]]
        if not path and not makers:
            methods = dict.fromkeys(p.split("_")[1] for p in notebook_names(project))
            hint = did_you_mean(name, [FROM_SCRATCH, *methods])
            raise ParameterError(
                f"starts: no page makes weights of {name!r}; give their path, "
                f'e.g. starts={{"{name}": "papermill_runs/.../backbone.pt"}}{hint}'
            )
        built = {"backbone": params["backbone"], "width": params["width"]}
        needs[name] = Need(f"starts.{name}", (makers or [""])[0], ("backbone.pt",), built)
    return needs
