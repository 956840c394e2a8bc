"""Our k-means for many rows against scikit-learn's, on features with a known answer.

That ours is as good is asserted, on few rows by `make test`; how much faster it is, is printed by
`make bench` (several minutes, nearly all of them scikit-learn's).
"""

import time

import numpy as np
import pytest
import torch

from vidssl.evaluation import kmeans, nmi


def mixture(rows, dimensions, clusters):
    """Features (N, D) of equally likely round clusters and the cluster each row is of."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((clusters, dimensions), dtype=np.float32)
    truth = rng.integers(0, clusters, rows)
    return centres[truth] + rng.standard_normal((rows, dimensions), dtype=np.float32), truth


def compare(features, truth, k):
    """Seconds of one core, inertia and agreement with the truth of both."""
    found = {}
    for method in ("sampled", "sklearn"):
        began = time.process_time()  # of one thread: fair on a busy machine
        clusters = kmeans(features, k, seed=0, method=method)
        found[method] = time.process_time() - began, clusters.inertia, nmi(clusters.labels, truth)
    ours, theirs = found["sampled"], found["sklearn"]
    assert ours[1] < 1.01 * theirs[1]
    assert ours[2] > theirs[2] - 0.01
    return ours, theirs


def test_as_good_as_scikit_learn():
    compare(*mixture(4000, 32, 50), 50)


@pytest.mark.bench
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("rows", "dimensions", "k"), [(20_000, 128, 200), (200_000, 512, 1000)])
def test_ratio_to_scikit_learn_on_one_core(rows, dimensions, k):
    threadpool_limits = pytest.importorskip("threadpoolctl").threadpool_limits
    with threadpool_limits(1):
        torch.set_num_threads(1)
        ours, theirs = compare(*mixture(rows, dimensions, k), k)
    print(f"\n{rows} x {dimensions} features, K = {k}: {theirs[0] / ours[0]:.1f} times")
    print(f"scikit-learn's n_init=1; ours takes {ours[0]:.1f} s, inertia {ours[1] / theirs[1]:.4f}")
    print(f"times its, NMI with the truth {ours[2]:.4f} against {theirs[2]:.4f}")
