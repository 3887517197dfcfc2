"""Partitions that partitions are made of: a tree that grows while it is trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from raynas.errors import ArchitectureError
from raynas.spaces import Architecture, Space

_DRAWS = 20
"""So many draws are all the same architecture with a chance below 2e-6, if there are two or more."""


class PartitionTree:
    """The spaces of partitions, and whose child each is.

    Args:
        spaces: Those that there are at first, by label.
    """

    def __init__(self, spaces: Mapping[str, Space]) -> None:
        self.spaces = dict(spaces)
        self.parents: dict[str, str] = {}

    def breed(self, parent: str, keep: Architecture | None, rng: np.random.Generator) -> str | None:
        """Make a child of a partition: the half of its space in which an architecture is.

        A decision that still has two options or more is chosen at random, and its options are dealt at random into two
        halves. A child with fewer than two architectures is not made, nor one that there is already: then another
        decision is tried, each once.

        Args:
            parent: The partition's label.
            keep: The child has the half that this one's option is in; a random half if None, or if it is not the
                parent's.
            rng: The stream of all draws.

        Returns:
            The child's label, which is that of its space; None where no new child was found: the partition cannot be
            split any more, or what was dealt is there already.
        """
        space = self.spaces[parent]
        for place in rng.permutation(len(space.decisions)):
            name, options = space.decisions[place].name, space.decisions[place].options
            if len(options) < 2:
                continue
            dealt = [options[i] for i in rng.permutation(len(options))]
            halves = [dealt[::2], dealt[1::2]]
            rng.shuffle(halves)
            kept = keep.options[place] if keep is not None else None
            child = space.subspace({name: next((half for half in halves if kept in half), halves[0])})
            if child.label not in self.spaces and _has_two(child):
                self.spaces[child.label], self.parents[child.label] = child, parent
                return child.label
        return None


def _has_two(space: Space) -> bool:
    """Say whether a space has two architectures or more, without counting them."""
    rng = np.random.default_rng(0)
    try:
        return len({space.sample(rng) for _ in range(_DRAWS)}) > 1
    except ArchitectureError:
        return False
