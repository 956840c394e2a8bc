"""What is known of clips (features, pseudo-labels), joined by video id and time, never by order."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

import numpy as np

from vidssl.files import read_arrays, told, write_arrays

COLUMNS = ("video_id", "start", "stop")


@dataclass(frozen=True)
class ClipTable:
    """One row a clip.

    ``video_id`` (N,) texts; ``start`` and ``stop`` (N,) the clip's first frame and the one after
    its last; ``values`` (N,) labels or (N, D) features. ValueError for columns of several lengths.
    """

    video_id: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in (*COLUMNS, "values")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns must have one entry a clip, got {lengths}")

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def rows_of(self) -> dict[str, np.ndarray]:
        """The rows of each video in order of time."""
        order = np.lexsort((self.start, self.video_id))
        names, first = np.unique(self.video_id[order], return_index=True)
        return dict(zip(names.tolist(), np.split(order, first[1:])))

    @cached_property
    def middle(self) -> np.ndarray:
        """(N,) the middle of each clip, in frames."""
        return (self.start + self.stop) / 2

    def rows_at(self, video_ids: Sequence[str], middles: np.ndarray) -> np.ndarray:
        """(B, R) the rows whose middles are nearest to ``middles`` (B, R) of B videos.

        -1 where the video has no row, or none whose middle is within half its length: nothing is
        known about that time. Of two equally near rows the earlier one is taken.
        """
        rows_nearest = np.full(np.shape(middles), -1, dtype=np.int64)
        for place, (video_id, wanted) in enumerate(zip(video_ids, middles, strict=True)):
            rows = self.rows_of.get(video_id)
            if rows is not None:
                away = np.abs(self.middle[rows] - np.asarray(wanted)[:, None])
                nearest = away.argmin(axis=1)
                length = (self.stop - self.start)[rows[nearest]]
                near = away.min(axis=1) <= length / 2
                rows_nearest[place] = np.where(near, rows[nearest], -1)
        return rows_nearest

    def save(self, path: str | os.PathLike, column: str, **about: Any) -> Path:
        """Write an .npz with video_id, start, stop and the values under ``column``.

        ``about`` says what one must know of the values. The file appears whole or not at all. It is
        not compressed, so that `load_clip_table` can map it.
        """
        columns = {name: getattr(self, name) for name in COLUMNS}
        columns |= {column: self.values, "about": np.array(json.dumps(about))}
        return write_arrays(path, compressed=False, **columns)


def load_clip_table(path: str | os.PathLike, column: str) -> tuple[ClipTable, dict[str, Any]]:
    """The table that `ClipTable.save` wrote, with ``column`` as its values, and its ``about``.

    Values of more than `MAPPED` bytes stay on disk, memory-mapped. FileNotFoundError for a missing
    file; ValueError for one that is damaged or lacks a column.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no table of clips at {path}: run the notebook that makes it")
    try:
        arrays = read_arrays(path)
        columns = [arrays[name] for name in (*COLUMNS, column)]
        _check_columns(*columns)
        return ClipTable(*columns), dict(json.loads(str(arrays["about"])))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a table of clips with {column!r}: {told(error)}"
        ) from error


def _check_columns(video_id: np.ndarray, start: np.ndarray, stop: np.ndarray, values: np.ndarray):
    kinds = (video_id.dtype.kind, start.dtype.kind, stop.dtype.kind)
    if kinds != ("U", "i", "i") or {video_id.ndim, start.ndim, stop.ndim} != {1} or not values.ndim:
        raise ValueError("video_id, start and stop are no columns of texts and whole numbers")


class RowFile:
    """Rows of float32 that are gathered on disk, in a file without a name: memory holds none."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115
        self._count, self._shape = 0, ()

    def add(self, rows: np.ndarray) -> None:
        """Append rows (N, ...), as often as there are some; all of one shape (...)."""
        if len(rows):
            self._shape = rows.shape[1:]
            self._count += len(rows)
            self._write(np.ascontiguousarray(rows, dtype=np.float32))

    def _write(self, rows: np.ndarray) -> None:
        try:
            self._file.write(rows.data)
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno,
                f"rows of features cannot be kept below {gettempdir()} ({error.strerror}): make "
                "room, or let TMPDIR name a larger folder",
            ) from error

    def __len__(self) -> int:
        return self._count

    def rows(self) -> np.ndarray:
        """All of them, memory-mapped; (0,) where none was added."""
        if not self._count:
            return np.zeros(0, np.float32)
        shape = (self._count, *self._shape)
        return np.memmap(self._file, np.float32, "c", shape=shape).view(np.ndarray)
