"""What every imported table records of its origin."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any


def source_of(path: Path, benchmark: str, dataset: str, epochs: int | None, **more: Any) -> dict[str, Any]:
    """Return the source record of a table.

    Args:
        path: The file or folder read; a file's SHA-256 is kept.
        benchmark: Which benchmark, with its reference.
        dataset: The data set trained on, in the benchmark's words.
        epochs: Length of the trainings; None where the file does not say.
        more: Anything else worth knowing, such as ``columns``: which training each column is from.
    """
    record: dict[str, Any] = {"benchmark": benchmark, "file": path.name}
    if path.is_file():
        with path.open("rb") as file:
            record["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        **record,
        "data": dataset,
        "epochs": epochs,
        "imported": datetime.date.today().isoformat(),
        "raynas": importlib.metadata.version("raynas"),
        **more,
    }
