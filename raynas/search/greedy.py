"""GreedyNAS's sampling (You et al., CVPR 2020, section 3.2) as a searcher: its own pool of candidates, and chance.

The paper draws the paths that it *trains* from (1 - epsilon) U(A) + epsilon U(P): from all architectures A, and from
the pool P of the best that were scored, epsilon growing from 0 to 0.8. Here the same mixture is *searched*. A member
of the pool has its score already, so what comes from the pool is a new relative of uniformly drawn members: a mutant
of one, or a crossover of two, with equal chance. The best `members` of all that were scored are the next pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from raynas.search.breeding import mutant
from raynas.search.pool import Pool, PoolEntry
from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture

PROTOCOL = "search"
"""Names the scores in the searcher's pool: whatever it was told."""
_ATTEMPTS = 10
"""Tries for a relative that is new; then it is a draw from the space."""


@SEARCHERS.register("greedy")
class GreedySearcher(Searcher):
    """Draws from the space and, more and more, relatives of a pool of the best (GreedyNAS).

    Args:
        args: As for `Searcher`; the initial architectures (a candidate pool's) are proposed first.
        batch: Architectures an ask.
        members: The most members that the pool has.
        epsilon_start: The chance, at the beginning, that an architecture comes from the pool.
        epsilon_end: That chance after `ramp` evaluations.
        ramp: In how many evaluations it grows, linearly; 0 for the end's value from the beginning.
        mutate_probability: The chance of each decision to be drawn anew in a mutant.
    """

    def __init__(
        self,
        *args: Any,
        batch: Annotated[int, Field(ge=1)] = 10,
        members: Annotated[int, Field(ge=1)] = 50,
        epsilon_start: Annotated[float, Field(ge=0, le=1)] = 0.0,
        epsilon_end: Annotated[float, Field(ge=0, le=1)] = 0.8,
        ramp: Annotated[int, Field(ge=0)] = 200,
        mutate_probability: Annotated[float, Field(gt=0, le=1)] = 0.1,
    ) -> None:
        super().__init__(*args)
        self.batch, self.epsilon_start, self.epsilon_end, self.ramp = batch, epsilon_start, epsilon_end, ramp
        self.mutate_probability = mutate_probability
        self._pool = Pool(members)

    @property
    def proposals(self) -> list[tuple[Architecture, float]]:
        """The members of its pool, which feed the candidate pool that it began with."""
        return self.pool

    @property
    def pool(self) -> list[tuple[Architecture, float]]:
        """The members of the pool with their scores, best first."""
        return [(entry.architecture, entry.score) for entry in self._pool.ranking(PROTOCOL)]

    @property
    def epsilon(self) -> float:
        """The present chance that an architecture comes from the pool."""
        share = min(1.0, len(self.history) / self.ramp) if self.ramp else 1.0
        return self.epsilon_start + share * (self.epsilon_end - self.epsilon_start)

    def ask(self) -> list[Architecture]:
        """Return the initial architectures, then relatives of the pool's members and draws from the space."""
        asked = self._next_initial(self.batch)
        members = [architecture for architecture, _ in self.pool]
        chosen = sum(self.rng.random() < self.epsilon for _ in range(self.batch - len(asked)))
        for _ in range(chosen if members else 0):
            asked += self._collect(lambda: self._relative(members), 1, _ATTEMPTS)
        return asked + self._draw(self.batch - len(asked))

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        self._pool.add(PoolEntry(a, vector[0], PROTOCOL, "", len(self.history)) for a, vector in evaluated)

    def _relative(self, members: Sequence[Architecture]) -> Architecture:
        one = self._one_of(members)
        if self.rng.random() < 0.5:
            return mutant(self.space, one, self.mutate_probability, self.rng)
        return self.space.crossover(one, self._one_of(members), self.rng)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {**super().state_dict(), "pool": self._pool.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._pool.load_state_dict(state["pool"])
