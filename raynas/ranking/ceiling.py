"""The noise ceiling: how well truth ranks itself when its trainings are repeated.

It is the agreement with a second, equally noisy copy of the truth. A score without any noise of its own could agree
somewhat better (in theory with the square root of the reliability), so it is a mark to measure by, not a wall.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raynas.ranking.metrics import kendall_tau


@dataclass(frozen=True)
class NoiseCeiling:
    """Agreement of a truth with itself.

    Args:
        single: Mean tau-b between two single seeds.
        mean: The same for the mean of all seeds, by the Spearman-Brown formula.
        n_seeds: Seeds an architecture; where these differ, their harmonic mean, by which the noise of a mean goes.
    """

    single: float
    mean: float
    n_seeds: float

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "unknown (no two seeds to compare)"
        return f"{self.mean:.3f} (mean of {self.n_seeds:.3g} seeds; single seeds {self.single:.3f})"


def noise_ceiling(per_seed: NDArray[np.floating]) -> NoiseCeiling:
    """Return the ceiling of (n, S) values, S seeds each; NaN where an architecture was not trained with a seed.

    Spearman-Brown: the mean of S repeats has reliability S r / (1 + (S - 1) r), r being that of one. Where seeds agree
    no better than chance (r <= 0) there is nothing to step up, and the mean's ceiling is r itself. Two seeds are
    compared on the architectures that have both, and pairs of seeds count by the pairs of architectures they compare.
    NaN with fewer than two seeds or architectures, or where a seed's values are all the same.
    """
    values = np.asarray(per_seed, np.float64)
    known = np.isfinite(values)
    taus, weights = [], []
    for i, j in itertools.combinations(range(values.shape[1]), 2):
        both = known[:, i] & known[:, j]
        count = int(both.sum())
        if count >= 2:
            taus.append(kendall_tau(values[both, i], values[both, j]))
            weights.append(count * (count - 1))
    single = float(np.average(taus, weights=weights)) if taus else float("nan")
    seeds = _harmonic_mean(known.sum(1))
    mean = seeds * single / (1 + (seeds - 1) * single) if single > 0 else single
    return NoiseCeiling(single, mean, seeds)


def _harmonic_mean(counts: NDArray[np.int64]) -> float:
    """Return the harmonic mean of the counts that are not zero; an integer where all are the same."""
    some = counts[counts > 0]
    if not len(some):
        return 0
    return int(some[0]) if (some == some[0]).all() else float(len(some) / (1.0 / some).sum())
