"""The noise ceiling: how well truth ranks itself when its trainings are repeated.

It is the agreement with a second, equally noisy copy of the truth. A score without any noise of its own could agree
somewhat better (in theory with the square root of the reliability), so it is a mark to measure by, not a wall.
"""

from __future__ import annotations

import itertools
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
        n_seeds: Seeds an architecture.
    """

    single: float
    mean: float
    n_seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} (mean of {self.n_seeds} seeds; single seeds {self.single:.3f})"


def noise_ceiling(per_seed: NDArray[np.floating]) -> NoiseCeiling:
    """Return the ceiling of (n, S) values, S seeds each.

    Spearman-Brown: the mean of S repeats has reliability S r / (1 + (S - 1) r), r being that of one. Where seeds agree
    no better than chance (r <= 0) there is nothing to step up, and the mean's ceiling is r itself. NaN with fewer than
    two seeds or architectures.
    """
    values = np.asarray(per_seed, np.float64)
    seeds = values.shape[1]
    pairs = [kendall_tau(values[:, i], values[:, j]) for i, j in itertools.combinations(range(seeds), 2)]
    single = float(np.mean(pairs)) if pairs else float("nan")
    mean = seeds * single / (1 + (seeds - 1) * single) if single > 0 else single
    return NoiseCeiling(single, mean, seeds)
