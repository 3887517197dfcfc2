"""The pool that several supernets share: what they propose in a turn comes in together, so its order cannot matter."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.search.pool import Pool, PoolEntry


class CandidatePool:
    """A `Pool` that changes once a turn.

    Works the same as a local object and inside the Ray actor. Where it is given a file, it saves itself there at every
    commit and begins from there when it is made anew, so a process that dies takes nothing with it.

    Args:
        capacity: As for `Pool`.
        file: Where it keeps itself; nowhere if None.
    """

    def __init__(self, capacity: int, file: Path | None = None) -> None:
        self.pool = Pool(capacity)
        self.file = file
        if file is not None and file.exists():
            self.pool.load_state_dict(pickle.loads(file.read_bytes()))

    def overlap_after(self, entries: Sequence[PoolEntry]) -> float:
        """Return the share of the pool, as it would be after these entries alone, that is in it now (0 to 1)."""
        return self.pool.overlap_after(entries)

    def gain_after(self, entries: Sequence[PoolEntry], protocol: str) -> float:
        """Return by how much these entries alone would raise the mean score of a protocol's best (see `Pool`)."""
        return self.pool.gain_after(entries, protocol)

    def commit(self, proposals: Mapping[str, Sequence[PoolEntry]]) -> float:
        """Let a turn's entries in, by the order of their supernets' labels; return the overlap with the pool before.

        Sent twice it changes nothing the second time.
        """
        before = self.pool.entries
        for label in sorted(proposals):
            self.pool.add(proposals[label])
        if self.file is not None:
            temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
            temporary.write_bytes(pickle.dumps(self.pool.state_dict()))
            os.replace(temporary, self.file)
        return self.pool.overlap(before)

    def entries(self) -> list[PoolEntry]:
        """Return all entries, best first."""
        return self.pool.entries

    def staleness(self, versions: Mapping[str, int]) -> float:
        """Return the mean age of the scores, in images their supernets were trained on since (see `Pool`)."""
        return self.pool.staleness(versions)

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as flat rows."""
        return self.pool.rows()
