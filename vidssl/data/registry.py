"""The data sets: a function a data set, and its entry here. See `vidssl.data.readers` for lists.

Readers of lists never touch the videos; `missing_files` tells which are absent.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vidssl.core import did_you_mean, one_of
from vidssl.data.readers.diving48 import open_diving48
from vidssl.data.readers.folder import open_folder
from vidssl.data.readers.hmdb51 import open_hmdb51
from vidssl.data.readers.kinetics import open_kinetics
from vidssl.data.readers.something import open_something
from vidssl.data.readers.text import require_folder
from vidssl.data.readers.ucf101 import open_embedded, open_ucf101
from vidssl.data.splits import Source, Splits, without_missing
from vidssl.files import require_utf8


class DataSet(NamedTuple):
    """How a data set is opened, and which options of `open_dataset` it knows beside `FOR_ALL`."""

    opener: Callable[[Source], Splits]
    options: tuple[str, ...] = ("annotations",)


FOR_ALL = ("missing", "missing_at_most")
DATASETS = {
    "embedded": DataSet(open_embedded, ()),
    "folder": DataSet(open_folder, ("group_pattern", "test_groups")),
    "ucf101": DataSet(open_ucf101, ("annotations", "split")),
    "hmdb51": DataSet(open_hmdb51, ("annotations", "split")),
    "kinetics": DataSet(open_kinetics),
    "something": DataSet(open_something),
    "diving48": DataSet(open_diving48),
}


def require_known(dataset: str, options: Iterable[str]) -> None:
    """ValueError, one line, for an unknown data set and for an option that it does not know."""
    known = (*DATASETS[one_of("dataset", dataset, tuple(DATASETS))].options, *FOR_ALL)
    for name in options:
        if name not in known:
            of = [other for other, each in DATASETS.items() if name in each.options]
            whose = f": it belongs to {', '.join(of)}" if of else did_you_mean(name, known)
            raise ValueError(f"dataset={dataset!r} does not know the option {name!r}{whose}")


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

    Raises ValueError for a class without a training or a test video (a fold named by
    ``test_groups`` may lack classes: `Splits.caveats` names them), and for a video or a group
    on both sides, with the lines (in HMDB51 and Kinetics only for a video: their published lists
    share sources, which `Splits.caveats` counts); FileNotFoundError for absent folders and lists.
    """
    told = {"annotations": annotations, "split": split != 1}
    told |= {"test_groups": test_groups is not None, "group_pattern": group_pattern}
    require_known(dataset, [name for name, value in told.items() if value])
    one_of("missing", missing, ("refuse", "skip"))
    if not 0 <= missing_at_most <= 1:
        raise ValueError(f"missing_at_most must be a share in [0, 1], got {missing_at_most}")
    require_folder(root, "root")
    require_utf8([root, annotations], root)
    source = Source(Path(root), annotations, split, test_groups, group_pattern, data_seed)
    with _no_collection():
        splits = replace(DATASETS[dataset].opener(source), name=dataset)
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
