"""What a sweep decided, in order, so that a sweep that was killed decides the same again.

Tune forgets its schedulers, and begins trials anew. So a sweep goes on by being played again from its start: trials
report the steps that they have kept instead of making them, the searcher is told what it was told, in the same order,
and who was stopped is stopped at the same step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raynas.tracking.lines import Lines


class SweepJournal:
    """The journal of a sweep.

    Args:
        path: The file; what it holds was decided before.
    """

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self.events = events = self._lines.before
        self._stopped = {event["stopped"]: int(event["step"]) for event in events if "stopped" in event}
        self._completed = {event["completed"] for event in events if "completed" in event}
        self._decided: dict[str, int] = {}
        for event in events:
            name = event.get("went on", event.get("stopped"))
            if name is not None:
                self._decided[name] = max(int(event["step"]), self._decided.get(name, 0))

    def suggested(self, name: str, sampled: dict[str, Any]) -> None:
        """Note what a search found, by its name."""
        self._lines.append({"suggested": name, "sampled": sampled})

    def completed(self, name: str, told: dict[str, float] | None) -> bool:
        """Note what a search was told of a trial, None of one that failed; say whether it was not noted before."""
        if name in self._completed:
            return False
        self._completed.add(name)
        self._lines.append({"completed": name, "told": told})
        return True

    def stopped(self, name: str, step: int) -> None:
        """Note that a trial was stopped after a step."""
        if name not in self._stopped:
            self._stopped[name] = step
            self._decided[name] = max(step, self._decided.get(name, 0))
            self._lines.append({"stopped": name, "step": step})

    def went_on(self, name: str, step: int) -> None:
        """Note that a trial was not stopped after a step."""
        if step > self._decided.get(name, 0):
            self._decided[name] = step
            self._lines.append({"went on": name, "step": step})

    def decided_at(self, name: str) -> int:
        """Return the last step after which it was decided whether a trial is stopped; 0 for none."""
        return self._decided.get(name, 0)

    def stopped_at(self, name: str) -> int | None:
        """Return the step after which a trial was stopped; None for one that was not."""
        return self._stopped.get(name)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def __reduce__(self) -> tuple[type[_Silent], tuple[()]]:
        return _Silent, ()  # Tune pickles its searcher and scheduler into the experiment's folder


class _Silent:
    """What a pickled journal becomes: nobody writes from a copy."""
