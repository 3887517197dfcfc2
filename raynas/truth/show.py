"""A table told in lines: what it holds, of how many architectures, in which range, and where it comes from."""

from __future__ import annotations

import json

import numpy as np

from raynas.truth.columns import DEVICE_METRICS, PER_ARCHITECTURE, has_seeds
from raynas.truth.table import TruthTable

_UNITS = {
    "params_m": "million",
    "flops_m": "million multiply-adds",
    "train_seconds": "s",
    DEVICE_METRICS[0]: "ms",
    DEVICE_METRICS[1]: "mJ",
}


def describe(table: TruthTable) -> list[tuple[str, str]]:
    """Return (what, text) lines."""
    keyed = {"architecture": "each encoding has its own trainings", "function": "one row for all encodings"}
    lines = [
        ("table", table.name),
        ("space", table.space_name),
        ("rows", f"{len(table):,} architectures; keyed by {table.keyed_by}: {keyed[table.keyed_by]}"),
    ]
    lines += [(metric, _range(table, metric)) for metric in table.columns]
    lines += [(f"source: {key}", value if isinstance(value, str) else json.dumps(value)) for key, value in _flat(table)]
    return lines


def _range(table: TruthTable, metric: str) -> str:
    values = table.values(metric)
    known = values[np.isfinite(values)]
    if not len(known):
        return "known of none"
    unit = "" if metric.endswith("_loss") else "%" if has_seeds(metric) else f" {_unit(metric)}"
    text = f"{known.min():.4g} to {known.max():.4g}{unit}, median {np.median(known):.4g}; known of {len(known):,}"
    if not has_seeds(metric):
        return text
    counts = table.n_seeds(metric)
    few, many = int(counts[counts > 0].min()), int(counts.max())
    seeds = f"{many} value{'s' if many > 1 else ''} each" if few == many else f"{few} to {many} values each"
    return f"{text}; {seeds}; noise ceiling {table.ceiling_of(metric)}"


def _unit(metric: str) -> str:
    return _UNITS[metric if metric in PER_ARCHITECTURE else metric.partition("/")[0] + "/"]


def _flat(table: TruthTable) -> list[tuple[str, object]]:
    """Return the source's entries, and those of its ``columns`` by themselves."""
    entries = [(key, value) for key, value in table.source.items() if key != "columns" and value is not None]
    columns = table.source.get("columns", {})
    return entries + [(f"{metric} is", what) for metric, what in columns.items()]
