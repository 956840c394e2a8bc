"""The way back from a figure to what made it, and whether that is still the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidssl.core import counted, did_you_mean
from vidssl.runs import provenance
from vidssl.runs.notebooks import PLOTS, CodeNow
from vidssl.runs.records import OWN_RECORD, read_record, variants
from vidssl.runs.sets import SetsNow

ORIGIN = {"figure": str, "alt": str, "scale": str, "dataset": str, "files": dict, "from_runs": dict}
SUFFIXES = (".png", ".pdf", ".webp", ".csv", ".json")


def read_origin(figure: str | Path, project: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """(folder, origin) of a figure given by name, or by the path of any of its files.

    A name is looked for in the project's ``figures/``, then in those of runs with -p, below
    ``papermill_runs/variants``. FileNotFoundError with the nearest name where there is none, with
    the paths where several are; ValueError for a file that is no figure's origin.
    """
    path = Path(figure)
    stem = path.stem if path.suffix in SUFFIXES else path.name
    folder = path.parent
    if not (folder / f"{stem}.json").exists():
        folder = _folder_of(stem, project or provenance.find_project())
    return folder, _checked_origin(folder / f"{stem}.json")


def _folder_of(stem: str, project: Path) -> Path:
    """The folder of figures that holds the one of this name."""
    home = project / "figures"
    if (home / f"{stem}.json").exists():
        return home
    apart = [path / "figures" for path in variants(project / "papermill_runs")]
    known = {file.stem for folder in (home, *apart) for file in folder.glob("*.json")}
    found = [folder for folder in apart if (folder / f"{stem}.json").exists()]
    if not found:
        raise FileNotFoundError(f"no origin of figure {stem}{did_you_mean(stem, sorted(known))}")
    if len(found) > 1:
        paths = ", ".join(provenance.short(folder / f"{stem}.json", project) for folder in found)
        raise FileNotFoundError(f"{len(found)} figures are called {stem}; give the path: {paths}")
    return found[0]


def _checked_origin(file: Path) -> dict[str, Any]:
    try:
        origin = json.loads(file.read_bytes())
        kinds = [(name, origin[name], kind) for name, kind in ORIGIN.items()]
        kinds += [("commit", origin.get("commit") or "", str)]  # older ones have none
        lacking = [name for name, value, kind in kinds if not isinstance(value, kind)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: not the origin of a figure ({error!r})") from None
    if lacking:
        raise ValueError(f"{file}: not the origin of a figure ({lacking[0]} is of another kind)")
    return origin


def trace(figure: str | Path, records: Path | None = None) -> list[str]:
    """What made a figure, as lines of text.

    The first says ``current``, or ``stale`` and what changed: its files, its runs, their sets, or
    the code of either. Code of plots makes no number stale: of the runs behind a figure it does not
    count, and where it alone changed since the plot of their numbers was drawn, the first line says
    so beside ``current``. A figure of no other run's numbers is a picture, and stale by it. Then
    come the run that drew it and those it was made from: what is common to all of a notebook once,
    and of each run only what differs.
    """
    project = provenance.find_project()
    folder, origin = read_origin(figure, project)
    records = records or _records_near(folder, project)
    maker = folder / OWN_RECORD  # of a run by itself, whose figures lie in its folder
    if not maker.exists():
        maker = records / f"{origin.get('made_by', '')}.json"
    drawn = _read(maker)
    code, sets = CodeNow(project), SetsNow(project)
    runs = origin["from_runs"].items()
    behind = {run: _facts(run, was, records, code, sets) for run, was in runs}
    changed = [*_changed_files(folder, origin["files"]), *_changed_drawing(origin, drawn, code)]
    changed += _changed_runs(behind)
    return [
        f"{origin['figure']}: {_state(changed, origin, drawn, code)}",
        f"  {origin['alt']}",
        f"  scale {origin['scale']}, data {origin['dataset']}, commit {_commit(origin)}",
        f"  files: {', '.join(origin['files']) or 'none'}",
        *_drawn_by(origin, drawn),
        *_made_from(behind),
    ]


def _records_near(folder: Path, project: Path) -> Path:
    """The records that belong to a figure's folder: ``<runs_root>/figures`` or a run's own."""
    near = [above / "records" for above in folder.resolve().parents[:2]]
    home = project / "papermill_runs" / "records"
    return next((path for path in near if path.is_dir()), home)


def _read(path: Path) -> dict[str, Any]:
    """A run's record, or what is told in its place."""
    if not path.exists():
        return {"trouble": "no record"}
    try:
        return read_record(path)
    except ValueError:
        return {"trouble": "broken record"}


