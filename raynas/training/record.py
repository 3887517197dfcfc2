"""`Record`: what a training has done, step by step, so that whoever goes on with it does nothing twice.

A step counts once the state after it is written; what was written of a step before its state was (the process died
between the two) is made again. So a training goes on from its record wherever it is started anew: when its process
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
        return max((int(path.stem.partition("-")[2]) for path in self.folder.glob("state-*.pt")), default=0)

    def step(self, number: int) -> Any:
        """Return what a step (from 1) gave; None where it is not kept."""
        if number > self.done:
            return None
        return pickle.loads((self.folder / f"step-{number}.pkl").read_bytes())

    def keep(self, number: int, gave: Any, state: dict[str, Any]) -> None:
        """Keep a step: what it gave, and the state after it, in the place of the one before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{number}.pkl"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(pickle.dumps(gave))
        os.replace(temporary, path)
        self.keep_state(number, state)

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

    def _state(self, number: int) -> Path:
        return self.folder / f"state-{number}.pt"
