"""Costs of architectures as a table has them: parameters, multiply-adds, latency and energy of devices."""

from __future__ import annotations

import math

from raynas.errors import TruthError, nearest
from raynas.search import Cost
from raynas.spaces import Architecture
from raynas.truth.columns import DEVICE_METRICS, PER_ARCHITECTURE
from raynas.truth.table import TruthTable


def known_costs(table: TruthTable) -> list[str]:
    """Return the names of the costs that a table holds: ``params_m``, ``flops_m``, ``latency_ms/pixel3``, ..."""
    return [name for name in table.columns if name in PER_ARCHITECTURE or name.startswith(DEVICE_METRICS)]


def table_cost(table: TruthTable, name: str) -> Cost:
    """Return what gives an architecture's cost by a table: NaN for one of which it is not known.

    Args:
        table: The table.
        name: One of `known_costs`.

    Raises:
        TruthError: The table has no such cost.
    """
    known = known_costs(table)
    if name not in known:
        raise TruthError(
            f"truth '{table.name}' has no cost '{name}'{nearest(name, known)} (it has: {', '.join(known) or 'none'})"
        )

    def cost(architecture: Architecture) -> float:
        row = table.row_of(architecture)
        return math.nan if row is None else float(values[row])

    values = table.values(name)
    return cost
