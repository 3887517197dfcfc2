"""What a tracker is, and the recorder that feeds several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Row = Mapping[str, Any]
"""One report: a line of metrics.jsonl."""


class Tracker(Protocol):
    """Something that is told of every report."""

    def log(self, row: Row) -> None:
        """Take in one report."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Take in the run's summary, and close."""


class Recorder:
    """Passes reports on: to live trackers at once, to ordered ones turn by turn.

    Reports of a turn arrive in any order; ordered trackers get them in the order of the turn's partitions, so that the
    same seed writes the same file.

    Args:
        ordered: Trackers that want a fixed order.
        live: Trackers that want reports as they come.
    """

    def __init__(self, ordered: Sequence[Tracker], live: Sequence[Tracker]) -> None:
        self._ordered, self._live = ordered, live
        self._turns: list[tuple[str, ...]] = []
        self._waiting: dict[tuple[str, int], Row] = {}
        self._reports: dict[str, int] = {}
        self._expected: dict[str, int] = {}

    def expect(self, labels: Sequence[str]) -> None:
        """Announce a turn: each of these trials will report once more."""
        self._turns.append(tuple(labels))

    def log(self, row: Row) -> None:
        """Take in one report."""
        for tracker in self._live:
            tracker.log(row)
        label = str(row["trial"])
        self._reports[label] = self._reports.get(label, 0) + 1
        self._waiting[label, self._reports[label]] = row
        while self._turns and all((label, self._next(label)) in self._waiting for label in self._turns[0]):
            self._flush(self._turns.pop(0))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Pass on what is still waiting (a turn that a failed trial left incomplete), and close all trackers."""
        for turn in self._turns:
            self._flush(turn)
        for tracker in [*self._ordered, *self._live]:
            tracker.finish(summary)

    def _next(self, label: str) -> int:
        return self._expected.get(label, 0) + 1

    def _flush(self, turn: Sequence[str]) -> None:
        for label in turn:
            row = self._waiting.pop((label, self._next(label)), None)
            if row is not None:
                self._expected[label] = self._next(label)
                for tracker in self._ordered:
                    tracker.log(row)
