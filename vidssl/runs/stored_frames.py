"""Where the decoded frames of runs lie: all runs find the same, and what `vidssl prepare` made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.runs.inputs import _videos_root
from vidssl.runs.parameters import ParameterError
from vidssl.runs.provenance import find_project

if TYPE_CHECKING:
    from vidssl.core import VideoRecord
    from vidssl.data.frame_store import FrameStore, Stored


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
