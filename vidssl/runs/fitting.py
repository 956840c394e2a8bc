"""A page's sizes on videos of one's own.

The notebooks' defaults are made for the embedded data: 1,600 training videos, 100 a class, of 64
frames. On ``dataset="folder"`` those that nobody gave become what the folder's videos allow:

==================  ============================================================================
videos_per_class    no more than the training videos of the smallest class
epochs              never fewer; as many as show a network as many videos in all as the default
                    does of the embedded data.
steps               of a fine-tuning: no more than 1,000 passes over its labelled videos
frame_stride,       the longest, up to the default, at which what a page takes of a video (a clip,
global_stride,      the global clip, all consecutive clips) fits into three of four videos;
local_stride        global_stride stays a multiple of locals_count
num_clusters        a tenth of the clips (or segments) that are put together, from 2 to the default
recall_at           the numbers of neighbours that the training videos are enough for
clusters            half the test videos (without any, the training ones), from 2 to the default
==================  ============================================================================

What the user gave is kept: values that papermill or ``vidssl -p`` inject, those of a scale's file,
and those that differ from the default. A number of videos_per_class that a class does not have is
refused, on every data set.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vidssl.runs.parameters import ParameterError

if TYPE_CHECKING:
    from vidssl.core import VideoRecord
    from vidssl.data import Splits

EMBEDDED_VIDEOS = 1600  # for training, in the data that the defaults are made for
MOST_PASSES = 1000  # over the labelled videos of a fine-tuning
LENGTHS_READ = 40  # videos that are opened to see how long a folder's are
SHORT_SHARE = 0.25  # of the videos that may be too short for a clip
SEGMENTS = {"thirds": 3, "boundaries": 3, "video": 1}  # about so many of a video, by level

Params = Mapping[str, Any]


def fit_to_data(params: Params, splits: Splits, given: Collection[str]) -> dict[str, Any]:
    """The parameters that change on this data set, with their values; a printed line names them.

    ``given`` are the names that the user set. Lengths are looked at in training and test videos
    alike, so that all folds of a set get one stride. ParameterError for a number of
    ``videos_per_class`` that a class does not have.
    """
    _require_enough(params, splits, given)
    if params.get("dataset") != "folder" or not splits.train:
        return {}
    fitted: dict[str, Any] = {}
    lengths = _lengths(splits) if any(name in params for name in _SPANS) else []
    for rule in RULES:
        changed = rule({**params, **fitted}, splits, lengths)
        fitted |= {k: v for k, v in changed.items() if k not in given and v != params[k]}
    if fitted:
        print(_told(params, splits, lengths, fitted))
    return fitted


def _told(params: Params, splits: Splits, lengths: list[int], fitted: Params) -> str:
    changes = ", ".join(f"{name} {params[name]} -> {value}" for name, value in fitted.items())
    classes = f" of {splits.num_classes} classes" if splits.num_classes else ""
    return (
        f"fitted to {len(splits.train)} training videos or images{classes}{_in_words(lengths)}: "
        f"{changes}; a value that you give is kept (-p NAME VALUE)"
    )


def _in_words(lengths: list[int]) -> str:
    if not lengths:
        return ""
    low, high = min(lengths), max(lengths)
    return f", {low} frames long" if low == high else f", {low} to {high} frames long"


# --- the rules ---------------------------------------------------------------------------------


def _videos_per_class(params: Params, splits: Splits, lengths: list[int]) -> dict[str, int]:
    asked = params.get("videos_per_class", 0)
    if not asked or params.get("label_list") or not splits.num_classes:
        return {}
    return {"videos_per_class": min(asked, min(_sizes(splits).values()))}


def _epochs(params: Params, splits: Splits, lengths: list[int]) -> dict[str, int]:
    if not params.get("epochs"):  # none, or 0: steps say how long
        return {}
    videos = min(len(splits.train), params.get("max_images") or len(splits.train))
    return {"epochs": max(params["epochs"], round(params["epochs"] * EMBEDDED_VIDEOS / videos))}


def _steps(params: Params, splits: Splits, lengths: list[int]) -> dict[str, int]:
    if not {"steps", "batch_size", "videos_per_class"} <= params.keys() or params.get("label_list"):
        return {}
    labelled = params["videos_per_class"] * splits.num_classes or len(splits.train)
    batches = labelled / min(params["batch_size"], labelled)
    return {"steps": min(params["steps"], round(MOST_PASSES * batches))}


_SPANS = {  # frames that a page takes of a video at a stride
    "frame_stride": lambda p, stride: (p.get("tuning_frames", p["frames"]) - 1) * stride + 1,
    "global_stride": lambda p, stride: p["frames"] * stride,
    "local_stride": lambda p, stride: p["clips"] * p["frames"] * stride,
}


def _strides(params: Params, splits: Splits, lengths: list[int]) -> dict[str, int]:
    if not lengths:
        return {}
    short = int(np.quantile(lengths, SHORT_SHARE, method="lower"))
    fitted = {}
    for name in (name for name in _SPANS if name in params):
        unit = params.get("locals_count", 1) if name == "global_stride" else 1
        longest = range(unit, params[name] + 1, unit)
        fits = [stride for stride in longest if _SPANS[name](params, stride) <= short]
        fitted[name] = max(fits, default=min(unit, params[name]))
    return fitted


def _num_clusters(params: Params, splits: Splits, lengths: list[int]) -> dict[str, int]:
    if not lengths or not {"num_clusters", "level", "dense_step"} <= params.keys():
        return {}
    span = _SPANS["frame_stride"](params, params["frame_stride"])
    clips = max(0, int(np.median(lengths)) - span) // params["dense_step"] + 1
    segments = len(splits.train) * SEGMENTS.get(params["level"], clips)
    return {"num_clusters": min(params["num_clusters"], max(2, math.ceil(segments / 10)))}


def _clusters(params: Params, splits: Splits, lengths: list[int]) -> dict[str, int]:
    if "clusters" not in params:
        return {}
    videos = len(splits.test or splits.train)
    return {"clusters": min(params["clusters"], max(2, videos // 2))}


def _recall_at(params: Params, splits: Splits, lengths: list[int]) -> dict[str, list[int]]:
    asked = params.get("recall_at", [])
    enough = [k for k in asked if k <= len(splits.train)]
    return {"recall_at": enough} if enough else {}


RULES = (_videos_per_class, _epochs, _steps, _strides, _num_clusters, _clusters, _recall_at)


# --- what the videos are like ------------------------------------------------------------------


def _sizes(splits: Splits) -> Counter[str]:
    return Counter(record.class_name for record in splits.train)


def _require_enough(params: Params, splits: Splits, given: Collection[str]) -> None:
    lacking = lacking_class(params, splits.train, given)
    if lacking and not params.get("label_list"):
        asked, (name, held) = params["videos_per_class"], lacking
        raise ParameterError(
            f"videos_per_class={asked}: class {name!r} has {held} training videos; give "
            f"videos_per_class {held} or less, 0 for all there are, or add videos of it"
        )


def lacking_class(
    params: Params, records: Iterable[VideoRecord], given: Collection[str]
) -> tuple[str, int] | None:
    """The smallest class of the videos that labels are drawn from, and how many it has, where
    ``videos_per_class`` asks for more; None where it does not, or is fitted to them."""
    asked = params.get("videos_per_class", 0)
    fitted = params.get("dataset") == "folder" and not params.get("label_list")
    sizes = Counter(record.class_name for record in records if record.label >= 0)
    if not asked or not sizes or (fitted and "videos_per_class" not in given):
        return None
    name, held = min(sizes.items(), key=lambda pair: pair[1])
    return (name, held) if held < asked else None


def _lengths(splits: Splits) -> list[int]:
    """Frames of up to `LENGTHS_READ` videos, spread evenly; unreadable ones are passed over."""
    from vidssl.core import UnreadableVideo
    from vidssl.data import video_length
    from vidssl.data.readers.folder import is_image

    videos = sorted([*splits.train, *splits.test], key=lambda record: record.video_id)
    step = -(-len(videos) // LENGTHS_READ)
    lengths = []
    for record in videos[::step]:
        try:
            lengths += [] if is_image(record.path) else [video_length(record.path)]
        except UnreadableVideo:
            continue
    return lengths
