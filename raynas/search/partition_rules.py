"""Which partitions train next: the decision rules behind the Tune schedulers, free of Ray.

Partitions train in *turns*. In a turn every partition that the rule names trains one round; when all have reported, the
rule sees the standings and names the next turn. So a decision rests on complete, comparable reports, and the same seed
gives the same decisions however many trials run at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

import numpy as np

from raynas.registry import Registry
from raynas.search.turn import Birth, Breed, Standing, Turn


class PartitionRule(ABC):
    """Spends a budget of rounds on partitions.

    A rule says who stays alive (`select`) and how long a schedule is (`longest`); it may let only some of them train a
    turn (`choose`), and put children of strong partitions in the place of weak ones (`births`).

    Args:
        partitions: The partitions' labels, in order.
        budget: Rounds to spend over all partitions.
    """

    breed: Breed | None = None
    """Makes a child of a partition; who carries out the rule sets it before the first turn. Without it none is born."""

    def __init__(self, partitions: tuple[str, ...], budget: int) -> None:
        self.partitions, self.budget = partitions, budget
        self.alive = partitions
        self.finished: frozenset[str] = frozenset()
        self.rounds = dict.fromkeys(partitions, 0)
        self.spent = 0
        self.turns = 0
        self.rng = np.random.default_rng(0)

    def seeded(self, rng: np.random.Generator) -> Self:
        """Draw from this stream from now on, and return the rule; a rule made without draws from one seeded 0."""
        self.rng = rng
        return self

    def first(self) -> Turn:
        """Return the first turn: every partition trains a round."""
        return Turn(self.partitions)

    def drop(self, label: str) -> None:
        """Give up a partition that cannot be trained any further; its parent and its children go on."""
        self.alive = tuple(other for other in self.alive if other != label)

    def finish(self, label: str) -> None:
        """Give a partition no more turns, as its sampler asks for; it is not given up, and stays alive."""
        self.finished |= {label}

    def next(self, standings: Mapping[str, Standing]) -> Turn:
        """Return the turn after the one that gave these standings.

        What a finished partition leaves of the budget goes to the others, but none trains for more rounds than
        `longest`, where its schedule ends: the rest stays unspent. Where no further turn can be paid for, what `select`
        would give up stays: it would save nothing, and lose what was trained.

        Args:
            standings: Of each partition that trained in the turn.
        """
        self.spent += len(standings)
        self.turns += 1
        for label in standings:
            self.rounds[label] += 1
        keep = self.select(standings)
        most = self.longest()
        able = tuple(label for label in keep if label not in self.finished and self.rounds[label] < most)
        train = self.choose(able)
        if not train or self.budget - self.spent < len(train):
            trained, self.alive = self.alive, self.trusted()
            return Turn((), trained)
        born = self.births(train, standings)
        for birth in born:
            self.rounds[birth.child] = self.rounds[birth.parent]
        heir = {birth.place: birth.child for birth in born}
        stop = tuple(label for label in self.alive if label not in able or label in heir)
        self.alive = tuple(heir.get(label, label) for label in keep)
        return Turn(tuple(heir.get(label, label) for label in train), stop, born)

    @abstractmethod
    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        """Return the partitions that stay alive, in order; those that are finished are always among them."""

    @abstractmethod
    def longest(self) -> int:
        """Return the most rounds that one partition can get, those that it inherits among them.

        It is the length of its learning-rate schedule.
        """

    def most_turns(self) -> int:
        """Return how many turns there are where nobody ends early; `longest` unless only some train in a turn."""
        return self.longest()

    def choose(self, able: tuple[str, ...]) -> tuple[str, ...]:
        """Return who trains the next turn, out of those that can, in order; all unless overridden.

        Asked once a turn, after `select`.
        """
        return able

    def trusted(self) -> tuple[str, ...]:
        """Return who is searched in the end, in order, out of those alive; all unless overridden."""
        return self.alive

    def births(self, train: tuple[str, ...], standings: Mapping[str, Standing]) -> tuple[Birth, ...]:
        """Return the children that take the place of some of those that would train; none unless overridden.

        Asked only where the turn takes place.

        Args:
            train: Who would train the next turn.
            standings: Of each partition that trained in the last.
        """
        del train, standings
        return ()


SCHEDULERS: Registry[PartitionRule] = Registry("scheduler")


@SCHEDULERS.register("uniform")
class UniformRule(PartitionRule):
    """Train all partitions evenly: the control."""

    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        """Keep all."""
        return self.alive

    def longest(self) -> int:
        """Return the budget's even share."""
        return self.budget // len(self.partitions)
