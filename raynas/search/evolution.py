"""Evolutionary search as in SPOS (Guo et al., ECCV 2020, algorithm 1).

Each generation: the best `parents` *over all generations* produce mutants (every decision drawn anew with a small
chance) and crossovers; random architectures fill up. Constraints by rejection. Differences from the released code: a
mutation always changes something, and an architecture that is the same function as an earlier one is not scored again.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

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
            children = [architecture for architecture in self._initial[: self.population] if self._accept(architecture)]
        else:
            parents = [architecture for architecture, _ in self.ranked[: self.parents]]
            mutants = min(self.mutations, self.population)
            crossed = min(self.crossovers, self.population - mutants)
            children = self._collect(lambda: self._mutant(parents), mutants, _ATTEMPTS * mutants)
            children += self._collect(lambda: self._crossed(parents), crossed, _ATTEMPTS * crossed)
        missing = self.population - len(children)
        return children + self._collect(lambda: self.space.sample(self.rng), missing, 5 * _ATTEMPTS * self.population)

    def _mutant(self, parents: list[Architecture]) -> Architecture:
        parent = parents[int(self.rng.integers(len(parents)))]
        for _ in range(_ATTEMPTS):
            chosen: list[str] = []
            for decision, now in zip(self.space.decisions, parent.options, strict=True):
                redraw = self.rng.random() < self.mutate_probability
                chosen.append(decision.options[int(self.rng.integers(len(decision.options)))] if redraw else now)
            options = tuple(chosen)
            if options != parent.options and self.space.is_valid(options):
                return self.space.make(options)
        return self.space.mutate(parent, self.rng)

    def _crossed(self, parents: list[Architecture]) -> Architecture:
        a, b = (parents[int(i)] for i in self.rng.integers(len(parents), size=2))
        return self.space.crossover(a, b, self.rng)
