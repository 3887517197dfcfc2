"""Regularized evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019).

Algorithm 1: a queue of `population` architectures; the best of a small tournament has a child that differs in one
decision; the child joins, and the *oldest* dies, however good. The defaults are NAS-Bench-201's and NATS-Bench's
(population 10, tournament of 3, drawn with replacement); the paper has 100 and 25.

Where we differ from AutoDL-Projects' code: a child that is the same function as an architecture evaluated before is not
evaluated again (there a look-up in the table pays for it once more); where the winner's neighbours are all known, the
child is some steps further away. A score that is not finite is the worst.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture

_ATTEMPTS = 10
"""One-step children of the winner that are tried, and then steps of a walk away from it."""


@SEARCHERS.register("regularized_evolution")
class RegularizedEvolutionSearcher(Searcher):
    """Regularized evolution: tournaments, one-decision mutations, and the oldest dies (aging).

    Args:
        args: As for `Searcher`; of the initial architectures the best `population` are the first population.
        population: Architectures alive.
        sample: How many of them, drawn with replacement, a tournament has.
        batch: Children an ask; with more than one they do not compete with each other before all are scored.
    """

    def __init__(
        self,
        *args: Any,
        population: Annotated[int, Field(ge=1)] = 10,
        sample: Annotated[int, Field(ge=1)] = 3,
        batch: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        super().__init__(*args)
        self.population, self.sample, self.batch = population, sample, batch
        self._alive: deque[tuple[Architecture, float]] = deque(maxlen=population)

    @property
    def alive(self) -> list[tuple[Architecture, float]]:
        """The population with its scores, the oldest first."""
        return list(self._alive)

    def ask(self) -> list[Architecture]:
        """Return the first population, then children."""
        missing = self.population - len(self._alive)
        if missing:
            first = self._next_initial(missing)
            first += self._draw(missing - len(first))
            if first or not self._alive:
                return first
        children = [child for _ in range(self.batch) if (child := self._child()) is not None]
        return children + self._draw(self.batch - len(children))

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        for architecture, vector in evaluated:
            self._alive.append((architecture, vector[0] if math.isfinite(vector[0]) else -math.inf))

    def _child(self) -> Architecture | None:
        """Return a new neighbour of a tournament's winner, or what a walk from it comes upon first; None if nothing."""
        places = self.rng.integers(len(self._alive), size=self.sample)
        winner = max((self._alive[place] for place in places), key=lambda pair: pair[1])[0]
        for _ in range(_ATTEMPTS):
            child = self._neighbour(winner)
            if self._accept(child):
                return child
        for _ in range(_ATTEMPTS):
            child = self._neighbour(child)
            if self._accept(child):
                return child
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {**super().state_dict(), "alive": list(self._alive)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._alive = deque(state["alive"], maxlen=self.population)
