"""The candidate pool (GreedyNAS, section 3.2): the best architectures seen, each with who scored it, how and when.

One entry an architecture, holding its newest score; the best `capacity` are kept. Scores of different supernet
versions stand side by side here, which is why an entry says its version and `staleness` tells how old the pool is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        protocol: The protocol of the score (``loss/batch/float32``: metric, batch-norm policy, precision).
        scorer: Which supernet scored it: ``root`` or a partition's label.
        version: That supernet's version: the images it had been trained on.
    """

    architecture: Architecture
    score: float
    protocol: str
    scorer: str
    version: int


class Pool:
    """A bounded, ordered set of scored architectures.

    Args:
        capacity: How many are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._entries: dict[str, PoolEntry] = {}

    @property
    def entries(self) -> list[PoolEntry]:
        """All entries, best first; equal scores in the order of their strings."""
        return list(self._entries.values())

    def add(self, entries: Iterable[PoolEntry]) -> None:
        """Take in newly scored architectures; a new score replaces the old one of the same architecture.

        Entries whose score is not finite (a diverged supernet) are left out.
        """
        merged = {**self._entries}
        for entry in entries:
            merged[entry.architecture.text] = entry
        finite = [entry for entry in merged.values() if np.isfinite(entry.score)]
        best = sorted(finite, key=lambda entry: (-entry.score, entry.architecture.text))[: self.capacity]
        self._entries = {entry.architecture.text: entry for entry in best}

    def overlap(self, earlier: Sequence[PoolEntry]) -> float:
        """Return the share of today's pool that an earlier one had (GreedyNAS's stopping rule watches 1 minus this).

        An empty pool overlaps fully.
        """
        before = {entry.architecture.text for entry in earlier}
        return len(before & self._entries.keys()) / len(self._entries) if self._entries else 1.0

    def overlap_after(self, entries: Iterable[PoolEntry]) -> float:
        """Return the overlap with today's pool that there would be after `add`; nothing is added."""
        future = Pool(self.capacity)
        future.add(self.entries)
        future.add(entries)
        return future.overlap(self.entries)

    def staleness(self, versions: Mapping[str, int]) -> float:
        """Return the mean age of the scores, in images their supernets were trained on since.

        Args:
            versions: Each supernet's present version; entries of supernets not named count with age 0.
        """
        ages = [max(0, versions.get(e.scorer, e.version) - e.version) for e in self._entries.values()]
        return float(np.mean(ages)) if ages else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as flat rows, best first, for a table."""
        return [{**asdict(entry), "architecture": entry.architecture.text} for entry in self.entries]

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to come back."""
        return {"capacity": self.capacity, "entries": self.entries}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Come back as `state_dict` was taken."""
        self.capacity = state["capacity"]
        self._entries = {entry.architecture.text: entry for entry in state["entries"]}

    def __len__(self) -> int:
        return len(self._entries)
