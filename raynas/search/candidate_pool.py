"""The pool that several supernets share: proposals wait until a turn is complete, so their order cannot matter."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raynas.search.pool import Pool, PoolEntry


class CandidatePool:
    """A `Pool` with a door: entries are proposed while a turn runs and come in together at `commit`.

    Works the same as a local object and inside the Ray actor. Where it is given a file, it saves itself there at every
    commit and begins from there when it is made anew.

    Args:
        capacity: As for `Pool`.
        file: Where it keeps itself; nowhere if None.
    """

    def __init__(self, capacity: int, file: Path | None = None) -> None:
        self.pool = Pool(capacity)
        self.file = file
        self._proposed: dict[str, list[PoolEntry]] = {}
        if file is not None and file.exists():
            self.pool.load_state_dict(pickle.loads(file.read_bytes()))

    def propose(self, scorer: str, entries: Sequence[PoolEntry]) -> float:
        """Hand in a supernet's entries for the next commit; the same supernet's earlier ones of this turn are replaced.

        Returns:
            The share of the pool as it would be after these entries alone that is in the pool now (0 to 1).
        """
        self._proposed[scorer] = list(entries)
        return self.pool.overlap_after(entries)

    def commit(self) -> float:
        """Let all proposals in, by the order of their supernets' labels; return the overlap with the pool before."""
        before = self.pool.entries
        for scorer in sorted(self._proposed):
            self.pool.add(self._proposed[scorer])
        self._proposed = {}
        if self.file is not None:
            temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
            temporary.write_bytes(pickle.dumps(self.pool.state_dict()))
            os.replace(temporary, self.file)
        return self.pool.overlap(before)

    def of(self, scorer: str) -> list[PoolEntry]:
        """Return the committed entries that a supernet scored, best first."""
        return self.pool.of(scorer)

    def entries(self) -> list[PoolEntry]:
        """Return all committed entries, best first."""
        return self.pool.entries

    def rows(self) -> list[dict[str, Any]]:
        """Return the committed entries as flat rows."""
        return self.pool.rows()
