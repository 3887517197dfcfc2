"""How an architecture is written as the parameters of an Optuna study, and read back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from raynas.spaces import Architecture, Space


class Coding(ABC):
    """One way of writing the decisions of a (sub)space; those with a single option are left out.

    Args:
        space: The (sub)space.
    """

    one_each: ClassVar[bool]
    """Whether an architecture has one encoding only, so that a parameter vector met again says nothing new."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._free = [decision for decision in space.decisions if len(decision.options) > 1]

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, tuple[str, ...] | None]:
        """The parameters in order: the options of a categorical one, None for a number in [0, 1]."""

    def read(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Return one option a decision, which the validity rule may refuse, from a value for each parameter."""
        chosen = {decision.name: self._read(decision.name, decision.options, values) for decision in self._free}
        return tuple(chosen.get(decision.name, decision.options[0]) for decision in self.space.decisions)

    def write(self, architecture: Architecture, rng: np.random.Generator) -> dict[str, Any]:
        """Return values that are read as this architecture, drawn uniformly where there are many."""
        chosen = dict(zip((d.name for d in self.space.decisions), architecture.options, strict=True))
        values: dict[str, Any] = {}
        for decision in self._free:
            values |= self._write(decision.name, decision.options, chosen[decision.name], rng)
        return values

    @abstractmethod
    def _read(self, name: str, options: tuple[str, ...], values: Mapping[str, Any]) -> str: ...

    @abstractmethod
    def _write(
        self, name: str, options: tuple[str, ...], option: str, rng: np.random.Generator
    ) -> dict[str, str | float]: ...


class Categories(Coding):
    """A categorical parameter a decision, for samplers that know such."""

    one_each = True

    @property
    def parameters(self) -> Mapping[str, tuple[str, ...] | None]:
        """One a decision."""
        return MappingProxyType({decision.name: decision.options for decision in self._free})

    def _read(self, name: str, options: tuple[str, ...], values: Mapping[str, Any]) -> str:
        return str(values[name])

    def _write(
        self, name: str, options: tuple[str, ...], option: str, rng: np.random.Generator
    ) -> dict[str, str | float]:
        return {name: option}


class Largest(Coding):
    """A number in [0, 1] for each option of each decision; the largest wins, the first of equal ones.

    No order of the options is made up, and every option is as near to every other.
    """

    one_each = False

    @property
    def parameters(self) -> Mapping[str, tuple[str, ...] | None]:
        """One an option, named ``decision=option``."""
        return MappingProxyType({f"{d.name}={option}": None for d in self._free for option in d.options})

    def _read(self, name: str, options: tuple[str, ...], values: Mapping[str, Any]) -> str:
        return max(options, key=lambda option: float(values[f"{name}={option}"]))

    def _write(
        self, name: str, options: tuple[str, ...], option: str, rng: np.random.Generator
    ) -> dict[str, str | float]:
        drawn = rng.random(len(options)).tolist()
        place, largest = options.index(option), int(np.argmax(drawn))
        drawn[place], drawn[largest] = drawn[largest], drawn[place]
        return {f"{name}={o}": value for o, value in zip(options, drawn, strict=True)}


class Shares(Coding):
    """A number in [0, 1] a decision, which is cut in as many equal shares as there are options."""

    one_each = False

    @property
    def parameters(self) -> Mapping[str, tuple[str, ...] | None]:
        """One a decision."""
        return MappingProxyType({decision.name: None for decision in self._free})

    def _read(self, name: str, options: tuple[str, ...], values: Mapping[str, Any]) -> str:
        return options[min(int(float(values[name]) * len(options)), len(options) - 1)]

    def _write(
        self, name: str, options: tuple[str, ...], option: str, rng: np.random.Generator
    ) -> dict[str, str | float]:
        return {name: (options.index(option) + float(rng.uniform(0.05, 0.95))) / len(options)}
