"""From a notebook's parameters to the data set they name; the embedded data made where missing.

Decoded frames lie where all runs find the same, those too that `vidssl prepare` made.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.core import one_of
from vidssl.runs.cards import cores_here
from vidssl.runs.earlier import located, not_there
from vidssl.runs.parameters import ParameterError, scale_file, value_in
from vidssl.runs.provenance import find_project

if TYPE_CHECKING:
    from vidssl.core import VideoRecord
    from vidssl.data import Splits
    from vidssl.data.frame_store import FrameStore, Stored

# parameters that are paths, of what no other page makes
CLIP_OF = re.compile(r"(.+_g\d+)_c\d+")  # how UCF101 and its like name the clips of a recording
PATHS = ("root", "dataset_options.annotations", "flow", "records", "cells", "label_list")
PATHS += ("label_lists", "image", "without_classes")


def embedded_data(
    scale: str = "mini",
    data_seed: int = 0,
    runs_root: str | Path = "",
    videos: Iterable[str] | None = None,
) -> Path:
    """The embedded data of a scale, made where they are missing, in
    ``<runs_root>/data/<scale>-seed<data_seed>`` (default: the project's papermill_runs).

    The section ``data`` of the scale's file gives `make_dataset` its numbers. With ``videos``, only
    these are made now.
    """
    from vidssl.data.synthetic import make_dataset

    root = Path(runs_root) if runs_root else find_project() / "papermill_runs"
    numbers = {"scale": scale, "workers": cores_here(), **scale_file(scale).get("data", {})}
    folder = root / "data" / f"{scale}-seed{data_seed}"
    return make_dataset(folder, data_seed=data_seed, videos=videos, **numbers)


def check_inputs(params: Mapping[str, Any], project: Path) -> None:
    """Refuse, before anything is read or made, a data set or a list that is not there.

    ParameterError or ValueError for a data set that cannot be, MissingInput for a path.
    """
    if {"dataset", "root"} <= params.keys():
        from vidssl.data.registry import DATASETS, require_known

        dataset, options = params["dataset"], _options(params)
        require_known(dataset, options)
        _require_root(params)
        if "annotations" in DATASETS[dataset].options and "annotations" not in options:
            raise ParameterError(
                f"dataset={dataset!r} needs dataset_options.annotations, the folder of its lists"
            )
    for name, value in missing_paths(params, project):
        raise not_there(name, value, project)


def missing_paths(params: Mapping[str, Any], project: Path) -> list[tuple[str, str]]:
    """(parameter, path) of the folders and lists that no page makes and that are not there."""
    named = []
    unread = () if params.get("modality", "flow") == "flow" else ("flow",)
    for name in (name for name in PATHS if name not in unread):
        given = value_in(params, name) or []
        named += [(name, value) for value in (given if isinstance(given, list) else [given])]
    return [(name, value) for name, value in named if located(value, project) is None]


def _options(params: Mapping[str, Any]) -> dict[str, Any]:
    """What `open_dataset` is told beside the root; an entry that is empty tells nothing."""
    given = params.get("dataset_options", {})
    return {name: value for name, value in given.items() if value not in ("", [])}


def open_inputs(params: Mapping[str, Any], labelled: bool = False, whole: bool = True) -> Splits:
    """The data set that ``dataset``, ``root`` and their companions in ``params`` name.

    An empty ``root`` means the embedded data of the scale. Where they are not opened ``whole``,
    none of their videos need be there, see `make_videos`, and their fingerprint says nothing.
    ``labelled=True`` refuses data without classes or test videos. A ``validation`` above 0 is the
    share of the training videos, in whole groups, that takes the place of the test videos: settings
    are chosen on those, so that the test videos are met once. Where listed videos were skipped, the
    data set's name says how many, so that it stands on every figure. An unlabelled source may be
    the other side or lack classes, see `_source_side`. Raises as
    `vidssl.data.open_dataset` does.
    """
    from vidssl.data import open_dataset, validation_split

    dataset, root = params["dataset"], _videos_root(params, None if whole else ())
    data_seed = params.get("data_seed", 0)
    splits = open_dataset(dataset, root, data_seed=data_seed, **_options(params))
    splits.name += absent_in_words(splits.caveats)
    splits = _source_side(splits, params)
    if labelled:
        require_classes_to_tell(splits, root)
    if params.get("validation"):
        train, held_out = validation_split(splits.train, params["validation"], data_seed)
        name = f"{splits.name}, validation"
        absent = {"train": splits.absent["train"]} if splits.absent else {}
        splits = replace(splits, train=train, test=held_out, name=name, absent=absent)
    return splits


def require_classes_to_tell(splits: Splits, root: str | Path) -> None:
    """ParameterError for a set on which nothing can be tested: without labels, or of one class."""
    if not splits.test:
        raise ParameterError(
            f"root={str(root)!r} has no labelled test videos: put videos into one folder a class"
        )
    if splits.num_classes < 2:
        raise ParameterError(
            f"root={str(root)!r} holds one class folder, {splits.class_names[0]!r}: telling "
            "classes apart needs two or more; 11_mosi_pretrain takes it as it is"
        )


def _source_side(splits: Splits, params: Mapping[str, Any]) -> Splits:
    """What an unlabelled source is taken from: ``source_side`` "test" puts the test videos in place
    of the training ones, ``without_classes`` names a file of classes that are left out."""
    from vidssl.data import without_classes

    if one_of("source_side", params.get("source_side", "train"), ("train", "test")) == "test":
        moved = {
            name: {"train": side["test"]} if "test" in side else {}
            for name, side in (("absent", splits.absent), ("listed", splits.listed))
        }
        name = f"{splits.name}, its test videos"
        splits = replace(splits, train=splits.test, test=[], name=name, **moved)
    if params.get("without_classes"):
        kept = without_classes(splits, params["without_classes"])
        fewer = len(splits.train) - len(kept.train)
        splits = replace(kept, name=f"{splits.name} without {fewer} videos of named classes")
    return splits


def share_caveats(params: Mapping[str, Any], splits: Splits) -> dict[str, Any]:
    """Labelled shares that are less than one video of a class, which gets one all the same.

    "shares_below_one_video": share -> in how many classes, "of" how many.
    """
    shares = [params.get("label_fraction", 0), params.get("fraction", 0)]
    shares += params.get("fractions", [])
    lists = params.get("label_list") or params.get("label_lists")
    sizes = Counter(record.label for record in splits.train if record.label >= 0)
    few = {share: sum(share * size < 1 for size in sizes.values()) for share in shares}
    told = {f"{share:g}": few[share] for share in few if share and few[share] and not lists}
    return {"shares_below_one_video": {**told, "of": len(sizes)}} if told else {}


def recording_caveats(splits: Splits) -> dict[str, Any]:
    """Test videos that, by their names, were cut from a recording that training videos are of, too:
    the same person at the same place, which pixels know again. Where groups are known there are
    none, or `Splits.caveats` counts them.

    "shared_recordings": how many of them ("shared"), of how many "test_videos".
    """
    trained = {_recording(record) for record in splits.train} - {""}
    shared = sum(_recording(record) in trained for record in splits.test)
    counts = {"test_videos": len(splits.test), "shared": shared}
    return {"shared_recordings": counts} if shared else {}


def _recording(record: VideoRecord) -> str:
    """Of a video that is a group of its own: its name before the clip's number; else ""."""
    named = CLIP_OF.fullmatch(Path(record.path).stem)
    return named[1] if named and record.group == record.video_id else ""


def absent_in_words(caveats: Mapping[str, Any]) -> str:
    """The videos that a data set lacks, as its name and tables say it; see `Splits.caveats`.

    >>> absent_in_words({"missing": {"test": {"listed": 20, "absent": 3, "first": ["a"]}}})
    ' without 3 of 20 test videos'
    """
    lacking = caveats.get("missing", {})
    sides = [f"{n['absent']} of {n['listed']} {side}" for side, n in lacking.items()]
    return f" without {', '.join(sides)} videos" if sides else ""


def _require_root(params: Mapping[str, Any]) -> None:
    if not params.get("root") and params["dataset"] != "embedded":
        raise ParameterError(f"dataset={params['dataset']!r} needs root, the folder of its videos")


def make_videos(params: Mapping[str, Any], records: Iterable[VideoRecord]) -> None:
    """Make those of the embedded videos that are to be looked at and are not there yet."""
    if params["dataset"] == "embedded":
        _videos_root(params, [record.video_id for record in records])


def _videos_root(params: Mapping[str, Any], videos: Iterable[str] | None = None) -> str | Path:
    _require_root(params)
    scale, data_seed = params["scale"], params.get("data_seed", 0)
    return params.get("root", "") or embedded_data(scale, data_seed, videos=videos)


def open_flow(params: Mapping[str, Any]) -> dict[str, str]:
    """Where the optical flow of a notebook's videos lies: ``flow``, and ``root``, the videos'.

    An empty ``flow`` in ``params`` means a folder beside the videos, named after ``flow_method``
    and ``flow_side`` (px of the short side that flow is computed at). What is missing there is
    extracted now; a run beside this one waits for it. A video that cannot be read gets no flow.
    """
    from vidssl.motion.extract import extract_flow

    root, method, side = _videos_root(params), params["flow_method"], params["flow_side"]
    folder = params["flow"] or f"{root}-flow-{method}{side}"
    if not params["flow"]:
        print(extract_flow(root, folder, method=method, short_side=side, workers=os.cpu_count()))
    return {"flow": str(folder), "root": str(root)}


# --- decoded frames ------------------------------------------------------------------------------


def open_frames(
    params: Mapping[str, Any], records: Sequence[VideoRecord], short_side: int
) -> FrameStore | None:
    """Decoded frames of ``records``, made now where no run has made them before.

    ``frame_store_gb`` in ``params`` bounds the store; with 0 there is none (None) and every clip
    is decoded.
    """
    import torch

    limit = params["frame_store_gb"]
    if limit < 0:
        raise ParameterError(f"frame_store_gb={limit} must be 0 (no store) or more")
    if limit == 0:
        return None
    store = frame_store(_videos_root(params), short_side)
    workers = torch.get_num_threads()  # this run's share of the cores
    print(store.add([record.path for record in records], limit, workers=workers))
    return store


def prepare_frames(
    root: str | Path, short_side: int, gigabytes: float, *, workers: int = 2
) -> Stored:
    """Decode all videos below ``root``, or all images where there is none, into the store of runs.

    Raises FileNotFoundError and ValueError as `vidssl.data.read_folder` does, and for
    ``gigabytes`` below 0 or no number.
    """
    if not gigabytes >= 0:
        raise ValueError(f"gb={gigabytes} must be 0 or more, in GB")
    paths = [record.path for record in _all_below(root)]
    store = frame_store(root, short_side)
    return store.add(paths, gigabytes, workers=workers)


def _all_below(root: str | Path) -> list[VideoRecord]:
    from vidssl.data import read_folder, read_images

    try:
        return read_folder(root, labelled=False)
    except ValueError as error:  # no videos: a folder of images?
        try:
            return read_images(root)
        except ValueError:
            raise error from None


def frame_store(root: str | Path, short_side: int) -> FrameStore:
    """The store that all runs on the videos below ``root`` share at a short side.

    It lies in a folder ``frames`` beside embedded data, and for other videos in the project's
    ``papermill_runs/data``; the environment's VIDSSL_FRAMES names another folder.
    """
    from vidssl.data import backend
    from vidssl.data.frame_store import FrameStore
    from vidssl.data.synthetic import MARKER

    place, home = Path(root).resolve(), os.environ.get("VIDSSL_FRAMES", "")
    known = str(place)
    if not home and (place / MARKER).is_file():
        home, known = place.parent / "frames", place.name  # may be moved together
    home = Path(home or find_project() / "papermill_runs" / "data" / "frames")
    mark = blake2b(f"{backend()} {known}".encode(errors="surrogateescape"), digest_size=3)
    return FrameStore(home / f"{place.name}-{short_side}px-{mark.hexdigest()}", root, short_side)
