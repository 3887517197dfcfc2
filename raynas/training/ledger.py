"""The budget ledger: what a run spent, in images and in seconds, and how much of its time was nobody's work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORK = ("startup", "train", "score", "standalone")
"""Phases that are the work itself; the wall-clock time that none of them covers is overhead."""


@dataclass(frozen=True)
class Span:
    """A stretch of one process's time: what it did, from when to when (seconds since the epoch), and on which node."""

    phase: str
    start: float
    end: float
    node: str = ""


@dataclass
class Ledger:
    """Counts images and collects spans from all processes of a run.

    Scored images are those that went through the network of an architecture: one that is the same function under the
    shared weights as another of the same list (`Supernet.shared_forms`) is not evaluated, and its images do not count.

    Args:
        slots: How many actors can work at the same time; the most there were, where nodes come and go.
    """

    slots: int = 1
    images_trained: int = 0
    images_scored: int = 0
    images_standalone: int = 0
    began: float = field(default_factory=time.time)
    spans: list[Span] = field(default_factory=list)

    @contextmanager
    def span(self, phase: str) -> Iterator[None]:
        """Book the time of a block of this process."""
        start = time.time()
        try:
            yield
        finally:
            self.spans.append(Span(phase, start, time.time()))

    def add(self, spans: Iterable[Span], *, trained: int = 0, scored: int = 0, standalone: int = 0) -> None:
        """Book what another process reports."""
        self.spans.extend(spans)
        self.images_trained += trained
        self.images_scored += scored
        self.images_standalone += standalone

    def close_gap(self, phase: str, since: float) -> None:
        """Book as one phase the time from `since` to the first span that begins after it (a process being started)."""
        after = [span.start for span in self.spans if span.start > since]
        if after:
            self.spans.append(Span(phase, since, min(after)))

    def summary(self, until: float | None = None) -> dict[str, Any]:
        """Return the totals: images, wall seconds, process seconds a phase, overhead.

        ``node_seconds`` is there where processes told on which node (Ray's id) they worked.

        ``overhead_percent`` is the share of the wall-clock time in which no process trained, scored or started;
        ``busy_percent`` the share of all slots' time that was training and scoring. Both are taken up to now; drawing
        the page and stopping Ray come after. Of a run that was killed and went on, images are all that its results
        took, seconds those since it went on.
        """
        end = until if until is not None else time.time()
        wall = max(end - self.began, 1e-9)
        seconds: dict[str, float] = {}
        nodes: dict[str, float] = {}
        mine = [span for span in self.spans if span.end > self.began]  # others are of a process that was killed
        for span in mine:
            seconds[span.phase] = seconds.get(span.phase, 0.0) + span.end - span.start
            if span.node:
                nodes[span.node] = nodes.get(span.node, 0.0) + span.end - span.start
        covered = _covered([s for s in mine if s.phase in WORK], self.began, end)
        busy = sum(seconds.get(phase, 0.0) for phase in WORK if phase != "startup")
        return {
            "images_trained": self.images_trained,
            "images_scored": self.images_scored,
            "images_standalone": self.images_standalone,
            "wall_seconds": round(wall, 3),
            "process_seconds": {phase: round(value, 3) for phase, value in sorted(seconds.items())},
            **({"node_seconds": {node: round(value, 3) for node, value in sorted(nodes.items())}} if nodes else {}),
            "overhead_percent": round(100 * (1 - covered / wall), 2),
            "busy_percent": round(100 * busy / (self.slots * wall), 2),
            "slots": self.slots,
        }

    def save(self, path: Path) -> None:
        """Write the summary as JSON; the file appears whole or not at all."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.summary(), indent=2) + "\n")
        os.replace(temporary, path)


def _covered(spans: Iterable[Span], start: float, end: float) -> float:
    """Return the length of the union of the spans inside [start, end]."""
    total, reached = 0.0, start
    for span in sorted(spans, key=lambda span: span.start):
        low, high = max(span.start, reached), min(span.end, end)
        if high > low:
            total += high - low
            reached = high
    return total
