"""Successive halving over a known set of settings: who goes on after a rung, decided when all have reached it.

Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (AISTATS 2016). Unlike
ASHA's, a decision rests on all reports of a rung, so the same seed gives the same decisions however many trials run at
once, and nothing that was lucky to be early goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from raynas.errors import ConfigError


class HalvingRule:
    """Decides who goes on.

    Args:
        names: The settings, in order.
        steps: The steps of a training that is not stopped.
        grace: Steps before the first rung; each further one is `reduction` times as far.
        reduction: One of so many goes on at a rung.

    Raises:
        ConfigError: Nothing could ever be stopped.
    """

    def __init__(self, names: Iterable[str], steps: int, *, grace: int = 1, reduction: float = 3.0) -> None:
        self.alive = list(names)
        self.reduction = reduction
        self.rungs = rungs(steps, grace, reduction)
        self._told: dict[str, float] = {}
        self._rung = 0
        if not self.rungs:
            raise ConfigError(
                [f"nothing would ever be stopped: grace is {grace}, and a training has {steps} steps; lower it"]
            )

    @property
    def next_rung(self) -> int | None:
        """The step at which the next decision falls; None when there is none left."""
        return self.rungs[self._rung] if self._rung < len(self.rungs) else None

    def tell(self, name: str, step: int, value: float) -> bool:
        """Take in a report; say whether it waits at a rung.

        Args:
            name: Whose.
            step: After how many steps.
            value: Higher is better; what is not a number is worse than anything.
        """
        if name not in self.alive or self.next_rung is None or step < self.next_rung:
            return False
        self._told[name] = -math.inf if math.isnan(value) else value
        return True

    def drop(self, name: str) -> None:
        """Wait no longer for a setting that failed."""
        self.alive = [other for other in self.alive if other != name]
        self._told.pop(name, None)

    def decide(self) -> list[str] | None:
        """Return who is stopped, once all have reached the rung; None before. Equal ones go on by their order."""
        if self.next_rung is None or any(name not in self._told for name in self.alive):
            return None
        count = max(1, math.ceil(len(self.alive) / self.reduction - 1e-9))
        ranked = sorted(self.alive, key=lambda name: -self._told[name])
        kept = set(ranked[:count])
        stopped = [name for name in self.alive if name not in kept]
        self.alive = [name for name in self.alive if name in kept]
        self._told = {}
        self._rung += 1
        return stopped


def rungs(steps: int, grace: int, reduction: float) -> list[int]:
    """Return the steps at which decisions fall: the grace, and it times powers of the reduction, before the end."""
    found, at = [], float(grace)
    while round(at) < steps:
        found.append(round(at))
        at = max(at * reduction, at + 1)
    return found


def bracket_sizes(steps: int, reduction: float) -> tuple[int, ...]:
    """Return how many settings each bracket of Ray Tune's HyperBand holds, in the order in which it fills them.

    Li et al., Hyperband (JMLR 2018): the fewer settings, the longer each is trained before any is stopped; those of the
    first bracket all are to the end. A bracket whose settings would be stopped before the first step is left out.
    """
    halvings = round(math.log(steps) / math.log(reduction)) + 1
    return tuple(
        math.ceil(halvings / (times + 1) * reduction**times)
        for times in range(halvings)
        if int(steps * reduction**-times) > 0
    )
