"""`reinforce`: a policy draws the partitions that train, and learns from what they give the shared pool.

Williams (1992), one level up: an action is a draw of partitions (`DrawPolicy`), its reward what each that was drawn
improves the pool by. What follows a draw in the same turn is credited to it too (the reward to go): who is drawn first
changes who is left. The baseline is a running mean of the rewards from before the turn, so that a draw does not shift
it; rewards are divided by their running root-mean-square, so that units do not matter (this turn's are in it, which
keeps a first large gain from being a huge step, and makes the gradient a little biased).

In the first turn nothing is drawn: every partition trains, and its gain against the mean of all moves the policy as if
it had been drawn alone. The pool is at its emptiest then, and gains are not comparable with later ones: the running
means begin with the second turn, whose rewards have nothing to be compared with and only begin them.

Gains must not be negative (`Pool.gain_after` sees to it): a partition that stands in the pool with lucky scores would
lose by scoring these again, and the policy would learn to avoid the best ones.

All partitions stay alive while there is a budget; searched in the end are those that got their even share of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from raynas.errors import ConfigError
from raynas.search.draw_policy import DrawPolicy
from raynas.search.partition_rules import SCHEDULERS, PartitionRule
from raynas.search.turn import Standing

MOMENTUM = 0.8
"""How much of the running means stays at every turn: they follow gains that fall as the pool fills up."""


@SCHEDULERS.register("reinforce")
class ReinforceRule(PartitionRule):
    """A policy draws the partitions that train, and learns from what they give the shared pool.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        draws: Partitions that train a turn, after the first, in which all do.
        lr: The step of the gradient ascent on the policy's logits.
        floor: The share of the turns' draws that is spread evenly over the partitions.
        most: No partition gets more rounds than this many times the budget's even share.

    Raises:
        ConfigError: There would be nothing to choose.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        draws: Annotated[int, Field(ge=1)] = 2,
        lr: Annotated[float, Field(gt=0)] = 0.5,
        floor: Annotated[float, Field(gt=0, lt=1)] = 0.2,
        most: Annotated[float, Field(gt=1)] = 2.0,
    ) -> None:
        super().__init__(partitions, budget)
        self.draws, self.lr, self.most = draws, lr, most
        self.policy = DrawPolicy(len(partitions), floor)
        self._among: tuple[int, ...] = ()
        self._drawn: tuple[int, ...] = ()
        self._mean, self._square, self._weight = 0.0, 0.0, 0.0
        problems = []
        if draws >= len(partitions):
            problems.append(
                f"draws is {draws} of {len(partitions)} partitions, so that all would be drawn every turn; give fewer "
                "(scheduler=uniform trains all)"
            )
        if self.longest() < 2:
            problems.append(
                f"no partition could train more than one round: most is {most:g} times the even share of {budget} "
                f"rounds over {len(partitions)} partitions"
            )
        if problems:
            raise ConfigError(problems, "the scheduler")

    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        """Keep all, and learn from the gains; a gain that is not a number counts as none."""
        gains = {label: float(np.nan_to_num(s.gain, posinf=0.0, neginf=0.0)) for label, s in standings.items()}
        if self.turns == 1:
            self._learn_first(np.array([gains[label] for label in self.partitions]))
        else:
            self._learn(np.array([gains[self.partitions[place]] for place in self._drawn]))
        return self.alive

    def choose(self, able: tuple[str, ...]) -> tuple[str, ...]:
        """Draw as many as train a turn, or as the rest of the budget pays for."""
        self._among = tuple(self.partitions.index(label) for label in able)
        count = min(self.draws, len(able), self.budget - self.spent)
        self._drawn = self.policy.draw(self._among, count, self.rng) if count > 0 else ()
        return tuple(self.partitions[place] for place in sorted(self._drawn))

    def trusted(self) -> tuple[str, ...]:
        """Return those that got their even share of the rounds, or are finished.

        What was seldom drawn is scored with much noise, and the luckiest of such scores would be taken for the best.
        """
        enough = tuple(
            label
            for label in self.alive
            if label in self.finished or self.rounds[label] * len(self.partitions) >= self.spent
        )
        return enough or self.alive  # those that got most may have failed since

    def longest(self) -> int:
        """Return the most that one partition can be drawn, the first turn included."""
        others = len(self.partitions) - 1
        return min(self.budget - others, int(self.most * self.budget / len(self.partitions) + 1e-9))

    def most_turns(self) -> int:
        """Return the turns of `draws` partitions that the budget pays for, after the first of all."""
        return 1 + math.ceil((self.budget - len(self.partitions)) / self.draws)

    def _learn_first(self, gains: NDArray[np.float64]) -> None:
        scale = float(np.sqrt(np.mean(gains**2)))
        if scale > 0:
            everything = range(len(gains))
            slopes = np.stack([self.policy.gradients(everything, [place])[0] for place in everything])
            self.policy.logits += self.lr * ((gains - gains.mean()) / scale) @ slopes

    def _learn(self, gains: NDArray[np.float64]) -> None:
        before = self._mean / self._weight if self._weight else None
        self._weight = MOMENTUM * self._weight + (1 - MOMENTUM)
        self._mean = MOMENTUM * self._mean + (1 - MOMENTUM) * float(gains.mean())
        self._square = MOMENTUM * self._square + (1 - MOMENTUM) * float(np.mean(gains**2))
        scale = np.sqrt(self._square / self._weight)
        if before is None or scale == 0:
            return
        to_go = np.cumsum((gains - before)[::-1])[::-1] / scale
        self.policy.logits += self.lr * to_go @ self.policy.gradients(self._among, self._drawn)
