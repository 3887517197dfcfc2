"""Benchmark mode: any searcher plays on a truth table alone, over many seeds, without a network or Ray."""

from __future__ import annotations

from raynas.benchmark.benchmarking import benchmark
from raynas.benchmark.plot import plot_regret
from raynas.benchmark.result import BenchmarkResult
from raynas.callable_module import make_callable

__all__ = ["BenchmarkResult", "benchmark", "plot_regret"]

make_callable(__name__, benchmark)
