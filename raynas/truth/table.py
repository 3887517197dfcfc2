"""`TruthTable`: stand-alone quality of architectures, with every seed kept.

One compact file (npz, no pickles): canonical strings, per-seed accuracies and losses, parameters, FLOPs, and a JSON
record of where it came from. A query answers with the mean over seeds, and never with another metric's value.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.errors import TruthError, nearest
from raynas.ranking.ceiling import NoiseCeiling, noise_ceiling
from raynas.ranking.metrics import true_rank
from raynas.spaces import Architecture, Space, space

PER_SEED = ("valid_accuracy", "test_accuracy", "valid_loss", "test_loss")
"""Metrics kept for each seed: accuracies in percent, losses in nats an image."""
PER_ARCHITECTURE = ("params_m", "flops_m")
"""Metrics with one value: millions of parameters, millions of multiply-adds an image."""


@dataclass(frozen=True)
class TruthTable:
    """Stand-alone results of architectures of one space.

    Args:
        name: The table's name.
        space_name: The space its architectures are of.
        texts: (n,) canonical strings, each once.
        columns: Each metric's values: (n, S) for those of `PER_SEED`, (n,) for those of `PER_ARCHITECTURE`.
        source: Recipe, data set, versions, date.
    """

    name: str
    space_name: str
    texts: tuple[str, ...]
    columns: Mapping[str, NDArray[np.floating]]
    source: Mapping[str, Any]

    @cached_property
    def space(self) -> Space:
        """The unrestricted space of the architectures."""
        return space(self.space_name)

    @cached_property
    def architectures(self) -> list[Architecture]:
        """The canonical architectures known, in the table's order."""
        return [self.space.parse(text) for text in self.texts]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}

    @cached_property
    def ceiling(self) -> NoiseCeiling:
        """The noise ceiling of the test accuracy."""
        return self.ceiling_of("test_accuracy")

    def ceiling_of(self, metric: str) -> NoiseCeiling:
        """Return the noise ceiling of a metric that is kept for each seed."""
        return noise_ceiling(self._column(metric))

    def knows(self, architecture: Architecture) -> bool:
        """Say whether the architecture's function is in the table."""
        return self.space.canonical(architecture).text in self._rows

    def query(self, architecture: Architecture | str, metric: str = "test_accuracy") -> float:
        """Return the mean over seeds of a metric, for any architecture that is the same function as a known one.

        Raises:
            TruthError: The metric or the architecture is not in the table.
        """
        return float(self.values(metric)[self._row(architecture)])

    def values(self, metric: str = "test_accuracy") -> NDArray[np.float64]:
        """Return the metric of all architectures (n,), averaged over seeds, in the table's order."""
        column = np.asarray(self._column(metric), np.float64)
        return column.mean(1) if column.ndim == 2 else column

    def per_seed(self, architecture: Architecture | str, metric: str = "test_accuracy") -> NDArray[np.float64]:
        """Return the values (S,) of the single seeds."""
        return np.asarray(self._column(metric)[self._row(architecture)], np.float64)

    def rank_of(self, architecture: Architecture | str, metric: str = "test_accuracy") -> int:
        """Return the architecture's place among those known, 1 = best; ties share the better place."""
        return int(true_rank(self.values(metric))[self._row(architecture)])

    def save(self, path: Path) -> None:
        """Write the table; the file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        about = json.dumps({"name": self.name, "space": self.space_name, "source": dict(self.source)})
        temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
        np.savez_compressed(
            temporary,
            allow_pickle=False,
            about=np.array(about),
            architectures=np.array(self.texts),
            **{metric: np.asarray(column, np.float32) for metric, column in self.columns.items()},
        )
        os.replace(temporary, path)

    def _column(self, metric: str) -> NDArray[np.floating]:
        if metric not in self.columns:
            raise TruthError(
                f"truth '{self.name}' has no metric '{metric}'{nearest(metric, self.columns)} "
                f"(allowed: {', '.join(self.columns)})"
            )
        return self.columns[metric]

    def _row(self, architecture: Architecture | str) -> int:
        known = self.space.parse(architecture) if isinstance(architecture, str) else architecture
        canonical = self.space.canonical(known).text
        if canonical not in self._rows:
            raise TruthError(f"truth '{self.name}' does not know {known} (canonical form {canonical})")
        return self._rows[canonical]

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"<truth {self.name}: {len(self)} architectures of {self.space_name}, ceiling {self.ceiling}>"


def load_table(path: Path) -> TruthTable:
    """Read a table that `TruthTable.save` wrote.

    Raises:
        TruthError: The file is missing, is not such a table, or contradicts itself.
    """
    if not path.is_file():
        raise TruthError(f"no truth table at {path}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            named = str(about["name"]), str(about["space"]), dict(about["source"])
            texts = tuple(str(text) for text in stored["architectures"].tolist())
            columns = {metric: stored[metric] for metric in (*PER_SEED, *PER_ARCHITECTURE) if metric in stored}
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise TruthError(f"{path} is not a truth table of raynas: {type(error).__name__}: {error}") from error
    wrong = [name for name, column in columns.items() if column.shape[0:1] != (len(texts),)]
    wrong += [name for name, column in columns.items() if column.ndim != (2 if name in PER_SEED else 1)]
    if wrong or not columns:
        raise TruthError(f"{path}: {', '.join(wrong) or 'every metric'} does not have one row for each architecture")
    if len(set(texts)) != len(texts):
        raise TruthError(f"{path} holds an architecture more than once")
    return TruthTable(named[0], named[1], texts, columns, named[2])
