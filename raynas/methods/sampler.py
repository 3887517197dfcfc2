"""`Sampler`: which paths the next training step runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from raynas.methods.part import Part
from raynas.methods.view import Path, TrainingView
from raynas.registry import Registry
from raynas.search import Pool, PoolEntry
from raynas.spaces import Architecture, Space


class Sampler(Part, ABC):
    """Chooses the paths of each training step.

    Args:
        space: The (sub)space that the supernet holds.
    """

    distils = False
    """Whether the first path of a step teaches the others: these learn its output and not the labels."""

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def next_step(self, view: TrainingView, rng: np.random.Generator) -> Sequence[Path]:
        """Return what is trained on the next batch; the gradients of several paths are summed into one step.

        What it looks at to decide is charged to the budget by the view.
        """

    @property
    def finished(self) -> bool:
        """Whether it asks to end the training before the budget is spent."""
        return False

    def begin_round(self, pool: Pool) -> None:
        """Take in the candidate pool as all supernets left it, restricted to this space; a copy to add to."""

    def proposals(self) -> list[PoolEntry]:
        """Return what it scored in the round that has just ended, for the pool; nothing unless it scores."""
        return []

    @property
    def derived(self) -> Architecture | None:
        """The architecture that the sampler has arrived at by now; None if it prefers none."""
        return None

    def candidates(self, rng: np.random.Generator, count: int) -> list[Architecture]:
        """Return architectures that the worker scores for the pool after a round; drawn from the space by default."""
        return [self.space.sample(rng) for _ in range(count)]


SAMPLERS: Registry[Sampler] = Registry("sampler")
