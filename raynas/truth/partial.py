"""The partial file of a table in the making: JSON lines, a heading and then one architecture each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raynas.errors import TruthError
from raynas.truth.columns import PER_SEED

Row = dict[str, list[float]]
"""What was trained of one architecture: a value a seed, by metric."""
BEGUN = "begun"
"""The heading's entry with the day of the first training; the only one in which files of equal rows may differ."""


@dataclass(frozen=True)
class Partial:
    """What a partial file holds.

    Args:
        differs: The entries of its heading that are not as expected; with any, its rows are not read.
        rows: By architecture.
        begun: The day of its first training; empty where there is no file.
    """

    differs: tuple[str, ...] = ()
    rows: Mapping[str, Row] = field(default_factory=dict)
    begun: str = ""


def read_partial(path: Path, heading: Mapping[str, Any]) -> Partial:
    """Return what a partial file holds, whole lines only; a file that is missing or has none holds nothing.

    Args:
        path: The file.
        heading: What its own must say for its rows to count.

    Raises:
        TruthError: The file cannot be read; the message names the line.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise TruthError(f"{path} cannot be read: {error}") from error
    lines = content.split(b"\n")[:-1]
    if not lines:
        return Partial()
    found = _object(path, 1, lines[0])
    begun = str(found.pop(BEGUN, ""))
    keys = [*heading, *(key for key in found if key not in heading)]
    differs = tuple(key for key in keys if key not in found or key not in heading or found[key] != heading[key])
    if differs:
        return Partial(differs, begun=begun)
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines[1:], 2):
        row = _object(path, number, line)
        architecture = row.pop("architecture", None)
        if not isinstance(architecture, str) or not _is_row(row, len(heading["seeds"])):
            raise _damaged(path, number, "not the results of an architecture")
        rows[architecture] = row
    return Partial(rows=rows, begun=begun)


def cut_off_half_a_line(path: Path) -> None:
    """Remove the line that was being written when the build was interrupted."""
    content = path.read_bytes() if path.exists() else b""
    if not content.endswith(b"\n") and content:
        path.write_bytes(content[: content.rfind(b"\n") + 1])


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _damaged(path, number, f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise _damaged(path, number, f"a {type(found).__name__}, not an object")
    return found


def _is_row(row: Mapping[str, Any], seeds: int) -> bool:
    values = [row[metric] if isinstance(row.get(metric), list) else [] for metric in PER_SEED]
    return row.keys() == set(PER_SEED) and all(
        len(listed) == seeds and all(type(value) in (int, float) for value in listed) for listed in values
    )


def _damaged(path: Path, number: int, what: str) -> TruthError:
    cure = "remove that line, or move the file away to start anew" if number > 1 else "move the file away to start anew"
    return TruthError(f"{path}, line {number}: {what}; {cure} ")