def _commit(made_of: Mapping[str, Any]) -> str:
    state = "with uncommitted changes" if made_of.get("dirty") else "clean"
    return f"{made_of['commit'][:12]} ({state})" if made_of.get("commit") else "unknown"


# --- what changed -------------------------------------------------------------------------------


def _changed_files(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    for name, wanted in files.items():
        if not (folder / name).exists():
            yield f"{name} missing"
        elif provenance.file_hash(folder / name) != wanted:
            yield f"{name} changed"


def _changed_drawing(origin: Mapping, drawn: Mapping, code: CodeNow) -> list[str]:
    if "trouble" in drawn:
        return [f"{drawn['trouble']} of {origin.get('made_by', 'what drew it')}"]
    rooms = _other_rooms(origin, drawn, code, without=PLOTS if origin["from_runs"] else ())
    return [f"other code draws it now ({', '.join(rooms)})"] if rooms else []


def _other_rooms(origin: Mapping, drawn: Mapping, code: CodeNow, without=()) -> list[str]:
    return code.differs(drawn["notebook"], origin.get("code") or drawn["code"], without)


def _state(changed: Sequence[str], origin: Mapping, drawn: Mapping, code: CodeNow) -> str:
    if changed:
        return f"stale: {'; '.join(changed)}"
    only_plots = _other_rooms(origin, drawn, code)  # the other rooms are told in `changed`
    return "current; other code plots its numbers now" if only_plots else "current"


def _facts(run: str, wanted: str, records: Path, code: CodeNow, sets: SetsNow) -> dict[str, Any]:
    """What is told of a run behind a figure; ``trouble`` where it is no longer what it was."""
    record = _read(file := records / f"{run}.json")
    if "trouble" in record:
        return record
    rooms = code.differs(record["notebook"], record["code"], without=PLOTS)
    again = wanted and provenance.file_hash(file)[:12] != wanted
    parameters = {k: v for k, v in record["parameters"].items() if k != "run_folder"}
    return {
        "notebook": record["notebook"],
        **parameters,
        "finished": record["finished"],
        "commit": _commit(record),
        **({"trouble": "made again since"} if again else {}),
        **({"other code": ", ".join(rooms)} if rooms else {}),
        **({"set": "changed since"} if sets.changed(file, record) else {}),
    }


def _changed_runs(behind: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for each way in which runs changed, with how many of them."""
    ways = Counter(facts["trouble"] for facts in behind.values() if "trouble" in facts)
    rooms = Counter(facts["other code"] for facts in behind.values() if "other code" in facts)
    ways["of a set that has changed"] += sum("set" in facts for facts in behind.values())
    ways |= {f"other code now ({names})": count for names, count in rooms.items()}
    return [f"{count} of {len(behind)} runs: {way}" for way, count in ways.items() if count]


# --- what made it -------------------------------------------------------------------------------


def _drawn_by(origin: Mapping, drawn: Mapping) -> list[str]:
    if "trouble" in drawn:
        return [f"drawn by {origin.get('made_by', 'nobody knows what')}: {drawn['trouble']}"]
    about = f"{drawn['notebook']}, {drawn['finished']}, commit {_commit(drawn)}"
    parameters = {k: v for k, v in drawn["parameters"].items() if k != "run_folder"}
    return [f"drawn by {drawn['run']}: {about}", f"  {_settings(parameters)}"]


def _made_from(behind: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The runs by notebook: what all of one have in common, then each with what it has alone."""
    lines = []
    for notebook in dict.fromkeys(facts.get("notebook") for facts in behind.values()):
        group = {run: f for run, f in behind.items() if f.get("notebook") == notebook}
        first, *others = group.values()
        common = {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)}
        runs = counted(len(group), "run")
        lines.append(f"from {runs} of {notebook}" if notebook else f"from {runs}")
        shared = {name: value for name, value in common.items() if name != "notebook"}
        lines += [f"  {'common to all: ' * (len(group) > 1)}{_settings(shared)}"]
        for run, facts in group.items():
            own = {name: value for name, value in facts.items() if name not in common}
            lines.append(f"  {run}: {_settings(own)}" if own else f"  {run}")
    return lines


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
