"""What can be named: every registered component, truth table and configuration, with one line on each."""

from __future__ import annotations

import fnmatch
import inspect
import re
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raynas.config import Component, Config
from raynas.config_findings import PLACES
from raynas.data import DATA
from raynas.errors import UnknownNameError, nearest
from raynas.networks import NETWORKS
from raynas.registry import Registry
from raynas.search import SCHEDULERS, SEARCHERS
from raynas.spaces import SPACES
from raynas.truth import shipped, truth

Rows = Sequence[tuple[str, str]]


def _registered(registry: Registry[object], prefix: str = "") -> Rows:
    return [(prefix + name, registry.describe(name)) for name in registry]


def _methods() -> Rows:
    """Return the parts of a method, each after the name of its kind."""
    kinds = [(key.removeprefix("method."), registry) for key, registry in PLACES.items() if key.startswith("method.")]
    return [row for kind, registry in kinds for row in _registered(registry, f"{kind}: ")]


def _truths() -> Rows:
    rows = []
    for name in shipped():
        table = truth(name)
        about = f"{len(table):,} architectures of {table.space_name} on {table.source['data']}"
        rows.append((name, f"{about}, {table.ceiling.n_seeds} seeds each, noise ceiling {table.ceiling.mean:.2f}"))
    return rows


def _configs() -> Rows:
    """Return the configurations in ./experiments and its folders, each with the first line of its header comment."""
    rows = []
    for path in sorted(Path("experiments").rglob("*.yaml")):
        if path.parent.name == "tables":  # comparisons of many configurations: see experiments/compare.py
            continue
        rows.append((str(path), path.read_text().partition("\n")[0].lstrip("# ")))
    return rows


def _networks() -> Rows:
    """Return the options of each space's network (the keys of ``network``) with their defaults, a row a space."""
    rows = []
    for name in NETWORKS:
        fields = NETWORKS.options_model(name).model_fields.items()
        options = [
            f"{key}={'required' if field.is_required() else _short(field.get_default())}" for key, field in fields
        ]
        rows.append((name, ", ".join(options) or "no options"))
    return rows


def _keys(model: type[BaseModel] = Config, prefix: str = "", section: object = None) -> Rows:
    """Return every key of a configuration with its default and meaning, and the options of every component.

    Args:
        model: The section's type.
        prefix: The section's key and a dot.
        section: What stands there by default, where the section has one.
    """
    rows: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        optional = inner is not field.annotation
        if inner is None or optional or field.is_required():
            if field.is_required():
                default = "required" if section is None else f"default {_short(getattr(section, name))}"
            else:
                default = f"default {_default(field)}"
            rows.append((prefix + name, f"{default}; {field.description}" if field.description else default))
            rows += _component_keys(prefix + name)
        if inner is not None:
            rows += _component_keys(prefix + name) if not optional and not field.is_required() else []
            there = None if field.is_required() else field.get_default()
            rows += _keys(inner, f"{prefix}{name}.", there if isinstance(there, inner) else None)
    return rows


def _component_keys(key: str) -> Rows:
    """Return the options of all components that can stand at a key; nothing where none can."""
    rows: list[tuple[str, str]] = []
    registry = PLACES.get(key)
    for component in registry or ():
        assert registry is not None
        meanings = _meanings(registry.get(component))
        for option, field in registry.options_model(component).model_fields.items():
            default = "required" if field.is_required() else f"default {_short(field.get_default())}"
            meaning = field.description or meanings.get(option, "")
            rows.append((f"{key}.{option}", f"of {component}: {default}{'; ' if meaning else ''}{meaning}"))
    return rows


def _meanings(component: Callable[..., object]) -> dict[str, str]:
    """Return what a component's docstring says of each of its arguments."""
    _, _, arguments = (inspect.getdoc(component) or "").partition("Args:\n")
    found = re.findall(r"^    (\w+): (.*?)(?=^    \w|^\S|\Z)", arguments, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def _default(field: FieldInfo) -> str:
    """Return a key's default; of one that is filled in from another key, what stands for that."""
    extra = field.json_schema_extra
    return str(extra["shown default"]) if isinstance(extra, dict) else _short(field.get_default())


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a key of this type holds, may it be null or not; None for a value or a component."""
    for kind in typing.get_args(annotation) or (annotation,):
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Component:
            return kind
    return None


def _short(value: object) -> str:
    return value.name if isinstance(value, Component) else "null" if value is None else str(value)


_KINDS: dict[str, Callable[[], Rows]] = {
    "spaces": lambda: _registered(SPACES),  # type: ignore[arg-type]
    "networks": _networks,
    "methods": _methods,
    "searchers": lambda: _registered(SEARCHERS),  # type: ignore[arg-type]
    "schedulers": lambda: _registered(SCHEDULERS),  # type: ignore[arg-type]
    "data": lambda: _registered(DATA),  # type: ignore[arg-type]
    "truth": _truths,
    "configs": _configs,
    "keys": _keys,
}


def catalogue(what: str | None = None, pattern: str = "*") -> dict[str, Rows]:
    """Return (name, one line) rows by kind.

    Args:
        what: One kind; all kinds but the configuration's keys if None.
        pattern: A shell pattern that names must match.

    Raises:
        UnknownNameError: There is no such kind, or none of its names matches.
    """
    if what is not None and what not in _KINDS:
        raise UnknownNameError(f"nothing listed under '{what}'{nearest(what, _KINDS)} (allowed: {', '.join(_KINDS)})")
    kinds = [what] if what is not None else [kind for kind in _KINDS if kind != "keys"]
    listed = {kind: _KINDS[kind]() for kind in kinds}
    found: dict[str, Rows] = {kind: [row for row in rows if _matches(row[0], pattern)] for kind, rows in listed.items()}
    if not any(found.values()):
        names = [name for rows in listed.values() for name, _ in rows]
        raise UnknownNameError(f"no name in {', '.join(kinds)} matches '{pattern}'{nearest(pattern.strip('*'), names)}")
    return found


def _matches(name: str, pattern: str) -> bool:
    """Say whether a name matches, with or without the kind that stands before it (``sampler: greedy``)."""
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name.partition(": ")[2], pattern)
