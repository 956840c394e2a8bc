"""What a page expects of its result, judged after the record is written: held, open or against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Expectation:
    """``measured`` is expected above ``above``.

    ``videos`` is the number of videos behind two accuracies that are compared: their difference is
    then open within 1.96 standard errors (of two independent shares, so rather wide for networks
    that are tested on the same videos). ``within`` is the half-width of the 95 % interval of the
    difference where it is known, e.g. from pairs. Without either, only equality is open.
    """

    claim: str
    measured: float
    above: float
    videos: int = 0
    within: float = 0.0

    @property
    def uncertainty(self) -> float:
        """Half-width of the 95 % interval of ``measured - above``."""
        if not self.videos:
            return self.within
        shares = (self.measured, self.above)
        return 1.96 * math.sqrt(sum(p * (1 - p) for p in shares) / self.videos)

    @property
    def answer(self) -> str:
        difference = self.measured - self.above
        if not abs(difference) > self.uncertainty:  # also where one is no number
            return "open"
        return "held" if difference > 0 else "against"


def expectations_table(expectations: Sequence[Expectation]) -> pd.DataFrame:
    """Expectations to look at, a row each."""
    import pandas as pd

    rows = {
        each.claim: {
            "measured": f"{each.measured:.3g}",
            "expected above": f"{each.above:.3g}",
            "within": f"±\xa0{each.uncertainty:.2g}" if each.uncertainty else "",
            "answer": each.answer,
        }
        for each in expectations
    }
    return pd.DataFrame.from_dict(rows, orient="index")
