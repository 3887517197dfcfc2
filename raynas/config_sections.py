"""Sections of a configuration before they are checked: how to read them, and what is meant where nothing is said."""

from __future__ import annotations

from typing import Any, Literal

DEFAULT_SAMPLER = "uniform"
DEFAULT_SHARING = "positions"
DEFAULT_SCHEDULER = "greedy"
DEFAULT_SEARCHER = "evolution"
DEFAULT_PARTITION = "given"
DEFAULT_PARTITION_ROUNDS = 20
DEFAULT_ROOT_ROUNDS = 4
DEFAULT_TRUTH_ARCHITECTURES = 20
DEFAULT_RANKED = 250
"""Architectures on which a ranking is measured."""
PARTITION_KEYS = ("restart", "calibration", "calibration_architectures")
"""Keys of the partition's section that are not the partition's options."""
SEARCH_KEYS = ("budget", "seconds", "objectives", "constraints", "latency", "pool", "verify")
"""Keys of the search section that are not the searcher's options."""
Metric = Literal["test_accuracy", "valid_accuracy"]
"""What can count as quality in a truth table."""
DEFAULT_METRIC: Metric = "test_accuracy"


def section(plain: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the section at a dotted key; an empty one where there is none, or something else."""
    found: object = plain
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def component_name(given: object, default: str | None) -> str | None:
    """Return the name of a component as a configuration gives it; the default where it gives none."""
    name = given.get("name", default) if isinstance(given, dict) else given
    return name if isinstance(name, str) else default


def data_task(name: str | None) -> str:
    """Return the task of a data set, by its name."""
    return "depth" if name is not None and name.startswith("depth") else "classification"
