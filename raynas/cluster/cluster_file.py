"""`read_cluster`: a file for `ray up`, read and checked offline, before any machine costs anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from raynas.cluster.cluster_problems import Types, own_problems
from raynas.cluster.cluster_schema import schema_problems
from raynas.cluster.node_types import NodeType
from raynas.errors import ConfigError, nearest

_MARK = re.compile(r"#\s*EDIT:\s*(.*)")
_PLACEHOLDER = re.compile(r"(?<![A-Za-z])EDIT(?![A-Za-z])")
_DEFAULT_MOST = 2
"""Ray's own max_workers, where a file has none."""


@dataclass(frozen=True)
class ClusterFile:
    """A cluster file without problems.

    Args:
        path: The file.
        node_types: Its kinds of machines, with what one has and how many there can be.
        most_workers: The most workers of all kinds together.
        warnings: What still has to be done before `ray up`: lines that wait for their value.
    """

    path: Path
    node_types: tuple[NodeType, ...]
    most_workers: int
    warnings: tuple[str, ...]


def read_cluster(path: str | Path) -> ClusterFile:
    """Read and check a cluster file: by Ray's schema, and by what that misses.

    Args:
        path: A YAML file for `ray up`.

    Raises:
        ConfigError: With every problem found.
    """
    path = Path(path)
    text = _read(path)
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"it is no YAML: {error}"], str(path)) from error
    if not isinstance(plain, dict):
        raise ConfigError(["it holds no keys; cluster.yaml of raynas is an example"], str(path))
    if not plain.get("available_node_types"):
        missing = "'available_node_types' is missing: which kinds of machines there are, with their resources"
        raise ConfigError([missing], str(path))
    problems = schema_problems(plain)
    types = _types(plain)
    if types is not None and isinstance(plain.get("provider"), dict) and plain["provider"].get("type"):
        problems += [problem for problem in own_problems(plain, types) if problem not in problems]
    if problems or types is None:
        raise ConfigError(problems, str(path))
    most = int(plain.get("max_workers", _DEFAULT_MOST))
    return ClusterFile(path, _node_types(plain, types, most), most, tuple(unedited(text)))


def unedited(text: str) -> list[str]:
    """Return the lines marked ``# EDIT:`` whose value still is the placeholder, each with what belongs there."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        mark = _MARK.search(line)
        if mark is not None and _PLACEHOLDER.search(line[: mark.start()]):
            key = line[: mark.start()].strip().removeprefix("- ").split(":")[0]
            found.append(f"line {number} ({key[:30]}) still waits for your value: {mark.group(1)}")
    return found


def _read(path: Path) -> str:
    if not path.is_file():
        near = nearest(path.name, [other.name for other in path.parent.glob("*.y*ml")]) if path.parent.is_dir() else ""
        raise ConfigError([f"no cluster file at {path}{near}"], "the command line")
    return path.read_text()


def _types(plain: Mapping[str, Any]) -> Types | None:
    """Return the node types as far as they can be looked at; None where there are none."""
    given = plain.get("available_node_types")
    if not isinstance(given, dict):
        return None
    sound = {
        name: kind
        for name, kind in given.items()
        if isinstance(kind, dict)
        and isinstance(kind.get("node_config"), dict)
        and isinstance(kind.get("resources", {}), dict)
        and all(isinstance(kind.get(key, 0), int) for key in ("min_workers", "max_workers"))
    }
    return sound or None


def _node_types(plain: Mapping[str, Any], types: Types, overall: int) -> tuple[NodeType, ...]:
    found = []
    for name, kind in types.items():
        is_head = name == plain.get("head_node_type")
        most = 1 if is_head else min(overall, int(kind.get("max_workers", overall)))
        stated = kind.get("resources") or {}
        found.append(NodeType(name, int(stated.get("CPU", 0)), int(stated.get("GPU", 0)), most, is_head))
    return tuple(found)
