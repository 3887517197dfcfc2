"""Costs of a run's architectures by name: counted in its network, measured on this machine, or from a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from raynas.errors import TruthError, nearest
from raynas.networks.cost import costs
from raynas.networks.latency import latency
from raynas.search import Cost
from raynas.spaces import Architecture, Space
from raynas.truth import TruthTable
from raynas.truth.columns import DEVICE_METRICS
from raynas.truth.costs import known_costs, table_cost

COUNTED = ("params_m", "flops_m")
"""Millions of parameters and of multiply-adds an image, of the run's network trained alone (`raynas.cost`)."""
MEASURED = "latency_ms"
"""Milliseconds a forward pass of one image on this machine, with one thread (`raynas.latency`)."""
_MEASURED_SECONDS = 0.05
_SUPERNETS_OWN = ("affine", "track")
"""Options of a supernet's network that networks trained alone do not take."""


def cost_names(table: TruthTable | None) -> list[str]:
    """Return the costs that can be had: those counted and measured, and a table's by device."""
    devices = [] if table is None else [name for name in known_costs(table) if name.startswith(DEVICE_METRICS)]
    return [*COUNTED, MEASURED, *devices]


def cost_problem(name: str, table: TruthTable | None) -> str | None:
    """Return why a cost cannot be had, and what can; None where it can."""
    allowed = cost_names(table)
    if name in allowed:
        return None
    if name.startswith(DEVICE_METRICS):
        source = "there is no table of latencies" if table is None else f"{table.name} does not hold it"
        return (
            f"'{name}' has no source: {source}{nearest(name, allowed)}; give search.latency, a truth table with that "
            f"column (allowed: {', '.join(allowed)})"
        )
    others = "latency_ms/DEVICE and energy_mj/DEVICE of a table"
    return f"'{name}' is no cost{nearest(name, allowed)} (allowed: {', '.join(allowed)}, and {others})"


def run_cost(
    name: str, space: Space, network: Mapping[str, Any], shape: Mapping[str, Any], table: TruthTable | None
) -> Cost:
    """Return what gives an architecture's cost; each architecture is counted or measured once.

    Args:
        name: One of `cost_names`.
        space: The whole space.
        network: Options of the run's network.
        shape: ``input_shape`` (C, H, W) and ``classes`` of the run's data.
        table: Where costs by device come from.

    Raises:
        TruthError: There is no such cost.
    """
    problem = cost_problem(name, table)
    if problem is not None:
        raise TruthError(problem)
    options = {key: value for key, value in network.items() if key not in _SUPERNETS_OWN}
    if name in COUNTED:
        place = COUNTED.index(name)

        def counted(architecture: Architecture) -> float:
            return float(costs(space, [architecture], **shape, **options)[0, place])

        return cache(counted)
    if name == MEASURED:

        def measured(architecture: Architecture) -> float:
            timed = latency(space, architecture, threads=1, min_seconds=_MEASURED_SECONDS, **shape, **options)
            return timed.median_ms

        return cache(measured)
    assert table is not None
    return table_cost(table, name)
