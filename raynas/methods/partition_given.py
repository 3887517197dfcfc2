"""Splits that are known beforehand: by the decisions given (Few-shot NAS, ICML 2021), or drawn at random (the control).

The paper splits compound edges: one edge of NAS-Bench-201 gives 5 sub-supernets, ``[1<-0]`` in all its published
scripts; two give 25, and splitting again and again is a hierarchy in which each child starts from its parent's weights
(its slides; the released code can split one edge only). Both are written here: ``[1<-0, 2<-0]`` is one level of 25 that
inherit from the root, ``[[1<-0], [2<-0]]`` are two levels, 5 that inherit from the root and 25 that inherit from these.
Options can be kept together (``{1<-0: [[none, skip_connect], [nor_conv_1x1, nor_conv_3x3, avg_pool_3x3]]}``), as the
splits of GM-NAS do.

Unlike the released code, a sub-supernet is trained with one architecture a step for all cells, as it is evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field

from raynas.errors import ConfigError, UnknownNameError, nearest
from raynas.methods.part import Stack
from raynas.methods.partition import PARTITIONS, Partition, Probe, Split, split_by, unsplit
from raynas.spaces import Space

Item = str | dict[str, list[list[str]]]
"""A decision, of which each part keeps one option, or groups of options, of which each part keeps one."""

_FEW = 200
"""So many combinations are made into parts to count them, without a look at whether they are surely too many."""
_DRAWS = 5
"""Random architectures for each part that there may be, before it is left open whether there are too many."""


def _shaped(decisions: object) -> object:
    """Refuse what is neither a decision, nor groups, nor a list of such, in one sentence; a union's own are many."""

    def is_item(item: object) -> bool:
        return isinstance(item, str) or (
            isinstance(item, dict)
            and all(
                isinstance(groups, list) and all(isinstance(group, list) for group in groups)
                for groups in item.values()
            )
        )

    if isinstance(decisions, list):
        for item in decisions:
            if not is_item(item) and not (isinstance(item, list) and all(map(is_item, item))):
                raise ValueError(
                    f"each must be a decision's name, {{name: [[options], [options]]}}, or a list of such for a level "
                    f"of a tree; one is {item!r}"
                )
    return decisions


@PARTITIONS.register("given")
class GivenPartition(Partition):
    """The decisions that are given, in one level or in several (Few-shot NAS).

    Args:
        decisions: Names of decisions, or ``{name: [[options], [options]]}``: a part for each combination. A list of
            such lists is a tree, one list a level.

    Raises:
        ConfigError: A level is empty, names a decision twice, or levels and decisions stand side by side.
    """

    def __init__(
        self,
        *,
        decisions: Annotated[
            list[Item | list[Item]],
            Field(min_length=1, description="names, or {name: groups of options}; a list of lists: level by level"),
            BeforeValidator(_shaped),
        ],
    ) -> None:
        nested = [item for item in decisions if isinstance(item, list)]
        if nested and len(nested) < len(decisions):
            raise _refusal("either all are decisions (one level) or all are lists of decisions (one a level)")
        self._levels: list[list[Item]] = nested or [[item for item in decisions if not isinstance(item, list)]]
        for level in self._levels:
            names = [name for item in level for name in _names(item)]
            if not names:
                raise _refusal("a level has no decision; leave it out")
            if len(set(names)) != len(names):
                raise _refusal(f"a decision is named more than once: {', '.join(names)}")

    @property
    def levels(self) -> int:
        """The number of lists."""
        return len(self._levels)

    def split(self, space: Space, level: int, rng: np.random.Generator, probe: Probe | None = None) -> Split:
        """Return a part for each combination of this level's options or groups; nothing is drawn."""
        del rng, probe
        return Split(tuple(split_by(space, self._groups_of(space, level))))

    def groups(self, space: Space) -> list[dict[str, list[frozenset[str]]]]:
        """Return what the parts of each level can have of each decision that is split there or before.

        Raises:
            UnknownNameError: The space has no such decision or option.
            ConfigError: The groups of a decision do not hold each option once.
        """
        found: list[dict[str, list[frozenset[str]]]] = []
        for level in range(self.levels):
            now = dict(found[-1]) if found else {}
            for name, groups in self._groups_of(space, level).items():
                before = now.get(name, [frozenset(space.decision(name).options)])
                now[name] = [both for have in before for group in groups if (both := have & frozenset(group))]
            found.append(now)
        return found

    def surely_exceeds(self, space: Space, level: int, limit: int) -> bool:
        """Return whether a level has more parts than the limit, as far as that is known without making them.

        Combinations of options have parts only where there is an architecture of them, so those that random
        architectures are in are counted. Few enough to be made are left to `most`, which tells their number.

        Raises:
            UnknownNameError: As for `groups`.
            ConfigError: As for `groups`.
        """
        groups = self.groups(space)[level]
        if math.prod(map(len, groups.values())) <= max(limit, _FEW):
            return False
        place = {decision.name: index for index, decision in enumerate(space.decisions)}
        part_of = [
            (place[name], {option: group for group in have for option in group}) for name, have in groups.items()
        ]
        rng, seen = np.random.default_rng(0), set()
        for _ in range(_DRAWS * (limit + 1)):
            options = space.sample(rng).options
            seen.add(tuple(group[options[index]] for index, group in part_of))
            if len(seen) > limit:
                return True
        return False

    def objections(self, stack: Stack) -> list[str]:
        """Refuse a decision on a level where nothing of it is left to split."""
        try:
            after = self.groups(stack.space)
        except ConfigError:  # told where the parts are counted
            return []
        return [
            f"'decisions': {name} is on level {level + 1} again, where no part has options left to split it by; leave "
            "it out there, or keep options together in groups before"
            for level in range(1, self.levels)
            for name in self._groups_of(stack.space, level)
            if len(after[level][name]) == len(after[level - 1].get(name, ()))
        ]

    def describe(self) -> str:
        """Return the decisions, level by level."""
        return "of " + ", then ".join(
            ", ".join(name for item in level for name in _names(item)) for level in self._levels
        )

    def _groups_of(self, space: Space, level: int) -> dict[str, Sequence[Sequence[str]]]:
        groups: dict[str, Sequence[Sequence[str]]] = {}
        for item in self._levels[level]:
            if isinstance(item, str):
                groups[item] = [(option,) for option in space.decision(item).options]
            else:
                for name, given in item.items():
                    groups[name] = _checked(space, name, given)
        return groups


