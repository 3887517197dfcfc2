"""Path searchers: ask for architectures to score, tell their scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from raynas.registry import Registry
from raynas.spaces import Architecture, Space

Feasible = Callable[[Architecture], bool]


def best_first(architecture: Architecture, score: float) -> tuple[float, str]:
    """Return a sorting key: the best score first, equal ones by their strings, what is not finite last."""
    return (-score if math.isfinite(score) else math.inf), architecture.text


class Searcher(ABC):
    """Proposes architectures; no function is proposed twice (equality by canonical form).

    Args:
        space: The space to search.
        rng: The stream of all its draws.
        initial: Architectures to begin with, best first (a candidate pool's); infeasible ones are skipped.
        feasible: Which architectures may be proposed (all unless given).
    """

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

    @abstractmethod
    def ask(self) -> list[Architecture]:
        """Return the next architectures to score, all new; an empty list when nothing new can be found."""

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Take in the scores (higher is better) of architectures that were asked for."""
        self.history.extend(zip(architectures, scores, strict=True))

    @property
    def ranked(self) -> list[tuple[Architecture, float]]:
        """All scored architectures, best first; equal scores by their strings, scores that are not finite last."""
        return sorted(self.history, key=lambda pair: best_first(*pair))

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {
            "seen": sorted(self._seen),
            "initial": self._initial,
            "history": self.history,
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


SEARCHERS: Registry[Searcher] = Registry("searcher")
