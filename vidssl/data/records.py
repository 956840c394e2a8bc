"""The data sets: a function a data set, and its entry here. See `vidssl.data.readers` for lists.

Readers of lists never touch the videos; `missing_files` tells which are absent.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vidssl.core import one_of
from vidssl.data.readers.diving48 import open_diving48
from vidssl.data.readers.folder import is_image, open_folder, read_folder
from vidssl.data.readers.hmdb51 import open_hmdb51
from vidssl.data.readers.kinetics import open_kinetics
from vidssl.data.readers.something import open_something
from vidssl.data.readers.text import require_folder
from vidssl.data.readers.ucf101 import open_embedded, open_ucf101
from vidssl.data.splits import Source, Splits, missing_files, require_files, without_missing
from vidssl.files import require_utf8

__all__ = ["DATASETS", "Splits", "is_image", "missing_files", "open_dataset", "read_folder"]
__all__ += ["require_files"]

DATASETS: dict[str, Callable[[Source], Splits]] = {
    "embedded": open_embedded,
    "folder": open_folder,
    "ucf101": open_ucf101,
    "hmdb51": open_hmdb51,
    "kinetics": open_kinetics,
    "something": open_something,
    "diving48": open_diving48,
}


def open_dataset(
    dataset: str,
    root: str | Path = "",
    *,
    annotations: str | Path = "",
    split: int = 1,
    test_groups: Sequence[str] | None = None,
    group_pattern: str = "",
    data_seed: int = 0,
    missing: str = "refuse",
    missing_at_most: float = 0.2,
) -> Splits:
    """Training and test videos of one of `DATASETS`.

    "embedded": ``root`` was written by `vidssl.data.synthetic.make_dataset`. "ucf101", "hmdb51":
    official ``split``, lists in ``annotations``. "kinetics": ``annotations`` holds train.csv and
    val.csv (or validate.csv); videos lie below ``root``, or below its train and val folders.

    "folder": class folders of videos are split by group. A group is a folder inside the class
    folders where there are such; or ``group_pattern`` is a regular expression whose first bracket,
    searched in the file's name, is the group; else each video is its own. ``test_groups`` names
    the held-out ones, otherwise a quarter of each class's groups is drawn with ``data_seed``.
    Videos that lie flat, and still images, are all for training, unlabelled.

    ``missing`` is about listed videos whose files are not there. "refuse": they are not looked for
    here, and whatever reads videos refuses to start on them. "skip": they are left out, also of
    the test videos, and `Splits.absent` has them, so that every count on this data is one of the
    videos that are there and `Splits.caveats` says of how many; more than the share
    ``missing_at_most`` of a side's videos is refused all the same.

    Raises ValueError for a class without a training or a test video, and for a video or a group
    on both sides, with the lines (in HMDB51 and Kinetics only for a video: their published lists
    share sources, which `Splits.caveats` counts); FileNotFoundError for absent folders and lists.
    """
    opener = DATASETS[one_of("dataset", dataset, tuple(DATASETS))]
    one_of("missing", missing, ("refuse", "skip"))
    if not 0 <= missing_at_most <= 1:
        raise ValueError(f"missing_at_most must be a share in [0, 1], got {missing_at_most}")
    require_folder(root, "root")
    require_utf8([root, annotations], root)
    if dataset != "folder" and (test_groups is not None or group_pattern):
        raise ValueError(
            f"test_groups and group_pattern belong to dataset='folder'; {dataset!r} has its lists"
        )
    source = Source(Path(root), annotations, split, test_groups, group_pattern, data_seed)
    with _no_collection():
        splits = replace(opener(source), name=dataset)
        return without_missing(splits, missing_at_most) if missing == "skip" else splits


@contextmanager
def _no_collection() -> Iterator[None]:
    """Records are made and none is garbage: the collector would walk through them all in vain,
    which is a third of the time for 240,000."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
