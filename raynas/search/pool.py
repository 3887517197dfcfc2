"""The candidate pool (GreedyNAS, section 3.2): the best architectures seen, each with who scored it, how and when.

One entry an architecture and protocol, holding its newest score; of every protocol the best `capacity` are kept. Scores
of different protocols (on other images, by another metric) are never compared: each protocol has a ranking of its own.
Scores of different supernet versions do stand side by side in it, which is why an entry says its version and
`staleness` tells how old the pool is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raynas.spaces import Architecture


@dataclass(frozen=True)
class PoolEntry:
    """One scored architecture.

    Args:
        architecture: What was scored.
        score: Higher is better.
        protocol: The protocol of the score (``loss/batch/float32``: metric, batch-norm policy, precision); what a
            sampler scored on held-out training images says so behind it.
        scorer: Which supernet scored it: ``root`` or a partition's label.
        version: That supernet's version: the images it had been trained on.
    """

    architecture: Architecture
    score: float
    protocol: str
    scorer: str
    version: int

    def row(self) -> dict[str, Any]:
        """Return it as plain values, for a table."""
        return {**asdict(self), "architecture": self.architecture.text}

    @classmethod
    def of(cls, row: Mapping[str, Any], parse: Callable[[str], Architecture]) -> PoolEntry:
        """Return what `row` was made of; `parse` reads the architecture's string."""
        return cls(**{**row, "architecture": parse(row["architecture"])})


class Pool:
    """A bounded set of scored architectures, with a ranking for each protocol.

    Args:
        capacity: How many are kept of each protocol.
        duplicates: Whether an architecture scored again is one more entry, and the old score stays; so a path that was
            lucky once stays for good, and one that is scored often stands there often.
    """

    def __init__(self, capacity: int, *, duplicates: bool = False) -> None:
        self.capacity, self.duplicates = capacity, duplicates
        self._rankings: dict[str, dict[Hashable, PoolEntry]] = {}

    @property
    def entries(self) -> list[PoolEntry]:
        """All entries: the best of every protocol, in the order of their names, then the second best, and so on."""
        rankings = [self.ranking(protocol) for protocol in sorted(self._rankings)]
        places = itertools.zip_longest(*rankings)
        return [entry for place in places for entry in place if entry is not None]

    def ranking(self, protocol: str) -> list[PoolEntry]:
        """Return the entries of one protocol, best first; equal scores in the order of their strings."""
        return list(self._rankings.get(protocol, {}).values())

    def add(self, entries: Iterable[PoolEntry]) -> None:
        """Take in newly scored architectures; a new score replaces the old one of the same architecture and protocol.

        An entry whose score is not finite (a diverged supernet) is left out, and so is what it would replace.
        """
        new: dict[str, dict[Hashable, PoolEntry]] = {}
        for entry in entries:
            new.setdefault(entry.protocol, {})[self._key(entry)] = entry
        for protocol, found in new.items():
            merged = {**self._rankings.get(protocol, {}), **found}
            finite = [entry for entry in merged.values() if np.isfinite(entry.score)]
            finite.sort(key=lambda entry: (-entry.score, entry.architecture.text))
            self._rankings[protocol] = {self._key(entry): entry for entry in finite[: self.capacity]}

    def overlap(self, earlier: Sequence[PoolEntry]) -> float:
        """Return the share of today's pool that an earlier one had (GreedyNAS's stopping rule watches 1 minus this).

        An empty pool overlaps fully.
        """
        before = {(entry.protocol, entry.architecture.text) for entry in earlier}
        today = self.entries
        stayed = sum((entry.protocol, entry.architecture.text) in before for entry in today)
        return stayed / len(today) if today else 1.0

    def overlap_after(self, entries: Iterable[PoolEntry]) -> float:
        """Return the overlap with today's pool that there would be after `add`; nothing is added."""
        future = Pool(self.capacity, duplicates=self.duplicates)
        future.add(self.entries)
        future.add(entries)
        return future.overlap(self.entries)

    def gain_after(self, entries: Iterable[PoolEntry], protocol: str, best: int = 20) -> float:
        """Return by how much the mean score of the best there are now would rise by `add`; nothing is added.

        Args:
            entries: What would be added; only those of the protocol matter.
            protocol: The protocol that is looked at.
            best: At most so many of its best are.

        Returns:
            The rise, in units of the score; 0 where the mean would not rise, and where the pool is empty.
        """
        before = [entry.score for entry in self.ranking(protocol)[:best]]
        future = Pool(self.capacity, duplicates=self.duplicates)
        future.add(self.ranking(protocol))
        future.add(e for e in entries if e.protocol == protocol and np.isfinite(e.score))  # a loss is no gain
        after = [entry.score for entry in future.ranking(protocol)[: len(before)]]
        return max(0.0, float(np.mean(after) - np.mean(before))) if before and after else 0.0

    def staleness(self, versions: Mapping[str, int]) -> float:
        """Return the mean age of the scores, in images their supernets were trained on since.

        Args:
            versions: Each supernet's present version; entries of supernets not named count with age 0.
        """
        ages = [max(0, versions.get(e.scorer, e.version) - e.version) for e in self.entries]
        return float(np.mean(ages)) if ages else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as flat rows, in order, for a table."""
        return [entry.row() for entry in self.entries]

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to come back."""
        return {"capacity": self.capacity, "entries": self.entries}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Come back as `state_dict` was taken."""
        self.capacity, self._rankings = state["capacity"], {}
        self.add(state["entries"])

    def __len__(self) -> int:
        return sum(map(len, self._rankings.values()))

    def _key(self, entry: PoolEntry) -> Hashable:
        text = entry.architecture.text
        return (text, entry.scorer, entry.version) if self.duplicates else text
