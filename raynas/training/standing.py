"""How good a (sub)supernet is after a round, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BEST = 5
"""The mean of so many of the best scores is compared: what a search would find, and steadier than the best alone."""
_RESAMPLES = 200


def mean_of_best(scores: Sequence[float], rng: np.random.Generator) -> tuple[float, float]:
    """Return the mean of the best scores, and its bootstrap standard error over the draw of what was scored.

    Args:
        scores: Scores of architectures drawn at random, at least one; higher is better.
        rng: The stream of the resamples.

    Returns:
        The mean of the best `BEST` (NaN if any score is), and its standard error: infinite for a single score, which
        says nothing of how far it would vary, and where the mean is not finite.
    """
    values = np.array(scores, np.float64)
    if np.isnan(values).any():
        return float("nan"), float("inf")
    mean = float(np.mean(np.sort(values)[-BEST:]))
    if len(values) == 1 or not np.isfinite(mean):
        return mean, float("inf")
    again = np.sort(values[rng.integers(len(values), size=(_RESAMPLES, len(values)))], axis=1)[:, -BEST:]
    means = again.mean(axis=1)
    return mean, float(np.std(means[np.isfinite(means)], ddof=1))
