"""Turning pydantic's findings into sentences: the key, what is wrong, the value got, what is allowed."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from raynas.errors import nearest


@dataclass(frozen=True)
class Owner:
    """The component whose options a model holds, for what is told of an option that it does not have.

    Args:
        name: As it is told: ``the sampler uniform``.
        elsewhere: Returns which other components could stand in its place and have an option, and how to set them; an
            empty text where none has it.
    """

    name: str
    elsewhere: Callable[[str], str]


def explain(
    error: pydantic.ValidationError,
    model: type[BaseModel],
    prefix: str = "",
    other_keys: Sequence[str] = (),
    owner: Owner | None = None,
) -> list[str]:
    """Return one sentence a problem.

    Args:
        error: What pydantic found.
        model: The model that was to be filled.
        prefix: The dotted key of the model inside the configuration.
        other_keys: Keys allowed beside the model's own.
        owner: The component whose options they are; None for a section of the configuration.
    """
    sentences = []
    for detail in error.errors():
        path = [str(part) for part in detail["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
        key = ".".join([prefix, *path] if prefix else path)
        if detail["type"] == "extra_forbidden":
            mine = owner if len(path) == 1 else None
            sentences.append(_unknown(key, detail["input"], _keys_at(model, path[:-1]), other_keys, mine))
        elif detail["type"] in ("model_type", "model_attributes_type"):
            wanted = _wanted(key, model, path, other_keys, detail["input"])
            sentences.append(f"'{key}' must be {wanted}")
        elif detail["type"] == "missing":
            there = detail["input"] if isinstance(detail["input"], dict) else {}
            hints = [_colon(str(given), value) for given, value in there.items()]
            sentences.append(f"'{key}' is missing{next(filter(None, hints), '')}")
        else:
            message = detail["msg"].removeprefix("Value error, ")
            hint = _quotes(key, detail) or _meant(detail)
            sentences.append(f"'{key}': {message[0].lower()}{message[1:]}, got {detail['input']!r}{hint}")
    return sentences


def _meant(detail: ErrorDetails) -> str:
    """Return which of the texts that are allowed was meant, where one is close."""
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    return nearest(detail["input"], re.findall(r"'([^']*)'", detail["ctx"]["expected"]))


def _unknown(key: str, value: object, own: Sequence[str], other_keys: Sequence[str], owner: Owner | None) -> str:
    """Return the sentence about a key that there is not: what there is, and where else it could belong."""
    name, allowed = key.rpartition(".")[2], [*own, *other_keys]
    hint = _colon(name, value)
    elsewhere = owner.elsewhere(name) if owner is not None and not hint else ""
    if owner is None:
        listed = f"allowed: {', '.join(allowed)}" if allowed else "it has no options"
    else:
        listed = f"options of {owner.name}: {', '.join(own)}" if own else f"{owner.name} has no options"
        listed += f"; allowed besides: {', '.join(other_keys)}" if other_keys else ""
    return f"unknown key '{key}'{hint or elsewhere or nearest(name, allowed)} ({listed})"


def _colon(name: str, value: object) -> str:
    """Return a hint at what ``{name:greedy}`` is in YAML: a key that holds the colon, and has no value."""
    key, colon, rest = name.partition(":")
    return f": YAML wants a space after the colon, '{key}: {rest}'" if colon and rest and value is None else ""


def _wanted(key: str, model: type[BaseModel], path: Sequence[str], other_keys: Sequence[str], given: object) -> str:
    """Return what must stand where something else than a section was found, and what was."""
    inner = _model_at(model, path)
    if inner is None or inner.model_config.get("extra") != "allow":  # no component
        keys = list(inner.model_fields) if inner is not None else []
        return f"a section with keys ({', '.join([*keys, *other_keys])}), got {given!r}"
    above = _model_at(model, path[:-1])
    default = None if above is None else getattr(above.model_fields[path[-1]].get_default(), "name", None)
    cure = f"; set {key}={default}, its default, or leave it out" if default else ""
    return f"a name, or a section with a name, got {given!r}{cure}"


def _quotes(key: str, detail: ErrorDetails) -> str:
    """Return a hint at a word that YAML reads as true or false, where a text is wanted and one of these was found."""
    if not isinstance(detail["input"], bool) or detail["type"] not in ("literal_error", "string_type"):
        return ""
    words, reads = ("on", "yes") if detail["input"] else ("off", "no"), str(detail["input"]).lower()
    expected = re.findall(r"'(.*?)'", detail.get("ctx", {}).get("expected", ""))
    if detail["type"] == "string_type":
        return f" (YAML reads {' and '.join(words)} as {reads}: write texts like these in quotes)"
    meant = next((word for word in words if word in expected), None)
    if meant is None:
        return ""
    return f""" (YAML reads {meant} as {reads}: write "{meant}" in quotes; on the command line '{key}="{meant}"')"""


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the allowed keys of the (nested) model that a path leads to."""
    found = _model_at(model, path)
    return [] if found is None else list(found.model_fields)


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """Return the (nested) model that a path leads to; None where it leads to something else."""
    for part in path:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        options = typing.get_args(inner) if isinstance(inner, types.UnionType) else (inner,)
        models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
        if not models:
            return None
        model = models[0]
    return model
