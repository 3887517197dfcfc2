"""What a tracker is, and the recorder that feeds several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

Row = Mapping[str, Any]
"""One report: a line of metrics.jsonl."""


class Tracker(Protocol):
    """Something that is told of every report."""

    def log(self, row: Row) -> None:
        """Take in one report."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Take in the run's summary, and close."""


@runtime_checkable
class RankingTracker(Protocol):
    """A tracker that wants whole rankings too, not their measures alone."""

    def log_ranking(self, label: str, round: int, table: Mapping[str, Sequence[Any]]) -> None:
        """Take in what a trial's architectures scored after a round, by columns of equal length."""


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
        self._turns: list[dict[str, Row | None]] = []

    def expect(self, labels: Sequence[str]) -> None:
        """Announce a turn: each of these trials will report once more."""
        self._turns.append(dict.fromkeys(labels))

    def give_up(self, label: str) -> None:
        """Wait no longer for a trial that failed for good."""
        for turn in self._turns:
            if label in turn and turn[label] is None:
                del turn[label]
        self._flush_complete()

    def log(self, row: Row) -> None:
        """Take in one report; of a round that was run twice, because its process died, the later report counts."""
        for tracker in self._live:
            tracker.log(row)
        label = str(row["trial"])
        for turn in self._turns:
            waiting = turn.get(label)
            if label in turn and (waiting is None or waiting["round"] == row["round"]):
                turn[label] = row
                break
        else:
            self._turns.append({label: row})
        self._flush_complete()

    def log_ranking(self, label: str, round: int, table: Mapping[str, Sequence[Any]]) -> None:
        """Pass a ranking on to the trackers that want rankings."""
        for tracker in [*self._ordered, *self._live]:
            if isinstance(tracker, RankingTracker):
                tracker.log_ranking(label, round, table)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Pass on what is still waiting (a turn that the run's end left incomplete), and close all trackers."""
        for turn in self._turns:
            self._flush(turn)
        self._turns = []
        for tracker in [*self._ordered, *self._live]:
            tracker.finish(summary)

    def _flush_complete(self) -> None:
        while self._turns and None not in self._turns[0].values():
            self._flush(self._turns.pop(0))

    def _flush(self, turn: Mapping[str, Row | None]) -> None:
        for row in turn.values():
            if row is not None:
                for tracker in self._ordered:
                    tracker.log(row)
