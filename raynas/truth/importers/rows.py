"""Collecting the rows of a table from a benchmark's file, each checked against the space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.errors import ArchitectureError, TruthError
from raynas.spaces import Architecture, Space
from raynas.truth.columns import allowed_metrics, has_seeds, is_metric
from raynas.truth.table import KeyedBy, TruthTable

Training = Mapping[str, float]
"""The metrics of one training; NaN or absent = unknown."""


@dataclass
class Rows:
    """A table in the making.

    Args:
        path: The file read, for messages.
        space: The space that the file's architectures must be of.
        keyed_by: What a row stands for; see `TruthTable`.
    """

    path: Path
    space: Space
    keyed_by: KeyedBy
    _trainings: dict[str, list[Training]] = field(default_factory=dict)
    _costs: dict[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """The architectures added so far, in order of their first row."""
        return tuple(self._trainings)

    def parse(self, place: str, text: str) -> Architecture:
        """Return the architecture; raises TruthError with the file, the place and what is wrong with the text."""
        try:
            return self.space.parse(text)
        except ArchitectureError as error:
            raise self.problem(place, f"not an architecture of {self.space.name}: {error}") from error

    def problem(self, place: str, what: str) -> TruthError:
        """Return an error that names the file and the place in it."""
        return TruthError(f"{self.path}: {place}: {what}")

    def add(
        self,
        place: str,
        architecture: Architecture,
        trainings: Sequence[Training],
        costs: Mapping[str, float] | None = None,
        *,
        again: bool = False,
    ) -> None:
        """Add the trainings of an architecture.

        Args:
            place: Where in the file, for messages.
            architecture: What was trained.
            trainings: One for each seed; the i-th of every architecture goes into the table's i-th column.
            costs: Metrics with one value an architecture.
            again: Whether the architecture may have a row already, whose seeds these are added to.

        Raises:
            TruthError: The architecture has a row already, or one with other costs; or a metric has no such name.
        """
        key = architecture.text if self.keyed_by == "architecture" else self.space.canonical(architecture).text
        if key in self._trainings and not again:
            raise self.problem(place, f"{key} is there a second time")
        costs = costs or {}
        seeded = {name for training in trainings for name in training}
        wrong = [name for name in seeded if not has_seeds(name)] + [
            n for n in costs if has_seeds(n) or not is_metric(n)
        ]
        if wrong:
            raise self.problem(place, f"no such metric: {', '.join(sorted(wrong))} (allowed: {allowed_metrics()})")
        before = self._costs.setdefault(key, costs)
        for name in before.keys() & costs.keys():
            if not np.isclose(before[name], costs[name], equal_nan=True):
                raise self.problem(place, f"{key} has {name} {costs[name]:g} here and {before[name]:g} before")
        self._trainings.setdefault(key, []).extend(trainings)

    def table(self, name: str, source: Mapping[str, Any]) -> TruthTable:
        """Return the table of all rows added; raises TruthError if there are none."""
        texts = self.texts
        if not texts:
            raise TruthError(f"{self.path} holds no architecture")
        seeds = max(1, *(len(trainings) for trainings in self._trainings.values()))
        columns: dict[str, NDArray[np.floating]] = {}
        for row, text in enumerate(texts):
            for seed, training in enumerate(self._trainings[text]):
                for metric, value in training.items():
                    columns.setdefault(metric, np.full((len(texts), seeds), np.nan))[row, seed] = value
            for metric, value in self._costs[text].items():
                columns.setdefault(metric, np.full(len(texts), np.nan))[row] = value
        return TruthTable(name, self.space.name, texts, columns, dict(source), self.keyed_by)


def checked_texts(path: Path, space: Space, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the architectures of a file's rows in the space's own spelling.

    Raises:
        TruthError: A row is not an architecture of the space, or one is there twice.
    """
    rows = Rows(path, space, "architecture")
    for row, text in enumerate(texts):
        rows.add(f"row {row}", rows.parse(f"row {row}", text), [])
    return rows.texts
