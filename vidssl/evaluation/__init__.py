"""Arrays in, numbers out: what a trained network is worth, and how sure that is."""

from typing import TYPE_CHECKING

from vidssl.lazy import lazily

if TYPE_CHECKING:  # imported when asked for: `vidssl pool` needs statistics, not torch
    from vidssl.evaluation.attention import energy_inside_score, pointing_game_accuracy
    from vidssl.evaluation.classification import Report, classification_report, unfitted
    from vidssl.evaluation.clustering import Clusters, kmeans, nmi, purity_score
    from vidssl.evaluation.probe import knn, linear_probe, picture_probe
    from vidssl.evaluation.retrieval import nearest, retrieval_recall, retrieval_rows
    from vidssl.evaluation.statistics import (
        compare_seeds,
        mean_ci95,
        paired_difference,
        proportion_ci95,
        smallest_detectable_difference,
        with_interval,
    )

__getattr__, __dir__ = lazily(__name__)

__all__ = [
    "Clusters",
    "Report",
    "classification_report",
    "compare_seeds",
    "energy_inside_score",
    "kmeans",
    "knn",
    "linear_probe",
    "mean_ci95",
    "nearest",
    "nmi",
    "paired_difference",
    "picture_probe",
    "pointing_game_accuracy",
    "proportion_ci95",
    "purity_score",
    "retrieval_recall",
    "retrieval_rows",
    "smallest_detectable_difference",
    "unfitted",
    "with_interval",
]
