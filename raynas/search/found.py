"""A record of a path search."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from raynas.search.searcher import best_first
from raynas.spaces import Architecture


@dataclass(frozen=True)
class Found:
    """One architecture that a search evaluated.

    Args:
        evaluation: The how-manieth it was, from 1.
        architecture: What was scored.
        score: Higher is better.
        loss: The score's mean loss (nats an image); NaN where a table gave the score.
        accuracy: The score's accuracy (percent).
        scorer: Which supernet scored it, or which table.
        fidelity: The share of a full evaluation that it got, in (0, 1].
        spent: What the search had spent with it, in full evaluations.
        costs: Its costs by name (``flops_m``), where the search looked at some.
    """

    evaluation: int
    architecture: Architecture
    score: float
    loss: float
    accuracy: float
    scorer: str
    fidelity: float = 1.0
    spent: float = 0.0
    costs: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def row(self) -> dict[str, Any]:
        """Return it as plain values, for a table; each cost has a column."""
        plain = {name: value for name, value in vars(self).items() if name not in ("architecture", "costs")}
        return {"architecture": self.architecture.text, **plain, **self.costs}


def best_found(found: Sequence[Found], k: int, same: Callable[[Architecture], Hashable] | None = None) -> list[Found]:
    """Return the k best by score of those fully evaluated; equal ones by their strings, not finite ones last.

    Args:
        found: What was evaluated.
        k: At most so many are returned.
        same: What is equal for architectures of which one will do; None where all are wanted.
    """
    whole = sorted((f for f in found if f.fidelity == 1.0), key=lambda f: best_first(f.architecture, f.score))
    if same is not None:
        first: dict[Hashable, Found] = {}
        for one in whole:
            first.setdefault(same(one.architecture), one)
        whole = list(first.values())
    return whole[:k]
