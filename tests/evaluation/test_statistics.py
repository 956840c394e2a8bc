import math

import numpy as np
import pytest
from scipy import stats

from vidssl.evaluation import (
    compare_seeds,
    mean_ci95,
    paired_difference,
    smallest_detectable_difference,
)


def test_mean_and_interval_of_three_values_by_hand():
    mean, half = mean_ci95([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.30265
    assert mean == 2.0
    assert half == pytest.approx(4.30265 / math.sqrt(3), abs=1e-5)


def test_interval_is_scipys():
    values = [61.2, 58.4, 63.3, 60.0, 59.1]
    mean, half = mean_ci95(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_single_seed_has_no_interval():
    mean, half = mean_ci95([0.5])
    assert mean == 0.5
    assert math.isnan(half)
    assert math.isnan(smallest_detectable_difference([0.5], [0.4]))


def test_pairing_removes_what_seeds_share():
    base = [10.0, 30.0, 20.0]
    better = [value + 2 for value in base]
    assert paired_difference(better, base) == (2.0, 0.0, 3)
    assert smallest_detectable_difference(better, base) == 0.0
    assert paired_difference(base, better).mean == -2.0


def test_interval_excludes_zero_exactly_when_the_paired_t_test_rejects():
    b = np.zeros(5)
    noise = np.array([-1.0, 0.5, 1.0, -0.5, 0.0])
    for shift in (0.1, 0.9, 1.1, 3.0):
        found = paired_difference(noise + shift, b)
        assert (found.mean > found.ci95) == (stats.ttest_rel(noise + shift, b).pvalue < 0.05)


def test_smallest_detectable_difference_by_hand():
    # s = 1, n = 3: (4.30265 + 1.06066) / sqrt(3)
    found = smallest_detectable_difference([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert found == pytest.approx((4.30265 + 1.06066) / math.sqrt(3), abs=1e-4)


def test_more_power_needs_a_larger_difference():
    a, b = [1.0, 2.0, 4.0], [0.0, 0.5, 1.0]
    powers = [smallest_detectable_difference(a, b, power=p) for p in (0.5, 0.8, 0.95)]
    assert powers == sorted(powers)
    assert powers[0] == pytest.approx(paired_difference(a, b).ci95)  # half power: at the interval


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]], 3.0])
def test_values_that_are_no_sample_are_refused(values):
    with pytest.raises(ValueError, match="values must be"):
        mean_ci95(values)


def test_unpaired_seeds_and_impossible_power_are_refused():
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="power"):
        smallest_detectable_difference([1.0, 2.0], [1.0, 3.0], power=1.0)


def test_a_comparison_takes_the_common_seeds_and_says_what_it_saw():
    above = compare_seeds({0: 0.50, 1: 0.62, 2: 0.71, 9: 0.0}, {2: 0.60, 0: 0.40, 1: 0.51})
    assert above.difference.n == 3
    assert above.difference.mean == pytest.approx(0.32 / 3)
    assert above.sign == 1
    assert str(above).startswith("+10.7 ± 1.4 points over 3 seeds (a true difference of ")
    unclear = compare_seeds({0: 0.5, 1: 0.3}, {0: 0.3, 1: 0.5})
    assert unclear.sign == 0
    alone = compare_seeds({0: 0.5}, {0: 0.3})
    assert (str(alone), alone.sign) == ("+20.0 points, one seed", 0)
    assert compare_seeds({0: 0.5}, {1: 0.3}) is None
