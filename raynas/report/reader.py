"""What runs and sweeps have in common as objects: a folder, whose files are read when they are asked for."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from raynas.config import Config
from raynas.errors import RunError
from raynas.report.folder import RunFolder


class FolderReader:
    """A run folder as an object; nothing is read before it is asked for.

    Args:
        path: The folder.
    """

    what: ClassVar[str] = "run"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = RunFolder(path)

    @cached_property
    def config(self) -> Config:
        """The resolved configuration."""
        return Config.model_validate(yaml.safe_load(self.folder.config.read_text()))

    @property
    def summary(self) -> dict[str, Any]:
        """What came out."""
        return self._json(self.folder.summary)

    @property
    def ledger(self) -> dict[str, Any]:
        """What was spent."""
        return self._json(self.folder.ledger)

    @property
    def env(self) -> dict[str, Any]:
        """Versions, git state, machine, command."""
        return self._json(self.folder.env)

    def _json(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._existing(path).read_text())
        return found

    def _existing(self, path: Path) -> Path:
        if not path.exists():
            raise RunError(f"{self.path} has no {path.name}: the {self.what} did not come that far")
        return path
