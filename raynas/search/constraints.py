"""Constraints on costs: which architectures are allowed, and whether there are any at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from raynas.errors import ConfigError
from raynas.search.explore import Cost
from raynas.spaces import Architecture, Space

Limits = Mapping[str, tuple[float | None, float | None]]
"""By cost, the least and the most that is allowed; None for no limit."""

DRAWS = 1_000
"""Random architectures looked at before it is asked which neighbours come nearer to the limits."""


class Constraints:
    """Which architectures obey the limits; callable, as searchers want it.

    Args:
        limits: The limits.
        costs: How each cost is measured; of an architecture it is asked once.
    """

    def __init__(self, limits: Limits, costs: Mapping[str, Cost]) -> None:
        self.limits = limits
        self._costs: dict[str, Cost] = {name: cache(costs[name]) for name in limits}

    def __call__(self, architecture: Architecture) -> bool:
        """Say whether the architecture obeys all limits."""
        return self.violation(architecture) == 0

    def violation(self, architecture: Architecture) -> float:
        """Return by how much the limits are missed, each as a share of itself; 0 where all are obeyed.

        A cost that is not known (NaN) obeys nothing.
        """
        total = 0.0
        for name, (least, most) in self.limits.items():
            value = self._costs[name](architecture)
            if math.isnan(value):
                return math.inf
            if least is not None and value < least:
                total += (least - value) / max(abs(least), 1e-12)
            if most is not None and value > most:
                total += (value - most) / max(abs(most), 1e-12)
        return total

    def values(self, architecture: Architecture) -> dict[str, float]:
        """Return the architecture's costs that are limited."""
        return {name: cost(architecture) for name, cost in self._costs.items()}


def feasible_architectures(
    space: Space, constraints: Constraints, rng: np.random.Generator, draws: int = DRAWS
) -> list[Architecture]:
    """Return architectures that obey the constraints: those among random draws; where there are none, one that is near.

    That one is found by going to the neighbour that misses the limits least, again and again, from the best draws.

    Raises:
        ConfigError: None was found; it says what was found, and how near the nearest comes.
    """
    drawn = list(dict.fromkeys(space.sample(rng) for _ in range(draws)))
    missed = {architecture: constraints.violation(architecture) for architecture in drawn}
    allowed = [architecture for architecture in drawn if missed[architecture] == 0]
    if allowed:
        return allowed
    starts = sorted(drawn, key=lambda a: (missed[a], a.text))
    ends = [_nearest(space, constraints, start) for start in starts[:5]]
    nearest = min(ends, key=lambda a: (constraints.violation(a), a.text))
    if constraints.violation(nearest) == 0:
        return [nearest]
    raise ConfigError([_refusal(constraints, drawn, nearest)], "the constraints of the search")


def _nearest(space: Space, constraints: Constraints, start: Architecture) -> Architecture:
    """Return where a descent of the violation ends, neighbour by neighbour."""
    here, missed = start, constraints.violation(start)
    while missed > 0:
        around = [(constraints.violation(a), a) for a in space.neighbours(here)]
        best, architecture = min(around, key=lambda pair: (pair[0], pair[1].text), default=(math.inf, here))
        if best >= missed:
            break
        here, missed = architecture, best
    return here


def _refusal(constraints: Constraints, drawn: Sequence[Architecture], nearest: Architecture) -> str:
    limits = "; ".join(f"{name} {limit_text(*limit)}" for name, limit in constraints.limits.items())
    ranges = []
    for name in constraints.limits:
        known = [v for a in drawn if math.isfinite(v := constraints.values(a)[name])]
        ranges.append(f"{name} {min(known):g} to {max(known):g}" if known else f"{name} not known of any")
    here = ", ".join(f"{name} {value:g}" for name, value in constraints.values(nearest).items())
    return (
        f"nothing was found that satisfies {limits}: {len(drawn):,} architectures drawn have {', '.join(ranges)}, and "
        f"the nearest, '{nearest}', has {here}; widen the limits"
    )


def limit_text(least: float | None, most: float | None) -> str:
    """Return a limit in words."""
    if least is None:
        return f"at most {most:g}"
    return f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
