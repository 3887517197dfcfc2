"""Path searchers: ask for architectures to evaluate, tell what came out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from raynas.errors import ArchitectureError
from raynas.registry import Registry
from raynas.spaces import Architecture, Space

_LISTED = 100_000
"""Spaces of up to so many combinations are looked through where draws find nothing new."""

Feasible = Callable[[Architecture], bool]
Values: TypeAlias = Sequence[float] | Sequence[Sequence[float]] | NDArray[np.float64]
"""(A,) scores, or (A, K) with the score first and then further objectives; higher is better in every column."""


def best_first(architecture: Architecture, score: float) -> tuple[float, str]:
    """Return a sorting key: the best score first, equal ones by their strings, what is not finite last."""
    return (-score if math.isfinite(score) else math.inf), architecture.text


class Searcher(ABC):
    """Proposes architectures; no function is proposed twice (equality by canonical form).

    A searcher that `uses_fidelity` may propose one again, each time for a longer evaluation.

    Args:
        space: The space to search.
        rng: The stream of all its draws.
        initial: Architectures to begin with, best first (a candidate pool's); infeasible ones are skipped.
        feasible: Which architectures may be proposed (all unless given).
    """

    multi_objective = False
    """Whether it looks at more of what it is told than the score."""
    uses_fidelity = False
    """Whether it asks for evaluations that are shorter than a full one."""

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        initial: Sequence[Architecture] = (),
        feasible: Feasible = lambda architecture: True,
    ) -> None:
        self.space, self.rng, self.feasible = space, rng, feasible
        self._seen: set[str] = set()
        self._initial = [architecture for architecture in initial if feasible(architecture)]
        self.history: list[tuple[Architecture, float]] = []
        """What was fully evaluated, with its score, in order."""

    @property
    def fidelity(self) -> float:
        """The share of a full evaluation, in (0, 1], that what was asked for last shall get."""
        return 1.0

    @abstractmethod
    def ask(self) -> list[Architecture]:
        """Return the next architectures to evaluate; an empty list when nothing new can be found.

        It may be told of fewer than it asked for, where a budget ends, and is not asked again then.
        """

    def tell(self, architectures: Sequence[Architecture], values: Values) -> None:
        """Take in the values of architectures that were asked for, in order.

        Args:
            architectures: The first of those asked for, or all.
            values: Their scores, or score and further objectives of each; higher is better. See `Values`.
        """
        if len(architectures) == 0:
            return
        table = np.asarray(values, np.float64).reshape(len(values), -1)
        pairs = list(zip(architectures, map(tuple, table.tolist()), strict=True))
        if self.fidelity == 1.0:
            self.history.extend((architecture, vector[0]) for architecture, vector in pairs)
        self._told(pairs)

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        """Learn from what was told, in order; `history` has it already. By default nothing is learned."""
        del evaluated

    @property
    def proposals(self) -> list[tuple[Architecture, float]]:
        """What it would put into the candidate pool that it began with, with scores; nothing unless overridden."""
        return []

    @property
    def ranked(self) -> list[tuple[Architecture, float]]:
        """What was fully evaluated, best first; equal scores by their strings, scores that are not finite last."""
        return sorted(self.history, key=lambda pair: best_first(*pair))

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here; taken between a `tell` and the next `ask`."""
        return {
            "seen": sorted(self._seen),
            "initial": list(self._initial),
            "history": list(self.history),
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._seen = set(state["seen"])
        self._initial, self.history = list(state["initial"]), list(state["history"])
        self.rng.bit_generator.state = state["rng"]

    def _accept(self, architecture: Architecture) -> bool:
        """Say whether an architecture is feasible and new, and remember it if so."""
        key = self.space.canonical(architecture).text
        if key in self._seen or not self.feasible(architecture):
            return False
        self._seen.add(key)
        return True

    def _next_initial(self, count: int) -> list[Architecture]:
        """Return up to `count` of the initial architectures that were not proposed yet, best first."""
        taken: list[Architecture] = []
        while self._initial and len(taken) < count:
            architecture = self._initial.pop(0)
            if self._accept(architecture):
                taken.append(architecture)
        return taken

    def _collect(self, propose: Callable[[], Architecture], count: int, attempts: int) -> list[Architecture]:
        """Return up to `count` accepted proposals out of so many attempts."""
        accepted: list[Architecture] = []
        for _ in range(attempts):
            if len(accepted) >= count:
                break
            architecture = propose()
            if self._accept(architecture):
                accepted.append(architecture)
        return accepted

    def _draw(self, count: int, attempts: int = 50) -> list[Architecture]:
        """Return up to `count` new architectures drawn from the space, in up to `attempts` draws for each.

        Where draws find too little, what is feasible is rare: known architectures are mutated then; and a small space
        is looked through for what is left.
        """
        drawn = self._collect(lambda: self.space.sample(self.rng), count, attempts * count)
        missing = count - len(drawn)
        if not missing:
            return drawn
        known = [architecture for architecture, _ in self.history] or drawn
        if known:
            drawn += self._collect(lambda: self._neighbour(self._one_of(known)), missing, attempts * missing)
        return drawn + self._left(count - len(drawn))

    def _left(self, count: int) -> list[Architecture]:
        """Return up to `count` new architectures in random order; none where the space is too large to list."""
        if not count or math.prod(len(decision.options) for decision in self.space.decisions) > _LISTED:
            return []
        new = [a for a in self.space.enumerate() if self.space.canonical(a).text not in self._seen]
        order = iter(self.rng.permutation(len(new)).tolist())
        return self._collect(lambda: new[next(order)], count, len(new))

    def _neighbour(self, architecture: Architecture) -> Architecture:
        """Return a mutant that differs in one decision; the architecture itself where it has no valid neighbour."""
        try:
            return self.space.mutate(architecture, self.rng)
        except ArchitectureError:
            return architecture

    def _one_of(self, architectures: Sequence[Architecture]) -> Architecture:
        return architectures[int(self.rng.integers(len(architectures)))]


SEARCHERS: Registry[Searcher] = Registry("searcher")
