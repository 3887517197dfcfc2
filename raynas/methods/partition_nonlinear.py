"""Split by the number of nonlinear functions ("counting nonlinear functions", ENN, AAAI 2025).

Architectures of equal depth in nonlinear functions (`Space.nonlinear_functions`) disturb each other least, so each
group of counts gets a supernet of its own; in NAS-Bench-201 ``[[0, 1], [2], [3]]`` are 9,105, 5,520 and 1,000 cells.
Such a part is no product of options: every option occurs in it, its supernet holds all weights, and its architectures
are found by counting (`Space.where`). In a space of more than 100,000 combinations `groups` must hold the counts that
occur in 2,000 draws. Architectures with a count so rare that it does not, and that no group names, are in no part: no
sub-supernet trains or scores them.

This is the abstract's partition, one group one supernet. The released code differs: its copies of a cell change with
the depth at which the cell stands, stage 1 and the head are shared by all, and channels shrink to keep the size. Most
of its gain comes from balanced sampling and not from the split (tau .713 to .739, then .753 in the authors' logs):
compare with ``method.sampler.name=balanced`` in one supernet, too.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from raynas.errors import ArchitectureError, ConfigError
from raynas.methods.differentiable import DifferentiableSampler
from raynas.methods.fair import FairSampler
from raynas.methods.part import Stack
from raynas.methods.partition import PARTITIONS, Partition, Probe, Split
from raynas.methods.sampler import SAMPLERS
from raynas.spaces import Space

COUNT = "nonlinear_functions"
_LISTED = 100_000
"""Spaces of up to so many combinations are counted one by one."""
_PROBED = 2_000
_RAREST = 0.01
"""A group of a larger space has at least this share of `_PROBED` draws: its architectures are found by drawing."""


@PARTITIONS.register("nonlinear")
class NonlinearPartition(Partition):
    """Groups of counts of nonlinear functions, one sub-supernet each (ENN).

    Args:
        groups: The counts of each part; None for a part for each count, where the space is small enough to list.

    Raises:
        ConfigError: A group is empty, or a count is in two.
    """

    def __init__(
        self,
        *,
        groups: Annotated[
            list[list[int]] | None, Field(description="the counts of each part; null for each count by itself")
        ] = None,
    ) -> None:
        listed = list(itertools.chain.from_iterable(groups or ()))
        if groups is not None and (not groups or not all(groups) or len(set(listed)) != len(listed)):
            raise _refusal(f"each must hold a count, and each count must be in one group only, got {groups}")
        self.groups = groups

    def split(self, space: Space, level: int, rng: np.random.Generator, probe: Probe | None = None) -> Split:
        """Return a part for each group that the space has architectures of; nothing is drawn from the stream."""
        del level, rng, probe
        groups = _present(space, self.groups)
        if len(groups) == 1:
            return Split((space,))
        return Split(tuple(space.where(COUNT, group) for group in groups))

    def objections(self, stack: Stack) -> list[str]:
        """Refuse spaces without the count, and samplers that do not draw from a space as it is restricted."""
        try:
            stack.space.nonlinear_functions(stack.space.sample(np.random.default_rng(0)))
        except ArchitectureError as error:
            return [f"{error}; split by decisions (name=given) instead"]
        if issubclass(SAMPLERS.get(stack.sampler), DifferentiableSampler | FairSampler):  # type: ignore[arg-type]
            return [
                f"the sampler {stack.sampler} combines all options, but a part holds only combinations of certain "
                "counts; take method.sampler.name=uniform or balanced, or split by decisions (name=given)"
            ]
        return []

    def describe(self) -> str:
        """Return what is counted."""
        return "by the number of nonlinear functions"


def _present(space: Space, groups: Sequence[Sequence[int]] | None) -> list[Sequence[int]]:
    """Return the groups that a space has architectures of, refusing what would leave some without a supernet."""
    large = math.prod(len(decision.options) for decision in space.decisions) > _LISTED
    rng = np.random.default_rng(0)
    found = Counter(
        map(space.nonlinear_functions, (space.sample(rng) for _ in range(_PROBED)) if large else space.enumerate())
    )
    if groups is None:
        if large:
            raise _refusal(
                f"{space.name} is too large to list its counts; give groups (counts seen in {_PROBED:,} draws: "
                f"{', '.join(map(str, sorted(found)))})"
            )
        return [[count] for count in sorted(found)]
    missing = sorted(set(found) - set(itertools.chain.from_iterable(groups)))
    if missing:
        raise _refusal(
            f"architectures with {', '.join(map(str, missing))} nonlinear functions are in no group and would have no "
            f"supernet, got {list(groups)}; add {'them' if len(missing) > 1 else 'it'} to a group"
        )
    rare = [list(group) for group in groups if sum(found[count] for count in group) < _RAREST * _PROBED]
    if large and rare:
        raise _refusal(
            f"less than {_RAREST:.0%} of {space.name} have one of the counts {rare[0]}, too few to draw them from so "
            "large a space; merge groups"
        )
    return [group for group in groups if any(count in found for count in group)]


def _refusal(problem: str) -> ConfigError:
    return ConfigError([f"'groups': {problem}"], "the partition nonlinear")
