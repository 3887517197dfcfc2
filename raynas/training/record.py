"""`Record`: what a training has done, step by step, so that whoever goes on with it does nothing twice.

A step counts once the state after it is written; what was written of a step before its state was (the process died
between the two) is made again. Steps may be missing: a training that went on as a copy of another is then at that
one's step. So a training goes on from its record wherever it is started anew: when its process
died, when the whole run was killed, on another node.
"""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

from raynas.training.checkpoint import load_state, save_state


class Record:
    """The record of a training, in a folder of its own: ``step-7.pkl``, and ``state-7.pt`` after the seventh step.

    Args:
        folder: The folder; made by the first step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def done(self) -> int:
        """How many steps are kept."""
        return max(self._numbers("state-*.pt"), default=0)

    def step(self, number: int) -> Any:
        """Return what a step (from 1) gave; None where it is not kept."""
        if number > self.done:
            return None
        path = self._step(number)
        return pickle.loads(path.read_bytes()) if path.is_file() else None

    def steps(self) -> list[Any]:
        """Return what the steps that are kept gave, in order."""
        return [self.step(number) for number in sorted(self._numbers("step-*.pkl")) if number <= self.done]

    def keep(self, number: int, gave: Any, state: dict[str, Any]) -> None:
        """Keep a step: what it gave, and the state after it, in the place of the one before.

        It is the last: steps of a higher number, from which a copy has gone back, are forgotten.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._step(number)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(pickle.dumps(gave))
        os.replace(temporary, path)
        self.keep_state(number, state)
        for later in self._numbers("step-*.pkl"):
            if later > number:
                self._step(later).unlink(missing_ok=True)

    def keep_state(self, number: int, state: dict[str, Any]) -> None:
        """Keep another state after a step that is kept."""
        save_state(state, self._state(number))
        for path in self.folder.glob("state-*.pt"):
            if path != self._state(number):
                path.unlink(missing_ok=True)

    def state(self) -> dict[str, Any]:
        """Return the state after the last step that is kept.

        Raises:
            RunError: There is none.
        """
        return load_state(self._state(self.done))

    def link_state(self, target: Path) -> None:
        """Give the state after the last step a second name, which stays when the record goes on; a copy if need be."""
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        try:
            os.link(self._state(self.done), temporary)
        except OSError:
            shutil.copy(self._state(self.done), temporary)
        os.replace(temporary, target)

    def _numbers(self, pattern: str) -> list[int]:
        return [int(path.stem.partition("-")[2]) for path in self.folder.glob(pattern)]

    def _step(self, number: int) -> Path:
        return self.folder / f"step-{number}.pkl"

    def _state(self, number: int) -> Path:
        return self.folder / f"state-{number}.pt"
