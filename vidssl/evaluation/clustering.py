"""k-means, and how well its clusters agree with classes.

`kmeans` takes scikit-learn's up to `SMALL`, where that needs a few seconds, and ours above. Nearly
all of scikit-learn's time goes into seeding, one row after the other over all rows. Ours seeds on
a sample and by the thousand, moves centroids that serve no group of their own, and only then goes
over all rows, where an iteration is one matrix product. On mixtures of groups it finds clusters
of the same or lower inertia (`tests/benchmarks/test_kmeans_speed.py` has the numbers). faiss has
the fastest iterations but starts from random rows, and stays with groups merged: 10 and 160 % more
inertia than scikit-learn on 20,000 x 128 features of 200 groups, so it is not used.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidssl.core import derive_seed, one_of

METHODS = ("auto", "sklearn", "sampled")
SMALL = 1_000_000_000  # rows x dimensions x clusters that scikit-learn clusters in a few seconds
SAMPLE = 32  # rows a cluster in the sample that the first centroids come from
ROUNDS = 5  # draws of k candidates each for a seed
SWAPS = 10  # tries to move superfluous centroids
CHUNK = 4096  # rows whose distances to all centroids are in memory at once


@dataclass(frozen=True)
class Clusters:
    """What `kmeans` found in N rows. Distances are Euclidean, in the unit of the features."""

    centroids: np.ndarray  # (K, D) float32
    labels: np.ndarray  # (N,) int64, the nearest centroid of each row
    inertia: float  # sum of squared distances of all rows to their centroids
    sizes: np.ndarray  # (K,) int64 rows in each cluster
    empty: tuple[int, ...]  # clusters without rows: fewer distinct rows than clusters
    reseeded: int | None  # times a cluster ran empty and was moved; scikit-learn does not tell
    iterations: int
    method: str

    @property
    def effective(self) -> float:
        """exp(entropy) of the sizes: K for clusters of one size, 1 when one has all rows."""
        share = self.sizes[self.sizes > 0] / self.sizes.sum()
        return float(np.exp(-(share * np.log(share)).sum()))


def kmeans(
    features: np.ndarray,
    k: int,
    *,
    seed: int,
    max_iter: int = 100,
    tol: float = 1e-4,
    method: str = "auto",
) -> Clusters:
    """``k`` clusters of features (N, D) that are near in the Euclidean sense.

    Seeds by greedy k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's iterations until the
    centroids move by less than ``tol`` (the sum of their squared shifts, in units of the mean
    variance of a feature) or ``max_iter`` is reached. A cluster that runs empty is moved to the
    row that is farthest from its centroid. ``method`` is "sklearn", "sampled" (ours, see above) or
    "auto", which takes scikit-learn up to `SMALL`. The same ``seed`` gives the same clusters.

    Warns when clusters stay empty and when the sizes have collapsed (`Clusters.effective` below a
    quarter of ``k``). ValueError for more clusters than rows, wrong shapes, or values that are
    not finite.

    >>> found = kmeans(np.array([[0.0], [0.2], [9.0], [9.2]]), 2, seed=0)
    >>> found.sizes.tolist(), round(found.inertia, 3)
    ([2, 2], 0.04)
    """
    one_of("method", method, METHODS)
    rows = _check_features("features", features)
    _check_counts(len(rows), k, max_iter)
    if method == "auto":
        method = "sklearn" if rows.size * k <= SMALL else "sampled"
    run = _sklearn if method == "sklearn" else _sampled
    centroids, reseeded, iterations = run(rows, k, derive_seed(seed, "kmeans"), max_iter, tol)
    labels, inertia = _assign(torch.from_numpy(rows), torch.from_numpy(centroids))
    sizes = np.bincount(labels.numpy(), minlength=k)
    found = Clusters(
        centroids=centroids,
        labels=labels.numpy(),
        inertia=inertia,
        sizes=sizes,
        empty=tuple(np.flatnonzero(sizes == 0).tolist()),
        reseeded=reseeded,
        iterations=iterations,
        method=method,
    )
    _warn(found)
    return found


def assign(features: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centroid (N,) int64 of features (N, D), by Euclidean distance.

    ``centroids`` (K, D); of equally near ones the first. ValueError for unequal D.
    """
    rows, centres = _check_features("features", features), _check_features("centroids", centroids)
    if rows.shape[1] != centres.shape[1]:
        raise ValueError(
            f"features and centroids must be of the same D, got {rows.shape} and {centres.shape}"
        )
    return _assign(torch.from_numpy(rows), torch.from_numpy(centres))[0].numpy()


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


