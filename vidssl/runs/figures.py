"""The one place where figures are written; the way back is in `vidssl.runs.tracing`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.files import plain_name
from vidssl.runs import provenance

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

RESULT_SCALE = "mini"  # its figures are the ones in git and bear no scale in their names
FRAME_MS, LAST_FRAME_MS = 120, 700  # of an animation; the last one stays, so that a loop is seen
PNG_DPI = (300, 200, 150, 100)  # the first at which the file stays below PNG_BYTES, or the last
PNG_BYTES = 2**19


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
    animation: np.ndarray | None = None,
) -> list[Path]:
    """Write ``name``.pdf and .png, .csv of its ``data`` and .json of its origin.

    The PNG has 300 dpi, or as many as keep it below 512 KiB.

    ``data`` is a list of dicts or a DataFrame, the numbers that the figure shows; ``alt`` says in
    words what it shows. ``animation``, frames (T, H, W, 3) uint8 of the same in motion, becomes
    ``name``.webp. The origin (run ids, commit, scale, data set) is in the metadata of PDF
    and PNG too. No time stamps: equal input gives equal files. Returns the paths, .json last.
    """
    if not alt.strip():
        raise ValueError(f"figure {name}: alt must say in words what the figure shows")
    folder, name = Path(folder), plain_name(name, "figure")
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {run: _record_hash(records, run) for run in from_runs}
    about = {"figure": name, "alt": alt, "scale": scale, "dataset": dataset}
    about |= {"from_runs": hashes, **(origin or {})}
    written = _write_pictures(figure, folder / name, about) if figure is not None else []
    written += (
        _write_animation(animation, folder / f"{name}.webp", about) if animation is not None else []
    )
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
        content = _png(figure, dpi, described)
        if len(content) < PNG_BYTES:
            break
    png.write_bytes(content)
    info = {"Title": about["figure"], "Subject": about["alt"], "Keywords": text}
    figure.savefig(pdf, metadata={"CreationDate": None, **info})
    return [png, pdf]


def _png(figure: Figure, dpi: int, described: Mapping[str, str]) -> bytes:
    """Without matplotlib's fourth channel, which is all opaque: film strips get a tenth smaller."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    drawn, content, info = io.BytesIO(), io.BytesIO(), PngInfo()
    figure.savefig(drawn, format="png", dpi=dpi)
    for name, words in described.items():
        info.add_text(name, words)
    picture = Image.open(drawn).convert("RGB")
    picture.save(content, "PNG", optimize=True, dpi=(dpi, dpi), pnginfo=info)
    return content.getvalue()


def _write_animation(frames: np.ndarray, path: Path, about: Mapping[str, Any]) -> list[Path]:
    from PIL import ExifTags, Image

    first, *others = (Image.fromarray(frame) for frame in frames)
    described = Image.Exif()
    described[ExifTags.Base.ImageDescription] = json.dumps(about)
    durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    settings = {"duration": durations, "loop": 0, "quality": 75, "method": 6, "exif": described}
    first.save(path, save_all=True, append_images=others, **settings)
    return [path]


def _write_rows(data: Any, path: Path) -> list[Path]:
    rows = data.to_dict("records") if hasattr(data, "to_dict") else list(data)
    if not rows:
        raise ValueError(f"{path}: no rows of data to write")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return [path]


def _record_hash(records: Path | None, run: str) -> str:
    path = records / f"{run}.json" if records else None
    return provenance.file_hash(path)[:12] if path and path.exists() else ""
