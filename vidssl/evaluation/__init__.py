"""Arrays in, numbers out: what a trained network is worth, and how sure that is."""

from vidssl.evaluation.classification import Report, classification_report
from vidssl.evaluation.probe import knn, linear_probe
from vidssl.evaluation.statistics import (
    Difference,
    mean_ci95,
    paired_difference,
    smallest_detectable_difference,
)
from vidssl.evaluation.tables import paper_row, table_row

__all__ = [
    "Difference",
    "Report",
    "classification_report",
    "knn",
    "linear_probe",
    "mean_ci95",
    "paired_difference",
    "paper_row",
    "smallest_detectable_difference",
    "table_row",
]
