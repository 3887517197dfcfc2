"""A setting: one value for each key that a sweep varies, and a name to speak of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raynas.settings.ranges import Choices, Range, label_of


@dataclass(frozen=True)
class Setting:
    """One setting of a sweep, tried with every seed.

    Args:
        name: The trial's: ``t007``, or a control's own.
        values: By dotted key of the configuration, what is set.
        control: Whether it is not one of those that are searched among, but what they are compared with.
    """

    name: str
    values: Mapping[str, Any] = field(hash=False)
    control: bool = False

    def text(self, names: Mapping[str, str]) -> str:
        """Return what is set in short (``coefficient=10 schedule=constant``); a control's own name for a control.

        Args:
            names: The keys' short names, see `names_of`.
        """
        if self.control:
            return self.name
        return " ".join(f"{names.get(key, key)}={short(value)}" for key, value in self.values.items())


def short(value: Any) -> str:
    """Return a value as a text of few characters: numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def names_of(keys: Iterable[str]) -> dict[str, str]:
    """Return a short name for each dotted key: its last word, or as many of the last as tell it from the others."""
    keys = list(keys)

    def ends(key: str, count: int) -> str:
        return ".".join(key.split(".")[-count:])

    names = {}
    for key in keys:
        longest = key.count(".") + 1
        names[key] = next(
            (
                ends(key, count)
                for count in range(1, longest)
                if sum(ends(other, count) == ends(key, count) for other in keys) == 1
            ),
            key,
        )
    return names


RESERVED = (
    "trial", "setting", "control", "state", "round", "seed", "seeds", "budget", "loss", "partition", "kendall_tau",
    "spearman", "p_at_top5", "images_trained", "images_scored", "seconds_train", "supernets", "values",
)  # fmt: skip
"""Names of columns that tables of a sweep have anyway."""


def column_names(keys: Iterable[str]) -> dict[str, str]:
    """Return `names_of` keys, a whole key where its short name is a column's already."""
    return {key: key if name in RESERVED else name for key, name in names_of(keys).items()}


def setting_of(number: int, values: Mapping[str, Any]) -> Setting:
    """Return the setting that is tried as the how-manieth, from 0."""
    return Setting(f"t{number:03d}", dict(values))


def every_setting(ranges: Mapping[str, Choices]) -> list[Setting]:
    """Return all combinations of values; the last key varies fastest."""
    combinations = itertools.product(*(choices.options for choices in ranges.values()))
    return [setting_of(number, dict(zip(ranges, values, strict=True))) for number, values in enumerate(combinations)]


def random_settings(ranges: Mapping[str, Range], count: int, rng: np.random.Generator) -> list[Setting]:
    """Return so many settings drawn independently, all different; fewer where there are not so many.

    Args:
        ranges: What each key may be.
        count: How many.
        rng: The stream of the draws.
    """
    found: dict[str, dict[str, Any]] = {}
    for _ in range(100 * count):
        if len(found) == count:
            break
        values = {key: one.sample(rng) for key, one in ranges.items()}
        found.setdefault(label_of(list(values.values())), values)
    return [setting_of(number, values) for number, values in enumerate(found.values())]


def values_of(ranges: Mapping[str, Range], sampled: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a sampler's answer (labels and numbers, by key) stands for."""
    return {key: one.value_of(sampled[key]) for key, one in ranges.items()}