@PARTITIONS.register("random")
class RandomPartition(Partition):
    """Decisions, and with `groups` also groups of options, drawn at random: the control for a split that was chosen.

    Args:
        levels: How often the parts are split again; each draws for itself among what it has not split.
        decisions: Decisions a split.
        groups: Into how many groups, as equal as possible, the options of a decision are dealt; None for one option
            each.
    """

    def __init__(
        self,
        *,
        levels: Annotated[int, Field(ge=1, description="how often the parts are split again")] = 1,
        decisions: Annotated[int, Field(ge=1, description="drawn for each split")] = 1,
        groups: Annotated[
            int | None, Field(ge=2, description="the options are dealt into so many groups; null for one each")
        ] = None,
    ) -> None:
        self._levels, self.decisions, self.groups = levels, decisions, groups

    @property
    def levels(self) -> int:
        """As given."""
        return self._levels

    def split(self, space: Space, level: int, rng: np.random.Generator, probe: Probe | None = None) -> Split:
        """Return a part for each combination of the groups drawn."""
        del level, probe
        free = unsplit(space)
        drawn = sorted(rng.permutation(len(free))[: self.decisions].tolist())
        return Split(tuple(split_by(space, {free[i]: self._deal(space.decision(free[i]).options, rng) for i in drawn})))

    def most(self, space: Space) -> list[int]:
        """Return the counts where those with the most options are drawn first."""
        counts = [len(space.decision(name).options) for name in unsplit(space)]
        if self.groups is not None:
            counts = [min(count, self.groups) for count in counts]
        counts.sort(reverse=True)
        return [math.prod(counts[: self.decisions * (level + 1)]) for level in range(self.levels)]

    def objections(self, stack: Stack) -> list[str]:
        """Refuse to split by more decisions than there are."""
        free, wanted = len(unsplit(stack.space)), self.decisions * self.levels
        if wanted <= free:
            return []
        return [
            f"{self.levels} levels of {self.decisions} decisions are {wanted}, but {stack.space.name} has {free} "
            f"decisions to split by; lower levels or decisions"
        ]

    def describe(self) -> str:
        """Return how many decisions are drawn."""
        text = f"of {self.decisions} decision{'s' if self.decisions > 1 else ''} drawn at random"
        return text if self.levels == 1 else f"{text}, {self.levels} times"

    def _deal(self, options: tuple[str, ...], rng: np.random.Generator) -> list[list[str]]:
        if self.groups is None:
            return [[option] for option in options]
        dealt = np.array_split(rng.permutation(len(options)), min(self.groups, len(options)))
        return [[options[i] for i in sorted(places)] for places in sorted(map(sorted, dealt))]


def _names(item: Item) -> list[str]:
    return [item] if isinstance(item, str) else list(item)


def _checked(space: Space, name: str, groups: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the groups if they hold every option of the decision once, in the whole space."""
    options, listed = space.root.decision(name).options, [option for group in groups for option in group]
    for option in listed:
        if option not in options:
            raise UnknownNameError(
                f"decision '{name}' of {space.name} has no option '{option}'{nearest(option, options)} "
                f"(allowed: {', '.join(options)})"
            )
    twice = sorted({option for option in listed if listed.count(option) > 1})
    missing = [option for option in options if option not in listed]
    if twice or missing or not all(groups):
        problem = (
            f"{', '.join(twice)} stands in it twice"
            if twice
            else f"{', '.join(missing)} is in no group, and would be trained by no sub-supernet"
            if missing
            else "a group is empty"
        )
        raise _refusal(f"each option of '{name}' belongs into one group, but {problem}")
    return groups


def _refusal(problem: str) -> ConfigError:
    return ConfigError([f"'decisions': {problem}"], "the partition given")
