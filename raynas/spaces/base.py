"""`Space`: an ordered list of decisions with a validity rule and a canonical form; everything generic is here.

Sampling, mutation, crossover, distance, enumeration, subspaces and partitions are written once, over decisions.
A particular space adds its string codec (`format_options`, `parse_options`) and, where it has them, its validity rule
(`is_valid_part`), its canonical form (`canonical`) and what it leaves unused (`active`, `shared_form`).
"""

from __future__ import annotations

import copy
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Self

import numpy as np

from raynas.errors import ArchitectureError, UnknownNameError, nearest
from raynas.spaces.architecture import Architecture, Decision

ENUMERATION_LIMIT = 2_000_000
"""Spaces with more combinations of options than this are not walked through one by one."""

_ATTEMPTS = 10_000
_LISTED = 100_000
"""Spaces of up to so many combinations keep a list of what `where` left of them."""
_COUNTS = ("nonlinear_functions",)
"""What `Space.where` can tell architectures apart by."""


class Space(ABC):
    """An ordered list of decisions; see the module's docstring.

    Args:
        decisions: All decisions of the unrestricted space.
    """

    name: str = ""
    options: Mapping[str, object] = MappingProxyType({})
    """The keyword arguments that `raynas.space` made it with."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._decisions = tuple(decisions)
        self._all_decisions = self._decisions
        self._counted: dict[str, tuple[int, ...]] = {}
        self._size: int | None = None
        self._members: tuple[Architecture, ...] | None = None
        self._classes: Mapping[str, Sequence[Architecture]] | None = None

    # What a particular space says of itself.

    @abstractmethod
    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the field's own string for one option a decision."""

    @abstractmethod
    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision from the field's own string; raises ArchitectureError."""

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Groups of decisions (by index) whose validity does not depend on the others; one group unless overridden.

        Sizes are products over the groups, and each group is drawn by itself.
        """
        return (tuple(range(len(self._decisions))),)

    def is_valid_part(self, part: int, options: tuple[str, ...]) -> bool:
        """Say whether these options, one for each decision of a group of `parts`, go together (all do by default)."""
        del part, options
        return True

    def why_invalid(self, options: tuple[str, ...]) -> str:
        """Return what the validity rule has against these options, for the message; empty for no more than that."""
        del options
        return ""

    @property
    def every_combination_is_valid(self) -> bool:
        """Whether the validity rule never refuses, so that draws need no rejection."""
        return type(self).is_valid_part is Space.is_valid_part

    def active(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each decision whether what was chosen takes part in the output (all do unless overridden).

        A supernet does not run the others, and they get no gradient.
        """
        return (True,) * len(options)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all architectures that are the same function when trained alone.

        This is *not* equality under shared weights: two equal architectures can run through different shared weights.
        """
        return architecture

    def shared_form(self, architecture: Architecture) -> Hashable:
        """Return a value that is equal for architectures that are the same function under any shared weights.

        A supernet computes them bit for bit alike, so that one evaluation serves them all. (What `canonical` says of
        networks trained alone is more, and does not hold here.) Unless overridden these are the options, None where a
        decision is not `active`.
        """
        options = architecture.options
        return tuple(o if live else None for o, live in zip(options, self.active(options), strict=True))

    def nonlinear_functions(self, architecture: Architecture) -> int:
        """Return how many nonlinear functions lie one behind the other in an architecture (ENN, AAAI 2025).

        Each space that has such a count says in its own docstring what counts; no two spaces' counts compare.

        Raises:
            ArchitectureError: The space has none.
        """
        raise ArchitectureError(
            f"{self.name} has no count of nonlinear functions for '{architecture}' (nasbench201, nasbench_macro, "
            "mobilenet and darts have one; a space of your own overrides Space.nonlinear_functions)"
        )

    # What is the same for all.

    def is_valid(self, options: tuple[str, ...]) -> bool:
        """Say whether a combination of options, each allowed by itself, is an architecture of the space."""
        return self._obeys_rule(options) and (not self._counted or self._has_counts(options))

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
        """The number of architectures, validity rule applied; each of `parts` with a rule is counted one by one.

        Raises:
            ArchitectureError: A part with a rule is too large to count (see `ENUMERATION_LIMIT`).
        """
        if self._size is None:
            if self._counted:
                self._size = sum(1 for _ in self.enumerate())
            else:
                self._size = math.prod(self.count_part(part) for part in range(len(self.parts)))
        return self._size

    def count_part(self, part: int) -> int:
        """Return how many valid combinations a group of `parts` has."""
        options = [self._decisions[index].options for index in self.parts[part]]
        combinations = math.prod(map(len, options))
        if self.every_combination_is_valid:
            return combinations
        self._refuse_too_many(combinations)
        return sum(self.is_valid_part(part, chosen) for chosen in itertools.product(*options))

    @property
    def label(self) -> str:
        """A short name for the subspace: its restricted decisions, or ``root``."""
        parts = [
            f"{now.name}={'/'.join(now.options)}"
            for now, full in zip(self._decisions, self._all_decisions, strict=True)
            if now.options != full.options
        ]
        parts += [f"{key}={'/'.join(map(str, values))}" for key, values in self._counted.items()]
        return ",".join(parts) or "root"

    @property
    def counted(self) -> Mapping[str, tuple[int, ...]]:
        """What `where` asks of the architectures of this (sub)space: the values of each count."""
        return self._counted

    @property
    def root(self) -> Space:
        """The unrestricted space that this is a subspace of (itself if it is not one)."""
        if self._decisions == self._all_decisions and not self._counted:
            return self
        whole = self._with(self._all_decisions)
        whole._counted = {}
        return whole

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
        """Return one architecture, uniform over the valid ones.

        Raises:
            ArchitectureError: None was found in 10,000 draws, so few are valid or have what `where` asks for.
        """
        if self._counted:
            return self._sample_counted(rng)
        return self._sample(rng)

    def _sample(self, rng: np.random.Generator) -> Architecture:
        options = [""] * len(self._decisions)
        for index, part in enumerate(self.parts):
            for place, option in zip(part, self._sample_part(index, part, rng), strict=True):
                options[place] = option
        return self._architecture(tuple(options))

    def classes(self) -> Mapping[str, Sequence[Architecture]]:
        """Return the members of every class of architectures that are the same function, by canonical string.

        Only members in this (sub)space are listed, in order of enumeration; the canonical form need not be among them.

        Raises:
            ArchitectureError: The space is too large to walk through (see `ENUMERATION_LIMIT`).
        """
        if self._classes is None:
            members: dict[str, list[Architecture]] = {}
            for architecture in self.enumerate():
                members.setdefault(self.canonical(architecture).text, []).append(architecture)
            self._classes = members
        return self._classes

    def sample_class(self, rng: np.random.Generator) -> Architecture:
        """Return one architecture: a class of equal functions is drawn uniformly, then one of its members.

        `sample` is uniform over encodings instead, and so prefers functions that can be written in many ways.

        Raises:
            ArchitectureError: The space is too large to walk through, so that its classes are not known.
        """
        classes = list(self.classes().values())
        members = classes[int(rng.integers(len(classes)))]
        return members[int(rng.integers(len(members)))]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Return a uniformly chosen valid neighbour: exactly one decision takes another of its options."""
        if self.every_combination_is_valid and not self._counted:  # the same draw as below, without listing them all
            now = architecture.options
            others = [[o for o in d.options if o != n] for d, n in zip(self._decisions, now, strict=True)]
            count = sum(map(len, others))
            place = int(rng.integers(count)) if count else 0
            for index, options in enumerate(others):
                if place < len(options):
                    return self._architecture((*now[:index], options[place], *now[index + 1 :]))
                place -= len(options)
        around = self._neighbour_options(architecture)
        if not around:
            raise ArchitectureError(f"{architecture} has no valid neighbour in {self.name} ({self.label})")
        return self._architecture(around[int(rng.integers(len(around)))])

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
        self._refuse_too_many(math.prod(len(decision.options) for decision in self._decisions))
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

    def where(self, count: str, values: Collection[int]) -> Self:
        """Return the architectures of which a count has one of these values: ``where("nonlinear_functions", [0, 1])``.

        Decisions keep all their options, and so the supernet of it has all weights; sampling, mutation, enumeration,
        membership and size are those of the architectures that are left.

        Args:
            count: The name of a method of the space that takes an architecture and returns an integer.
            values: Those to keep; what an earlier `where` left out stays out.

        Raises:
            UnknownNameError: The space has no such count.
        """
        if count not in _COUNTS:
            raise UnknownNameError(f"nothing counts '{count}'{nearest(count, _COUNTS)} (allowed: {', '.join(_COUNTS)})")
        kept = sorted(set(values) & set(self._counted.get(count, values)))
        part = self._with(self._decisions)
        part._counted = {**self._counted, count: tuple(kept)}
        return part

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

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_members": None}  # long, and soon listed again

    def __repr__(self) -> str:
        return f"<{self.name} space, {self.label}: {len(self._decisions)} decisions>"

    def _has_counts(self, options: tuple[str, ...]) -> bool:
        architecture = self._architecture(options)
        return all(getattr(self, key)(architecture) in values for key, values in self._counted.items())

    def _obeys_rule(self, options: tuple[str, ...]) -> bool:
        if self.every_combination_is_valid:
            return True
        return all(self.is_valid_part(index, tuple(options[i] for i in part)) for index, part in enumerate(self.parts))

    def _sample_counted(self, rng: np.random.Generator) -> Architecture:
        """Return one of what `where` left: of a small space out of the list of them, however few they are."""
        if math.prod(len(decision.options) for decision in self._decisions) <= _LISTED:
            if self._members is None:
                self._members = tuple(self.enumerate())
            if self._members:
                return self._members[int(rng.integers(len(self._members)))]
            raise ArchitectureError(f"no architecture of {self.name} is in {self.label}")
        for _ in range(_ATTEMPTS):
            architecture = self._sample(rng)
            if self.is_valid(architecture.options):
                return architecture
        raise ArchitectureError(f"no architecture of {self.name} ({self.label}) in {_ATTEMPTS} draws")

    def _sample_part(self, index: int, part: tuple[int, ...], rng: np.random.Generator) -> tuple[str, ...]:
        allowed = [self._decisions[place].options for place in part]
        for _ in range(_ATTEMPTS):
            chosen = tuple(options[int(rng.integers(len(options)))] for options in allowed)
            if self.is_valid_part(index, chosen):
                return chosen
        raise ArchitectureError(f"no valid architecture of {self.name} ({self.label}) in {_ATTEMPTS} draws")

    def _refuse_too_many(self, combinations: int) -> None:
        if combinations > ENUMERATION_LIMIT:
            raise ArchitectureError(
                f"{self.name} ({self.label}) has {combinations:.4g} combinations, more than the {ENUMERATION_LIMIT:,} "
                "that are walked through one by one; draw from it with sample(), or enumerate a subspace"
            )

    def _architecture(self, options: tuple[str, ...]) -> Architecture:
        return Architecture(self.format_options(options), options)

    def _with(self, decisions: tuple[Decision, ...]) -> Self:
        other = copy.copy(self)
        other._decisions = decisions
        other._size = other._classes = other._members = None
        return other

    def _neighbour_options(self, architecture: Architecture) -> list[tuple[str, ...]]:
        now = architecture.options
        changed = [
            (*now[:i], option, *now[i + 1 :])
            for i, decision in enumerate(self._decisions)
            for option in decision.options
            if option != now[i]
        ]
        if self.every_combination_is_valid and not self._counted:
            return changed
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
        if not self._obeys_rule(options):
            why = self.why_invalid(options)
            return f"{self.format_options(options)} breaks the validity rule of {self.name}{f': {why}' if why else ''}"
        if not self.is_valid(options):
            counts = ", ".join(f"{key}={getattr(self, key)(self._architecture(options))}" for key in self._counted)
            return f"{self.format_options(options)} is not in {self.name} ({self.label}): it has {counts}"
        return ""
