"""What searchers over several objectives share: a population, children of it, and who of both survives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.search.searcher import Searcher
from raynas.spaces import Architecture

ATTEMPTS = 10
"""Tries for each wanted child; what is then missing is drawn at random."""

Evaluated = tuple[Architecture, tuple[float, ...]]


class Generational(Searcher):
    """Generations of as many children as the population has members; (mu + lambda) survival.

    The first generation is initial architectures and draws. Where any value of an architecture is not finite, all
    count as minus infinity: a diverged score must not live on for being small.

    Args:
        args: As for `Searcher`.
        population: The members of the population, and the children a generation.
    """

    multi_objective = True

    def __init__(self, *args: Any, population: int) -> None:
        super().__init__(*args)
        self.population = population
        self._members: list[Evaluated] = []

    @property
    def members(self) -> list[Evaluated]:
        """The population with its values."""
        return list(self._members)

    @abstractmethod
    def _children(self) -> list[Architecture]:
        """Return new children of the members, at most `population`."""

    @abstractmethod
    def _survivors(self, values: NDArray[np.float64]) -> Sequence[int]:
        """Return which rows of (N, K) values, finite or minus infinity, are the next population."""

    def ask(self) -> list[Architecture]:
        """Return the next generation."""
        children = self._children() if self._members else self._next_initial(self.population)
        return children + self._draw(self.population - len(children))

    def _told(self, evaluated: Sequence[Evaluated]) -> None:
        merged = self._members + list(evaluated)
        values = np.array([vector for _, vector in merged])
        values[~np.isfinite(values).all(1)] = -np.inf
        self._members = [merged[place] for place in self._survivors(values)]

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {**super().state_dict(), "members": list(self._members)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._members = list(state["members"])
