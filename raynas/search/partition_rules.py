"""Which partitions train next: the decision rules behind the Tune schedulers, free of Ray.

Partitions train in *turns*. In a turn every partition that the rule names trains one round; when all have reported, the
rule sees the standings and names the next turn. So a decision rests on complete, comparable reports, and the same seed
gives the same decisions however many trials run at once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from raynas.errors import ConfigError
from raynas.registry import Registry


@dataclass(frozen=True)
class Turn:
    """The next turn: which partitions train a round, and which train no more: given up, or finished."""

    train: tuple[str, ...]
    stop: tuple[str, ...] = ()


class PartitionRule(ABC):
    """Spends a budget of rounds on partitions.

    Args:
        partitions: The partitions' labels, in order.
        budget: Rounds to spend over all partitions.
    """

    def __init__(self, partitions: tuple[str, ...], budget: int) -> None:
        self.partitions, self.budget = partitions, budget
        self.alive = partitions
        self.finished: frozenset[str] = frozenset()
        self.spent = 0
        self.turns = 0

    def first(self) -> Turn:
        """Return the first turn: every partition trains a round."""
        return Turn(self.partitions)

    def drop(self, label: str) -> None:
        """Give up a partition that cannot be trained any further."""
        self.alive = tuple(other for other in self.alive if other != label)

    def finish(self, label: str) -> None:
        """Give a partition no more turns, as its sampler asks for; it is not given up, and stays alive."""
        self.finished |= {label}

    def next(self, standings: Mapping[str, float]) -> Turn:
        """Return the turn after the one that gave these standings.

        What a finished partition leaves of the budget goes to the others, but none trains for more rounds than
        `longest`, where its schedule ends: the rest stays unspent. Where no further turn can be paid for, nobody is
        given up: it would save nothing, and lose what was trained.

        Args:
            standings: The value of each partition that trained in the turn, higher is better; NaN for one that
                diverged or failed.
        """
        self.spent += len(standings)
        self.turns += 1
        keep = self.select(standings)
        train = tuple(label for label in keep if label not in self.finished)
        stop = tuple(label for label in self.alive if label not in train)
        if not train or self.turns >= self.longest() or self.budget - self.spent < len(train):
            return Turn((), self.alive)
        self.alive = keep
        return Turn(train, stop)

    @abstractmethod
    def select(self, standings: Mapping[str, float]) -> tuple[str, ...]:
        """Return the partitions that stay alive, in order; those that are finished are always among them."""

    @abstractmethod
    def longest(self) -> int:
        """Return the most rounds that one partition can get: the length of its learning-rate schedule."""


SCHEDULERS: Registry[PartitionRule] = Registry("scheduler")


@SCHEDULERS.register("uniform")
class UniformRule(PartitionRule):
    """Train all partitions evenly: the control."""

    def select(self, standings: Mapping[str, float]) -> tuple[str, ...]:
        """Keep all."""
        return self.alive

    def longest(self) -> int:
        """Return the budget's even share."""
        return self.budget // len(self.partitions)


@SCHEDULERS.register("greedy")
class GreedyRule(PartitionRule):
    """Reject the weak partitions, train the others further: GreedyNAS's filter one level up.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        every: Turns between rejections.
        keep: The share of the living partitions that survives a rejection (rounded up).
        survivors: Never fewer than this.

    Raises:
        ConfigError: With these numbers it could never reject a partition.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        every: Annotated[int, Field(ge=1)] = 2,
        keep: Annotated[float, Field(gt=0, le=1)] = 0.5,
        survivors: Annotated[int, Field(ge=1)] = 2,
    ) -> None:
        super().__init__(partitions, budget)
        self.every, self.keep, self.survivors = every, keep, survivors
        problems = []
        if survivors > len(partitions):
            problems.append(f"survivors is {survivors}, but there are only {len(partitions)} partitions")
        left, kept = budget - every * len(partitions), self._kept(len(partitions), survivors)
        if left < (kept if kept < len(partitions) else 0):
            problems.append(
                f"nothing would ever be rejected: every is {every}, and after {every} turns of {len(partitions)} "
                f"partitions the survivors would have {max(left, 0)} of {budget} rounds (scheduler=uniform is for that)"
            )
        if problems:
            raise ConfigError(problems, "the scheduler")

    def select(self, standings: Mapping[str, float]) -> tuple[str, ...]:
        """Keep the best of the standings; a partition whose value is not a number is the weakest.

        Finished partitions are among the survivors, and the share that is kept is one of the others.
        """
        if self.turns % self.every:
            return self.alive
        training = [label for label in self.alive if label not in self.finished]
        survivors = self.survivors - (len(self.alive) - len(training))
        count = self._kept(len(training), survivors)

        def strength(label: str) -> float:
            return -math.inf if math.isnan(standings[label]) else standings[label]

        best = sorted(training, key=lambda label: (-strength(label), self.partitions.index(label)))[:count]
        return tuple(label for label in self.alive if label in best or label in self.finished)

    def longest(self) -> int:
        """Return the rounds of a partition that survives to the end."""
        alive, spent, turns = len(self.partitions), 0, 0
        while spent + alive <= self.budget:
            spent, turns = spent + alive, turns + 1
            if turns % self.every == 0:
                alive = self._kept(alive, self.survivors)
        return turns

    def _kept(self, alive: int, survivors: int) -> int:
        return min(alive, max(survivors, math.ceil(alive * self.keep - 1e-9)))
