"""Reading JSON files, with errors that name the file and the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raynas.errors import TruthError


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        TruthError: The file is missing or not JSON.
    """
    if not path.is_file():
        raise TruthError(f"no file at {path}")
    try:
        return json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise TruthError(f"{path} is not a JSON file: {error}") from error
