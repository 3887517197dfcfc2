"""CARS's evolution (Yang et al., "Continuous Evolution for Efficient Neural Architecture Search", CVPR 2020).

A population has children: half of them random, a quarter crossovers, a quarter mutants. Who survives is chosen by
pNSGA-III: sorted only by score and size, small and weak architectures would crowd out large ones, which learn slowly.

That choice, as coded in aw_nas: for every further objective o there are two non-dominated sortings, by (score, o) and
by (score, -o), so that the second protects what is costly. Stage by stage, the union of all sortings' s-th
fronts joins while it fits; of the union that does not fit, a random choice. With the score alone, the best survive.

Where we differ: the paper's second sorting is by the *speed* at which accuracy grows, which no table or finished
supernet has; aw_nas takes 1/o, whose order for positive costs is that of -o. aw_nas sorts by 1/accuracy, which has the
same fronts as the score. Nothing is evaluated twice, so members keep the scores they got; in the paper they are scored
anew in each generation, since the supernet goes on training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from raynas.errors import ConfigError
from raynas.search.breeding import mutant
from raynas.search.generations import ATTEMPTS, Generational
from raynas.search.pareto import fronts
from raynas.search.searcher import SEARCHERS
from raynas.spaces import Architecture


@SEARCHERS.register("cars")
class CarsSearcher(Generational):
    """CARS: half random, a quarter crossovers, a quarter mutants; pNSGA-III; looks at all objectives.

    Args:
        args: As for `Searcher`; of the initial architectures the best `population` are the first population.
        population: The members of the population, and the children a generation. (aw_nas has 100.)
        random: The chance that a child is drawn from the space.
        crossover: The chance that it is a crossover; what is left of 1 is a mutant's.
        mutate_probability: The chance of each decision to be drawn anew in a mutant.

    Raises:
        ConfigError: The shares of random children and of crossovers are more than all.
    """

    def __init__(
        self,
        *args: Any,
        population: Annotated[int, Field(ge=2)] = 100,
        random: Annotated[float, Field(ge=0, le=1)] = 0.5,
        crossover: Annotated[float, Field(ge=0, le=1)] = 0.25,
        mutate_probability: Annotated[float, Field(gt=0, le=1)] = 0.1,
    ) -> None:
        super().__init__(*args, population=population)
        if random + crossover > 1:
            problem = (
                f"random and crossover are shares of the children, together at most 1, got {random} and {crossover}"
            )
            raise ConfigError([problem], "the searcher cars")
        self.random, self.crossover, self.mutate_probability = random, crossover, mutate_probability

    def _children(self) -> list[Architecture]:
        """Return children of a kind each drawn by chance; one that is known after some tries is left out."""
        children: list[Architecture] = []
        for kind in self.rng.random(self.population).tolist():
            children += self._collect(lambda kind=kind: self._child(kind), 1, ATTEMPTS)  # type: ignore[misc]
        return children

    def _child(self, kind: float) -> Architecture:
        if kind < self.random:
            return self.space.sample(self.rng)
        one, other = (self._members[int(self.rng.integers(len(self._members)))][0] for _ in range(2))
        if kind < self.random + self.crossover:
            return self.space.crossover(one, other, self.rng)
        return mutant(self.space, one, self.mutate_probability, self.rng)

    def _survivors(self, values: NDArray[np.float64]) -> Sequence[int]:
        return survivors(values, self.population, self.rng)


def survivors(values: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[int]:
    """Return which rows of (N, K) values, finite or all minus infinity, pNSGA-III chooses."""
    if values.shape[1] == 1:
        return [int(place) for place in np.argsort(-values[:, 0], kind="stable")[:count]]
    sortings = []
    for column in values.T[1:]:
        turned = np.where(np.isfinite(column), -column, -np.inf)
        sortings += [fronts(np.stack([values[:, 0], other], 1)) for other in (column, turned)]
    stages = np.min(sortings, 0)  # who is on several unions joins with the first
    chosen: list[int] = []
    for stage in range(int(stages.max()) + 1):
        union = np.flatnonzero(stages == stage)
        left = count - len(chosen)
        if len(union) > left:
            return chosen + np.sort(rng.choice(union, left, replace=False)).tolist() if left else chosen
        chosen += union.tolist()
    return chosen
