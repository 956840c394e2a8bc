"""k-means that begins at a sample's centroids, against one that is seeded on all rows."""

import time

import numpy as np
import pytest

from vidssl.evaluation import clustering, kmeans, nmi


def mixture(rows, dimensions, clusters):
    """Features (N, D) of equally likely round clusters and the cluster each row is of."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((clusters, dimensions), dtype=np.float32)
    truth = rng.integers(0, clusters, rows)
    return centres[truth] + rng.standard_normal((rows, dimensions), dtype=np.float32), truth


def compare(features, truth, k, monkeypatch):
    """Seconds of one core, inertia and agreement with the truth: from a sample, from all rows."""
    found = []
    for small in (0, np.inf):
        monkeypatch.setattr(clustering, "SMALL", small)
        began = time.process_time()  # of one thread: fair on a busy machine
        clusters = kmeans(features, k, seed=0)
        spent = time.process_time() - began
        found.append((spent, clusters.inertia, nmi(clusters.labels, truth)))
    sampled, whole = found
    assert sampled[1] < 1.05 * whole[1]
    assert sampled[2] > whole[2] - 0.02
    return found


def test_a_sample_s_centroids_are_as_good_a_start(monkeypatch):
    compare(*mixture(4000, 32, 50), 50, monkeypatch)


@pytest.mark.bench
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("rows", "dimensions", "k"), [(20_000, 128, 200), (100_000, 256, 500)])
def test_ratio_to_seeding_on_all_rows(rows, dimensions, k, monkeypatch, ratio):
    threadpool_limits = pytest.importorskip("threadpoolctl").threadpool_limits
    with threadpool_limits(1):
        sampled, whole = compare(*mixture(rows, dimensions, k), k, monkeypatch)
    name = f"k-means of {rows} x {dimensions}, K = {k}, from a sample"
    ratio(name, whole[0] / sampled[0], "times as fast as", "seeded on all rows")
    print(f"\n{rows} x {dimensions} features, K = {k}: {whole[0] / sampled[0]:.1f} times as fast")
    print(
        f"from a sample {sampled[0]:.1f} s, inertia {sampled[1] / whole[1]:.4f} times the other's,"
    )
    print(f"NMI with the truth {sampled[2]:.4f} against {whole[2]:.4f}")
