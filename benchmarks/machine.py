"""The machine under a benchmark: what it is, and how much of it others used meanwhile."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raynas.report.folder import environment

_PROC = Path("/proc")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


@dataclass(frozen=True)
class Usage:
    """Processor time spent until now, in clock ticks; all zero where there is no /proc.

    Args:
        total: By all cores, idle or not.
        busy: By all processes.
        own: By this process and its children.
    """

    total: int
    busy: int
    own: int

    @classmethod
    def now(cls) -> Usage:
        """Read it off the kernel's counters."""
        if not (_PROC / "stat").exists():
            return cls(0, 0, 0)
        # user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in the first two
        ticks = [int(word) for word in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
        return cls(sum(ticks), sum(ticks) - ticks[3] - ticks[4], sum(_process_ticks(pid) for pid in pids))

    def others_since(self, before: Usage) -> float | None:
        """Return the share of the machine (0 to 1) that other processes used since an earlier moment."""
        if self.total == before.total:
            return None
        others = (self.busy - before.busy) - (self.own - before.own)
        return max(0.0, others / (self.total - before.total))


def _process_ticks(pid: int | None) -> int:
    """Return what a process and its ended children spent, 0 if it is gone."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(word) for word in after_name[11:15])


def describe(threads: int, *, keeps_memory: bool) -> dict[str, Any]:
    """Return what the results depend on, as JSON.

    Args:
        threads: Of torch, in the processes that are timed.
        keeps_memory: Whether freed memory stays with them (see `raynas.training.allocator`).
    """
    model, flags = _processor()
    known = environment(seed=0)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model,
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "threads": threads,
        "malloc": "keeps freed memory" if keeps_memory else "default",
        **{key: known[key] for key in ("command", "python", "platform", "cpus", "versions", "git")},
    }


def _processor() -> tuple[str, set[str]]:
    """Return the processor's model and its instruction sets; empty where the kernel does not tell."""
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return "", set()
    fields = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    return fields.get("model name", ""), set(fields.get("flags", "").split())
