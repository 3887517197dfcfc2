"""What a comparison of methods is: read from a file of experiments/tables, made into configurations of equal budget."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field

from raynas.config import Config, validate
from raynas.errors import ConfigError, UnknownNameError, nearest
from raynas.methods import PARTITIONS
from raynas.spaces import space

Scale = Literal["paper", "reduced"]
TOLERANCE = 0.02
"""Budgets may differ by so much: rounds of several partitions do not divide every budget."""
SPARED = 0.88
"""Of the paths whose gradients are compared, so many differ (measured on NAS-Bench-201: 26.4 of 30)."""
SCALES: tuple[Scale, ...] = ("paper", "reduced")


class Method(BaseModel):
    """A row of the table.

    Args:
        about: What it is, in a few words.
        config: Keys of its own, at both scales.
        paper: Keys of its own at the papers' scale, over `config`.
        reduced: Keys of its own at the reduced scale, over `config`.
        only: The only scale at which it is a row; null for both.
        reported: What the papers say, by measure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    config: dict[str, Any] = {}
    paper: dict[str, Any] = {}
    reduced: dict[str, Any] = {}
    only: Scale | None = None
    reported: dict[str, str] = {}


class Comparison(BaseModel):
    """Methods at equal budget, each over several seeds.

    Args:
        about: What is compared.
        source: The tables of the papers that it answers to.
        base: Keys that all methods have, at both scales.
        paper: Keys that all have at the papers' scale (for a GPU), over `base`.
        reduced: Keys that all have at the reduced scale (two CPU cores), over `base`.
        controls: The methods that the others must beat.
        seeds: Of the runs.
        methods: The rows.
    """

    model_config = ConfigDict(extra="forbid")

    about: str
    source: str
    base: dict[str, Any]
    paper: dict[str, Any]
    reduced: dict[str, Any]
    controls: list[str]
    seeds: list[int] = Field(default=[0, 1, 2])
    methods: dict[str, Method]

    def rows(self, scale: Scale) -> dict[str, Method]:
        """Return the methods compared at a scale."""
        return {name: method for name, method in self.methods.items() if method.only in (None, scale)}

    def keys(self, name: str, scale: Scale) -> dict[str, Any]:
        """Return a method's configuration as a user would write it."""
        rows = self.rows(scale)
        if name not in rows:
            raise UnknownNameError(
                f"no method '{name}' at {scale} scale{nearest(name, rows)} (it has: {', '.join(rows)})"
            )
        method = rows[name]
        layers = (self.base, getattr(self, scale), method.config, getattr(method, scale))
        merged = OmegaConf.to_container(OmegaConf.merge(*layers), resolve=True)
        assert isinstance(merged, dict)
        return {str(key): value for key, value in merged.items()}

    def config(self, name: str, scale: Scale) -> Config:
        """Return a method's configuration, checked."""
        return validate(self.keys(name, scale), f"{name} at {scale} scale")

    def unequal_budgets(self, scale: Scale) -> list[str]:
        """Return a sentence for each method whose planned budget is not that of the first control."""
        wanted = planned_images(self.config(self.controls[0], scale))
        found = {name: planned_images(self.config(name, scale)) for name in self.rows(scale)}
        return [
            f"{name} has a budget of {images:,} images, {self.controls[0]} of {wanted:,}"
            for name, images in found.items()
            if abs(images - wanted) > TOLERANCE * wanted
        ]


class Table:
    """A comparison and where it is kept.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.path.stem

    @cached_property
    def comparison(self) -> Comparison:
        """What it says."""
        return Comparison.model_validate(yaml.safe_load(self.path.read_text()))

    def check(self, scale: Scale) -> None:
        """Refuse a comparison at unequal budgets, or of a control that is not there.

        Raises:
            ConfigError: With every problem.
        """
        rows = self.comparison.rows(scale)
        if not rows:
            raise ConfigError([f"no method is a row at {scale} scale"], str(self.path))
        problems = [f"control '{name}' is no method" for name in self.comparison.controls if name not in rows]
        problems = problems or self.comparison.unequal_budgets(scale)
        if problems:
            raise ConfigError(problems, str(self.path))


def planned_images(config: Config) -> int:
    """Return the budget of a configuration, in images: those trained, and those a method scores at what they cost.

    What gradient matching looks at to choose its splits is part of it.
    """
    train, partition = config.train, config.method.partition
    images = train.root_rounds * train.round_steps * train.batch_size
    if partition is None:
        return images
    whole = space(config.space.name, **config.space.options)
    choice = PARTITIONS.make(partition.name, **partition.options)
    counts = [1, *choice.most(whole)]
    options = [len(decision.options) for decision in whole.decisions]
    for level, parents in enumerate(counts[:-1]):
        rounds = train.rounds_of_level(last=level == len(counts) - 2)
        images += rounds * train.partition_round_steps * train.batch_size
        if choice.learned:  # at each level one decision of every part is split already; equal paths are run once
            compared = SPARED * sum(options) * (len(options) - level) / len(options)
            images += round(parents * partition.options["repeats"] * compared) * train.batch_size
    return images
