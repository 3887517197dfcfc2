"""NSGA-II (Deb et al., "A fast and elitist multiobjective genetic algorithm", 2002) over architectures.

Of the population and its children together, whole fronts survive in order, and of the front that does not fit those
with the largest crowding distance. Parents win binary tournaments on (front, crowding distance), as those were when the
population was chosen. A child is a crossover (or a copy) whose every decision is drawn anew with a small chance.

Where we differ: decisions are categories, so crossover is uniform over decisions and mutation a new draw (the paper's
are for binary strings and real numbers); nothing is evaluated twice; constraints are obeyed by rejection, not by
constrained domination.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from raynas.search.breeding import redrawn
from raynas.search.generations import ATTEMPTS, Generational
from raynas.search.pareto import crowding, fronts
from raynas.search.searcher import SEARCHERS
from raynas.spaces import Architecture


@SEARCHERS.register("nsga2")
class Nsga2Searcher(Generational):
    """NSGA-II: non-dominated sorting and crowding distance; looks at all objectives.

    Args:
        args: As for `Searcher`; of the initial architectures the best `population` are the first population.
        population: The members of the population, and the children a generation.
        crossover_probability: The chance that a child has two parents.
        mutate_probability: The chance of each decision of a child to be drawn anew; one in the number of decisions
            unless given.
    """

    def __init__(
        self,
        *args: Any,
        population: Annotated[int, Field(ge=2)] = 50,
        crossover_probability: Annotated[float, Field(ge=0, le=1)] = 0.9,
        mutate_probability: Annotated[float, Field(gt=0, le=1)] | None = None,
    ) -> None:
        super().__init__(*args, population=population)
        self.crossover_probability = crossover_probability
        self.mutate_probability = mutate_probability or 1 / len(self.space.decisions)
        self._standing: list[tuple[int, float]] = []  # of each member: its front, and minus its crowding distance

    def _children(self) -> list[Architecture]:
        return self._collect(self._child, self.population, ATTEMPTS * self.population)

    def _child(self) -> Architecture:
        child = self._winner()
        if self.rng.random() < self.crossover_probability:
            child = self.space.crossover(child, self._winner(), self.rng)
        options = redrawn(self.space, child, self.mutate_probability, self.rng)
        return self.space.make(options) if self.space.is_valid(options) else child

    def _winner(self) -> Architecture:
        one, other = (int(self.rng.integers(len(self._members))) for _ in range(2))
        return self._members[min(one, other, key=self._standing.__getitem__)][0]

    def _survivors(self, values: NDArray[np.float64]) -> Sequence[int]:
        chosen, self._standing = survivors(values, self.population)
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {**super().state_dict(), "standing": list(self._standing)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._standing = list(state["standing"])


def survivors(values: NDArray[np.float64], count: int) -> tuple[list[int], list[tuple[int, float]]]:
    """Return the rows of (N, K) values that survive, and (front, minus crowding distance) of each.

    The best `count` by front, then by crowding distance within the whole front; of equal ones the earlier rows.
    """
    front = fronts(values)
    distance = np.zeros(len(values))
    for level in range(int(front.max()) + 1):
        on = np.flatnonzero(front == level)
        distance[on] = crowding(values[on])
        if np.count_nonzero(front <= level) >= count:
            break
    chosen = np.lexsort((-distance, front))[:count].tolist()
    return chosen, [(int(front[place]), -float(distance[place])) for place in chosen]
