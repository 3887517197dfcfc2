"""`evolution`: the weak partitions give their place to children of the strong: exploit and explore.

Jaderberg et al., Population Based Training (2017), with truncation selection, one level up: a member of the population
is a partition. To exploit is to inherit a strong one's weights, to explore to train a part of it only, in which fewer
architectures share them. Where we differ: the strong one goes on beside its child, and a weak one is replaced only if
it is worse by more than the noise of the two estimates explains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from raynas.errors import ConfigError
from raynas.search.partition_noise import surely_worse
from raynas.search.partition_rules import SCHEDULERS, PartitionRule
from raynas.search.turn import Birth, Standing


@SCHEDULERS.register("evolution")
class EvolutionRule(PartitionRule):
    """The weak partitions give their place to children of the strong: exploit and explore.

    All train every turn. A child goes on where its parent is: it has its parent's weights, and its rounds. It is judged
    when it has trained `every` turns, as everyone else: children are born at decisions only. A finished partition
    neither gives up its place nor has children.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        every: Turns between decisions.
        quantile: The share of the partitions that is weak, and that is strong (rounded down, at least one).
        confidence: How sure it must be that a weak one is worse than the strong one whose child takes its place
            (one-sided z test); with 0.5 the values decide alone. One whose value is not a number always is.

    Raises:
        ConfigError: No child could ever be born.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        every: Annotated[int, Field(ge=1)] = 2,
        quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25,
        confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.9,
    ) -> None:
        super().__init__(partitions, budget)
        self.every, self.quantile, self.confidence = every, quantile, confidence
        if len(partitions) < 2 or every >= self.longest():
            raise ConfigError(
                [
                    f"no partition would ever be replaced: every is {every}, and {budget} rounds are {self.longest()} "
                    f"turns of {len(partitions)} partitions; lower scheduler.every, "
                    f"give at least {(every + 1) * len(partitions)} rounds, or take scheduler=uniform"
                ],
                "the scheduler",
            )

    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        """Keep all: a place is given up only to a child."""
        return self.alive

    def births(self, train: tuple[str, ...], standings: Mapping[str, Standing]) -> tuple[Birth, ...]:
        """Return the children of the strong, the weakest one's place to the strongest one's child.

        With more weak than strong ones that can be split, these have several children. Where no strong one is surely
        better, or can be split, the weak one goes on.
        """
        if self.turns % self.every or self.breed is None or len(train) < 2:
            return ()
        ranked = sorted(train, key=lambda label: -standings[label].strength)
        count = max(1, math.floor(len(ranked) * self.quantile + 1e-9))
        strong = ranked[:count]
        born = []
        for turn, weak in enumerate(reversed(ranked[-count:])):
            first = turn % len(strong)
            birth = self._birth(weak, strong[first:] + strong[:first], standings)
            born += [birth] if birth is not None else []
        return tuple(born)

    def longest(self) -> int:
        """Return the budget's even share: a child goes on with its parent's schedule."""
        return self.budget // len(self.partitions)

    def _birth(self, weak: str, strong: Sequence[str], standings: Mapping[str, Standing]) -> Birth | None:
        assert self.breed is not None
        for parent in strong:
            if surely_worse(standings[weak], standings[parent], self.confidence):
                child = self.breed(parent, standings[parent].best)
                if child is not None:
                    return Birth(child, parent, weak)
        return None
