"""How sure a mean over seeds is. Student's t throughout; n is always the number of seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Difference(NamedTuple):
    """A mean paired difference, the half-width of its 95 % interval, the number of pairs."""

    mean: float
    ci95: float
    n: int


def mean_ci95(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width t(0.975, n - 1) s / sqrt(n) of the 95 % confidence interval.

    ``values`` has one number a seed, in any unit; the half-width of a single one is nan.
    ValueError if empty or not finite.

    >>> mean, half_width = mean_ci95([1.0, 2.0, 3.0])
    >>> mean, round(half_width, 4)
    (2.0, 2.4841)
    """
    sample = _sample("values", values)
    n = len(sample)
    half = float(stats.t.ppf(0.975, n - 1) * _standard_error(sample)) if n > 1 else float("nan")
    return float(sample.mean()), half


def with_interval(mean: float, half: float | None, form: str = ".1%") -> str:
    """A mean and the half-width of its interval in words, both in the format ``form``.

    >>> with_interval(0.368, 0.056), with_interval(-2.1, 3.8, "+.1f")
    ('36.8% ± 5.6%', '-2.1 ± 3.8')
    >>> with_interval(0.79, float("nan"), ".2f")
    '0.79 (one value, no interval)'
    """
    if half is None or not np.isfinite(half):
        return f"{mean:{form}} (one value, no interval)"
    return f"{mean:{form}} ± {half:{form.lstrip('+')}}"


def proportion_ci95(successes: int, trials: int) -> tuple[float, float]:
    """Low and high end of Wilson's 95 % interval of ``successes`` out of ``trials``, in [0, 1].

    >>> [round(end, 3) for end in proportion_ci95(45, 60)]
    [0.628, 0.842]
    """
    low, high = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return float(low), float(high)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of a - b with its 95 % half-width; ``a[i]`` and ``b[i]`` are of the same seed.

    >>> paired_difference([3.0, 4.0], [1.0, 2.0])
    Difference(mean=2.0, ci95=0.0, n=2)
    """
    difference = _paired(a, b)
    return Difference(*mean_ci95(difference), len(difference))


def smallest_detectable_difference(
    a: Sequence[float], b: Sequence[float], power: float = 0.8
) -> float:
    """The true mean of a - b that a paired two-sided 5 % t test finds with this power.

    As `detectable`, with the spread of the differences at hand. Same unit as ``a``; nan for a
    single pair. ``power`` is in (0, 1).
    """
    difference = _paired(a, b)
    n = len(difference)
    return detectable(float(difference.std(ddof=1)) if n > 1 else float("nan"), n, power)


def detectable(spread: float, n: int, power: float = 0.8) -> float:
    """What ``n`` pairs can see: the true mean difference that a paired two-sided 5 % t test finds
    with this power, where single differences deviate by ``spread`` (their standard deviation).

    (t(0.975, n - 1) + t(power, n - 1)) s / sqrt(n), the usual approximation, in the unit of
    ``spread``; nan for one pair. ValueError for a ``power`` outside (0, 1).

    >>> [round(detectable(3.0, n), 1) for n in (3, 5)]
    [9.3, 5.0]
    """
    if not 0 < power < 1:
        raise ValueError(f"power must be in (0, 1), got {power}")
    if n < 2:
        return float("nan")
    reach = stats.t.ppf(0.975, n - 1) + stats.t.ppf(power, n - 1)
    return float(reach * spread / np.sqrt(n))


def pairs_needed(spread: float, difference: float, most: int = 30) -> int | None:
    """The least number of pairs that can see ``difference``, see `detectable`; None above ``most``.

    >>> pairs_needed(3.0, 5.0), pairs_needed(3.0, 0.5)
    (5, None)
    """
    enough = (n for n in range(2, most + 1) if detectable(spread, n) <= abs(difference))
    return next(enough, None)


def spread_of(difference: Difference) -> float:
    """The standard deviation of single differences behind a mean and its interval; nan for one.

    >>> round(spread_of(paired_difference([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])), 6)
    1.0
    """
    if difference.n < 2:
        return float("nan")
    return float(difference.ci95 * np.sqrt(difference.n) / stats.t.ppf(0.975, difference.n - 1))


class Comparison(NamedTuple):
    """How far one row of a table is above another, over the seeds that both have.

    ``smallest`` is the true difference that these seeds would have told from none; printed, all
    are in points (hundredths).
    """

    difference: Difference
    smallest: float

    @property
    def sign(self) -> int:
        """1 above zero, -1 below, 0 where the interval holds zero or there is none."""
        clear = abs(self.difference.mean) > self.difference.ci95
        return int(np.sign(self.difference.mean)) if clear else 0

    def __str__(self) -> str:
        mean, ci95, n = self.difference
        if n == 1:
            return f"{100 * mean:+.1f} points, one seed"
        seen = f"a true difference of {100 * self.smallest:.1f} would have been seen"
        return f"{100 * mean:+.1f} ± {100 * ci95:.1f} points over {n} seeds ({seen})"


def compare_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> Comparison | None:
    """``first`` minus ``second``, seed -> value each; None without a seed in common.

    >>> compare_seeds({0: 0.5, 1: 0.6, 2: 0.5}, {0: 0.3, 1: 0.5})[0].n
    2
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    pair = [first[seed] for seed in common], [second[seed] for seed in common]
    return Comparison(paired_difference(*pair), smallest_detectable_difference(*pair))


def _standard_error(sample: np.ndarray) -> float:
    return sample.std(ddof=1) / np.sqrt(len(sample))


def _paired(a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    first, second = _sample("a", a), _sample("b", b)
    if len(first) != len(second):
        raise ValueError(
            f"a and b must hold the same seeds in the same order, got {len(first)} and "
            f"{len(second)} values"
        )
    return first - second


def _sample(name: str, values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise ValueError(f"{name} must be a list of one or more finite numbers, got {values!r}")
    return sample
