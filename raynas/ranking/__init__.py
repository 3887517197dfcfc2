"""Ranking quality with intervals and ceilings (numpy, scipy)."""

from raynas.ranking.ceiling import NoiseCeiling, noise_ceiling
from raynas.ranking.metrics import kendall_tau, p_at_top, regret, spearman
from raynas.ranking.report import RankingReport, rank

__all__ = ["NoiseCeiling", "RankingReport", "kendall_tau", "noise_ceiling", "p_at_top", "rank", "regret", "spearman"]
