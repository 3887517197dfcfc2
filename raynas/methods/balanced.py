"""Balanced sampling: uniform over classes of architectures, then uniform inside the class.

By number of nonlinear functions this is what ENN trains with ("counting nonlinear functions", AAAI 2025): few
architectures have very many or very few (1,000 of the 15,625 nasbench201 cells have three convolutions on a path,
7,122 have one), so that plain uniform paths hardly train them. ENN's classes in nasbench201 are
``groups=[[0, 1], [2], [3]]``, of connected cells only (``space.connected=true``). Most of ENN's gain in ranking comes
from this sampling and not from its split. By canonical form it is how CLOSE trains nasbench201 (`uniform` with
``over=classes`` is the same), and by a decision every option of it is trained equally often where a validity rule would
favour some.

Exact where the classes can be listed: up to 100,000 combinations of options. In a larger space nonlinear functions are
counted in 2,000 draws (always the same). A class rarer than 1 % of them joins its neighbour, and a count that is in no
group, as no draw had it, belongs to the group of the nearest one that is: so every architecture stays reachable. A path
is drawn uniformly from the space again and again until it falls into the class wanted: uniform inside the class, at 100
draws or so for the rarest. Classes given by `groups` must not be rarer.
With a single class this is SPOS, draw by draw.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from raynas.errors import ArchitectureError, ConfigError, UnknownNameError, nearest
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.view import TrainingView
from raynas.spaces import Architecture, Space
from raynas.spaces.classes import classes_by

_LISTED = 100_000
"""Spaces of up to so many combinations have their classes listed."""
_PROBED = 2_000
_RAREST = 0.01
"""Of `_PROBED` draws: a class of a larger space has at least this share."""

Draw = Callable[[np.random.Generator], Architecture]


@SAMPLERS.register("balanced")
class BalancedSampler(Sampler):
    """One path a step, uniform over classes and then inside the class (ENN's balanced sampling).

    Args:
        space: The (sub)space that the supernet holds.
        by: What makes a class: ``canonical``, the architectures that are the same function; ``nonlinear``, those of
            equal `Space.nonlinear_functions`; or a decision's name, those that take the same option there.
        groups: With ``by=nonlinear``: the counts that make a class together, each in one group.

    Raises:
        ArchitectureError: The space is too large for ``canonical``, or has no count of nonlinear functions.
        UnknownNameError: `by` is none of these.
        ConfigError: The groups are not of ``nonlinear``, overlap, leave out a count, or are too rare.
    """

    def __init__(
        self,
        space: Space,
        *,
        by: Annotated[str, Field(description="canonical, nonlinear, or a decision's name")] = "canonical",
        groups: Annotated[
            list[list[int]] | None, Field(description="with by=nonlinear: counts that make a class together")
        ] = None,
    ) -> None:
        super().__init__(space)
        if groups is not None:
            _check_groups(groups, by)
        self._draws = _draws(space, by, groups)

    @property
    def classes(self) -> int:
        """How many classes there are in the space."""
        return len(self._draws)

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return one architecture."""
        if len(self._draws) == 1:
            return [self.space.sample(rng)]
        return [self._draws[int(rng.integers(len(self._draws)))](rng)]


def _draws(space: Space, by: str, groups: Sequence[Sequence[int]] | None) -> list[Draw]:
    """Return what draws from each class."""
    if by == "canonical":
        return [_one_of(members) for members in space.classes().values()]
    if by != "nonlinear":
        return _by_option(space, by)
    if math.prod(len(decision.options) for decision in space.decisions) > _LISTED:
        return _by_rejection(space, groups)
    found = classes_by(space, space.nonlinear_functions)
    wanted = _present(found, groups)
    return [_one_of([a for count in group for a in found.get(count, ())]) for group in wanted]


def _one_of(members: Sequence[Architecture]) -> Draw:
    return lambda rng: members[int(rng.integers(len(members)))]


def _by_option(space: Space, name: str) -> list[Draw]:
    """Return what draws from each option's architectures; an option without any valid one is no class."""
    allowed = ["canonical", "nonlinear", *(decision.name for decision in space.decisions)]
    if name not in allowed:
        raise UnknownNameError(
            f"balanced cannot sample {space.name} by '{name}'{nearest(name, allowed)} (allowed: {', '.join(allowed)})"
        )
    parts = [space.subspace({name: (option,)}) for option in space.decision(name).options]
    return [part.sample for part in parts if _has_any(part)]


def _has_any(space: Space) -> bool:
    try:
        space.sample(np.random.default_rng(0))
    except ArchitectureError:
        return False
    return True


def _by_rejection(space: Space, groups: Sequence[Sequence[int]] | None) -> list[Draw]:
    """Return what draws from each class of counts of a space that cannot be listed; see the module's docstring."""
    rng = np.random.default_rng(0)
    counts = Counter(space.nonlinear_functions(space.sample(rng)) for _ in range(_PROBED))
    if groups is None:
        ends = _ends(counts)
        return [_drawn_between(space, above, upto) for above, upto in itertools.pairwise([-math.inf, *ends])]
    wanted = _present(counts, groups)
    rare = [list(group) for group in wanted if sum(counts[count] for count in group) < _RAREST * _PROBED]
    if rare:
        problem = f"less than {_RAREST:.0%} of {space.name} ({space.label}) have one of the counts {rare[0]}"
        seen = ", ".join(f"{count}: {number / _PROBED:.1%}" for count, number in sorted(counts.items()))
        raise _refusal(f"{problem}, too few to draw them from so large a space; merge groups (counts seen: {seen})")
    return [_drawn_until(space, functools.partial(_is_nearest, group, wanted)) for group in wanted]


def _is_nearest(group: Sequence[int], groups: Sequence[Sequence[int]], count: int) -> bool:
    """Say whether a count is in one of the groups, or nearest to a count of it; equally near: to the smaller."""
    return min(itertools.chain.from_iterable(groups), key=lambda other: (abs(other - count), other)) in group


def _drawn_between(space: Space, above: float, upto: float) -> Draw:
    return _drawn_until(space, lambda count: above < count <= upto)


def _drawn_until(space: Space, is_wanted: Callable[[int], bool]) -> Draw:
    def draw(rng: np.random.Generator) -> Architecture:
        while True:
            architecture = space.sample(rng)
            if is_wanted(space.nonlinear_functions(architecture)):
                return architecture

    return draw


def _ends(counts: Mapping[int, int]) -> list[float]:
    """Return the largest count of each class, the last one's infinite: rare counts join the next larger or the last."""
    ends: list[float] = []
    waiting = 0
    for count, number in sorted(counts.items()):
        waiting += number
        if waiting >= _RAREST * _PROBED:
            ends.append(count)
            waiting = 0
    return [*ends[:-1], math.inf]


def _check_groups(groups: Sequence[Sequence[int]], by: str) -> None:
    listed = list(itertools.chain.from_iterable(groups))
    if by != "nonlinear":
        raise _refusal(f"they are counts of nonlinear functions, and by is '{by}'; set by=nonlinear or leave them out")
    if not groups or not all(groups) or len(set(listed)) != len(listed):
        raise _refusal(f"each must hold a count, and each count must be in one group only, got {groups}")


def _present(counts: Mapping[int, object], groups: Sequence[Sequence[int]] | None) -> list[Sequence[int]]:
    """Return the groups that a space has architectures of; each count by itself where no groups are given."""
    if groups is None:
        return [[count] for count in sorted(counts)]
    missing = sorted(set(counts) - set(itertools.chain.from_iterable(groups)))
    if missing:
        raise _refusal(
            f"architectures with {', '.join(map(str, missing))} nonlinear functions are in no group and would never "
            f"be trained, got {groups}; add {'them' if len(missing) > 1 else 'it'} to a group"
        )
    return [group for group in groups if any(count in counts for count in group)]


def _refusal(problem: str) -> ConfigError:
    return ConfigError([f"'groups': {problem}"], "the sampler balanced")
