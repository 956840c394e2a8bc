"""Folders of still images, made of what dependencies ship or of nothing at all.

A method that learns from still images can be given these in place of videos: `make_stills` writes
a folder that opens as ``dataset="folder"``. Only textures of training scenes go in, so that those
of test scenes stay unseen.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidssl.core import VideoRecord, derive_seed, one_of
from vidssl.data.folder_jobs import alone, remove_leftovers, writing
from vidssl.data.subsets import labelled_subset
from vidssl.data.textures import dead_leaves, photo_crop, photo_files
from vidssl.files import read_json, whole, write_atomic

SOURCES = ("photographs", "dead_leaves")
PLAN = "stills.json"  # what the folder holds


def still(source: str, number: int, *, seed: int = 0, side: int = 96) -> np.ndarray:
    """Image ``number`` of a source, uint8 (side, 4/3 side, 3): it depends on nothing else.

    'photographs' are random crops of the photographs that scikit-image and scikit-learn ship, in
    turn, so that the first nine show nine of them; 'dead_leaves' are generated. ValueError for an
    unknown source; FileNotFoundError where no photograph is installed.
    """
    one_of("source", source, SOURCES)
    size = side, round(side * 4 / 3)
    rng = np.random.default_rng(derive_seed(seed, "stills", source, number))
    if source == "dead_leaves":
        return dead_leaves(*size, rng)
    files = _photographs()
    return photo_crop(files[number % len(files)], *size, rng)


def images_per_class(records: Sequence[VideoRecord], count: int, seed: int) -> list[VideoRecord]:
    """``count`` still images of each class, drawn by ``seed``: small sets are parts of larger ones.

    Their classes are the folders they lie in, as ImageNet's are, whatever lies above these; they
    stay unlabelled. Of labelled videos it is `labelled_subset`. ValueError for a class of fewer
    images, or an image that lies in no folder.
    """
    if any(record.label >= 0 for record in records):
        return labelled_subset(records, count, seed)
    folders = [record.video_id.rpartition("/")[0] for record in records]
    if "" in folders:
        loose = records[folders.index("")].path
        raise ValueError(f"{loose}: lies in no class folder; images_per_class={count} asks for one")
    for folder, number in sorted(Counter(folders).items()):
        if number < count:
            raise ValueError(
                f"{folder!r} holds {number} images, images_per_class={count} asks for more"
            )
    labels = {name: label for label, name in enumerate(sorted({*folders}))}
    named = [replace(r, label=labels[f], class_name=f) for r, f in zip(records, folders)]
    drawn = {record.video_id for record in labelled_subset(named, count, seed)}
    return [record for record in records if record.video_id in drawn]


def _photographs() -> tuple[str, ...]:
    files = photo_files("train")
    if not files:
        raise FileNotFoundError("no photograph is installed: pip install scikit-image scikit-learn")
    return files


def make_stills(
    folder: str | os.PathLike, *, source: str, count: int, seed: int = 0, side: int = 96
) -> Path:
    """Write ``count`` images of `still` below ``folder`` as PNG files and return it.

    The images of a smaller count are the first of a larger one. Files appear whole or not at all:
    a call that was stopped goes on where it was, and a second one waits for the first. ValueError
    for an unknown source or impossible numbers, FileExistsError where the folder holds other
    images, OSError where it cannot be written.
    """
    one_of("source", source, SOURCES)
    for name, value, least in (("count", count, 1), ("side", side, 8)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    plan = {"source": source, "count": count, "seed": seed, "side": side}
    if source == "photographs":
        plan["photographs"] = list(_photographs())
    folder = Path(folder)
    with writing(folder, "still images"):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            _take_over(folder, plan)
            for number in range(count):
                path = folder / f"{number:05d}.png"
                if not path.exists():
                    _write_png(path, still(source, number, seed=seed, side=side))
    return folder


def _take_over(folder: Path, plan: dict) -> None:
    """Leave ``plan`` in the folder; FileExistsError if another one, or no plan but files, is."""
    there = folder / PLAN
    if there.exists():
        held = read_json(there)
        different = [name for name in plan if held.get(name) != plan[name]]
    else:
        different = ["unknown"] * any(not path.name.startswith(".") for path in folder.iterdir())
    if different:
        raise FileExistsError(
            f"{folder} holds other files ({', '.join(different)}); choose another folder or "
            "delete it"
        )
    remove_leftovers(folder)
    if not there.exists():
        write_atomic(there, json.dumps(plan, indent=1))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    with whole(path) as partial:
        Image.fromarray(pixels).save(partial, "PNG")
