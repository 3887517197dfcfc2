"""Ray Tune's own schedulers on partitions: their options, and how long their schedules are.

What they decide they decide in Ray, trial by trial (`raynas.cluster.tune_schedulers`): they see a report as soon as it
comes, and do not wait for turns. So what they do depends on the order of the reports, and with that on how fast
processes are: the same seed does not give the same run, unlike with the rules of our own. They rank partitions by the
same standings, and end when the same budget of rounds is spent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from raynas.errors import ConfigError
from raynas.search.partition_rules import SCHEDULERS, PartitionRule
from raynas.search.turn import Standing


class TuneRule(PartitionRule):
    """A scheduler of Ray Tune: only what it needs to know, and what came out (`alive`)."""

    copies = False
    """Whether it puts copies of strong partitions in the places of weak ones."""
    every = 1
    """The rounds between which it changes a trial."""

    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        """Keep all: it is Tune that stops trials."""
        return self.alive


@SCHEDULERS.register("asha")
class AshaRule(TuneRule):
    """Ray Tune's ASHA (asynchronous successive halving): at each rung the weaker trials are stopped. Not deterministic.

    Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020). A partition that reaches a rung early
    has few to be compared with, and goes on more easily.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        grace: Rounds before the first rung; each further rung is `reduction` times as high.
        reduction: One of so many goes on at a rung.

    Raises:
        ConfigError: No partition would ever be stopped.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        grace: Annotated[int, Field(ge=1, description="rounds before the first rung")] = 1,
        reduction: Annotated[float, Field(gt=1, description="one of so many goes on at a rung")] = 3.0,
    ) -> None:
        super().__init__(partitions, budget)
        self.grace, self.reduction = grace, reduction
        if self.longest() <= grace:
            raise _nothing_stopped(f"grace is {grace}, and {budget} rounds reach no further")

    def longest(self) -> int:
        """Return the rounds of the best, if everyone waited at each rung for all others."""
        alive, spent, rounds, rung = len(self.partitions), 0, 0, float(self.grace)
        while spent + alive <= self.budget:
            spent, rounds = spent + alive, rounds + 1
            if rounds >= rung:
                alive, rung = max(1, math.ceil(alive / self.reduction - 1e-9)), rung * self.reduction
        return rounds


