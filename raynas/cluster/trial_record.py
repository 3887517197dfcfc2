"""What a sweep keeps of a trial: every step's metrics, and the state to go on from.

A step counts once its state is written; a line that is behind the state (the process died between the two) is made
again. So a trial goes on from its record wherever its process is started anew: after the process died, after the whole
sweep was killed, and on another node.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from raynas.training.checkpoint import load_state, save_state

STATE = "state.pt"
"""The name of a state outside of its record."""
RANKINGS = "rankings.json"


class TrialRecord:
    """The record of a trial, in a folder of its own: ``steps.jsonl``, and ``state-7.pt`` after the seventh step.

    Args:
        folder: The folder; made by the first step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._steps = folder / "steps.jsonl"

    @property
    def done(self) -> int:
        """How many steps are kept."""
        return max((int(path.stem.partition("-")[2]) for path in self.folder.glob("state-*")), default=0)

    def step(self, number: int) -> list[dict[str, Any]] | None:
        """Return the metrics of a step (from 1), a row a seed; None where it is not kept."""
        if number > self.done:
            return None
        rows: list[dict[str, Any]] = json.loads(self._steps.read_text().splitlines()[number - 1])
        return rows

    def keep(self, number: int, rows: list[dict[str, Any]], state: dict[str, Any] | None) -> None:
        """Keep a step: its metrics, and the state after it, in the place of the one before; None where it is over."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = self._steps.read_text().splitlines()[: number - 1] if self._steps.is_file() else []
        temporary = self._steps.with_name(f".{self._steps.name}.{os.getpid()}")
        temporary.write_text("".join(f"{line}\n" for line in [*lines, json.dumps(rows)]))
        os.replace(temporary, self._steps)
        if state is None:
            (self.folder / f"state-{number}.over").touch()
        else:
            save_state(state, self._state(number))
        for path in self.folder.glob("state-*"):
            if path.stem != f"state-{number}":
                path.unlink(missing_ok=True)

    def keep_rankings(self, rankings: dict[int, dict[str, list[Any]]]) -> None:
        """Keep what every architecture was scored at the end, by seed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RANKINGS).write_text(json.dumps(rankings))

    def rankings(self) -> dict[int, dict[str, list[Any]]]:
        """Return what `keep_rankings` kept."""
        kept: dict[str, dict[str, list[Any]]] = json.loads((self.folder / RANKINGS).read_text())
        return {int(seed): ranking for seed, ranking in kept.items()}

    def state(self) -> dict[str, Any]:
        """Return the state after the last step that is kept.

        Raises:
            RunError: There is none: nothing is kept, or the trial is over.
        """
        return load_state(self._state(self.done))

    def copy_state(self, folder: Path) -> None:
        """Copy the state after the last step into a folder."""
        shutil.copy(self._state(self.done), folder / STATE)

    def _state(self, number: int) -> Path:
        return self.folder / f"state-{number}.pt"
