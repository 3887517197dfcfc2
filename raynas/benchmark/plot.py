"""The figure of a benchmark: regret over evaluations, several searchers together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from raynas.ranking.intervals import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from raynas.benchmark.result import BenchmarkResult


def plot_regret(results: Sequence[BenchmarkResult]) -> Figure:
    """Return a figure of mean regret over evaluations, each with the band of its 95 % interval over seeds.

    Both axes are logarithmic. Results that ran with options are told apart by them.

    Args:
        results: One or more, of one truth to be comparable.
    """
    from matplotlib.figure import Figure

    from raynas.report.figures import PALETTE

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axis = figure.subplots()
    for place, result in enumerate(results):
        mean, low, high = mean_interval(result.board.best - result.curve)
        evaluations, colour = np.arange(1, result.budget + 1), PALETTE[place % len(PALETTE)]
        axis.plot(evaluations, mean, color=colour, lw=1.6, label=_label(result))
        axis.fill_between(evaluations, np.maximum(low, 1e-6), high, color=colour, alpha=0.15, lw=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("full evaluations")
    axis.set_ylabel(f"regret, {results[0].board.report.replace('_', ' ')} (points)")
    axis.set_title(results[0].board.table.name, loc="left", fontsize=9)
    axis.grid(color="#e6e6e6")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _label(result: BenchmarkResult) -> str:
    options = ", ".join(f"{key}={value}" for key, value in result.options.items())
    return f"{result.searcher} ({options})" if options else result.searcher
