"""`Partition`: how a space is split into sub-supernets, level by level (Few-shot NAS, Zhao et al., ICML 2021).

One supernet for the whole space makes very different architectures share weights; several for its parts share less. A
split of a part is again a split, so that partitions are trees: the root supernet, its children, theirs; each inherits
the weights of its parent (`raynas.networks.inherit`). A `Partition` only says where to split; who trains when, and from
which weights, is the run's business.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from raynas.errors import ArchitectureError, RunError
from raynas.methods.part import Stack
from raynas.methods.view import Path
from raynas.networks import Supernet
from raynas.registry import Registry
from raynas.spaces import Space
from raynas.streams import stream

Groups = Mapping[str, Sequence[Sequence[str]]]
"""For each decision that is split the groups of options, one of which each part keeps."""


class Probe(Protocol):
    """A trained supernet to be looked at, before it is split; nothing that is done to it outlives the split."""

    supernet: Supernet

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Return the next images (B, C, H, W) and targets (B, ...) out of those that weights are trained on."""

    def loss(self, path: Path, images: Tensor, targets: Tensor) -> Tensor:
        """Return the task's mean loss of one path, a scalar with its graph."""

    def count(self, *, trained: int = 0, scored: int = 0) -> None:
        """Charge images to the budget: passed forward and backward, or forward only."""


@dataclass(frozen=True)
class Split:
    """How one (sub)space is split.

    Args:
        parts: Disjoint subspaces that cover it; a single one means that it stays as it is.
        why: What the choice rests on, as plain values.
    """

    parts: tuple[Space, ...]
    why: Mapping[str, Any] = field(default_factory=dict)


class Partition(ABC):
    """Chooses the splits of a tree of sub-supernets."""

    learned = False
    """Whether a split depends on the weights of the supernet that is split, and so is known only after its training."""

    @property
    def levels(self) -> int:
        """How often the parts are split again: 1 for the root's children only."""
        return 1

    @abstractmethod
    def split(self, space: Space, level: int, rng: np.random.Generator, probe: Probe | None = None) -> Split:
        """Return how a (sub)space is split.

        Args:
            space: The (sub)space.
            level: 0 for the root, 1 for one of its parts, and so on.
            rng: The stream of all draws.
            probe: Its trained supernet; only where `learned`.

        Raises:
            UnknownNameError: The space has no such decision or option.
            ConfigError: It cannot be split like that.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return what is split, for the line that a run begins with: ``5 partitions`` and this (``of 3<-0``)."""

    def most(self, space: Space) -> list[int]:
        """Return the most sub-supernets that there can be, level by level; 1 where nothing is split.

        Raises:
            UnknownNameError: As for `split`.
            ConfigError: As for `split`.
        """
        counts, parts = [], [space]
        for level in range(self.levels):
            parts = [child for part in parts for child in self.split(part, level, stream(0, "split", part.label)).parts]
            counts.append(len(parts))
        return counts

    def objections(self, stack: Stack) -> list[str]:
        """Return why this cannot work in a stack, each with what to do about it; nothing where it can."""
        del stack
        return []

    def network_objections(self, supernet: Supernet) -> list[str]:
        """Return why the root's network cannot be split like this; nothing where it can."""
        del supernet
        return []


def needs(probe: Probe | None) -> Probe:
    """Return the probe; raises RunError where a learned split was asked for without one."""
    if probe is None:
        raise RunError("this split depends on trained weights: give `split` the supernet's probe")
    return probe


def split_by(space: Space, groups: Groups) -> list[Space]:
    """Return a subspace for each combination of groups; those without any architecture are left out.

    Args:
        space: The (sub)space to split; options that it has no longer are skipped.
        groups: What to split by.

    Raises:
        UnknownNameError: The space has no such decision.
    """
    names = list(groups)
    kept = []
    for name in names:
        have = space.decision(name).options
        here = [tuple(option for option in have if option in group) for group in groups[name]]
        kept.append([group for group in here if group])
    parts = [space.subspace(dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*kept)]
    return [part for part in parts if _has_any(part)]


def unsplit(space: Space) -> list[str]:
    """Return the names of the decisions that still have all their options, two or more."""
    return [
        now.name
        for now, full in zip(space.decisions, space.root.decisions, strict=True)
        if now.options == full.options and len(now.options) > 1
    ]


def _has_any(space: Space) -> bool:
    try:
        space.sample(np.random.default_rng(0))
    except ArchitectureError:
        return False
    return True


PARTITIONS: Registry[Partition] = Registry("partition")
