"""How well scores rank architectures of known quality: the one place where the field's measures are defined.

Conventions: higher is better in scores and in truth; scores are never ranks; ``...`` are leading axes, so that a matrix
of bootstrap resamples (R, n) is measured row by row. Ties count as what they are: tau-b for Kendall's tau, and the mean
over all ways to break them for P@top and regret; nothing depends on the order of the architectures. Fewer than two
architectures, a constant side where a correlation needs spread, and any NaN give NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kendall_tau(scores: Floats, truth: Floats) -> float:
    """Return Kendall's tau-b of two (n,) vectors."""
    if len(scores) < 2 or np.isnan(scores).any() or np.isnan(truth).any():
        return float("nan")
    from scipy import stats  # takes a second to import, and a run starts a dozen processes

    return float(stats.kendalltau(scores, truth).statistic)


def weighted_kendall_tau(scores: Floats, truth: Floats, weights: Floats) -> Floats:
    """Return tau-b of resamples of two (n,) vectors that repeat element i `weights[r, i]` times: (R, n) -> (R,).

    Exact, duplicates being tied pairs; memory is O(n^2).
    """
    signs = [np.sign(x[:, None] - x[None, :]) for x in (scores, truth)]
    concordant = _quadratic(weights, signs[0] * signs[1])
    untied = [_quadratic(weights, np.abs(sign)) for sign in signs]
    with np.errstate(invalid="ignore", divide="ignore"):
        tau: Floats = concordant / np.sqrt(untied[0] * untied[1])
    return tau


def _quadratic(weights: Floats, matrix: Floats) -> Floats:
    result: Floats = np.einsum("rn,rn->r", weights @ matrix, weights)
    return result


def spearman(scores: Floats, truth: Floats) -> Floats:
    """Return Spearman's rho over the last axis: (..., n) -> (...)."""
    from scipy import stats

    a, b = (stats.rankdata(x, axis=-1) for x in (scores, truth))
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Floats = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return rho


def top_count(n: int, fraction: float) -> int:
    """Return k for the best so-many of n: the floor of n * fraction, at least 1."""
    return max(1, int(n * fraction + 1e-9))


def membership(values: Floats, k: int) -> Floats:
    """Return each element's chance to be in the top k when ties are broken at random: (..., n), rows sum to k."""
    threshold = np.partition(values, -k, axis=-1)[..., -k, None]
    above, tied = values > threshold, values == threshold
    room = k - above.sum(-1, keepdims=True)
    return np.where(above, 1.0, tied * (room / np.maximum(tied.sum(-1, keepdims=True), 1)))


def p_at_top(scores: Floats, truth: Floats, fraction: float = 0.05) -> Floats:
    """Return the share of the predicted best `fraction` that is in the true best, CLOSE's P@topK: (..., n) -> (...)."""
    k = top_count(scores.shape[-1], fraction)
    share: Floats = (membership(scores, k) * membership(truth, k)).sum(-1) / k
    defined: Floats = share + _undefined(scores, truth)
    return defined


def true_rank(truth: Floats) -> Floats:
    """Return ranks by truth, 1 = best, ties share the better rank: (..., n) -> (..., n)."""
    from scipy import stats

    ranks: Floats = stats.rankdata(-truth, method="min", axis=-1).astype(np.float64)
    return ranks


def best_rank_at(scores: Floats, truth: Floats, fraction: float = 0.05) -> Floats:
    """Return BR@K: the best true rank among the predicted top, divided by n (small is good).

    Everything that ties with the last of the predicted top belongs to it.
    """
    ranks, chosen = _ranks_of_predicted_top(scores, truth, fraction)
    extreme: Floats = np.where(chosen, ranks, np.inf).min(-1) + _undefined(scores, truth)
    return extreme


def worst_rank_at(scores: Floats, truth: Floats, fraction: float = 0.05) -> Floats:
    """Return WR@K: the worst true rank among the predicted top, divided by n (small is good); ties as in BR@K."""
    ranks, chosen = _ranks_of_predicted_top(scores, truth, fraction)
    extreme: Floats = np.where(chosen, ranks, -np.inf).max(-1) + _undefined(scores, truth)
    return extreme


def _ranks_of_predicted_top(scores: Floats, truth: Floats, fraction: float) -> tuple[Floats, NDArray[np.bool_]]:
    n = scores.shape[-1]
    k = top_count(n, fraction)
    return true_rank(truth) / n, scores >= np.partition(scores, -k, axis=-1)[..., -k, None]


def _undefined(scores: Floats, truth: Floats) -> Floats:
    """Return NaN where either side has one, else 0."""
    undefined: Floats = np.where(np.isnan(scores).any(-1) | np.isnan(truth).any(-1), np.nan, 0.0)
    return undefined


def regret(scores: Floats, truth: Floats) -> Floats:
    """Return the best truth minus the truth of the best score (its mean where several tie), in the truth's unit."""
    favourite = membership(scores, 1)
    loss: Floats = truth.max(-1) - (favourite * truth).sum(-1)
    return loss + _undefined(scores, truth)
