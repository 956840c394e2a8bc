"""Arrays in, matplotlib Figure out; widgets for notebooks are in `vidssl.visualize.widgets`."""

from vidssl.visualize.clips import as_frames, film_strip
from vidssl.visualize.marks import Marks
from vidssl.visualize.sources import source
from vidssl.visualize.style import COLORS, COLUMN_WIDTH, PAGE_WIDTH, paper_style
from vidssl.visualize.tables import (
    accuracy_by_setting,
    confusion_matrix,
    learning_curves,
    per_class_accuracy,
)

__all__ = [
    "COLORS",
    "COLUMN_WIDTH",
    "PAGE_WIDTH",
    "Marks",
    "accuracy_by_setting",
    "as_frames",
    "confusion_matrix",
    "film_strip",
    "learning_curves",
    "paper_style",
    "per_class_accuracy",
    "source",
]
