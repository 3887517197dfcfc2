"""Which architectures become landmarks: Yu et al. (CVPR 2021), algorithm 1, and the other rules of the released code.

``random`` draws uniformly (what all main experiments of the paper's code do). ``hamming`` is the paper's algorithm: a
random root, and then architectures that come of mutating the root, one decision at a time, until the Hamming distance
is larger than tau. ``fixed`` takes the architectures spaced evenly by known quality up to the best, or a list.

We differ from the released code: the distance is kept to all landmarks and not only to the root (`official` keeps it to
the root), no two landmarks are the same function, every architecture can be one (the code drops the one with number
0), and a tau that cannot be had is refused, where the code accepts its 500th mutant whatever its distance is.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from raynas.errors import ConfigError, RaynasError
from raynas.methods.landmark_choice import LandmarkChoice
from raynas.spaces import Architecture, Space
from raynas.spaces.base import ENUMERATION_LIMIT
from raynas.truth import TruthTable
from raynas.truth.ranking_set import known_architectures

_PATIENCE = 1_000
"""Draws, or mutations of one chain, in a row without anything new before what there is is walked through."""


def choose_landmarks(
    choice: LandmarkChoice, space: Space, rng: np.random.Generator, table: TruthTable | None = None
) -> list[Architecture]:
    """Return the first lot of landmarks, no two of them the same function.

    Args:
        choice: How.
        space: The whole space.
        rng: The stream of the draw.
        table: What must know their quality (`LandmarkChoice.metric`); None where it will be trained.

    Raises:
        ConfigError: There are not so many, tau is too large, or a listed architecture cannot be one.
    """
    return _Chooser(choice, space, rng, table).first_lot()


class _Chooser:
    def __init__(self, choice: LandmarkChoice, space: Space, rng: np.random.Generator, table: TruthTable | None):
        self.choice, self.space, self.rng, self.table = choice, space, rng, table
        self.count = choice.lots[0]

    def first_lot(self) -> list[Architecture]:
        if self.choice.architectures is not None:
            return self._listed(self.choice.architectures)
        found = {"random": self._random, "hamming": self._hamming, "fixed": self._spaced}[self.choice.select]()
        if len(found) < self.count:
            raise ConfigError([f"{self.count} landmarks are wanted, but {self._source()} {len(found)}; take fewer"])
        return found

    def _random(self) -> list[Architecture]:
        if self.table is not None:
            return self._known(self.count)
        chosen: dict[str, Architecture] = {}
        repeated = 0
        while len(chosen) < self.count and repeated < _PATIENCE:
            architecture = self.space.sample(self.rng)
            function = self._function(architecture)
            repeated = repeated + 1 if function in chosen else 0
            chosen.setdefault(function, architecture)
        for architecture in self._all() if len(chosen) < self.count else ():
            if len(chosen) < self.count:
                chosen.setdefault(self._function(architecture), architecture)
        return list(chosen.values())

    def _spaced(self) -> list[Architecture]:
        """Return those at equal distances in the order of quality, the last being the best."""
        table, metric = self.table, self.choice.metric
        assert table is not None  # a choice without a table names its architectures
        known = sorted(self._known(len(table)), key=lambda a: (table.query(a, metric), a.text))
        if len(known) < self.count:
            return known
        return [known[(place + 1) * len(known) // self.count - 1] for place in range(self.count)]

    def _hamming(self) -> list[Architecture]:
        decisions, tau, wanted = len(self.space.decisions), self.choice.tau, f"{self.count} landmarks"
        if tau >= decisions:
            raise ConfigError(
                [
                    f"tau={tau} asks for a distance larger than {tau} of {decisions} decisions; the largest possible "
                    f"tau is {decisions - 1}"
                ]
            )
        start = copy.deepcopy(self.rng)
        found = self._far_apart(tau, self.rng)
        if len(found) == self.count:
            return found
        for lower in range(tau - 1, -1, -1):
            if len(self._far_apart(lower, copy.deepcopy(start))) == self.count:
                raise ConfigError(
                    [
                        f"with tau={tau} only {len(found)} of {wanted} were found that differ in more than {tau} "
                        f"decisions; the largest tau possible with this seed is {lower}, or take fewer landmarks"
                    ]
                )
        return found

    def _far_apart(self, tau: int, rng: np.random.Generator) -> list[Architecture]:
        """Return a root and architectures farther than tau from all of them, as many as are wanted or can be found."""
        roots = self._known(1, rng) if self.table is not None else [self.space.sample(rng)]
        chosen, functions = list(roots), {self._function(root) for root in roots}

        def suits(architecture: Architecture) -> bool:
            compared = chosen[:1] if self.choice.official else chosen
            return (
                all(self.space.distance(architecture, other) > tau for other in compared)
                and self._is_known(architecture)
                and self._function(architecture) not in functions
            )

        while chosen and len(chosen) < self.count:
            new = next(filter(suits, self._mutants(chosen[0], rng)), None)
            if new is None:
                rest = [architecture for architecture in self._all() if suits(architecture)]
                if not rest:
                    break
                new = rest[int(rng.integers(len(rest)))]
            chosen.append(new)
            functions.add(self._function(new))
        return chosen

    def _mutants(self, root: Architecture, rng: np.random.Generator) -> Iterator[Architecture]:
        """Yield a chain of mutations of the root."""
        for _ in range(_PATIENCE):
            root = self.space.mutate(root, rng)
            yield root

    def _listed(self, texts: Sequence[str]) -> list[Architecture]:
        problems, found = [], dict[str, Architecture]()
        for text in texts:
            try:
                architecture = self.space.parse(text)
            except RaynasError as error:
                problems.append(f"of the architectures listed: {error}")
                continue
            function = self._function(architecture)
            if function in found:
                problems.append(f"{text} is the same function as {found[function]}; leave one of the architectures out")
            if not self._is_known(architecture):
                assert self.table is not None
                problems.append(
                    f"{self.table.name} does not know the {self.choice.metric} of {text}; leave it out, or set "
                    "truth=train"
                )
            found.setdefault(function, architecture)
        if problems:
            raise ConfigError(problems)
        return list(found.values())

    def _known(self, count: int, rng: np.random.Generator | None = None) -> list[Architecture]:
        assert self.table is not None
        return known_architectures(self.table, self.space, rng or self.rng, count, self.choice.metric)

    def _is_known(self, architecture: Architecture) -> bool:
        return self.table is None or self.table.knows(architecture, self.choice.metric)

    def _all(self) -> Iterator[Architecture]:
        """Yield every architecture, or all that the table knows; nothing where there are too many to walk through."""
        if math.prod(len(decision.options) for decision in self.space.decisions) <= ENUMERATION_LIMIT:
            return self.space.enumerate()
        known = self.table.architectures if self.table is not None else ()
        return itertools.filterfalse(lambda architecture: architecture not in self.space, known)

    def _function(self, architecture: Architecture) -> str:
        return self.space.canonical(architecture).text

    def _source(self) -> str:
        if self.table is None:
            return f"{self.space.name} has, distinct as functions, only"
        return f"{self.table.name} knows the {self.choice.metric} of, distinct as functions, only"
