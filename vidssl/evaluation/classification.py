"""Accuracy over whole videos, with a denominator that never shrinks silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidssl.core import counted

FITS = 0.8  # of the videos trained on; a network that knows fewer was stopped before it fitted them
NAMED = 3  # networks that a line names


@dataclass(frozen=True)
class Report:
    """What `classification_report` found. Accuracies are fractions in [0, 1].

    ``confusion[i, j]`` counts videos of class i that were taken for class j; a failed video is
    in no cell of it, but is in every denominator.
    """

    top1_accuracy: float
    top5_accuracy: float
    per_class_accuracy: np.ndarray  # (K,), nan for a class without videos
    confusion: np.ndarray  # (K, K) int64
    class_names: tuple[str, ...]
    num_videos: int
    failed: tuple[str, ...]

    def summary(self) -> str:
        """One line with the denominator and the first failed videos; of five classes or fewer
        without top-5, which says nothing there."""
        line = f"top-1 {100 * self.top1_accuracy:.1f} %"
        if len(self.class_names) > 5:
            line += f", top-5 {100 * self.top5_accuracy:.1f} %"
        line += f" of {counted(self.num_videos, 'video')}"
        if self.failed:
            named = [*self.failed[:3], *["..."][: len(self.failed) - 3]]
            line += f"; {len(self.failed)} unreadable, counted as wrong: {', '.join(named)}"
        return line


def classification_report(
    probabilities: np.ndarray,
    labels: Sequence[int],
    class_names: Sequence[str],
    failed: Sequence[str] = (),
    failed_labels: Sequence[int] = (),
) -> Report:
    """Top-1, top-5 and per-class accuracy of V videos, plus those that could not be read.

    ``probabilities`` (V, K) are scores of the readable videos, higher is likelier; ``labels`` (V,)
    are in [0, K). ``failed`` names the unreadable videos: they count as wrong in top-1 and top-5,
    and with ``failed_labels`` (one for each) in their class too. Ties go against the network: a
    constant score is never right. With K < 5, top-5 is over K classes.

    >>> classification_report(np.eye(2), [0, 1], ["walk", "run"], failed=["c"]).num_videos
    3
    """
    scores, labels = np.asarray(probabilities, dtype=float), np.asarray(labels, dtype=np.int64)
    failed_labels = np.asarray(failed_labels, dtype=np.int64)
    _check(scores, labels, class_names, failed, failed_labels)
    num_videos = len(labels) + len(failed)
    rank = _rank(scores, labels)
    confusion = _confusion(scores, labels, rank)
    classes = len(class_names)
    totals = np.bincount(np.concatenate([labels, failed_labels]), minlength=classes)
    with np.errstate(invalid="ignore"):
        per_class = np.bincount(labels[rank == 0], minlength=classes) / totals
    return Report(
        top1_accuracy=float((rank == 0).sum() / num_videos),
        top5_accuracy=float((rank < min(5, classes)).sum() / num_videos),
        per_class_accuracy=per_class,
        confusion=confusion,
        class_names=tuple(class_names),
        num_videos=num_videos,
        failed=tuple(failed),
    )


def unfitted(known: Mapping[str, float]) -> str:
    """What a figure says of networks that ``known``, name -> accuracy, tells to be stopped before
    they fitted the videos that they were trained on: those below `FITS`. "" where all fit.

    >>> unfitted({"scratch": 0.2, "MoSI": 0.975})
    'does not fit its training videos: scratch (20 %)'
    """
    low = [f"{name} ({100 * share:.0f} %)" for name, share in known.items() if share < FITS]
    more = f" and {len(low) - NAMED} more" if len(low) > NAMED else ""
    told = f"does not fit its training videos: {', '.join(low[:NAMED])}{more}"
    return told if low else ""


def _rank(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(V,) how many other classes score at least as high as the true one."""
    true = scores[np.arange(len(labels)), labels][:, None]
    return (scores >= true).sum(1) - 1


def _confusion(scores: np.ndarray, labels: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """(K, K) counts; a tie with the true class counts as the other one, as in `_rank`."""
    others = scores.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    predicted = np.where(rank == 0, labels, others.argmax(1))
    confusion = np.zeros((scores.shape[1],) * 2, dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    return confusion


def _check(
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    failed: Sequence[str],
    failed_labels: np.ndarray,
) -> None:
    classes = len(class_names)
    if labels.ndim != 1 or scores.shape != (len(labels), classes):
        raise ValueError(
            f"probabilities must be (videos, classes) = ({len(labels)}, {classes}), got "
            f"{scores.shape}"
        )
    if not len(labels) + len(failed):
        raise ValueError("labels is empty: there is no video to report on")
    if not np.isfinite(scores).all():
        raise ValueError("probabilities hold nan or inf: look at the network that made them")
    if len(failed_labels) not in (0, len(failed)):
        raise ValueError(
            f"failed_labels must have one label for each of {len(failed)} failed videos, got "
            f"{len(failed_labels)}"
        )
    for name, given in (("labels", labels), ("failed_labels", failed_labels)):
        if len(given) and not (given.min() >= 0 and given.max() < classes):
            raise ValueError(f"{name} must be in [0, {classes}), got {given.min()}..{given.max()}")
