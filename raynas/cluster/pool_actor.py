"""The candidate pool as a Ray actor, one a run, and the proxy through which workers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.search import CandidatePool, PoolEntry


class PoolProxy:
    """The `CandidatePool` of an actor, with the same methods; can be sent to other actors.

    Args:
        handle: The actor's handle.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def overlap_after(self, entries: Sequence[PoolEntry]) -> float:
        """See `CandidatePool.overlap_after`."""
        share: float = self._call("overlap_after", list(entries))
        return share

    def gain_after(self, entries: Sequence[PoolEntry], protocol: str) -> float:
        """See `CandidatePool.gain_after`."""
        rise: float = self._call("gain_after", list(entries), protocol)
        return rise

    def commit(self, proposals: Mapping[str, Sequence[PoolEntry]]) -> float:
        """See `CandidatePool.commit`."""
        share: float = self._call("commit", dict(proposals))
        return share

    def entries(self) -> list[PoolEntry]:
        """See `CandidatePool.entries`."""
        found: list[PoolEntry] = self._call("entries")
        return found

    def staleness(self, versions: Mapping[str, int]) -> float:
        """See `CandidatePool.staleness`."""
        age: float = self._call("staleness", dict(versions))
        return age

    def rows(self) -> list[dict[str, Any]]:
        """See `CandidatePool.rows`."""
        found: list[dict[str, Any]] = self._call("rows")
        return found

    def _call(self, method: str, *args: Any) -> Any:
        import ray

        return ray.get(getattr(self._handle, method).remote(*args))


def start_pool(capacity: int, file: Path) -> PoolProxy:
    """Start the pool actor; if its process dies it comes back from its file, and calls in flight are sent again."""
    import ray

    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(CandidatePool)
    return PoolProxy(actor.remote(capacity, file))
