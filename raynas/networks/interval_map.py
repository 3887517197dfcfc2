"""`IntervalMap`: which of a stage's positions share one bank, where the space has no graph for a GATE to look at.

CLOSE (Zhou et al., "CLOSE: Curriculum Learning On the Sharing Extent Towards Better One-shot NAS", ECCV 2022) shares
the repeated blocks of a stage by intervals of positions, which its curriculum halves one by one. The deck does not say
how; this is what the released code does in the design spaces of NDS, where there is no GATE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

Criterion = Literal["pre", "max"]
"""Which group is split next: the first that can be, or the longest."""


@dataclass(frozen=True)
class IntervalMap:
    """Positions 0 to N-1 in intervals, each a group that uses one bank.

    A split halves a group [l, r) at m = floor((l + r) / 2): the group keeps [l, m), and [m, r) becomes a new group,
    whose number is how many there were. A group's left end therefore never changes.

    Args:
        groups: The interval (l, r), r excluded, of each group, by its number; they cover the positions once.
    """

    groups: tuple[tuple[int, int], ...]

    @classmethod
    def whole(cls, positions: int) -> Self:
        """Return the map of one group.

        Args:
            positions: N, at least one.
        """
        if positions < 1:
            raise ValueError(f"a map needs at least one position, got {positions}")
        return cls(((0, positions),))

    @property
    def positions(self) -> int:
        """N."""
        return max(right for _, right in self.groups)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each position's group."""
        ordered = sorted(range(len(self.groups)), key=lambda number: self.groups[number])
        return tuple(number for number in ordered for _ in range(*self.groups[number]))

    def left(self, position: int) -> int:
        """Return the left end of a position's group."""
        return max(left for left, _ in self.groups if left <= position)

    def next_split(self, criterion: Criterion = "pre") -> int:
        """Return the number of the group that is split next.

        Args:
            criterion: ``pre`` for the leftmost group of more than one position (the released configurations), ``max``
                for the longest, of equally long ones that of the smallest number.

        Raises:
            ValueError: Every group is a single position.
        """
        splittable = [number for number, (left, right) in enumerate(self.groups) if right - left > 1]
        if not splittable:
            raise ValueError(f"all {self.positions} positions have groups of their own: there is nothing left to split")
        if criterion == "pre":
            return min(splittable, key=lambda number: self.groups[number][0])
        return max(splittable, key=lambda number: self.groups[number][1] - self.groups[number][0])

    def split(self, criterion: Criterion = "pre") -> Self:
        """Return the map with one group more, the last, split off the one that `next_split` says."""
        number = self.next_split(criterion)
        left, right = self.groups[number]
        middle = (left + right) // 2
        kept = [*self.groups[:number], (left, middle), *self.groups[number + 1 :]]
        return type(self)((*kept, (middle, right)))

    def grown(self, count: int, criterion: Criterion = "pre") -> Self:
        """Return the map split until it has so many groups, at least as many as now.

        Raises:
            ValueError: It has more groups, or fewer positions.
        """
        if not len(self.groups) <= count <= self.positions:
            raise ValueError(
                f"{count} groups cannot be had from {len(self.groups)} groups of {self.positions} positions: "
                f"allowed are {len(self.groups)} to {self.positions}"
            )
        grown = self
        while len(grown.groups) < count:
            grown = grown.split(criterion)
        return grown
