"""What frozen features are worth: a linear classifier on them, and their nearest neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # tried, as inverse strengths C
FIXED_PENALTY = 0.1
LABELS_TO_CHOOSE = 10  # a class; with fewer, choosing costs more than it gives
FOLDS = 4


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
    labels = _check(train_features, train_labels, test_features, num_classes)
    classifier = _linear(train_features, labels, c, max_iter)
    probabilities = np.zeros((len(test_features), num_classes), dtype=np.float32)
    probabilities[:, classifier.classes_] = classifier.predict_proba(test_features)
    return probabilities


def linear_head(
    train_features: np.ndarray,
    train_labels: Sequence[int],
    num_classes: int,
    *,
    c: float = 1.0,
    max_iter: int = 1000,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, D) and biases (K,), float32, of `linear_probe` for features as they are: their
    logits' softmax is its probabilities. A class without training videos has the bias -1e4.

    >>> weight, bias = linear_head(np.array([[0.0], [0.1], [1.0], [1.1]]), [0, 0, 1, 1], 2)
    >>> (np.array([[-1.0], [2.0]]) @ weight.T + bias).argmax(1)
    array([0, 1])
    """
    labels = _check(train_features, train_labels, train_features, num_classes)
    fitted = _linear(train_features, labels, c, max_iter)
    scaler, classifier = fitted[0], fitted[-1]
    coefficients, intercepts = classifier.coef_, classifier.intercept_
    if len(classifier.classes_) == 2:  # one logit, of the second against the first
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight = np.zeros((num_classes, coefficients.shape[1]), dtype=np.float32)
    bias = np.full(num_classes, -1e4, dtype=np.float32)
    weight[classifier.classes_] = coefficients / scaler.scale_
    bias[classifier.classes_] = intercepts - coefficients @ (scaler.mean_ / scaler.scale_)
    return weight, bias


def _linear(features: np.ndarray, labels: np.ndarray, c: float, max_iter: int):
    """Standardisation and logistic regression, fitted. ValueError for labels of one class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _need_two_classes(labels)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=max_iter))
    return classifier.fit(features, labels)


class Penalty(NamedTuple):
    """The inverse strength ``c`` of a classifier's L2 penalty, and one line that says whence."""

    c: float
    told: str


def picture_probe(
    train_pictures: np.ndarray,
    train_labels: Sequence[int],
    train_groups: Sequence[str],
    test_pictures: np.ndarray,
    num_classes: int,
    *,
    seed: int = 0,
) -> tuple[np.ndarray, Penalty]:
    """Class probabilities (V, K) by logistic regression on flat pictures, and the penalty taken.

    As `linear_probe` with two differences. All pixels share one scale: each on its own would make
    the noise of quiet places as loud as what moves. And the penalty is the one of `PENALTIES`
    that is right most often on training groups held out (``train_groups`` (N,) names them; whole
    groups, 4 folds drawn by ``seed``; of equal ones the strongest). It is `FIXED_PENALTY` where
    there is one group alone or fewer than 10 training videos a class.
    """
    labels = _check(train_pictures, train_labels, test_pictures, num_classes)
    _need_two_classes(labels)
    penalty = _choose_penalty(np.asarray(train_pictures), labels, np.asarray(train_groups), seed)
    [scores] = _scores(train_pictures, labels, test_pictures, num_classes, (penalty.c,))
    return scores, penalty


def _choose_penalty(
    pictures: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int
) -> Penalty:
    from sklearn.model_selection import StratifiedGroupKFold

    number, classes = len(np.unique(groups)), len(np.unique(labels))
    few = len(labels) < LABELS_TO_CHOOSE * classes
    if number < 2 or few:
        why = f"{len(labels)} labelled videos of {classes} classes" if few else "one group"
        return Penalty(FIXED_PENALTY, f"C = {FIXED_PENALTY:g}, fixed: {why}")
    folds = StratifiedGroupKFold(min(FOLDS, number), shuffle=True, random_state=seed % 2**32)
    right = np.zeros(len(PENALTIES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer videos than folds
        parts = list(folds.split(pictures, labels, groups))
    for kept, out in parts:
        if len(out) and len(np.unique(labels[kept])) > 1:
            found = _scores(pictures[kept], labels[kept], pictures[out], labels.max() + 1)
            right += [(scores.argmax(axis=1) == labels[out]).sum() for scores in found]
    best = int(right.argmax())
    told = f"{100 * right[best] / len(labels):.1f} % right on held-out training groups"
    return Penalty(PENALTIES[best], f"C = {PENALTIES[best]:g}, {told}")


def _scores(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    penalties: Sequence[float] = PENALTIES,
) -> list[np.ndarray]:
    """Probabilities (V, K) of the test rows for each penalty, all pixels at one scale."""
    from sklearn.linear_model import LogisticRegression

    mean = train.mean(axis=0)
    scale = train.std(axis=0).mean() or 1.0
    train, test = _rotated((train - mean) / scale, (test - mean) / scale)
    classifier = LogisticRegression(max_iter=500, tol=1e-3, warm_start=True)
    found = []
    for c in penalties:  # from the strongest on: each fit begins where the one before ended
        classifier.set_params(C=c).fit(train, labels)
        scores = np.zeros((len(test), num_classes), dtype=np.float32)
        scores[:, classifier.classes_] = classifier.predict_proba(test)
        found.append(scores)
    return found


def _rotated(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in the axes that the training rows span, at most one a row.

    A penalised fit never leaves them, so it is the same one with fewer numbers.
    """
    if len(train) >= train.shape[1]:
        return train, test
    rows, lengths, axes = np.linalg.svd(train, full_matrices=False)
    return rows * lengths, test @ axes.T


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


def _need_two_classes(labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        raise ValueError(f"train_labels hold class {labels[0]} alone: a probe needs two or more")


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
