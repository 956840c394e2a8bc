"""Rows of features that may be more than memory holds: looked at and read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PIECE = 2**16  # rows: 128 MB of 512 values each


def pieces(rows: np.ndarray, count: int = PIECE) -> Iterator[tuple[slice, np.ndarray]]:
    """``rows`` (N, D) in their order, ``count`` at a time: where, and a float32 copy of them.

    Of a memory-mapped array no more is read than is asked for.
    """
    for first in range(0, len(rows), count):
        where = slice(first, first + count)
        yield where, np.array(rows[where], dtype=np.float32)


def check_rows(name: str, features: np.ndarray) -> np.ndarray:
    """``features`` as an array (N, D), where it lies; ValueError for another shape, for none, and
    for values that are not finite."""
    rows = np.asanyarray(features)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be (rows, D), none of them 0, got {rows.shape}")
    if not all(np.isfinite(part).all() for _, part in pieces(rows)):
        raise ValueError(f"{name}: holds nan or inf; look at the network that made them")
    return rows
