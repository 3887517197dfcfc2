"""Anybody's results: a CSV or JSON file of architectures and metrics, for any space.

CSV: a header with ``architecture`` and metrics; each row is one training, and further rows of an architecture are its
further seeds. JSON: a list of objects with ``architecture`` and metrics, a list of numbers being one value a seed.
Accuracies are percent. A row that repeats another in everything is taken for a mistake.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.errors import TruthError, nearest
from raynas.spaces import SPACES
from raynas.truth.columns import IMPORTED_PER_SEED, PER_ARCHITECTURE, PER_SEED, allowed_metrics, has_seeds, is_metric
from raynas.truth.importers.documents import read_json
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.table import KeyedBy, TruthTable

_NAME = "architecture"


@IMPORTERS.register("csv")
def csv_file(
    path: Path,
    *,
    space: str,
    dataset: str,
    epochs: int | None = None,
    keyed_by: KeyedBy = "architecture",
    repeats: bool = False,
) -> TruthTable:
    """Your own results from a CSV file: architecture and metrics, one training a row.

    Args:
        path: The file.
        space: The space of the architectures, in whose notation they are written.
        dataset: What they were trained on.
        epochs: For how long.
        keyed_by: ``function`` if a row stands for all encodings of its function.
        repeats: Whether rows that are the same in everything are trainings that came out alike, not a mistake.
    """
    if not path.is_file():
        raise TruthError(f"no file at {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            entries = [(f"line {reader.line_num}", entry) for entry in reader]
            _check_names(path, "line 1", reader.fieldnames or [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise TruthError(f"{path} is not a CSV file: {error}") from error
    return _table(path, entries, space, dataset, epochs, keyed_by, repeats=repeats)


@IMPORTERS.register("json")
def json_file(
    path: Path,
    *,
    space: str,
    dataset: str,
    epochs: int | None = None,
    keyed_by: KeyedBy = "architecture",
    repeats: bool = False,
) -> TruthTable:
    """Your own results from a JSON file: a list of objects of architecture and metrics, a list being one a seed.

    Args:
        path: The file.
        space: The space of the architectures, in whose notation they are written.
        dataset: What they were trained on.
        epochs: For how long.
        keyed_by: ``function`` if a row stands for all encodings of its function.
        repeats: Whether rows that are the same in everything are trainings that came out alike, not a mistake.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise TruthError(f"{path} is not a list of results but a {type(entries).__name__}")
    placed = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise TruthError(f"{path}: entry {number}: not an object but a {type(entry).__name__}")
        _check_names(path, f"entry {number}", list(entry))
        placed.append((f"entry {number}", entry))
    return _table(path, placed, space, dataset, epochs, keyed_by, repeats=repeats)


def _check_names(path: Path, place: str, names: Sequence[str]) -> None:
    if _NAME not in names:
        raise TruthError(f"{path}: {place}: no '{_NAME}' among {', '.join(map(repr, names)) or 'no columns'}")
    if len(names) < 2:
        raise TruthError(f"{path}: {place}: no metric beside '{_NAME}' (allowed: {allowed_metrics()})")
    for name in names:
        if name != _NAME and not is_metric(name):
            near = nearest(name or "", (*PER_SEED, *IMPORTED_PER_SEED, *PER_ARCHITECTURE))
            raise TruthError(f"{path}: {place}: no metric is called '{name}'{near} (allowed: {allowed_metrics()})")


def _table(
    path: Path,
    entries: Iterable[tuple[str, Mapping[str, Any]]],
    space: str,
    dataset: str,
    epochs: int | None,
    keyed_by: KeyedBy,
    *,
    repeats: bool,
) -> TruthTable:
    name, options = SPACES.split_reference(space)
    rows = Rows(path, SPACES.make(name, **options), keyed_by)
    accuracies: dict[str, list[float]] = {}
    seen: dict[tuple[str, str], str] = {}
    for place, entry in entries:
        numbers = {key: _numbers(rows, place, key, value) for key, value in entry.items() if key != _NAME}
        seeded = {key: values for key, values in numbers.items() if has_seeds(key)}
        trainings = [
            {key: values[seed] for key, values in seeded.items() if seed < len(values)}
            for seed in range(max(map(len, seeded.values()), default=0))
        ]
        costs = {key: values[0] for key, values in numbers.items() if values and not has_seeds(key)}
        architecture = rows.parse(place, str(entry[_NAME]))
        before = seen.setdefault((architecture.text, repr(sorted(numbers.items()))), place)
        if before != place and not repeats:
            raise rows.problem(
                place,
                f"the same architecture and values as {before}; remove one of them, or give repeats=true if such rows "
                "are trainings that came out alike",
            )
        rows.add(place, architecture, trainings, costs, again=True)
        for key in seeded:
            if key.endswith("_accuracy"):
                accuracies.setdefault(key, []).extend(filter(math.isfinite, seeded[key]))
    _refuse_fractions(path, accuracies)
    source = source_of(path, "own results", dataset, epochs, space={"name": rows.space.name, "options": options})
    return rows.table(path.stem, source)


def _refuse_fractions(path: Path, accuracies: Mapping[str, Sequence[float]]) -> None:
    """Raise if none of a metric's accuracies is above 1: percent would hardly be so low, fractions always are."""
    for metric, values in accuracies.items():
        if values and max(values) <= 1:
            raise TruthError(
                f"{path}: {metric} is at most {max(values):g}, a fraction; accuracies are percent (93.5, not 0.935)"
            )


def _numbers(rows: Rows, place: str, key: str | None, value: Any) -> list[float]:
    """Return the numbers of a field; an empty one is unknown, and costs have exactly one."""
    if key is None:
        raise rows.problem(place, f"more fields than the header: {value}")
    if value is None or value == "":
        return []
    values = value if isinstance(value, list) else [value]
    if len(values) > 1 and not has_seeds(key):
        raise rows.problem(place, f"{key} has {len(values)} values, it is one an architecture")
    try:
        numbers = [float(number) for number in values]
    except (TypeError, ValueError) as error:
        raise rows.problem(place, f"{key} is {value!r}, not a number") from error
    for number in numbers:
        if math.isinf(number):
            raise rows.problem(place, f"{key} is {number:g}; leave it empty where it is unknown")
        if key.endswith("_accuracy") and not (math.isnan(number) or 0 <= number <= 100):
            raise rows.problem(place, f"{key} is {number:g}; accuracies are percent, 0 to 100")
    return numbers
