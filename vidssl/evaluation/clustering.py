"""k-means, and how well its clusters agree with classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidssl.core import derive_seed
from vidssl.evaluation.feature_rows import check_rows, pieces

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

SMALL = 1_000_000_000  # rows x dimensions x clusters that are seeded in a few seconds
SAMPLE = 32  # rows a cluster in the sample that the first centroids come from above that
LARGE = 2**26  # values, 256 MB; of more, rows with so many are drawn to learn centroids of


@dataclass(frozen=True)
class Clusters:
    """What `kmeans` found in N rows. Distances are Euclidean, in the unit of the features."""

    centroids: np.ndarray  # (K, D) float32
    labels: np.ndarray  # (N,) int64, the nearest centroid of each row
    inertia: float  # sum of squared distances of all rows to their centroids
    sizes: np.ndarray  # (K,) int64 rows in each cluster
    empty: tuple[int, ...]  # clusters without rows: fewer distinct rows than clusters
    iterations: int

    @property
    def effective(self) -> float:
        """exp(entropy) of the sizes: K for clusters of one size, 1 when one has all rows."""
        share = self.sizes[self.sizes > 0] / self.sizes.sum()
        return float(np.exp(-(share * np.log(share)).sum()))


def kmeans(
    features: np.ndarray, k: int, *, seed: int, max_iter: int = 100, tol: float = 1e-4
) -> Clusters:
    """``k`` clusters of features (N, D) that are near in the Euclidean sense.

    scikit-learn's: seeds by greedy k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's
    iterations until the centroids move by less than ``tol`` (the sum of their squared shifts, in
    units of the mean variance of a feature) or ``max_iter`` is reached. Nearly all of its time goes
    into seeding, row after row, so above `SMALL` it begins at the centroids of a sample of `SAMPLE`
    rows a cluster. More than `LARGE` values may lie in a memory-mapped file: the centroids are
    learned of a sample of that size, then every row is read once and goes to its nearest (1,000
    clusters have 131 sampled rows each at D = 512). The same ``seed`` gives the same clusters.

    Warns when clusters stay empty and when the sizes have collapsed (`Clusters.effective` below a
    quarter of ``k``). ValueError for more clusters than rows, wrong shapes, or values that are
    not finite.

    >>> found = kmeans(np.array([[0.0], [0.2], [9.0], [9.2]]), 2, seed=0)
    >>> found.sizes.tolist(), round(found.inertia, 3)
    ([2, 2], 0.04)
    """
    rows = check_rows("features", features)
    _check_counts(len(rows), k, max_iter)
    settings = {"n_init": 1, "max_iter": max_iter, "tol": tol}
    settings["random_state"] = derive_seed(seed, "kmeans") % 2**32
    learned = rows if rows.size <= LARGE else _drawn(rows, max(k, LARGE // rows.shape[1]), seed)
    model = _learned(np.ascontiguousarray(learned, dtype=np.float32), k, settings)
    labels, inertia = model.labels_, model.inertia_
    if learned is not rows:
        labels, inertia = _assigned(rows, model)
    sizes = np.bincount(labels, minlength=k)
    found = Clusters(
        centroids=model.cluster_centers_,
        labels=labels.astype(np.int64),
        inertia=float(inertia),
        sizes=sizes,
        empty=tuple(np.flatnonzero(sizes == 0).tolist()),
        iterations=model.n_iter_,
    )
    _warn(found)
    return found


def _drawn(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``count`` of the rows, in their order."""
    rng = np.random.default_rng(derive_seed(seed, "rows that centroids are learned of"))
    return rows[np.sort(rng.choice(len(rows), count, replace=False))]


def _learned(rows: np.ndarray, k: int, settings: dict[str, Any]) -> KMeans:
    """The model fitted to ``rows``, all in memory."""
    init = "k-means++"
    if rows.size * k > SMALL and len(rows) > SAMPLE * k:
        chosen = np.random.default_rng(settings["random_state"]).permutation(len(rows))
        init = _fitted(rows[chosen[: SAMPLE * k]], k, **settings).cluster_centers_
    return _fitted(rows, k, init=init, **settings)


def _fitted(rows: np.ndarray, k: int, **settings) -> KMeans:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `_warn` names the empty clusters
        return KMeans(k, **settings).fit(rows)


def _assigned(rows: np.ndarray, model: KMeans) -> tuple[np.ndarray, float]:
    """The nearest centroid of each row, and the sum of squared distances, piece by piece."""
    labels, inertia = np.empty(len(rows), dtype=np.int64), 0.0
    for where, part in pieces(rows):
        labels[where] = model.predict(part)
        part -= model.cluster_centers_[labels[where]]
        inertia += float(np.einsum("nd,nd->", part, part, dtype=np.float64))
    return labels, inertia


def purity_score(labels: Sequence[int], classes: Sequence[int]) -> float:
    """Share of rows whose class is the commonest of their cluster, in [0, 1].

    It grows with the number of clusters, to 1 when each row is its own: compare equal numbers.
    ``labels`` (N,) are clusters and ``classes`` (N,) the truth, both from 0.

    >>> purity_score([0, 0, 0, 1], [2, 2, 5, 5])
    0.75
    """
    clusters, truth = _check_labels(labels, classes)
    counts = np.zeros((clusters.max() + 1, truth.max() + 1), dtype=np.int64)
    np.add.at(counts, (clusters, truth), 1)
    return float(counts.max(axis=1).sum() / len(truth))


def nmi(labels: Sequence[int], classes: Sequence[int]) -> float:
    """Normalised mutual information of clusters and classes, in [0, 1]: 2 I / (H + H').

    1 when each tells the other, 0 when they are independent; not corrected for chance, which
    grows with the number of clusters. Arguments as in `purity_score`.

    >>> nmi([0, 0, 1, 1], [5, 5, 3, 3])
    1.0
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_check_labels(labels, classes)))


def _warn(found: Clusters) -> None:
    k = len(found.sizes)
    if found.empty:
        warnings.warn(
            f"{len(found.empty)} of {k} clusters are empty: the features have fewer distinct rows",
            stacklevel=3,
        )
    elif found.effective < k / 4:
        warnings.warn(
            f"clusters have collapsed: {found.effective:.1f} effective clusters of {k}, the "
            f"largest holds {found.sizes.max()} of {found.sizes.sum()} rows",
            stacklevel=3,
        )


def _check_counts(rows: int, k: int, max_iter: int) -> None:
    if not 1 <= k <= rows:
        raise ValueError(f"k must be from 1 to the number of rows, {rows}, got {k}")
    if max_iter < 1:
        raise ValueError(f"max_iter must be 1 or more, got {max_iter}")


def _check_labels(labels: Sequence[int], classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    clusters, truth = np.asarray(labels), np.asarray(classes)
    if clusters.ndim != 1 or clusters.shape != truth.shape or not len(clusters):
        raise ValueError(
            "labels and classes must be two lists of the same length, at least 1, got shapes "
            f"{clusters.shape} and {truth.shape}"
        )
    for name, given in (("labels", clusters), ("classes", truth)):
        if not np.issubdtype(given.dtype, np.integer) or given.min() < 0:
            raise ValueError(f"{name} must be integers from 0; leave unlabelled rows (-1) out")
    return clusters, truth
