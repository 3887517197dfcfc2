"""How evolutionary searchers make a mutant: every decision drawn anew with a small chance (SPOS, ECCV 2020)."""

from __future__ import annotations

import numpy as np

from raynas.errors import ArchitectureError
from raynas.spaces import Architecture, Space

_ATTEMPTS = 10


def redrawn(space: Space, parent: Architecture, probability: float, rng: np.random.Generator) -> tuple[str, ...]:
    """Return a parent's options, each drawn anew with this chance; the same may come again, or what is not valid."""
    chosen: list[str] = []
    for decision, now in zip(space.decisions, parent.options, strict=True):
        redraw = rng.random() < probability
        chosen.append(decision.options[int(rng.integers(len(decision.options)))] if redraw else now)
    return tuple(chosen)


def mutant(space: Space, parent: Architecture, probability: float, rng: np.random.Generator) -> Architecture:
    """Return a valid architecture in which each decision was drawn anew with this chance; it always differs.

    (The released code of SPOS may return the parent.) Where a few tries give nothing, one decision is changed; the
    parent itself comes back only where it has no valid neighbour.
    """
    for _ in range(_ATTEMPTS):
        options = redrawn(space, parent, probability, rng)
        if options != parent.options and space.is_valid(options):
            return space.make(options)
    try:
        return space.mutate(parent, rng)
    except ArchitectureError:
        return parent
