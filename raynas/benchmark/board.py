"""The board that searchers play on: all architectures that may be proposed, and what evaluating them says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raynas.benchmark.settings import PLACE
from raynas.errors import ConfigError
from raynas.search import Cost, Outcome
from raynas.spaces import Architecture, Space
from raynas.truth import TruthTable

Floats = NDArray[np.float64]

_SAME = 1e-9
"""Shares of a full evaluation that differ by no more than this, as a share of themselves, are the same."""


@dataclass(frozen=True)
class Board:
    """Architectures of which everything that is asked for is known and within the limits.

    Args:
        table: The truth.
        metric: Its metric that searchers are told, or ``scores`` where scores of elsewhere were given.
        report: Its metric by which regret is measured.
        texts: (N,) the architectures; canonical forms where `by_function`.
        by_function: Whether an architecture is answered by its canonical form's entry.
        score: (N,) what searchers are told, higher is better.
        truth: (N,) the metric `report`; no searcher sees it.
        costs: Of each cost, (N,) values.
        short: Of each share of a full evaluation below 1, (N,) what such an evaluation tells.
        rare: Whether random draws hardly come upon what it holds.
    """

    table: TruthTable
    metric: str
    report: str
    texts: tuple[str, ...]
    by_function: bool
    score: Floats
    truth: Floats
    costs: Mapping[str, Floats] = field(default_factory=dict)
    short: Mapping[float, Floats] = field(default_factory=dict)
    rare: bool = False

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self.table.space

    @property
    def best(self) -> float:
        """The best that there is by `report`."""
        return float(self.truth.max())

    @cached_property
    def complete(self) -> bool:
        """Whether it holds every architecture of the space, so that nothing need be refused."""
        return not self.by_function and math.prod(len(d.options) for d in self.space.decisions) == len(self.texts)

    @cached_property
    def _entries(self) -> dict[str, int]:
        return {text: entry for entry, text in enumerate(self.texts)}

    @cached_property
    def _canonical(self) -> dict[str, int | None]:
        return {}

    def entry(self, architecture: Architecture) -> int | None:
        """Return an architecture's place on the board; None where it has none."""
        text = architecture.text
        if not self.by_function:
            return self._entries.get(text)
        if text not in self._canonical:
            self._canonical[text] = self._entries.get(self.space.canonical(architecture).text)
        return self._canonical[text]

    def holds(self, architecture: Architecture) -> bool:
        """Say whether an architecture may be proposed."""
        return self.entry(architecture) is not None

    def told_at(self, fidelity: float) -> Floats:
        """Return (N,) what evaluations of this share of a full one tell.

        Raises:
            ConfigError: It is not known what they tell.
        """
        if fidelity == 1.0:
            return self.score
        for share, values in self.short.items():
            if math.isclose(share, fidelity, rel_tol=_SAME):
                return values
        known = ", ".join(f"{share:g}" for share in (*self.short, 1.0))
        raise ConfigError(
            [
                f"'fidelities': the searcher asks for {fidelity:.6g} of a full evaluation, known are {known} "
                f"(hyperband and bohb ask for these with levels=[{known}])"
            ],
            PLACE,
        )

    def evaluate(self, asked: Sequence[Architecture], fidelity: float) -> list[Outcome]:
        """Return what evaluating architectures says, as `raynas.search.explore` wants it."""
        told, name = self.told_at(fidelity), self.table.name
        scores = [float(told[self._must(architecture)]) for architecture in asked]
        known = self.metric.endswith("_accuracy")
        return [Outcome(score, math.nan, score if known else math.nan, name) for score in scores]

    def cost(self, name: str) -> Cost:
        """Return what gives an architecture's cost."""
        values = self.costs[name]
        return lambda architecture: float(values[self._must(architecture)])

    def _must(self, architecture: Architecture) -> int:
        entry = self.entry(architecture)
        if entry is None:  # a searcher must not propose what is not feasible
            raise KeyError(f"{architecture} may not be proposed: it is unknown or outside the limits")
        return entry
