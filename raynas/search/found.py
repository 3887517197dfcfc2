"""A record of a path search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raynas.search.searcher import best_first
from raynas.spaces import Architecture


@dataclass(frozen=True)
class Found:
    """One architecture that a search scored.

    Args:
        evaluation: The how-manieth it was, from 1.
        architecture: What was scored.
        score: Higher is better.
        loss: The score's mean loss (nats an image).
        accuracy: The score's accuracy (percent).
        scorer: Which supernet scored it.
    """

    evaluation: int
    architecture: Architecture
    score: float
    loss: float
    accuracy: float
    scorer: str


def best_found(found: Sequence[Found], k: int) -> list[Found]:
    """Return the k best by score; equal scores in the order of their strings, scores that are not finite last."""
    return sorted(found, key=lambda f: best_first(f.architecture, f.score))[:k]