def _sklearn(
    rows: np.ndarray, k: int, seed: int, max_iter: int, tol: float
) -> tuple[np.ndarray, None, int]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(k, n_init=1, max_iter=max_iter, tol=tol, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `_warn` names the empty clusters
        model.fit(rows)
    return model.cluster_centers_, None, model.n_iter_


def _sampled(
    rows: np.ndarray, k: int, seed: int, max_iter: int, tol: float
) -> tuple[np.ndarray, int, int]:
    """Seeds and first iterations on a sample, then all rows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(rows)
    mean = x.mean(dim=0)
    x = x - mean  # squared distances come from differences of large numbers otherwise
    tolerance = tol * float(x.square().mean())
    sample = x[torch.randperm(len(x), generator=generator)[: SAMPLE * k]]
    centroids, *_ = _lloyd(sample, _seeds(sample, k, generator), max_iter, tolerance)
    centroids = _swap(sample, centroids, generator)
    centroids, reseeded, iterations = _lloyd(x, centroids, max_iter, tolerance)
    return (centroids + mean).numpy(), reseeded, iterations


def _seeds(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """``k`` rows far apart: k-means|| (Bahmani et al. 2012), thinned out by greedy k-means++.

    Candidates are drawn by the thousand, so that their distances are one matrix product, with
    probability proportional to the squared distance to the candidates before. Each then counts
    for as many rows as it is the nearest of.
    """
    candidates = x[torch.randint(len(x), (1,), generator=generator)]
    nearest = _squared_distances(x, candidates).squeeze(1)
    for _ in range(ROUNDS):
        far = nearest.count_nonzero()
        if not far:
            break
        drawn = torch.multinomial(nearest, min(k, int(far)), generator=generator)
        candidates = torch.cat([candidates, x[drawn]])
        nearest = nearest.minimum(_two_nearest(x, x[drawn])[0])
    if len(candidates) < k:  # nearly all rows are alike
        candidates = torch.cat([candidates, x[: k - len(candidates)]])
    weights = torch.bincount(_nearest(x, candidates), minlength=len(candidates)).float()
    return candidates[_plus_plus(candidates, weights, k, generator)]


def _plus_plus(x: Tensor, weights: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Indices (k,) of rows far apart, by greedy k-means++ over rows of unequal ``weights``.

    Each is the best of a few rows, which are drawn with probability proportional to the weighted
    squared distance to those before; the best lowers the sum of these distances most.
    """
    trials = 2 + int(np.log(k))
    chosen = torch.multinomial(weights, 1, generator=generator)
    nearest = _squared_distances(x, x[chosen]).squeeze(1)
    squared = x.square().sum(dim=1)
    indices = [chosen]
    for _ in range(k - 1):
        cumulative = (nearest * weights).double().cumsum(0)
        draws = torch.rand(trials, generator=generator, dtype=torch.double) * cumulative[-1]
        drawn = torch.searchsorted(cumulative, draws, right=True).clamp_(max=len(x) - 1)
        distances = _squared_distances(x, x[drawn], squared).minimum(nearest[:, None])
        best = (weights @ distances).argmin()
        nearest = distances[:, best].contiguous()
        indices.append(drawn[best : best + 1])
    return torch.cat(indices)


def _squared_distances(x: Tensor, others: Tensor, squared: Tensor | None = None) -> Tensor:
    """(N, M) squared distances of rows (N, D) to (M, D); ``squared`` are the rows' lengths."""
    squared = x.square().sum(dim=1) if squared is None else squared
    products = torch.addmm(others.square().sum(dim=1), x, others.T, alpha=-2)
    return products.add_(squared[:, None]).clamp_(min=0)


def _lloyd(
    x: Tensor, centroids: Tensor, max_iter: int, tolerance: float
) -> tuple[Tensor, int, int]:
    """Lloyd's iterations from ``centroids``: the new ones, re-seeded clusters, iterations."""
    reseeded = iterations = 0
    while iterations < max_iter:
        iterations += 1
        labels = _nearest(x, centroids)
        moved = _means(x, labels, centroids)
        reseeded += _reseed(moved, x, labels)
        shift = float((moved - centroids).square().sum())
        centroids = moved
        if shift <= tolerance:
            break
    return centroids, reseeded, iterations


def _swap(x: Tensor, centroids: Tensor, generator: torch.Generator) -> Tensor:
    """Take superfluous centroids to where one serves two groups, while the inertia falls.

    Lloyd's iterations cannot do that: no centroid crosses the space between groups.
    """
    inertia, loss, labels = _usefulness(x, centroids)
    most = len(centroids)
    for _ in range(SWAPS):
        gain, halves = _split(x, labels, inertia, generator)
        pairs = _pair(gain, loss, most)
        if not pairs:
            break
        trial = centroids.clone()
        for target, spare in pairs:
            trial[[target, spare]] = halves[target]
        trial = _means(x, _nearest(x, trial), trial)
        found = _usefulness(x, trial)
        if found[0].sum() < inertia.sum():
            centroids, (inertia, loss, labels) = trial, found
        else:
            most = len(pairs) // 2
    return centroids


def _usefulness(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(K,) inertia of each cluster, (K,) by how much it would grow without it, (N,) labels."""
    first, second, labels = _two_nearest(x, centroids)
    zeros = torch.zeros(len(centroids), dtype=torch.double)
    inertia = zeros.index_add(0, labels, first.double())
    return inertia, zeros.index_add(0, labels, (second - first).double()), labels


def _split(
    x: Tensor, labels: Tensor, inertia: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each cluster in two: (K,) by how much its inertia falls, (K, 2, D) the new centroids."""
    gain = torch.zeros_like(inertia)
    halves = x.new_zeros(len(inertia), 2, x.shape[1])
    order = labels.argsort(stable=True)
    sizes = torch.bincount(labels, minlength=len(inertia)).tolist()
    for cluster, own in enumerate(order.split(sizes)):
        if len(own) > 2:
            rows = x[own]
            start = rows[torch.randperm(len(rows), generator=generator)[:2]]
            halves[cluster], *_ = _lloyd(rows, start, 5, 0.0)
            nearest = _squared_distances(rows, halves[cluster]).amin(dim=1)
            gain[cluster] = inertia[cluster] - nearest.sum(dtype=torch.double)
    return gain, halves


def _pair(gain: Tensor, loss: Tensor, most: int) -> list[tuple[int, int]]:
    """(cluster to split, cluster to give up) while the one gains more than the other loses."""
    pairs, used = [], set()
    spares = iter(loss.argsort().tolist())
    for target in gain.argsort(descending=True).tolist():
        spare = next((s for s in spares if s not in used and s != target), None)
        if spare is None or target in used or len(pairs) == most or gain[target] <= loss[spare]:
            break
        pairs.append((target, spare))
        used |= {target, spare}
    return pairs


def _two_nearest(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) squared distances to the nearest and to the second nearest, and the nearest."""
    squared = x.square().sum(dim=1)
    parts = []
    for rows, lengths in zip(x.split(CHUNK), squared.split(CHUNK)):
        distances = _squared_distances(rows, centroids, lengths)
        first, labels = distances.min(dim=1)
        distances.scatter_(1, labels[:, None], torch.inf)
        parts.append((first, distances.amin(dim=1), labels))
    return tuple(torch.cat(part) for part in zip(*parts))


def _means(x: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """(K, D) mean of each cluster's rows; an empty one stays where it was."""
    sizes = torch.bincount(labels, minlength=len(centroids))[:, None]
    sums = torch.zeros_like(centroids).index_add_(0, labels, x)
    return torch.where(sizes > 0, sums / sizes.clamp(min=1), centroids)


def _reseed(centroids: Tensor, x: Tensor, labels: Tensor) -> int:
    """Move centroids of empty clusters, in place, to the rows farthest from their centroids."""
    empty = (torch.bincount(labels, minlength=len(centroids)) == 0).nonzero().squeeze(1)
    if not len(empty):
        return 0
    distance = _distance_to_own(x, centroids, labels)
    far = distance.topk(len(empty))
    useful = far.values > 0  # otherwise each row stands on its centroid: nothing to split
    centroids[empty[useful]] = x[far.indices[useful]]
    return int(useful.sum())


def _nearest(x: Tensor, centroids: Tensor) -> Tensor:
    """(N,) the nearest centroid; |x|^2 is the same for all and left out."""
    half = centroids.square().sum(dim=1) / 2
    labels = [torch.addmm(half, rows, centroids.T, alpha=-1).argmin(1) for rows in x.split(CHUNK)]
    return torch.cat(labels)


def _assign(x: Tensor, centroids: Tensor) -> tuple[Tensor, float]:
    """The nearest centroid of each row, and the inertia."""
    mean = centroids.mean(dim=0)
    x, centroids = x - mean, centroids - mean
    labels = _nearest(x, centroids)
    return labels, float(_distance_to_own(x, centroids, labels).sum(dtype=torch.double))


def _distance_to_own(x: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """(N,) squared distance of each row to the centroid of its cluster."""
    parts = zip(x.split(CHUNK), labels.split(CHUNK))
    return torch.cat([(rows - centroids[own]).square().sum(dim=1) for rows, own in parts])


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


def _check_features(name: str, features: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(features, dtype=np.float32)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be (rows, D), none of them 0, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} hold nan or inf: look at the network that made them")
    return rows


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
