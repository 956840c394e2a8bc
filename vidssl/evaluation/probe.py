"""What frozen features are worth: a linear classifier on them, and their nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def linear_probe(
    train_features: np.ndarray,
    train_labels: Sequence[int],
    test_features: np.ndarray,
    num_classes: int,
    *,
    c: float = 1.0,
    max_iter: int = 1000,
) -> np.ndarray:
    """Class probabilities (V, K) of V test videos by logistic regression on frozen features.

    Features (N, D) and (V, D) are standardised with the training's mean and deviation;
    ``train_labels`` (N,) are in [0, ``num_classes``). A class without training videos gets
    probability 0. ``c`` is the inverse of the L2 penalty's strength. ValueError for wrong shapes,
    features that are not finite, or labels of fewer than two classes.

    >>> features = np.array([[0.0], [0.1], [1.0], [1.1]])
    >>> linear_probe(features, [0, 0, 1, 1], np.array([[-1.0], [2.0]]), 2).argmax(1)
    array([0, 1])
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = _check(train_features, train_labels, test_features, num_classes)
    if len(np.unique(labels)) < 2:
        raise ValueError(f"train_labels hold class {labels[0]} alone: a probe needs two or more")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=max_iter))
    classifier.fit(train_features, labels)
    probabilities = np.zeros((len(test_features), num_classes), dtype=np.float32)
    probabilities[:, classifier.classes_] = classifier.predict_proba(test_features)
    return probabilities


def knn(
    train_features: np.ndarray,
    train_labels: Sequence[int],
    test_features: np.ndarray,
    num_classes: int,
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> np.ndarray:
    """Class probabilities (V, K) of V test videos by their ``k`` nearest training videos.

    Nearest by cosine similarity s; each neighbour votes for its class with exp(s / temperature),
    votes are divided by their sum (Wu et al., "Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination", CVPR 2018, section 3.4). ``k`` is capped at the number of training
    videos. Shapes and errors as in `linear_probe`; one class is enough.

    >>> knn(np.eye(2), [0, 1], np.array([[3.0, 0.0]]), 2, k=1)
    array([[1., 0.]], dtype=float32)
    """
    from sklearn.neighbors import NearestNeighbors

    labels = _check(train_features, train_labels, test_features, num_classes)
    if k < 1 or not temperature > 0:
        raise ValueError(f"k must be 1 or more and temperature above 0, got {k} and {temperature}")
    index = NearestNeighbors(n_neighbors=min(k, len(labels)), metric="cosine").fit(train_features)
    distances, neighbours = index.kneighbors(test_features)
    # exp((s - s_max) / temperature): the largest s cancels in the shares, and nothing overflows
    votes = np.exp((distances[:, :1] - distances) / temperature)
    probabilities = np.zeros((len(test_features), num_classes), dtype=np.float32)
    rows = np.arange(len(test_features))[:, None]
    np.add.at(probabilities, (rows, labels[neighbours]), votes)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _check(
    train_features: np.ndarray,
    train_labels: Sequence[int],
    test_features: np.ndarray,
    num_classes: int,
) -> np.ndarray:
    """The labels as an array, after all shapes and values have been looked at."""
    labels = np.asarray(train_labels, dtype=np.int64)
    train, test = np.shape(train_features), np.shape(test_features)
    if len(train) != 2 or len(test) != 2 or train[1] != test[1]:
        raise ValueError(
            f"train_features and test_features must be (videos, D) of the same D, got {train} "
            f"and {test}"
        )
    if labels.shape != train[:1] or not len(labels):
        raise ValueError(
            f"train_labels must have one label for each of {train[0]} training videos (at least "
            f"one), got shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"train_labels must be in [0, {num_classes}), got {labels.min()}..{labels.max()}"
        )
    for name, features in (("train_features", train_features), ("test_features", test_features)):
        if not np.isfinite(features).all():
            raise ValueError(f"{name} hold nan or inf: look at the network that made them")
    return labels
