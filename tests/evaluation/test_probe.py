"""Linear probe and nearest neighbours: perfect, partial and chance cases with known answers."""

import numpy as np
import pytest

from vidssl.evaluation import classification_report, knn, linear_probe
from vidssl.evaluation.probe import linear_head

PROBES = pytest.mark.parametrize("probe", [linear_probe, knn])


def clusters(per_class, spread, seed, classes=4, dimensions=8):
    """Features around one corner a class of a cube, and their labels."""
    labels = np.repeat(np.arange(classes), per_class)
    noise = np.random.default_rng(seed).normal(0, spread, (len(labels), dimensions))
    return (np.eye(dimensions)[labels] + noise).astype(np.float32), labels


def accuracy(probabilities, labels):
    names = [str(k) for k in range(probabilities.shape[1])]
    return classification_report(probabilities, labels, names).top1_accuracy


@PROBES
def test_separate_clusters_are_told_apart_perfectly(probe):
    (train, train_labels), (test, labels) = clusters(20, 0.05, 0), clusters(10, 0.05, 1)
    probabilities = probe(train, train_labels, test, 4)
    assert probabilities.shape == (40, 4)
    assert probabilities.sum(1) == pytest.approx(np.ones(40), abs=1e-5)
    assert accuracy(probabilities, labels) == 1.0


@PROBES
def test_features_that_say_nothing_give_chance(probe):
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(400, 8)), rng.normal(size=(1000, 8))
    labels = np.arange(1000) % 4
    found = accuracy(probe(train, np.arange(400) % 4, test, 4), labels)
    assert found == pytest.approx(0.25, abs=3 * np.sqrt(0.25 * 0.75 / 1000))


@PROBES
def test_two_classes_that_look_alike_are_guessed(probe):
    """Two of four classes share one corner: all of the others right, half of these."""
    (train, train_labels), (test, labels) = clusters(100, 0.05, 0), clusters(250, 0.05, 1)
    for features, of in ((train, train_labels), (test, labels)):
        features[of == 3] += np.eye(8, dtype=np.float32)[2] - np.eye(8, dtype=np.float32)[3]
    assert accuracy(probe(train, train_labels, test, 4), labels) == pytest.approx(0.75, abs=0.04)


@PROBES
def test_a_class_without_training_videos_gets_nothing(probe):
    train, labels = clusters(5, 0.05, 0)
    probabilities = probe(train, labels + (labels > 0), train, 5)
    assert probabilities.shape == (20, 5)
    assert (probabilities[:, 1] == 0).all()


def test_the_probe_does_not_mind_the_features_unit():
    (train, labels), (test, _) = clusters(10, 0.5, 0), clusters(10, 0.5, 1)
    shifted = linear_probe(1000 * train + 7, labels, 1000 * test + 7, 4)
    assert shifted == pytest.approx(linear_probe(train, labels, test, 4), abs=1e-3)


def test_votes_are_weighted_by_similarity():
    """Neighbours at cosines 1, 0.8 and 0 from the query: softmax of them over 0.5."""
    train = np.array([[2.0, 0.0], [0.8, 0.6], [0.0, 5.0]])
    votes = np.exp(np.array([1.0, 0.8, 0.0]) / 0.5)
    found = knn(train, [0, 1, 1], np.array([[0.1, 0.0]]), 2, k=3, temperature=0.5)
    assert found[0] == pytest.approx([votes[0] / votes.sum(), votes[1:].sum() / votes.sum()])


def test_the_nearest_k_vote_alone():
    train = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    query = np.array([[1.0, 0.0]])
    assert knn(train, [0, 0, 1], query, 2, k=2)[0].tolist() == [1.0, 0.0]
    many = knn(train, [0, 0, 1], query, 2, k=20, temperature=1e6)
    assert many[0] == pytest.approx([2 / 3, 1 / 3], abs=1e-5)  # k is capped; all votes alike


def test_a_small_temperature_does_not_overflow():
    found = knn(np.eye(2), [0, 1], np.array([[1.0, 0.5]]), 2, temperature=1e-4)
    assert found[0].tolist() == [1.0, 0.0]


FEATURES = np.zeros((4, 3))


@PROBES
@pytest.mark.parametrize(
    ("train", "labels", "test", "message"),
    [
        (FEATURES, [0, 1, 0, 1], np.zeros((2, 5)), "of the same D"),
        (FEATURES, [0, 1, 0], FEATURES, "one label for each of 4 training videos"),
        (FEATURES[:0], [], FEATURES, r"\(at least one\)"),
        (FEATURES, [0, 1, 0, 2], FEATURES, r"train_labels must be in \[0, 2\)"),
        (FEATURES, [0, 1, 0, -1], FEATURES, r"got -1\.\.1"),
        (FEATURES, [0, 1, 0, 1], FEATURES + np.nan, "test_features hold nan or inf"),
    ],
)
def test_wrong_arrays_are_named(probe, train, labels, test, message):
    with pytest.raises(ValueError, match=message):
        probe(train, labels, test, 2)


def test_other_errors():
    with pytest.raises(ValueError, match="class 0 alone"):
        linear_probe(FEATURES, [0] * 4, FEATURES, 2)
    with pytest.raises(ValueError, match="k must be 1 or more"):
        knn(FEATURES, [0] * 4, FEATURES, 2, k=0)
    with pytest.raises(ValueError, match="temperature above 0"):
        knn(FEATURES, [0] * 4, FEATURES, 2, temperature=0)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_head_says_what_the_probe_says(classes):
    """On features as they are, with a class that no training video has."""
    (train, labels), (test, _) = (clusters(6, 0.5, seed, classes) for seed in (0, 1))
    train, test = 3 * train + 1, 3 * test + 1
    probabilities = linear_probe(train, labels, test, classes + 1)
    weight, bias = linear_head(train, labels, classes + 1)
    logits = test @ weight.T + bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), probabilities, atol=1e-5)
    assert not shares[:, classes].any()
