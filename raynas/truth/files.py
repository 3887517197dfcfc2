"""Truth tables as files: one npz without pickles, columns in float32, and a JSON record of where they came from.

Entries: ``about`` (JSON: name, space, keyed_by, source), ``architectures`` (n,) strings, and one a metric.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from raynas.errors import TruthError
from raynas.truth.columns import allowed_metrics, has_seeds, is_metric
from raynas.truth.table import KeyedBy, TruthTable

_NOT_METRICS = ("about", "architectures")


def save_table(table: TruthTable, path: Path) -> None:
    """Write the table; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "name": table.name,
        "space": table.space_name,
        "keyed_by": table.keyed_by,
        "source": dict(table.source),
    }
    columns: dict[str, Any] = {metric: np.asarray(column, np.float32) for metric, column in table.columns.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    try:
        np.savez_compressed(
            temporary, about=np.array(json.dumps(about)), architectures=np.array(table.texts, np.str_), **columns
        )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_table(path: Path) -> TruthTable:
    """Read a table that `TruthTable.save` wrote.

    Raises:
        TruthError: The file is missing, is not such a table, or contradicts itself.
    """
    if not path.is_file():
        raise TruthError(f"no truth table at {path}")
    try:
        with open_npz(path, "a truth table of raynas") as stored:
            if "about" not in stored or "architectures" not in stored:
                raise TruthError(
                    f"{path} is not a truth table of raynas but an npz of {', '.join(stored.files) or 'nothing'}; "
                    "'raynas truth import FORMAT' makes a table of a benchmark's file (docs/truth.md lists the formats)"
                )
            about = json.loads(str(stored["about"]))
            name, space_name, source = str(about["name"]), str(about["space"]), dict(about["source"])
            keyed_by = about.get("keyed_by", "function")
            texts = tuple(str(text) for text in stored["architectures"].tolist())
            columns = {metric: stored[metric] for metric in stored.files if metric not in _NOT_METRICS}
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise TruthError(f"{path} is not a truth table of raynas: {type(error).__name__}: {error}") from error
    if keyed_by not in get_args(KeyedBy):
        raise TruthError(f"{path}: keyed_by is '{keyed_by}' (allowed: {', '.join(get_args(KeyedBy))})")
    _check_columns(path, columns, len(texts))
    if len(set(texts)) != len(texts):
        raise TruthError(f"{path} holds an architecture more than once")
    return TruthTable(name, space_name, texts, columns, source, keyed_by)


def open_npz(path: Path, what: str) -> NpzFile:
    """Open an npz file without pickles.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        TruthError: It is no npz file at all.
    """
    if not zipfile.is_zipfile(path):
        raise TruthError(f"{path} is not {what}: no npz file, or one that was cut off")
    stored: NpzFile = np.load(path, allow_pickle=False)
    return stored


def _check_columns(path: Path, columns: dict[str, NDArray[Any]], rows: int) -> None:
    unknown = [name for name in columns if not is_metric(name)]
    if unknown:
        raise TruthError(f"{path} has columns that are no metrics: {', '.join(unknown)} (allowed: {allowed_metrics()})")
    wrong = [
        name
        for name, column in columns.items()
        if column.ndim != (2 if has_seeds(name) else 1) or len(column) != rows or column.dtype.kind != "f"
    ]
    if wrong or not columns:
        raise TruthError(f"{path}: {', '.join(wrong) or 'every metric'} does not have one row for each architecture")
