"""Means over seeds: their intervals, and how likely one thing is better than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
_EQUAL = 1e-9
"""Differences no further apart are equal, but for rounding."""


def mean_interval(values: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return mean, and low and high end of its 95 % t interval, over the first axis; NaN where a value is.

    Of a single value there is no interval: its ends are NaN.
    """
    table = np.asarray(values, np.float64)
    count, mean = len(table), np.asarray(table.mean(0))
    if count < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stats.t.ppf(0.975, count - 1) * table.std(0, ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half


@dataclass(frozen=True)
class Difference:
    """How much better one thing is than another, over pairs.

    Args:
        mean: The mean difference.
        low: The low end of its 95 % t interval; NaN for a single pair, and where all pairs differ equally, as they do
            in measures of few values: from these nothing is learnt about how much pairs differ.
        high: The high end.
        probability: The probability that the mean difference is above 0, by the same t distribution (a flat prior);
            NaN where there is no interval.
        pairs: How many pairs there are.
    """

    mean: float
    low: float
    high: float
    probability: float
    pairs: int


def paired_difference(one: ArrayLike, other: ArrayLike) -> Difference:
    """Return the difference of paired values, the first less the second; pairs in which one is NaN are left out."""
    values = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return Difference(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    mean, low, high = (float(end) for end in mean_interval(values))
    if np.ptp(values) <= _EQUAL:
        return Difference(mean, float("nan"), float("nan"), float("nan"), len(values))
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Difference(mean, low, high, float(stats.t.cdf(mean / error, len(values) - 1)), len(values))
