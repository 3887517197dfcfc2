"""`MethodPlan`: which parts a method is made of, by name; `MethodParts`: the parts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raynas.methods.curriculum import CURRICULA, Curriculum
from raynas.methods.part import Part
from raynas.methods.regularizer import REGULARIZERS, Landmark, Regularizer
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.sharing import SHARINGS, Sharing
from raynas.spaces import Space

Named = tuple[str, Mapping[str, Any]]
"""A registered component's name and options."""
_UNIFORM: Named = ("uniform", {})
_POSITIONS: Named = ("positions", {})


@dataclass(frozen=True)
class MethodParts:
    """The parts of a method, at work on one supernet."""

    sampler: Sampler
    sharing: Sharing
    regularizer: Regularizer | None
    curriculum: Curriculum | None

    @property
    def all(self) -> list[Part]:
        """Those there are."""
        return list(self.by_kind.values())

    @property
    def by_kind(self) -> dict[str, Part]:
        """Those there are, by ``sampler``, ``sharing``, ``regularizer``, ``curriculum``."""
        parts: dict[str, Part | None] = {"sampler": self.sampler, "sharing": self.sharing}
        parts |= {"regularizer": self.regularizer, "curriculum": self.curriculum}
        return {kind: part for kind, part in parts.items() if part is not None}

    def heldout_images(self, count: int) -> int:
        """Return how many of so many training images must be held out: those of scores, and what batches want else.

        Parts of one kind share images, as many as the part that wants most. Where there are both kinds, the share that
        batches want is one of the images that are left beside the scores'.
        """
        scored = self.scored_images(count)
        return scored + max(part.heldout_images(count - scored) for part in self.all)

    def scored_images(self, count: int) -> int:
        """Return how many of so many training images must be held out for scores: as for the part that wants most."""
        return max(part.scored_images(count) for part in self.all)

    def images_apart(self, count: int, heldout: int) -> int:
        """Return how many of the held-out images, the first, are for scores alone; 0 where there are not both kinds.

        Args:
            count: All training images.
            heldout: Those held out of them; with fewer than are wanted, scores have half of them at most.
        """
        scored = self.scored_images(count)
        batches = any(part.heldout_images(count - scored) for part in self.all)
        return min(scored, heldout // 2) if batches else 0


@dataclass(frozen=True)
class MethodPlan:
    """The parts of a method by name; by default each is neutral, which is SPOS."""

    sampler: Named = _UNIFORM
    sharing: Named = _POSITIONS
    regularizer: Named | None = None
    curriculum: Named | None = None

    def make(self, space: Space, landmarks: Sequence[Landmark] = ()) -> MethodParts:
        """Return the parts, made anew.

        Args:
            space: The (sub)space of the supernet.
            landmarks: For the regularizer: those in this space.
        """
        sampler, sampler_options = self.sampler
        sharing, sharing_options = self.sharing
        return MethodParts(
            SAMPLERS.make(sampler, space, **sampler_options),
            SHARINGS.make(sharing, **sharing_options),
            None
            if self.regularizer is None
            else REGULARIZERS.make(self.regularizer[0], landmarks, **self.regularizer[1]),
            None if self.curriculum is None else CURRICULA.make(self.curriculum[0], **self.curriculum[1]),
        )
