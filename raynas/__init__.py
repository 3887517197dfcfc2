"""raynas: weight-sharing neural architecture search on Ray that says how far its own ranking can be trusted.

Importing the package is cheap: torch, ray and wandb are loaded by what needs them, when it is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raynas.benchmark import BenchmarkResult, benchmark
    from raynas.cluster.launch import run
    from raynas.cluster.resume import resume
    from raynas.cluster.sweep import sweep
    from raynas.data import data
    from raynas.networks import Choice, supernet
    from raynas.networks.cost import Cost, cost, costs
    from raynas.networks.derive import derive
    from raynas.networks.latency import Latency, latency
    from raynas.ranking import RankingReport, rank
    from raynas.report.run import Run, load
    from raynas.report.sweep_result import SweepResult, load_sweep
    from raynas.spaces import Architecture, Space, space
    from raynas.truth import TruthTable, truth

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "raynas.spaces",
    "BenchmarkResult": "raynas.benchmark",
    "Choice": "raynas.networks",
    "Cost": "raynas.networks.cost",
    "Latency": "raynas.networks.latency",
    "RankingReport": "raynas.ranking",
    "Run": "raynas.report.run",
    "Space": "raynas.spaces",
    "SweepResult": "raynas.report.sweep_result",
    "TruthTable": "raynas.truth",
    "benchmark": "raynas.benchmark",
    "cost": "raynas.networks.cost",
    "costs": "raynas.networks.cost",
    "data": "raynas.data",
    "derive": "raynas.networks.derive",
    "latency": "raynas.networks.latency",
    "load": "raynas.report.run",
    "load_sweep": "raynas.report.sweep_result",
    "rank": "raynas.ranking",
    "resume": "raynas.cluster.resume",
    "run": "raynas.cluster.launch",
    "space": "raynas.spaces",
    "supernet": "raynas.networks",
    "sweep": "raynas.cluster.sweep",
    "truth": "raynas.truth",
}
__all__ = [
    "Architecture",
    "BenchmarkResult",
    "Choice",
    "Cost",
    "Latency",
    "RankingReport",
    "Run",
    "Space",
    "SweepResult",
    "TruthTable",
    "__version__",
    "benchmark",
    "cost",
    "costs",
    "data",
    "derive",
    "latency",
    "load",
    "load_sweep",
    "rank",
    "resume",
    "run",
    "space",
    "supernet",
    "sweep",
    "truth",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'raynas' has no attribute '{name}'")
    home = importlib.import_module(_HOMES[name])
    # ``raynas.truth``, ``raynas.data`` and the like stay the packages, which can be called like their functions
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
