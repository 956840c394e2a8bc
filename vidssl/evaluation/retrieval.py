"""Nearest neighbours of clips: how often one of them is of the right class.

Two protocols are in use, and their numbers must not be mixed. "clip-to-clip" is MotionFit's:
every test clip is a query and every training clip can be found. "video-to-video" is that of VCOP's
public code (Xu et al., CVPR 2019): the features of a video's ten clips are averaged first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from vidssl.core import one_of
from vidssl.evaluation.feature_rows import check_rows, pieces

PROTOCOLS = ("clip-to-clip", "video-to-video")
CHUNK = 1024  # queries whose similarities to a piece of the gallery are in memory at once


def retrieval_recall(
    query: np.ndarray,
    query_labels: Sequence[int],
    gallery: np.ndarray,
    gallery_labels: Sequence[int],
    ks: Sequence[int] = (1, 5, 20),
    unread: int = 0,
) -> dict[int, float]:
    """R@k: the share of queries, in [0, 1], with a row of their class among the k nearest.

    ``query`` (Q, D) and ``gallery`` (G, D) are features, nearest is of highest cosine similarity;
    labels are integers from 0. `retrieval_rows` makes the rows of either protocol from the clips
    of videos. ``unread`` queries more could not be read: they find nothing, and count. ValueError
    for wrong shapes, a k below 1 or above G, unlabelled rows (-1) and features that are not finite.

    >>> gallery = np.array([[2.0, 1.0], [1.0, 0.5], [0.2, 1.0]])
    >>> retrieval_recall(np.eye(2), [0, 1], gallery, [1, 0, 1], ks=(1, 3))
    {1: 0.5, 3: 1.0}
    """
    wanted = _check_labels("query_labels", query_labels, len(query))
    known = _check_labels("gallery_labels", gallery_labels, len(gallery))
    if not len(ks) or min(ks) < 1:
        raise ValueError(f"ks must be one or more numbers from 1, got {tuple(ks)}")
    right = known[nearest(query, gallery, max(ks))] == wanted[:, None]
    asked = len(right) + unread
    return {int(k): float(right[:, :k].any(axis=1).sum() / asked) for k in ks}


def nearest(query: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """Indices (Q, k) of the gallery's rows most alike each query, by cosine, the most alike first.

    ``query`` (Q, D), ``gallery`` (G, D), which may be memory-mapped and of any length: of both a
    piece is in memory at a time. A row of zeros is alike to nothing (cosine 0). ValueError
    as in `retrieval_recall`.
    """
    queries, rows = check_rows("query", query), check_rows("gallery", gallery)
    if queries.shape[1] != rows.shape[1]:
        raise ValueError(
            f"query and gallery must be of the same D, got {queries.shape} and {rows.shape}"
        )
    if not 1 <= k <= len(rows):
        raise ValueError(
            f"the gallery has {len(rows)} rows, {k} neighbours were asked for: give ks from 1 to "
            f"{len(rows)}"
        )
    alike, found = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64)
    for where, part in pieces(rows):
        columns = normalize(torch.from_numpy(part), dim=1).T
        near = [_most_alike(q, columns, k) for _, q in pieces(queries, CHUNK)]
        alike = torch.cat([alike, torch.cat([values for values, _ in near])], dim=1)
        found = torch.cat([found, torch.cat([rows for _, rows in near]) + where.start], dim=1)
        alike, order = alike.sort(dim=1, descending=True, stable=True)
        alike, found = alike[:, :k], found.gather(1, order[:, :k])
    return found.numpy()


def _most_alike(query: np.ndarray, columns: torch.Tensor, k: int) -> tuple[torch.Tensor, ...]:
    """Of each query the largest ``k`` cosines (Q, k) with columns (D, G), and which they are."""
    cosines = normalize(torch.from_numpy(query), dim=1) @ columns
    return tuple(cosines.topk(min(k, columns.shape[1])))


def retrieval_rows(
    clips: np.ndarray, labels: Sequence[int], protocol: str
) -> tuple[np.ndarray, np.ndarray]:
    """Features of clips (V, N, D) and labels of videos (V,) -> rows and labels of a protocol.

    "clip-to-clip" gives V N rows, clip n of video v at v N + n; "video-to-video" V rows, the means
    over clips. ValueError for another protocol or other shapes.

    >>> rows, labels = retrieval_rows(np.ones((3, 10, 4)), [0, 1, 1], "clip-to-clip")
    >>> rows.shape, labels.shape
    ((30, 4), (30,))
    """
    one_of("protocol", protocol, PROTOCOLS)
    clips = np.asarray(clips)
    if clips.ndim != 3:
        raise ValueError(f"clips must be (videos, clips, D), got {clips.shape}")
    classes = _check_labels("labels", labels, len(clips))
    if protocol == "video-to-video":
        return clips.mean(axis=1), classes
    return clips.reshape(-1, clips.shape[2]), classes.repeat(clips.shape[1])


def _check_labels(name: str, labels: Sequence[int], count: int) -> np.ndarray:
    found = np.asarray(labels)
    if found.shape != (count,):
        raise ValueError(f"{name} must be one label for each of {count} rows, got {found.shape}")
    if not np.issubdtype(found.dtype, np.integer) or (count and found.min() < 0):
        raise ValueError(f"{name} must be integers from 0; leave unlabelled rows (-1) out")
    return found
