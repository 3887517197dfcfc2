"""Evolutionary search as in SPOS (Guo et al., ECCV 2020, algorithm 1).

Each generation: the best `parents` *over all generations* produce mutants (every decision drawn anew with a small
chance) and crossovers; random architectures fill up. Constraints by rejection. Differences from the released code: a
mutation always changes something, and an architecture that is the same function as an earlier one is not scored again.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from raynas.search.breeding import mutant
from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture

_ATTEMPTS = 10
"""Tries for each wanted child, as in the released code; what is then missing is drawn at random."""


@SEARCHERS.register("evolution")
class EvolutionSearcher(Searcher):
    """Evolution with mutation and crossover of the best over all generations (SPOS).

    Args:
        args: As for `Searcher`.
        population: Architectures a generation.
        parents: How many of the best so far have children.
        mutations: Mutants a generation.
        crossovers: Crossovers a generation.
        mutate_probability: The chance of each decision to be drawn anew in a mutant.
    """

    def __init__(
        self,
        *args: Any,
        population: Annotated[int, Field(ge=2)] = 50,
        parents: Annotated[int, Field(ge=1)] = 10,
        mutations: Annotated[int, Field(ge=0)] = 25,
        crossovers: Annotated[int, Field(ge=0)] = 25,
        mutate_probability: Annotated[float, Field(gt=0, le=1)] = 0.1,
    ) -> None:
        super().__init__(*args)
        self.population, self.parents = population, parents
        self.mutations, self.crossovers = mutations, crossovers
        self.mutate_probability = mutate_probability

    def ask(self) -> list[Architecture]:
        """Return the next generation."""
        if not self.history:
            children = self._next_initial(self.population)
        else:
            parents = [architecture for architecture, _ in self.ranked[: self.parents]]
            mutants = min(self.mutations, self.population)
            crossed = min(self.crossovers, self.population - mutants)
            children = self._collect(lambda: self._mutant(parents), mutants, _ATTEMPTS * mutants)
            children += self._collect(lambda: self._crossed(parents), crossed, _ATTEMPTS * crossed)
        return children + self._draw(self.population - len(children))

    def _mutant(self, parents: list[Architecture]) -> Architecture:
        return mutant(self.space, self._one_of(parents), self.mutate_probability, self.rng)

    def _crossed(self, parents: list[Architecture]) -> Architecture:
        return self.space.crossover(self._one_of(parents), self._one_of(parents), self.rng)
