"""Whether one partition is worse than another by more than noise."""

from __future__ import annotations

import math
from statistics import NormalDist

from raynas.search.turn import Standing


def surely_worse(one: Standing, other: Standing, confidence: float) -> bool:
    """Say whether a partition is worse than another: the one-sided z test on the difference of their values.

    One whose value is not a number is worse than any whose value is one. Where an error is not finite nothing is sure.

    Args:
        one: Its standing.
        other: The other's.
        confidence: The chance not to call two equal partitions different, 0.5 to 1 (excluded): with 0.5 the estimates
            decide alone, whatever their errors.
    """
    if math.isnan(one.value) or math.isnan(other.value):
        return math.isnan(one.value) and not math.isnan(other.value)
    margin = NormalDist().inv_cdf(confidence) * math.hypot(one.error, other.error) if confidence > 0.5 else 0.0
    return other.value - one.value > margin
