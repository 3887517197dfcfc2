"""`Lines`: JSON objects, a line each, that are kept one by one and read back by whoever goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from raynas.tracking.jsonl import read_jsonl


class Lines:
    """A file of JSON lines that grows.

    Args:
        path: The file; a last line that was cut off is taken away.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.before: list[dict[str, Any]] = read_jsonl(path)
        """What it held when it was opened."""
        whole = "".join(f"{json.dumps(row)}\n" for row in self.before)
        if path.is_file() and path.stat().st_size != len(whole.encode()):  # a last line that was cut off
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_text(whole)
            os.replace(temporary, path)
        self._file = path.open("a")

    def append(self, row: dict[str, Any]) -> None:
        """Keep a line."""
        self._file.write(f"{json.dumps(row)}\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
