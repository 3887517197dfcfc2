"""`Space`: an ordered list of decisions with a validity rule and a canonical form; everything generic is here.

Sampling, mutation, crossover, distance, enumeration, subspaces and partitions are written once, over decisions.
A particular space adds its string codec (`format_options`, `parse_options`) and, where it has them, its validity rule
(`is_valid`) and canonical form (`canonical`).
"""

from __future__ import annotations

import copy
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np

from raynas.errors import ArchitectureError, UnknownNameError, nearest
from raynas.spaces.architecture import Architecture, Decision

ENUMERATION_LIMIT = 2_000_000
"""Spaces with more combinations of options than this are not walked through one by one."""

_ATTEMPTS = 10_000


class Space(ABC):
    """An ordered list of decisions; see the module's docstring.

    Args:
        decisions: All decisions of the unrestricted space.
    """

    name: str = ""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._decisions = tuple(decisions)
        self._all_decisions = self._decisions
        self._size: int | None = None

    # What a particular space says of itself.

    @abstractmethod
    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the field's own string for one option a decision."""

    @abstractmethod
    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision from the field's own string; raises ArchitectureError."""

    def is_valid(self, options: tuple[str, ...]) -> bool:
        """Say whether a combination of options is an architecture of the space (all are unless overridden)."""
        del options
        return True

    @property
    def every_combination_is_valid(self) -> bool:
        """Whether `is_valid` never refuses, so that sizes are products and draws need no rejection."""
        return type(self).is_valid is Space.is_valid

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all architectures that are the same function when trained alone.

        This is *not* equality under shared weights: two equal architectures can run through different shared weights.
        """
        return architecture

    # What is the same for all.

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions, each with the options that this (sub)space allows."""
        return self._decisions

    def decision(self, name: str) -> Decision:
        """Return the decision of this name, with the options this (sub)space allows; raises UnknownNameError."""
        by_name = {decision.name: decision for decision in self._decisions}
        if name not in by_name:
            raise UnknownNameError(
                f"{self.name} has no decision '{name}'{nearest(name, by_name)} (allowed: {', '.join(by_name)})"
            )
        return by_name[name]

    @property
    def size(self) -> int:
        """The number of architectures, validity rule applied; counted by enumeration where there is a rule."""
        if self._size is None:
            combinations = math.prod(len(decision.options) for decision in self._decisions)
            self._size = combinations if self.every_combination_is_valid else sum(1 for _ in self.enumerate())
        return self._size

    @property
    def label(self) -> str:
        """A short name for the subspace: its restricted decisions, or ``root``."""
        parts = [
            f"{now.name}={'/'.join(now.options)}"
            for now, full in zip(self._decisions, self._all_decisions, strict=True)
            if now.options != full.options
        ]
        return ",".join(parts) or "root"

    @property
    def root(self) -> Space:
        """The unrestricted space that this is a subspace of (itself if it is not one)."""
        return self if self._decisions == self._all_decisions else self._with(self._all_decisions)

    def make(self, options: Sequence[str]) -> Architecture:
        """Return the architecture with these options.

        Raises:
            ArchitectureError: The number of options is wrong, one is not allowed here, or the validity rule refuses.
        """
        chosen = tuple(options)
        problem = self._problem(chosen)
        if problem:
            raise ArchitectureError(problem)
        return self._architecture(chosen)

    def parse(self, text: str) -> Architecture:
        """Return the architecture written in the field's own notation.

        Raises:
            ArchitectureError: The text is not in the notation, or is not an architecture of this (sub)space.
        """
        return self.make(self.parse_options(text))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return one architecture, uniform over the valid ones."""
        for _ in range(_ATTEMPTS):
            options = tuple(d.options[int(rng.integers(len(d.options)))] for d in self._decisions)
            if self.is_valid(options):
                return self._architecture(options)
        raise ArchitectureError(f"no valid architecture of {self.name} ({self.label}) in {_ATTEMPTS} draws")

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a uniformly chosen valid neighbour: exactly one decision takes another of its options."""
        options = self._neighbour_options(architecture)
        if not options:
            raise ArchitectureError(f"{architecture} has no valid neighbour in {self.name} ({self.label})")
        return self._architecture(options[int(rng.integers(len(options)))])

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a child that takes each decision's option from one parent or the other with equal chance.

        Where the validity rule refuses a child it is drawn again; after 100 refusals the first parent is returned.
        """
        for _ in range(100):
            mask = rng.random(len(self._decisions)) < 0.5
            options = tuple(x if take else y for x, y, take in zip(a.options, b.options, mask, strict=True))
            if self.is_valid(options):
                return self._architecture(options)
        return a

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return every valid architecture that differs in exactly one decision, in the order of the decisions."""
        return [self._architecture(options) for options in self._neighbour_options(architecture)]

    def distance(self, a: Architecture, b: Architecture) -> int:
        """Return the Hamming distance: the number of decisions in which the two differ."""
        return sum(x != y for x, y in zip(a.options, b.options, strict=True))

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every valid architecture, the last decision changing fastest.

        Raises:
            ArchitectureError: The space is too large to walk through (see `ENUMERATION_LIMIT`).
        """
        combinations = math.prod(len(decision.options) for decision in self._decisions)
        if combinations > ENUMERATION_LIMIT:
            raise ArchitectureError(
                f"{self.name} ({self.label}) has {combinations:.4g} combinations, more than the {ENUMERATION_LIMIT:,} "
                "that enumerate() walks through; draw from it with sample(), or enumerate a subspace"
            )
        product = itertools.product(*(decision.options for decision in self._decisions))
        return (self._architecture(options) for options in product if self.is_valid(options))

    def subspace(self, allowed: Mapping[str, Sequence[str]]) -> Self:
        """Return the space with fewer options for the decisions named; the others keep theirs.

        Raises:
            UnknownNameError: A decision or option does not exist in this (sub)space.
        """
        for name, options in allowed.items():
            have = self.decision(name).options
            for option in options:
                if option not in have:
                    raise UnknownNameError(
                        f"decision '{name}' of {self.name} has no option '{option}'{nearest(option, have)} "
                        f"(allowed: {', '.join(have)})"
                    )
            if not options:
                raise UnknownNameError(f"decision '{name}' of {self.name} was left without any option")
        return self._with(
            tuple(
                Decision(d.name, tuple(o for o in d.options if o in allowed[d.name])) if d.name in allowed else d
                for d in self._decisions
            )
        )

    def only(self, architecture: Architecture) -> Self:
        """Return the subspace of one architecture: a stand-alone network is the supernet of it."""
        return self._with(
            tuple(Decision(d.name, (option,)) for d, option in zip(self.decisions, architecture.options, strict=True))
        )

    def partition(self, decisions: Sequence[str]) -> list[Self]:
        """Return disjoint subspaces that cover the space: one for each combination of options of these decisions."""
        if len(set(decisions)) != len(decisions):
            raise UnknownNameError(f"a decision is named more than once: {', '.join(decisions)}")
        combinations = itertools.product(*(self.decision(name).options for name in decisions))
        return [
            self.subspace({name: (option,) for name, option in zip(decisions, combination, strict=True)})
            for combination in combinations
        ]

    def __contains__(self, architecture: object) -> bool:
        return isinstance(architecture, Architecture) and not self._problem(architecture.options)

    def __repr__(self) -> str:
        return f"<{self.name} space, {self.label}: {len(self._decisions)} decisions>"

    def _architecture(self, options: tuple[str, ...]) -> Architecture:
        return Architecture(self.format_options(options), options)

    def _with(self, decisions: tuple[Decision, ...]) -> Self:
        other = copy.copy(self)
        other._decisions = decisions
        other._size = None
        return other

    def _neighbour_options(self, architecture: Architecture) -> list[tuple[str, ...]]:
        now = architecture.options
        changed = (
            (*now[:i], option, *now[i + 1 :])
            for i, decision in enumerate(self._decisions)
            for option in decision.options
            if option != now[i]
        )
        return [options for options in changed if self.is_valid(options)]

    def _problem(self, options: tuple[str, ...]) -> str:
        if len(options) != len(self._decisions):
            return f"{self.name} has {len(self._decisions)} decisions, got {len(options)} options: {options}"
        for option, decision in zip(options, self._decisions, strict=True):
            if option not in decision.options:
                return (
                    f"decision '{decision.name}' of {self.name} ({self.label}) has no option '{option}'"
                    f"{nearest(option, decision.options)} (allowed: {', '.join(decision.options)})"
                )
        if not self.is_valid(options):
            return f"{self.format_options(options)} breaks the validity rule of {self.name}"
        return ""
