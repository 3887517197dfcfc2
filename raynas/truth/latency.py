"""Latency (and energy) of architectures by device, as others measured it (files: `raynas.truth.latency_files`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raynas.errors import ArchitectureError, TruthError, nearest
from raynas.spaces import Architecture, Space
from raynas.truth.table import TruthTable


@dataclass(frozen=True)
class LatencyTable:
    """Measured latency and energy of architectures of one space.

    Args:
        name: The table's name.
        space: The space of the architectures.
        texts: (n,) architectures in the space's own spelling; each encoding has its own row.
        latency_ms: By device, (n,) milliseconds a forward pass; NaN = not measured.
        energy_mj: By device, (n,) millijoules a forward pass.
        source: Benchmark, file and what is to be known of it.
    """

    name: str
    space: Space
    texts: tuple[str, ...]
    latency_ms: Mapping[str, NDArray[np.floating]]
    energy_mj: Mapping[str, NDArray[np.floating]]
    source: Mapping[str, Any]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices whose latency is known."""
        return tuple(self.latency_ms)

    def knows(self, architecture: Architecture, device: str) -> bool:
        """Say whether the architecture's latency was measured on the device."""
        row = self._rows.get(architecture.text)
        return row is not None and bool(np.isfinite(self._column(device, self.latency_ms)[row]))

    def query(self, architecture: Architecture | str, device: str) -> float:
        """Return the latency in milliseconds.

        Raises:
            TruthError: The device or the architecture is not in the table, or was not measured.
        """
        return self._value(architecture, device, self.latency_ms, "latency")

    def energy(self, architecture: Architecture | str, device: str) -> float:
        """Return the energy in millijoules; raises as `query` does."""
        return self._value(architecture, device, self.energy_mj, "energy")

    def added_to(self, table: TruthTable) -> TruthTable:
        """Return a truth table with these latencies and energies as columns (``latency_ms/pixel3``); NaN = unknown.

        Raises:
            TruthError: The table is of another space, or its rows stand for functions, which have no one latency.
        """
        if table.space_name != self.space.name or table.keyed_by != "architecture":
            raise TruthError(
                f"latency table '{self.name}' knows encodings of {self.space.name}, "
                f"truth '{table.name}' {table.keyed_by}s of {table.space_name}"
            )
        rows = np.array([self._rows.get(text, -1) for text in table.texts])
        columns = dict(table.columns)
        for prefix, devices in (("latency_ms", self.latency_ms), ("energy_mj", self.energy_mj)):
            for device, values in devices.items():
                columns[f"{prefix}/{device}"] = np.where(rows < 0, np.nan, values[rows])
        return replace(table, columns=columns, source={**table.source, "latency": dict(self.source)})

    def _column(self, device: str, columns: Mapping[str, NDArray[np.floating]]) -> NDArray[np.floating]:
        if device not in columns:
            raise TruthError(
                f"latency table '{self.name}' has no device '{device}'{nearest(device, columns)} "
                f"(allowed: {', '.join(columns) or 'none'})"
            )
        return columns[device]

    def _value(
        self,
        architecture: Architecture | str,
        device: str,
        columns: Mapping[str, NDArray[np.floating]],
        what: str,
    ) -> float:
        column = self._column(device, columns)
        try:
            text = self.space.parse(str(architecture)).text
        except ArchitectureError as error:
            raise TruthError(f"latency table '{self.name}' is of space {self.space.name}: {error}") from error
        if text not in self._rows:
            raise TruthError(f"latency table '{self.name}' does not know {text}")
        value = float(column[self._rows[text]])
        if not np.isfinite(value):
            raise TruthError(f"latency table '{self.name}': the {what} of {text} on {device} was not measured")
        return value

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"<latency {self.name}: {len(self)} architectures of {self.space.name}, {len(self.devices)} devices>"
