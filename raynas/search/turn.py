"""What passes between a partition rule and whoever carries it out: the standings it sees, and the turn it names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from raynas.spaces import Architecture


@dataclass(frozen=True)
class Standing:
    """What a partition is worth after a round, as far as its report tells.

    Args:
        value: Higher is better; NaN for one that diverged or failed.
        error: The standard error of the value; 0 where it is exact.
        gain: By how much what it proposes improves the shared pool; 0 where it does not.
        best: The best of what it proposes.
    """

    value: float
    error: float = 0.0
    gain: float = 0.0
    best: Architecture | None = None

    @property
    def strength(self) -> float:
        """The value; what is not a number is weaker than anything."""
        return -math.inf if math.isnan(self.value) else self.value


@dataclass(frozen=True)
class Birth:
    """A partition that a rule makes: a part of a strong one, trained in the place of a weak one.

    Args:
        child: Its label.
        parent: Whose weights it inherits; it goes on beside its child.
        place: Whose trial goes on as the child; it is given up.
    """

    child: str
    parent: str
    place: str


@dataclass(frozen=True)
class Turn:
    """The next turn.

    Args:
        train: The partitions that train a round, those born among them.
        stop: Those that train no more: given up (for a child, too), or finished.
        born: Those that did not exist before.
    """

    train: tuple[str, ...]
    stop: tuple[str, ...] = ()
    born: tuple[Birth, ...] = ()


Breed = Callable[[str, Architecture | None], str | None]
"""Makes a child of a partition, which keeps the architecture given (its best), and returns the child's label.

It is None where the partition cannot be split any more."""
