"""`TruthTable`: stand-alone quality of architectures, with every seed kept.

One table holds one data set and one length of training. A query answers with the mean over the seeds that are known,
never with another metric's, epoch's or split's value; what is not known (NaN in the columns) is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from raynas.errors import ArchitectureError, TruthError, nearest
from raynas.ranking.ceiling import NoiseCeiling, noise_ceiling
from raynas.spaces import Architecture, Space, space

KeyedBy = Literal["architecture", "function"]
"""What a row stands for: one encoding with its own trainings, or all encodings of one function."""


@dataclass(frozen=True)
class TruthTable:
    """Stand-alone results of architectures of one space.

    Args:
        name: The table's name.
        space_name: The space its architectures are of.
        texts: (n,) architectures in the space's own spelling, each once; canonical forms if keyed by function.
        columns: Each metric's values (`raynas.truth.columns`): (n, S) for those with seeds, else (n,); NaN = unknown.
        source: Benchmark, file, data set, epochs, versions, date; what a reader needs to judge the numbers.
        keyed_by: ``"function"``: an architecture is answered by its canonical form's row. ``"architecture"``: each
            encoding was trained by itself (as in NAS-Bench-201), and only its own row answers.
    """

    name: str
    space_name: str
    texts: tuple[str, ...]
    columns: Mapping[str, NDArray[np.floating]]
    source: Mapping[str, Any]
    keyed_by: KeyedBy = "function"

    @cached_property
    def space(self) -> Space:
        """The unrestricted space of the architectures, made with the options that `source` records, if any."""
        recorded = self.source.get("space")
        options = recorded.get("options") if isinstance(recorded, Mapping) else None
        return space(self.space_name, **(options or {}))

    @cached_property
    def architectures(self) -> list[Architecture]:
        """The architectures known, in the table's order."""
        return [self.space.parse(text) for text in self.texts]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}

    @cached_property
    def ceiling(self) -> NoiseCeiling:
        """The noise ceiling of the test accuracy; of the validation accuracy where there is none."""
        return self.ceiling_of("test_accuracy" if "test_accuracy" in self.columns else "valid_accuracy")

    def ceiling_of(self, metric: str) -> NoiseCeiling:
        """Return the noise ceiling of a metric that is kept for each seed."""
        return noise_ceiling(self._seeds_of(metric))

    def knows(
        self, architecture: Architecture, metric: str | None = None, function: Architecture | None = None
    ) -> bool:
        """Say whether the architecture is in the table, and with a `metric`, whether that is known of it.

        Args:
            architecture: The architecture.
            metric: A metric that shall be known.
            function: The architecture's canonical form, where it is at hand; it is found otherwise.
        """
        row = self.row_of(architecture, function)
        return row is not None and (metric is None or bool(np.isfinite(self.values(metric)[row])))

    def row_of(self, architecture: Architecture, function: Architecture | None = None) -> int | None:
        """Return the row that answers for an architecture; None where there is none.

        Args:
            architecture: The architecture.
            function: Its canonical form, where it is at hand; it is found otherwise.
        """
        if architecture not in self.space:
            return None
        return self._rows.get(self._key(architecture, function))

    def query(self, architecture: Architecture | str, metric: str = "test_accuracy") -> float:
        """Return the mean over seeds of a metric.

        Raises:
            TruthError: The metric or the architecture is not in the table, or nothing is known of the two together.
        """
        values = self.values(metric)
        return float(values[self._known_row(architecture, metric)])

    def values(self, metric: str = "test_accuracy") -> NDArray[np.float64]:
        """Return the metric of all architectures (n,), averaged over known seeds, in the table's order; NaN = unknown.

        The array is computed once and read-only; copy it to change it.
        """
        if metric not in self._means:
            column = np.array(self._column(metric), np.float64)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # the mean of a row without any seed is NaN, as wanted
                means = np.nanmean(column, axis=1) if column.ndim == 2 else column
            means.flags.writeable = False
            self._means[metric] = means
        return self._means[metric]

    def per_seed(self, architecture: Architecture | str, metric: str = "test_accuracy") -> NDArray[np.float64]:
        """Return the values (S,) of the single seeds; NaN for those this architecture was not trained with."""
        column = self._seeds_of(metric)
        return np.asarray(column[self._known_row(architecture, metric)], np.float64)

    def n_seeds(self, metric: str = "test_accuracy") -> NDArray[np.int64]:
        """Return how many seeds of the metric are known of each architecture (n,)."""
        counts: NDArray[np.int64] = np.isfinite(self._seeds_of(metric)).sum(1)
        return counts

    def rank_of(self, architecture: Architecture | str, metric: str = "test_accuracy") -> int:
        """Return the architecture's place among those known, 1 = best; ties share the better place."""
        return 1 + int((self.values(metric) > self.query(architecture, metric)).sum())

    def save(self, path: Path) -> None:
        """Write the table; the file appears whole or not at all."""
        from raynas.truth.files import save_table

        save_table(self, path)

    @cached_property
    def _means(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def _column(self, metric: str) -> NDArray[np.floating]:
        if metric not in self.columns:
            raise TruthError(
                f"truth '{self.name}' has no metric '{metric}'{nearest(metric, self.columns)} "
                f"(allowed: {', '.join(self.columns)})"
            )
        return self.columns[metric]

    def _seeds_of(self, metric: str) -> NDArray[np.floating]:
        column = self._column(metric)
        if column.ndim != 2:
            raise TruthError(f"metric '{metric}' of truth '{self.name}' has one value an architecture, not one a seed")
        return column

    def _key(self, architecture: Architecture, function: Architecture | None = None) -> str:
        if self.keyed_by == "architecture":
            return architecture.text
        return (function or self.space.canonical(architecture)).text

    def _known_row(self, architecture: Architecture | str, metric: str) -> int:
        if isinstance(architecture, str):
            try:
                architecture = self.space.parse(architecture)
            except ArchitectureError as error:
                raise TruthError(f"truth '{self.name}' is of space {self.space_name}: {error}") from error
        if architecture not in self.space:
            raise TruthError(f"truth '{self.name}' is of space {self.space_name}, which {architecture} is not of")
        key = self._key(architecture)
        if key not in self._rows:
            alias = "each encoding has its own row" if self.keyed_by == "architecture" else f"canonical form {key}"
            raise TruthError(f"truth '{self.name}' does not know {architecture} ({alias})")
        row = self._rows[key]
        if not np.isfinite(self.values(metric)[row]):
            raise TruthError(f"truth '{self.name}' does not know the {metric} of {architecture}, only other metrics")
        return row

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"<truth {self.name}: {len(self)} architectures of {self.space_name}, ceiling {self.ceiling}>"
