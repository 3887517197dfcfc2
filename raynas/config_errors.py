"""Turning pydantic's findings into sentences: the key, what is wrong, the value got, what is allowed."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence

import pydantic
from pydantic import BaseModel

from raynas.errors import nearest


def explain(
    error: pydantic.ValidationError, model: type[BaseModel], prefix: str = "", other_keys: Sequence[str] = ()
) -> list[str]:
    """Return one sentence a problem.

    Args:
        error: What pydantic found.
        model: The model that was to be filled.
        prefix: The dotted key of the model inside the configuration.
        other_keys: Keys allowed beside the model's own.
    """
    sentences = []
    for detail in error.errors():
        path = [str(part) for part in detail["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
        key = ".".join([prefix, *path] if prefix else path)
        if detail["type"] == "extra_forbidden":
            allowed = [*_keys_at(model, path[:-1]), *other_keys]
            listed = f"allowed: {', '.join(allowed)}" if allowed else "it has no options"
            sentences.append(f"unknown key '{key}'{nearest(path[-1], allowed)} ({listed})")
        elif detail["type"] in ("model_type", "model_attributes_type"):
            allowed = [*_keys_at(model, path), *other_keys]
            sentences.append(f"'{key}' must be a section with keys ({', '.join(allowed)}), got {detail['input']!r}")
        elif detail["type"] == "missing":
            sentences.append(f"'{key}' is missing")
        else:
            message = detail["msg"].removeprefix("Value error, ")
            sentences.append(f"'{key}': {message[0].lower()}{message[1:]}, got {detail['input']!r}")
    return sentences


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the allowed keys of the (nested) model that a path leads to."""
    for part in path:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        options = typing.get_args(inner) if isinstance(inner, types.UnionType) else (inner,)
        models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
