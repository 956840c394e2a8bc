"""What `vidssl runs` shows: each run with its state, from records and the folders of runs."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidssl.core import counted, one_of
from vidssl.progress import in_words
from vidssl.runs.execute import is_held
from vidssl.runs.graph import load
from vidssl.runs.notebooks import PLOTS, CodeNow
from vidssl.runs.parameters import NoSchedule, scale_names
from vidssl.runs.provenance import short
from vidssl.runs.records import OWN_RECORD, read_record, record_files, variants
from vidssl.runs.sets import SetsNow

STATES = {
    "finished": "made by the code, and of the set, as they are now",
    "stale": "made by other code, or of a set that has changed",
    "running": "a process works on it",
    "failed": "a cell stopped with an error",
    "stopped": "ended before its last cell: killed, or the machine went down",
}
OWN_RUNS = "my_runs"  # the folder of the project where the README's commands write
DEPTHS = ("[!.]*", "[!.]*/[!.]*")  # of runs below a folder: <name> alone, <scale>/<name>
FRAME = 3  # lines of a screen that are no run: header, summary, the next prompt
NUMBERS = 4  # metrics shown of a run


@dataclass(frozen=True)
class Listed:
    """One run: its record, of the ``file``, or what is known of one that has none yet. ``note``
    says why it failed; ``state`` is empty until somebody asked whether code and set are the same.
    """

    run: str
    scale: str
    notebook: str
    record: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    note: str = ""
    seconds: float = 0.0
    file: Path = Path()

    @property
    def method(self) -> str:
        """``mosi`` of ``11_mosi_pretrain``. Transfers of all methods share a page: whose start one
        is of says its name, "mini-mosi_transfer-xy-n20-s0"."""
        own = self.notebook.partition("_")[2].partition("_")[0]
        named = self.run.removeprefix(f"{self.scale}-").partition("_")[0]
        return named if own == "transfer" else own


@dataclass(frozen=True)
class Listing:
    """Runs that were asked for, and a line for each file among the records that is none."""

    runs: list[Listed]
    total: int  # before anything was left out
    unreadable: list[str]


def list_runs(
    root: Path,
    project: Path,
    *,
    method: str = "",
    target: str = "",
    scale: str = "",
    state: str = "",
) -> Listing:
    """The runs of a folder of all runs: those at work or broken off first, then the newest.

    Each word leaves out what it does not fit: ``method`` as notebooks are named (mosi), ``target``
    a notebook, a method, or what `vidssl run` makes, with every run behind it. ValueError for a
    word that fits no run, with the nearest; FileNotFoundError where nothing was ever run.
    """
    if state:
        one_of("state", state, list(STATES))
    every, unreadable = read_runs(root, by_themselves=True)
    if not every and not unreadable:
        empty = f"{root}: holds no runs and no records; run something first"
        raise FileNotFoundError(empty + told_apart(root, project))
    kept = every
    _refuse_elsewhere(scale, {run.scale for run in every}, root, project)
    for name, asked in {"method": method, "scale": scale}.items():
        if asked:
            one_of(name, asked, sorted({getattr(run, name) for run in every}))
            kept = [run for run in kept if getattr(run, name) == asked]
    if target:
        wanted = _of_target(target, every, project)
        kept = [run for run in kept if run.run in wanted]
    if state:
        kept = [run for run in with_states(kept, project) if run.state == state]
    return Listing(kept, len(every), unreadable)


def _refuse_elsewhere(scale: str, known: Collection[str], root: Path, project: Path) -> None:
    """ValueError that names the folders where a scale has runs, if it has none here."""
    if not scale or scale in known:
        return
    apart = [path for path in variants(root) if any(path.glob(f"records/{scale}-*.json"))]
    if named := ", ".join(short(path, project) for path in apart):
        raise ValueError(f"scale={scale!r} has its runs elsewhere, with -p: --runs-root {named}")


def read_runs(root: Path, by_themselves: bool = False) -> tuple[list[Listed], list[str]]:
    """Every run below ``root``, and a line for each file among its records that is none.

    ``by_themselves``: with those that were given a folder of their own there, which holds their
    record; they are named by its path.
    """
    by_id, unreadable = {}, []
    for path in [*record_files(root / "records"), *(own_records(root) if by_themselves else ())]:
        try:
            record = read_record(path)
        except ValueError as error:
            unreadable.append(str(error))
            continue
        scale = record["scale"] or str(record["parameters"].get("scale", ""))
        name = record["run"] if path.name != OWN_RECORD else _named(path.parent, root)
        told = {"seconds": record["seconds"], "file": path}
        by_id[name] = Listed(name, scale, record["notebook"], record, **told)
    for attempt in _attempts(root):
        earlier = by_id.get(attempt.run)
        if earlier:  # it is made anew, and its record is still that of the time before
            attempt = replace(attempt, notebook=earlier.notebook, record=earlier.record)
        by_id[attempt.run] = attempt
    ordered = sorted(by_id.values(), key=lambda run: run.run)
    ordered.sort(key=lambda run: run.record.get("finished", ""), reverse=True)
    return sorted(ordered, key=lambda run: not run.state), unreadable


def own_records(root: Path) -> list[Path]:
    """The records that lie in their run's folder, one or two folders below ``root``."""
    return sorted(path for depth in DEPTHS for path in root.glob(f"{depth}/{OWN_RECORD}"))


