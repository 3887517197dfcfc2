"""Ids of W&B runs: the same again for a run that is taken up again, never those of another run."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path


class RunIds:
    """Ids of a folder's W&B runs: a random token, made once and kept in ``wandb/ids.json``, and the trial's label.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "wandb" / "ids.json"
        self._token: str | None = None

    def id_of(self, label: str) -> str:
        """Return the id of a trial's run: letters and digits alone, as W&B forbids much of what labels are made of."""
        if self._token is None:
            self._token = self._kept()
        return self._token + hashlib.blake2s(label.encode(), digest_size=4).hexdigest()

    def _kept(self) -> str:
        """Return the folder's token, which is made here if it has none."""
        try:
            return str(json.loads(self._path.read_text())["token"])
        except FileNotFoundError:
            pass
        token = secrets.token_hex(4)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._path.with_suffix(".part")  # a process that is killed while it writes leaves no half of a token
        whole.write_text(json.dumps({"token": token}) + "\n")
        whole.replace(self._path)
        return token
