"""metrics.jsonl: one JSON object a report, the source of truth of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raynas.tracking.base import Row


class JsonlTracker:
    """Appends every report to a file, whole lines only; numbers that are not finite become null.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def log(self, row: Row) -> None:
        """Write one line."""
        self._file.write(json.dumps(finite(dict(row)), allow_nan=False) + "\n")
        self._file.flush()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Close the file."""
        del summary
        self._file.close()


def finite(value: Any) -> Any:
    """Return a nested value with null for every number that is not finite: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the reports of a file; a last line that was cut off is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