def _named(folder: Path, root: Path) -> str:
    """How a run is called that has no record, or one beside it."""
    return "-".join(folder.relative_to(root).parts)


# --- runs without a last word -------------------------------------------------------------------


def _attempts(root: Path) -> Iterator[Listed]:
    """The runs that were begun and have not ended well: their folder lacks a ``run.json``."""
    for depth in DEPTHS:
        for begun in root.glob(f"{depth}/.attempt.json"):
            if not begun.with_name("run.json").exists():
                yield _attempt(begun.parent, root, begun.stat().st_mtime)


def _attempt(folder: Path, root: Path, begun: float) -> Listed:
    notebook = next((path for path in folder.glob("[!.]*.ipynb")), None)
    stem = notebook.stem if notebook else ""
    scale = folder.parent.name if folder.parent != root else ""
    about = (_named(folder, root), scale, stem)
    if is_held(folder):
        return Listed(*about, state="running", seconds=time.time() - begun)
    reason = _error_of(notebook) if notebook else ""
    return Listed(*about, state="failed" if reason else "stopped", note=reason)


def _error_of(notebook: Path) -> str:
    """The first line of the error that an executed notebook ends with; empty if with none."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", ())]
        errors = [o for o in outputs if o["output_type"] == "error"]
        return f"{errors[-1]['ename']}: {errors[-1]['evalue']}".splitlines()[0] if errors else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""  # half written


# --- filters ------------------------------------------------------------------------------------


def with_states(runs: Iterable[Listed], project: Path) -> list[Listed]:
    """The same runs, each with a state. Plots do not make a run stale: its numbers stay."""
    code, sets = CodeNow(project), SetsNow(project)

    def state(run: Listed) -> str:
        changed = code.differs(run.notebook, run.record["code"], without=PLOTS)
        changed = changed or sets.changed(run.file, run.record)
        return "stale" if changed else "finished"

    return [run if run.state else replace(run, state=state(run)) for run in runs]


def _of_target(target: str, runs: Sequence[Listed], project: Path) -> set[str]:
    """Ids of the runs of a notebook, of all notebooks of a method, or behind a target."""
    wanted = {
        run.run
        for run in runs
        if target in (run.notebook, run.notebook.partition("_")[2], run.method)
    }
    known = {run.notebook for run in runs}
    for scale in {run.scale for run in runs} & {*scale_names(project)}:
        graph = load(scale, project=project)
        known |= graph.targets.keys()
        with suppress(NoSchedule):  # of a paper's other table
            jobs = graph.behind(target) if target in graph.targets else []
            wanted |= {graph.run_id(job) for job in jobs}
    if not wanted:
        one_of("target", target, sorted(known))
    return wanted


# --- text ---------------------------------------------------------------------------------------


def as_json(runs: Iterable[Listed]) -> str:
    """The records as one JSON list, each with its state, its method and its note."""
    records = []
    for run in runs:
        own = {name: value for name, value in vars(run).items() if name not in ("record", "file")}
        records.append({**run.record, **own, "method": run.method})
    return json.dumps(records, indent=1)


def as_lines(runs: Sequence[Listed]) -> list[str]:
    """A header and one line a run."""
    width = max([len(run.run) for run in runs] + [3])
    rows = [("run", "finished", "state", "took", "numbers")]
    rows += [
        (run.run, run.record.get("finished", ""), run.state, f"{run.seconds:.0f} s", _told(run))
        for run in runs
    ]
    return [
        f"{name:{width}}  {finished:10}  {state:8}  {took:>8}  {numbers}".rstrip()
        for name, finished, state, took, numbers in rows
    ]


def summary(listing: Listing, shown: int) -> str:
    """The last line: how many runs there are, how long they took one after another, and how to
    see those that are not shown."""
    fit = len(listing.runs)
    took = in_words(sum(run.seconds for run in listing.runs))
    among = f" of {listing.total} in all" if fit < listing.total else ""
    if shown == fit:
        return f"{counted(fit, 'run')}{among}, {took}"
    return (
        f"{shown} of {fit} runs{among and f' ({listing.total} in all)'}, {took} together; --all "
        "shows the rest, --method, --target, --scale, --state fewer"
    )


def told_apart(root: Path, project: Path) -> str:
    """Where runs with -p lie, and those by themselves in `OWN_RUNS`, to be said behind the last
    line; "" where there are none."""
    own = project / OWN_RUNS
    apart, alone = len(variants(root)), len(own_records(own)) if own != root.absolute() else 0
    where = f"{counted(apart, 'folder')} in {root / 'variants'}"
    told = f"; runs with -p: {where}, --runs-root shows one" if apart else ""
    return told + (f"; --runs-root {OWN_RUNS} shows {alone} of your own" if alone else "")


def _told(run: Listed) -> str:
    """Why it failed, or the first few of its metrics that are numbers."""
    if run.note:
        return run.note
    metrics = run.record.get("metrics", {})
    numbers = {k: v for k, v in metrics.items() if isinstance(v, (int, float))}
    shown = "  ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in list(numbers.items())[:NUMBERS]
    )
    is_old = run.state in ("running", "stopped")
    return f"before: {shown}" if is_old and shown else shown
