"""`classes_by`: the architectures of a space, sorted into classes by whatever is asked of each."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from raynas.spaces.architecture import Architecture
from raynas.spaces.base import Space

K = TypeVar("K", bound=Hashable)


def classes_by(space: Space, key: Callable[[Architecture], K]) -> dict[K, list[Architecture]]:
    """Return the architectures of each class, classes and members in the order of enumeration.

    With ``key=space.nonlinear_functions`` these are what ENN (AAAI 2025) balances and splits by.

    Args:
        space: The (sub)space; only its own architectures are listed.
        key: Says which class an architecture is in.

    Raises:
        ArchitectureError: The space is too large to walk through (see `raynas.spaces.base.ENUMERATION_LIMIT`), or has
            no such key.
    """
    found: dict[K, list[Architecture]] = {}
    for architecture in space.enumerate():
        found.setdefault(key(architecture), []).append(architecture)
    return found
