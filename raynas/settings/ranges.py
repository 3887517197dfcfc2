"""Ranges: what the value of a key may be in a sweep, as a configuration writes it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from raynas.errors import nearest

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_INTERVALS = {"uniform": (False, False), "loguniform": (True, False), "int": (False, True), "logint": (True, True)}
"""Name: whether it is on a logarithmic scale, and whether its numbers are whole."""
_CHOICES = ("choice", "grid")
FORMS = (
    "a list of values, {choice: [...]}, {uniform: [low, high]}, {loguniform: [low, high]}, {int: [low, high]} or "
    "{logint: [low, high]}"
)


@dataclass(frozen=True)
class Choices:
    """One of some values, of any kind.

    Args:
        options: The values.
    """

    options: tuple[Any, ...]

    @property
    def labels(self) -> list[str]:
        """The values as texts: what samplers and tables call them."""
        return [label_of(option) for option in self.options]

    def value_of(self, label: object) -> Any:
        """Return the value with a label."""
        return self.options[self.labels.index(str(label))]

    def sample(self, rng: np.random.Generator) -> Any:
        """Return one of the values, all equally likely."""
        return self.options[int(rng.integers(len(self.options)))]

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values that show whether all of them are allowed."""
        return self.options

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna has it, over the labels."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels)


@dataclass(frozen=True)
class Interval:
    """A number between two others, both included.

    Args:
        low: The smallest.
        high: The largest.
        log: Whether every order of magnitude is equally likely.
        whole: Whether it is an integer.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def value_of(self, given: float) -> float:
        """Return the value that a sampler gave, as an integer where it is one."""
        return int(given) if self.whole else float(given)

    def sample(self, rng: np.random.Generator) -> float:
        """Return a draw."""
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if self.log else rng.uniform(low, high)
        return int(min(math.floor(drawn), self.high)) if self.whole else float(min(max(drawn, self.low), self.high))

    @property
    def examples(self) -> tuple[float, float]:
        """Values that show whether all of them are allowed: both ends."""
        return self.low, self.high

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna has it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


Range: TypeAlias = Choices | Interval


def label_of(value: Any) -> str:
    """Return a value as a short text: ``10``, ``cosine_increase``, ``null``, ``{"name": "greedy"}``."""
    return value if isinstance(value, str) else json.dumps(value)


def read_range(given: Any) -> Range:
    """Return the range that a configuration writes.

    Raises:
        ValueError: It is none; the message says why.
    """
    if isinstance(given, list | tuple):
        return _choices(given)
    if not isinstance(given, dict) or len(given) != 1:
        raise ValueError(f"must be {FORMS}, got {label_of(given)}")
    ((name, limits),) = given.items()
    if name in _CHOICES and isinstance(limits, list | tuple):
        return _choices(limits)
    if name not in _INTERVALS:
        raise ValueError(f"has no form '{name}'{nearest(str(name), [*_CHOICES, *_INTERVALS])}; it must be {FORMS}")
    return _interval(str(name), limits)


def is_range(given: Any) -> bool:
    """Say whether something is written as a range, right or wrong, and not as a section with keys of its own."""
    return not isinstance(given, dict) or (len(given) == 1 and set(given) <= {*_CHOICES, *_INTERVALS})


def _choices(given: list[Any] | tuple[Any, ...]) -> Choices:
    choices = Choices(tuple(given))
    twice = sorted({label for label in choices.labels if choices.labels.count(label) > 1})
    if not given:
        raise ValueError("is an empty list; give at least one value")
    if twice:
        raise ValueError(f"has {', '.join(twice)} more than once")
    return choices


def _interval(name: str, limits: Any) -> Interval:
    log, whole = _INTERVALS[name]
    kind = "whole numbers" if whole else "numbers"
    wanted = int if whole else (int, float)
    if not isinstance(limits, list | tuple) or len(limits) != 2 or any(isinstance(one, bool) for one in limits):
        raise ValueError(f"{name} takes the least and the most, such as {{{name}: [1, 10]}}, got {label_of(limits)}")
    if not all(isinstance(one, wanted) and math.isfinite(one) for one in limits):
        raise ValueError(f"{name} takes two {kind}, got {label_of(limits)}")
    low, high = limits
    if low >= high:
        raise ValueError(f"{name}: the least must be below the most, got {label_of(limits)}")
    if log and low <= 0:
        raise ValueError(f"{name}: a logarithmic range begins above 0, got {low}")
    return Interval(low, high, log, whole)
