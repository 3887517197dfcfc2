"""`greedy`: reject the weak partitions, train the others further: GreedyNAS's filter one level up.

You et al., GreedyNAS (CVPR 2020), reject the weaker of some sampled paths by their loss on a few images. Here these are
partitions, by the mean score of the best that they propose. Where we differ: a partition among the weak is rejected
only if it is worse than the last of the strong by more than the noise of the two estimates explains (the paper's rule,
by the estimate alone, is ``confidence: 0.5``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from raynas.errors import ConfigError
from raynas.search.partition_noise import surely_worse
from raynas.search.partition_rules import SCHEDULERS, PartitionRule
from raynas.search.turn import Standing


@SCHEDULERS.register("greedy")
class GreedyRule(PartitionRule):
    """Reject the weak partitions, train the others further: GreedyNAS's filter one level up.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        every: Turns between rejections.
        keep: The share of the living partitions that is the strong (rounded up); the others may be rejected.
        survivors: Never fewer than this are the strong.
        confidence: How sure it must be that one of the others is worse than the last of the strong (one-sided z test);
            with 0.5 the values decide alone, and the strong are all that is left.

    Raises:
        ConfigError: The budget ends before a partition could be rejected. (Where all are among the strong, as two are,
            nothing is to be rejected, and all train evenly.)
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        every: Annotated[int, Field(ge=1)] = 2,
        keep: Annotated[float, Field(gt=0, le=1)] = 0.5,
        survivors: Annotated[int, Field(ge=1)] = 2,
        confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.9,
    ) -> None:
        super().__init__(partitions, budget)
        self.every, self.keep, self.survivors, self.confidence = every, keep, survivors, confidence
        problems = []
        if survivors > len(partitions):
            problems.append(f"survivors is {survivors}, but there are only {len(partitions)} partitions")
        left, kept = budget - every * len(partitions), self._kept(len(partitions), survivors)
        if left < (kept if kept < len(partitions) else 0):
            problems.append(
                f"nothing would ever be rejected: every is {every}, and after {every} turns of {len(partitions)} "
                f"partitions {max(left, 0)} of {budget} rounds are left for {kept} survivors; lower scheduler.every, "
                f"give at least {every * len(partitions) + kept} rounds, or take scheduler=uniform"
            )
        if problems:
            raise ConfigError(problems, "the scheduler")

    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        """Keep the strong, and those that are not surely worse than the last of these; never one without a number.

        Finished partitions are among the survivors, and the share that is kept is one of the others.
        """
        if self.turns % self.every:
            return self.alive
        training = [label for label in self.alive if label not in self.finished]
        survivors = self.survivors - (len(self.alive) - len(training))
        count = self._kept(len(training), survivors)

        sound = [label for label in training if not math.isnan(standings[label].value)]
        strong = sorted(sound, key=lambda label: -standings[label].value)[:count]
        weak = {
            label
            for label in training
            if label not in sound
            or (label not in strong and surely_worse(standings[label], standings[strong[-1]], self.confidence))
        }
        return tuple(label for label in self.alive if label not in weak)

    def longest(self) -> int:
        """Return the rounds of a partition that survives to the end where all that may be rejected are."""
        alive, spent, turns = len(self.partitions), 0, 0
        while spent + alive <= self.budget:
            spent, turns = spent + alive, turns + 1
            if turns % self.every == 0:
                alive = self._kept(alive, self.survivors)
        return turns

    def _kept(self, alive: int, survivors: int) -> int:
        return min(alive, max(survivors, math.ceil(alive * self.keep - 1e-9)))
