import warnings

import numpy as np
import pytest

from vidssl.evaluation import clustering, feature_rows, kmeans, nmi, purity_score


@pytest.fixture(params=["all rows", "a sample"], autouse=True)
def seeded_from(request, monkeypatch):
    """Every test holds for both ways to find the first centroids."""
    if request.param == "a sample":
        monkeypatch.setattr(clustering, "SMALL", 0)
        monkeypatch.setattr(clustering, "SAMPLE", 8)


def groups(rows=600, clusters=12, dimensions=8, spread=0.3, shift=0.0):
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((clusters, dimensions)) + shift
    truth = np.arange(rows) % clusters
    return centres[truth] + spread * rng.standard_normal((rows, dimensions)), truth


def test_well_separated_groups_are_found():
    features, truth = groups()
    found = kmeans(features, 12, seed=3)
    assert nmi(found.labels, truth) == pytest.approx(1)
    assert found.sizes.tolist() == [50] * 12
    assert found.effective == pytest.approx(12)
    assert found.empty == ()
    order = found.labels[:12]
    means = np.stack([features[truth == c].mean(axis=0) for c in range(12)])
    np.testing.assert_allclose(found.centroids[order], means, atol=1e-4)
    expected = ((features - means[truth]) ** 2).sum()
    assert found.inertia == pytest.approx(expected, rel=1e-5)


def test_the_same_seed_gives_the_same_clusters():
    features, _ = groups(spread=3.0)
    first, second = (kmeans(features, 20, seed=5) for _ in range(2))
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.centroids, second.centroids)
    assert not np.array_equal(first.labels, kmeans(features, 20, seed=6).labels)


def test_at_a_fixed_point_every_row_has_its_nearest_centroid_and_every_centroid_its_mean():
    features, _ = groups(spread=3.0)
    found = kmeans(features, 10, seed=0, tol=0.0)
    distances = ((features[:, None] - found.centroids) ** 2).sum(-1)
    assert np.array_equal(distances.argmin(1), found.labels)
    means = [features[found.labels == c].mean(axis=0) for c in range(10)]
    np.testing.assert_allclose(found.centroids, means, atol=1e-4)


def test_far_from_the_origin():
    features, truth = groups(shift=1000.0)
    assert nmi(kmeans(features, 12, seed=0).labels, truth) == pytest.approx(1)


def test_of_more_rows_than_memory_holds_a_sample_is_learned_and_each_goes_to_the_nearest(
    tmp_path, monkeypatch
):
    features, truth = groups(rows=900)
    np.save(tmp_path / "bank.npy", features.astype(np.float16))
    bank = np.load(tmp_path / "bank.npy", mmap_mode="r")
    monkeypatch.setattr(clustering, "LARGE", 240 * 8)
    monkeypatch.setattr(feature_rows.pieces, "__defaults__", (100,))
    found = kmeans(bank, 12, seed=0)
    assert nmi(found.labels, truth) == pytest.approx(1)
    distances = ((bank[:, None] - found.centroids) ** 2).sum(-1)
    assert np.array_equal(distances.argmin(1), found.labels)
    assert found.inertia == pytest.approx(distances.min(1).sum(), rel=1e-4)
    assert found.sizes.tolist() == [75] * 12
    monkeypatch.setattr(clustering, "LARGE", 900 * 8)
    assert found.inertia < 1.1 * kmeans(bank, 12, seed=0).inertia
    np.testing.assert_array_equal(bank, features.astype(np.float16))


def test_fewer_distinct_rows_than_clusters():
    features = np.repeat([[0.0, 1.0], [5.0, 5.0]], 10, axis=0)
    with pytest.warns(UserWarning, match="3 of 5 clusters are empty"):
        found = kmeans(features, 5, seed=0)
    assert len(found.empty) == 3
    assert sorted(found.sizes.tolist()) == [0, 0, 0, 10, 10]
    assert found.inertia == 0


def test_constant_features():
    with pytest.warns(UserWarning, match="2 of 3 clusters are empty"):
        found = kmeans(np.full((9, 4), 7.0), 3, seed=0)
    assert np.array_equal(found.centroids, np.full((3, 4), 7.0))
    assert set(found.labels.tolist()) == {found.sizes.argmax()}


def test_collapse_is_told(monkeypatch):
    """One tight heap with all rows but nine, which are far apart: a sample may miss those."""
    monkeypatch.setattr(clustering, "SMALL", np.inf)
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.standard_normal((500, 2)), 1e4 * rng.standard_normal((9, 2))])
    with pytest.warns(UserWarning, match=r"collapsed: 1\.\d effective clusters of 10"):
        found = kmeans(features, 10, seed=0)
    assert found.effective < 1.5


def test_as_many_clusters_as_rows_and_one_cluster():
    features, _ = groups(rows=7)
    assert kmeans(features, 7, seed=0).inertia == pytest.approx(0, abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = kmeans(features, 1, seed=0)
    np.testing.assert_allclose(one.centroids[0], features.mean(axis=0), atol=1e-4)


def test_purity_and_mutual_information_by_hand():
    clusters, classes = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 2]
    assert purity_score(clusters, classes) == pytest.approx(4 / 6)
    joint = np.array([[2, 1, 0], [0, 2, 1]]) / 6
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    mutual = (joint[joint > 0] * np.log(joint[joint > 0] / independent[joint > 0])).sum()
    entropy = sum(-(p * np.log(p)).sum() for p in (joint.sum(0), joint.sum(1)))
    assert nmi(clusters, classes) == pytest.approx(2 * mutual / entropy)


def test_perfect_partial_and_chance_agreement():
    truth = np.arange(4000) % 4
    random = np.random.default_rng(0).integers(0, 4, 4000)
    assert purity_score(truth + 7, truth) == nmi(truth + 7, truth) == 1.0
    assert purity_score(truth // 2, truth) == 0.5
    assert purity_score(random, truth) == pytest.approx(0.25, abs=0.03)
    assert nmi(random, truth) == pytest.approx(0, abs=0.01)
    assert purity_score(np.arange(4000), truth) == 1.0  # each its own cluster: nothing gained


ROWS = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("features", "k", "options", "message"),
    [
        (ROWS, 5, {}, "k must be from 1 to the number of rows, 4, got 5"),
        (ROWS, 0, {}, "got 0"),
        (ROWS[0], 1, {}, r"features must be \(rows, D\)"),
        (ROWS[:0], 1, {}, r"features must be \(rows, D\), none of them 0"),
        (ROWS * np.nan, 2, {}, "features: holds nan or inf"),
        (ROWS, 2, {"max_iter": 0}, "max_iter must be 1 or more"),
    ],
)
def test_wrong_arguments_are_named(features, k, options, message):
    with pytest.raises(ValueError, match=message):
        kmeans(features, k, seed=0, **options)


@pytest.mark.parametrize("score", [purity_score, nmi])
def test_wrong_labels_are_named(score):
    for labels, classes, message in (
        ([0, 1], [0], "of the same length"),
        ([], [], "at least 1"),
        ([0, 1], [0, -1], r"classes must be integers from 0; leave unlabelled rows \(-1\) out"),
        ([0.5, 1], [0, 1], "labels must be integers"),
    ):
        with pytest.raises(ValueError, match=message):
            score(labels, classes)
