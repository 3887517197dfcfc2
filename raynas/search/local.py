"""Local search (White, Nolen & Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021).

Algorithm 1, once named "Local search is state of the art for NAS benchmarks": evaluate all neighbours of the present
architecture, go to the best of them while it is better, and begin again elsewhere where none is. Variant `first`
(their "query until lower") goes on as soon as one is better. A start is the best of `starts` architectures.

Beyond the algorithm as printed: a neighbour that is the same function as an architecture evaluated
before is not evaluated again, but its score counts; what was climbed from before is not climbed from again, so that a
basin that was explored ends the climb.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture


@SEARCHERS.register("local")
class LocalSearcher(Searcher):
    """Local search: to the best neighbour while there is a better one, then from the start with other architectures.

    Args:
        args: As for `Searcher`; the initial architectures are the first starts, best first.
        first: Whether it goes on at the first better neighbour, rather than when all are known.
        starts: How many architectures are evaluated to begin with, and after each local optimum; of these it goes on
            from the best.
        batch: Neighbours an ask, in random order; with `first`, a move waits for all of them.
    """

    def __init__(
        self,
        *args: Any,
        first: bool = False,
        starts: Annotated[int, Field(ge=1)] = 10,
        batch: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        super().__init__(*args)
        self.first, self.starts, self.batch = first, starts, batch
        self._here: Architecture | None = None
        self._around: list[Architecture] = []  # neighbours of it that were not looked at yet
        self._climbed: set[str] = set()
        self._known: dict[str, float] = {}

    def ask(self) -> list[Architecture]:
        """Return neighbours of the present architecture, or architectures to start from."""
        while self._here is not None:
            asked: list[Architecture] = []
            while self._around and len(asked) < self.batch:
                architecture = self._around.pop()
                if self._accept(architecture):
                    asked.append(architecture)
            if asked:
                return asked
            self._go(self._best(self.space.neighbours(self._here)), None)
        first = self._next_initial(self.starts)
        return first + self._draw(self.starts - len(first))

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        for architecture, vector in evaluated:
            self._known[self._key(architecture)] = vector[0] if math.isfinite(vector[0]) else -math.inf
        told = self._best([architecture for architecture, _ in evaluated])
        if self._here is None or self.first:
            self._go(told, self._here)

    def _go(self, there: Architecture | None, otherwise: Architecture | None) -> None:
        """Go to an architecture if it is better than here and was not climbed from before; otherwise to the other."""
        here = -math.inf if self._here is None else self._known[self._key(self._here)]
        better = there is not None and (self._here is None or self._known[self._key(there)] > here)
        if there is None or not better or self._key(there) in self._climbed:
            self._here = otherwise
            return
        self._here = there
        self._climbed.add(self._key(there))
        around = self.space.neighbours(there)
        self._around = [around[place] for place in self.rng.permutation(len(around))]

    def _best(self, architectures: Sequence[Architecture]) -> Architecture | None:
        """Return the one with the best known score, the first of equal ones; None where none is known."""
        known = [architecture for architecture in architectures if self._key(architecture) in self._known]
        return max(known, key=lambda architecture: self._known[self._key(architecture)], default=None)

    def _key(self, architecture: Architecture) -> str:
        return self.space.canonical(architecture).text

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {
            **super().state_dict(),
            "here": self._here,
            "around": list(self._around),
            "climbed": sorted(self._climbed),
            "known": dict(self._known),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._here, self._around = state["here"], list(state["around"])
        self._climbed, self._known = set(state["climbed"]), dict(state["known"])
