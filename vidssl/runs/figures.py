"""The one place where figures are written, and the way back from a figure to what made it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.core import did_you_mean
from vidssl.runs import provenance
from vidssl.runs.notebooks import notebook_code

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT_SCALE = "mini"  # its figures are the ones in git and bear no scale in their names
PNG_DPI = (300, 200, 150, 100)  # the first at which the file stays below PNG_BYTES, or the last
PNG_BYTES = 2**20


def figure_files(name: str, scale: str, runs_root: Path, project: Path) -> Path:
    """Where a published figure goes, without suffix.

    ``figures/`` of the project for runs under the project's own papermill_runs, else ``figures/``
    under ``runs_root``: a try elsewhere never touches the project's.
    """
    at_home = runs_root.resolve() == (project / "papermill_runs").resolve()
    folder = (project if at_home else runs_root) / "figures"
    return folder / (name if scale == RESULT_SCALE else f"{scale}_{name}")


def save_figure(
    figure: Figure | None,
    name: str,
    *,
    data: Any = None,
    alt: str,
    scale: str,
    dataset: str,
    from_runs: Sequence[str] = (),
    folder: str | Path = "figures",
    origin: Mapping[str, Any] | None = None,
    records: Path | None = None,
) -> list[Path]:
    """Write ``name``.pdf and .png, .csv of its ``data`` and .json of its origin.

    The PNG has 300 dpi, or as many as keep it below 1 MiB.

    ``data`` is a list of dicts or a DataFrame, the numbers that the figure shows; ``alt`` says in
    words what it shows. The origin (run ids, commit, scale, data set) is in the metadata of PDF
    and PNG too. No time stamps: equal input gives equal files. Returns the paths, .json last.
    """
    if not alt.strip():
        raise ValueError(f"figure {name}: alt must say in words what the figure shows")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {run: _record_hash(records, run) for run in from_runs}
    about = {"figure": name, "alt": alt, "scale": scale, "dataset": dataset}
    about |= {"from_runs": hashes, **(origin or {})}
    written = _write_pictures(figure, folder / name, about) if figure is not None else []
    written += _write_rows(data, folder / f"{name}.csv") if data is not None else []
    about["files"] = {path.name: provenance.file_hash(path) for path in written}
    provenance.write_atomic(folder / f"{name}.json", json.dumps(about, indent=1) + "\n")
    return [*written, folder / f"{name}.json"]


def _write_pictures(figure: Figure, stem: Path, about: Mapping[str, Any]) -> list[Path]:
    text = json.dumps(about)
    png, pdf = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.pdf")
    described = {"Title": about["figure"], "Description": about["alt"], "Origin": text}
    figure.set_label(about["alt"])  # a notebook shows the figure with it
    for dpi in PNG_DPI:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None, **described})
        if buffer.tell() < PNG_BYTES:
            break
    png.write_bytes(buffer.getvalue())
    info = {"Title": about["figure"], "Subject": about["alt"], "Keywords": text}
    figure.savefig(pdf, metadata={"CreationDate": None, **info})
    return [png, pdf]


def _write_rows(data: Any, path: Path) -> list[Path]:
    rows = data.to_dict("records") if hasattr(data, "to_dict") else list(data)
    if not rows:
        raise ValueError(f"{path}: no rows of data to write")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return [path]


def _record_hash(records: Path | None, run: str) -> str:
    path = records / f"{run}.json" if records else None
    return provenance.file_hash(path)[:12] if path and path.exists() else ""


def read_origin(figure: str | Path, project: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """(folder, origin) of a figure given by name, or by the path of any of its files."""
    path = Path(figure)
    folder = path.parent
    if not path.with_suffix(".json").exists():
        folder = (project or provenance.find_project()) / "figures"
    json_path = folder / f"{path.name}.json"
    if path.suffix in (".png", ".pdf", ".csv", ".json"):
        json_path = folder / f"{path.stem}.json"
    if not json_path.exists():
        known = sorted(p.stem for p in folder.glob("*.json"))
        raise FileNotFoundError(f"no origin of figure {figure!s}{did_you_mean(path.stem, known)}")
    return folder, json.loads(json_path.read_text())


def trace(figure: str | Path, records: Path | None = None) -> list[str]:
    """What made a figure, as lines of text: its runs and their parameters, the commit, and
    whether files, records and code are still those it was made from."""
    project = provenance.find_project()
    folder, origin = read_origin(figure, project)
    records = records or _records_near(folder, project)
    lines = [
        f"{origin['figure']}: {origin['alt']}",
        f"  scale {origin['scale']}, data {origin['dataset']}, commit {_commit(origin)}",
        *(f"  {_file_state(folder / name, wanted)}" for name, wanted in origin["files"].items()),
    ]
    lines += ["made by", *_run_state(origin.get("made_by", "?"), "", records, project)]
    lines += ["from"] if origin["from_runs"] else []
    for run, wanted in origin["from_runs"].items():
        lines += _run_state(run, wanted, records, project)
    return lines


def _records_near(folder: Path, project: Path) -> Path:
    """The records that belong to a figure's folder: ``<runs_root>/figures`` or a run's own."""
    near = [above / "records" for above in folder.resolve().parents[:2]]
    home = project / "papermill_runs" / "records"
    return next((path for path in near if path.is_dir()), home)


def _commit(made_of: Mapping[str, Any]) -> str:
    state = "with uncommitted changes" if made_of.get("dirty") else "clean"
    return f"{made_of['commit'][:12]} ({state})" if made_of.get("commit") else "unknown"


def _file_state(path: Path, wanted: str) -> str:
    if not path.exists():
        return f"{path.name}: missing"
    return f"{path.name}: " + ("unchanged" if provenance.file_hash(path) == wanted else "CHANGED")


def _run_state(run: str, wanted: str, records: Path, project: Path) -> list[str]:
    path = records / f"{run}.json"
    if not path.exists():
        return [f"  run {run}: no record in {records.name}/"]
    record = json.loads(path.read_text())
    settings = ", ".join(f"{k}={v}" for k, v in record["parameters"].items())
    rerun = wanted and provenance.file_hash(path)[:12] != wanted
    return [
        f"  run {run}: {record['notebook']}, {record['finished']}, commit {_commit(record)}",
        f"    {settings}",
        *(["    STALE: it was run again after the figure was made"] if rerun else []),
        f"    {_code_state(record, project)}",
    ]


def _code_state(record: Mapping[str, Any], project: Path) -> str:
    path = project / "notebooks" / f"{record['notebook']}.py"
    now = notebook_code(path) if path.exists() else {}
    was = record["code"]
    changed = sorted(room for room in {*was, *now} if was.get(room) != now.get(room))
    return f"code CHANGED since: {', '.join(changed)}" if changed else "code unchanged since"
