"""`rank`: every ranking measure of one set of scores, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from raynas.ranking.ceiling import NoiseCeiling
from raynas.ranking.metrics import (
    Floats,
    best_rank_at,
    kendall_tau,
    p_at_top,
    regret,
    spearman,
    top_count,
    weighted_kendall_tau,
    worst_rank_at,
)
from raynas.streams import stream

_DENSE_LIMIT = 2_000
"""Above this many architectures tau is resampled one resample at a time: the dense form needs n^2 memory."""

Interval = tuple[float, float]
LEAST_FOR_INTERVALS = 10
"""Of fewer architectures resamples say nothing about others: two that agree agree in every resample."""
_UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class RankingReport:
    """How well scores rank architectures of known quality.

    Each measure comes with a 95 % bootstrap interval over architectures (NaN below `LEAST_FOR_INTERVALS` of them). It
    holds the interval's two ends; it is not widened for the truth's own noise, which `ceiling` tells.

    Args:
        n: The number of architectures.
        values: Each measure's value.
        intervals: Each measure's interval.
        ceiling: The truth's noise ceiling, where its seeds are known.
    """

    n: int
    values: dict[str, float]
    intervals: dict[str, Interval]
    ceiling: NoiseCeiling | None = None

    @property
    def kendall_tau(self) -> float:
        """Kendall's tau-b."""
        return self.values["kendall_tau"]

    @property
    def kendall_tau_ci(self) -> Interval:
        """95 % interval of `kendall_tau`."""
        return self.intervals["kendall_tau"]

    @property
    def spearman(self) -> float:
        """Spearman's rho."""
        return self.values["spearman"]

    @property
    def p_at_top5(self) -> float:
        """P@top5%: the share (0 to 1) of the predicted best 5 % that is in the true best 5 %."""
        return self.values["p_at_top5"]

    def to_dict(self) -> dict[str, float]:
        """Return all measures flat: ``name``, ``name_ci_low``, ``name_ci_high``, and ``n_architectures``."""
        flat: dict[str, float] = {"n_architectures": self.n}
        for name, value in self.values.items():
            flat[name] = value
            flat[f"{name}_ci_low"], flat[f"{name}_ci_high"] = self.intervals[name]
        if self.ceiling is not None:
            flat["kendall_tau_ceiling"] = self.ceiling.mean
        return flat

    def __str__(self) -> str:
        low, high = self.kendall_tau_ci
        ceiling = f", ceiling {self.ceiling.mean:.2f}" if self.ceiling else ""
        interval = "-" if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"
        top = "-" if math.isnan(self.p_at_top5) else f"{self.p_at_top5:.2f}"
        return f"tau {self.kendall_tau:.2f} {interval} n={self.n} | P@top5% {top}{ceiling}"


def rank(
    scores: Sequence[float] | Floats,
    truth: Sequence[float] | Floats,
    *,
    sparse: float = 0.1,
    resamples: int = 1000,
    seed: int = 0,
    ceiling: NoiseCeiling | None = None,
) -> RankingReport:
    """Measure how well scores rank architectures.

    Args:
        scores: (n,) scores, higher is better.
        truth: (n,) true quality of the same architectures, higher is better (accuracies in percent).
        sparse: Truth is rounded down to multiples of this for the sparse Kendall tau (0.1 percent in the field).
        resamples: Bootstrap resamples of the architectures.
        seed: Seed of the resampling.
        ceiling: The truth's noise ceiling, to be told beside the measures.

    Returns:
        The report; NaN where a measure is not defined (n < 2, one side constant, a NaN among the values; and P@top5%,
        BR and WR where 5 % are less than one architecture).

    Raises:
        ValueError: The two have different lengths, or are not vectors.
    """
    s, t = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if s.ndim != 1 or s.shape != t.shape:
        raise ValueError(f"scores and truth must be two vectors of one length, got shapes {s.shape} and {t.shape}")
    n = len(s)
    rng = stream(seed, "bootstrap")
    values: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    finite = n >= 2 and bool(np.isfinite(s).all() and np.isfinite(t).all())

    binned = np.floor(t / sparse + 1e-9)
    top = np.flatnonzero(t >= np.partition(t, -top_count(n, 0.1))[-top_count(n, 0.1)]) if finite else np.arange(n)
    for name, x, y in (
        ("kendall_tau", s, t),
        ("kendall_tau_sparse", s, binned),
        ("kendall_tau_top10", s[top], t[top]),
    ):
        values[name] = kendall_tau(x, y) if finite else math.nan
        intervals[name] = _tau_interval(x, y, resamples, rng) if finite and len(x) >= LEAST_FOR_INTERVALS else _UNKNOWN

    rowwise: dict[str, Callable[[Floats, Floats], Floats]] = {
        "spearman": spearman,
        "p_at_top5": p_at_top,
        "best_rank_at_top5": best_rank_at,
        "worst_rank_at_top5": worst_rank_at,
        "regret": regret,
    }
    draws = rng.integers(n, size=(resamples, n)) if finite and n >= LEAST_FOR_INTERVALS else None
    for name, measure in rowwise.items():
        defined = finite and not (name.endswith("_top5") and n * 0.05 + 1e-9 < 1)
        values[name] = float(measure(s, t)) if defined else math.nan
        intervals[name] = _interval(measure(s[draws], t[draws])) if draws is not None and defined else _UNKNOWN
    return RankingReport(n, values, intervals, ceiling)


def _tau_interval(scores: Floats, truth: Floats, resamples: int, rng: np.random.Generator) -> Interval:
    n = len(scores)
    if n <= _DENSE_LIMIT:
        weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
        return _interval(weighted_kendall_tau(scores, truth, weights))
    draws = rng.integers(n, size=(min(resamples, 200), n))
    return _interval(np.array([kendall_tau(scores[draw], truth[draw]) for draw in draws]))


def _interval(resampled: Floats) -> Interval:
    usable = resampled[np.isfinite(resampled)]
    if not len(usable):
        return math.nan, math.nan
    low, high = np.quantile(usable, [0.025, 0.975])
    return float(low), float(high)
