"""Means and differences over seeds, against scipy; and what is not claimed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from raynas.ranking.intervals import mean_interval, paired_difference


def test_a_mean_has_its_t_interval() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, (4, 3))
    mean, low, high = mean_interval(values)
    for place in range(3):
        mine = values[:, place]
        expected = stats.t.interval(0.95, 3, mine.mean(), stats.sem(mine))
        assert (mean[place], low[place], high[place]) == pytest.approx((mine.mean(), *expected))


def test_a_difference_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.5, 0.1, 5), rng.normal(0.4, 0.1, 5)
    found, test = paired_difference(one, other), stats.ttest_rel(one, other, alternative="greater")
    assert found.probability == pytest.approx(1 - test.pvalue)
    interval = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("one", "other", "mean"),
    [([0.2, 0.4], [0.1, 0.3], 0.1), ([0.3], [0.1], 0.2), ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], 0.0)],
)
def test_of_pairs_that_differ_equally_nothing_is_claimed(one: list[float], other: list[float], mean: float) -> None:
    found = paired_difference(one, other)
    assert found.mean == pytest.approx(mean)
    assert all(math.isnan(value) for value in (found.low, found.high, found.probability))


def test_pairs_with_a_value_missing_are_left_out() -> None:
    found = paired_difference([0.2, math.nan, 0.5], [0.1, 0.3, 0.1])
    assert (found.pairs, found.mean) == (2, pytest.approx(0.25))
    assert paired_difference([math.nan], [0.1]).pairs == 0