@SCHEDULERS.register("hyperband")
class HyperbandRule(TuneRule):
    """Ray Tune's HyperBand: brackets of trials, each halved at times of its own. Not deterministic.

    Li et al., Hyperband (JMLR 2018). With as few trials as there are partitions the first bracket, in which nobody is
    stopped, holds many of them, and rounds may be left over.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        reduction: One of so many goes on when a bracket is halved; the longest schedule is a power of it.

    Raises:
        ConfigError: No partition would ever be stopped.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        reduction: Annotated[int, Field(ge=2, description="one of so many goes on")] = 3,
    ) -> None:
        super().__init__(partitions, budget)
        self.reduction = reduction
        if self.longest() < reduction:
            raise _nothing_stopped(f"with reduction {reduction} a bracket takes more than {budget} rounds")

    def longest(self) -> int:
        """Return the longest schedule whose brackets, filled one after the other, fit into the budget."""
        rounds = 1
        while self._work(rounds * self.reduction) <= self.budget:
            rounds *= self.reduction
        return rounds

    def _work(self, longest: int) -> int:
        """Return the rounds that all brackets take, as Ray fills and halves them."""
        brackets = round(math.log(longest, self.reduction)) + 1
        left, work, halvings = len(self.partitions), 0, 0
        while left:
            room = math.ceil(brackets / (halvings + 1) * self.reduction**halvings)
            alive = min(left, room)
            left -= alive
            done = 0
            for step in reversed(range(halvings + 1)):
                rounds = longest // self.reduction**step
                work, done = work + alive * (rounds - done), rounds
                room = math.ceil(room / self.reduction)
                alive = min(alive, room)
            halvings = (halvings + 1) % brackets
        return work


@SCHEDULERS.register("median")
class MedianRule(TuneRule):
    """Ray Tune's median rule: a trial that is weaker than the others were at its time is stopped. Not deterministic.

    Golovin et al., Google Vizier (KDD 2017).

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        grace: Rounds that each partition gets.
        least: So many others must have come as far before one is stopped.
        most: No partition gets more rounds than this many times the budget's even share.

    Raises:
        ConfigError: No partition would ever be stopped.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        grace: Annotated[int, Field(ge=1, description="rounds that each partition gets")] = 1,
        least: Annotated[int, Field(ge=1, description="others to compare with")] = 2,
        most: Annotated[float, Field(ge=1, description="times the even share of the budget")] = 2.0,
    ) -> None:
        super().__init__(partitions, budget)
        self.grace, self.least, self.most = grace, least, most
        if grace >= self.longest():
            raise _nothing_stopped(f"grace is {grace}, and none gets more than {self.longest()} of {budget} rounds")
        if least >= len(partitions):
            raise _nothing_stopped(f"least is {least}, and each has {len(partitions) - 1} others beside it")

    def longest(self) -> int:
        """Return `most` times the budget's even share."""
        return min(self.budget, int(self.most * (self.budget // len(self.partitions))))


class PopulationRule(TuneRule):
    """Weak trials go on as copies of strong ones, with another learning rate: what Tune's PBT and PB2 share.

    What is copied is the partition with its weights; its learning rate is that of the configuration times a factor.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        every: Rounds of a trial between two looks at it.
        quantile: The share of the trials that is weak, and that is strong.
        low: The smallest factor.
        high: The largest factor.

    Raises:
        ConfigError: No partition would ever be replaced.
    """

    copies = True

    def __init__(
        self, partitions: tuple[str, ...], budget: int, every: int, quantile: float, low: float, high: float
    ) -> None:
        super().__init__(partitions, budget)
        self.every, self.quantile, self.low, self.high = every, quantile, low, high
        problems = []
        if every >= self.longest():
            problems.append(
                f"no partition would ever be replaced: every is {every}, and each gets {self.longest()} rounds "
                "(scheduler=uniform is for that)"
            )
        if low >= high:
            problems.append(f"low must be less than high, got {low} and {high}")
        if problems:
            raise ConfigError(problems, "the scheduler")

    def longest(self) -> int:
        """Return the budget's even share: a copy goes on with the schedule of what it is a copy of."""
        return self.budget // len(self.partitions)


@SCHEDULERS.register("pbt")
class PbtRule(PopulationRule):
    """Ray Tune's Population Based Training: weak trials go on as copies of strong ones. Not deterministic.

    Jaderberg et al. (2017). See `PopulationRule`; `evolution` is what comes of it where partitions are what evolves.

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        every: As for `PopulationRule`.
        quantile: As for `PopulationRule`.
        resample: The chance that a factor is drawn anew instead of changed by a fifth.
        low: As for `PopulationRule`.
        high: As for `PopulationRule`.

    Raises:
        ConfigError: As for `PopulationRule`.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        every: Annotated[int, Field(ge=1, description="rounds of a trial between two looks at it")] = 2,
        quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25,
        resample: Annotated[float, Field(ge=0, le=1, description="chance that a factor is drawn anew")] = 0.25,
        low: Annotated[float, Field(gt=0, description="the smallest factor of the learning rate")] = 0.25,
        high: Annotated[float, Field(gt=0, description="the largest factor of the learning rate")] = 4.0,
    ) -> None:
        super().__init__(partitions, budget, every, quantile, low, high)
        self.resample = resample


@SCHEDULERS.register("pb2")
class Pb2Rule(PopulationRule):
    """Ray Tune's PB2: as `pbt`, with factors chosen by a Gaussian process bandit. Not deterministic.

    Parker-Holder et al., Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits (NeurIPS
    2020).

    Args:
        partitions: As for `PartitionRule`.
        budget: As for `PartitionRule`.
        every: As for `PopulationRule`.
        quantile: As for `PopulationRule`.
        low: As for `PopulationRule`.
        high: As for `PopulationRule`.

    Raises:
        ConfigError: As for `PopulationRule`.
    """

    def __init__(
        self,
        partitions: tuple[str, ...],
        budget: int,
        *,
        every: Annotated[int, Field(ge=1, description="rounds of a trial between two looks at it")] = 2,
        quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25,
        low: Annotated[float, Field(gt=0, description="the smallest factor of the learning rate")] = 0.25,
        high: Annotated[float, Field(gt=0, description="the largest factor of the learning rate")] = 4.0,
    ) -> None:
        super().__init__(partitions, budget, every, quantile, low, high)


def _nothing_stopped(why: str) -> ConfigError:
    return ConfigError([f"no partition would ever be stopped: {why} (scheduler=uniform is for that)"], "the scheduler")
