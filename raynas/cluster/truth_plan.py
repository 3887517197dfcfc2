"""What a truth table shall hold: which architectures are drawn, and how each of them is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from raynas.config import Config, RaySettings, load_config
from raynas.errors import ConfigError, UnknownNameError, nearest
from raynas.spaces import Architecture, Space, space
from raynas.spaces.base import ENUMERATION_LIMIT
from raynas.streams import stream
from raynas.training.settings import OptimizerSettings
from raynas.training.standalone import StandaloneRecipe

_PATIENCE = 1_000
"""After so many draws in a row of functions already drawn, the space is taken to have hardly any others."""


@dataclass(frozen=True)
class TruthPlan:
    """What a built table holds: so many distinct canonical architectures of a space, each trained with every seed.

    Args:
        name: The table's name.
        space: The space drawn from.
        data: The data set's name.
        recipe: The stand-alone recipe.
        architectures: How many distinct canonical architectures to draw; all where the space has fewer.
        seeds: The training seeds.
        draw_seed: Seed of the draw.
        data_options: The data set's options.
        drawn: What is drawn uniformly, without repeating a function: functions, which needs a space that can be walked
            through, or architectures, which works for every space.
    """

    name: str
    space: Space
    data: str
    recipe: StandaloneRecipe
    architectures: int
    seeds: tuple[int, ...]
    draw_seed: int = 0
    data_options: Mapping[str, Any] = field(default_factory=dict)
    drawn: Literal["functions", "architectures"] = "functions"

    def draw(self) -> list[Architecture]:
        """Return the architectures, in canonical form."""
        rng = stream(self.draw_seed, "truth", self.name)
        if self.drawn == "architectures":
            return draw_distinct(self.space, self.architectures, rng)
        canonical = sorted({self.space.canonical(architecture) for architecture in self.space.enumerate()})
        chosen = rng.permutation(len(canonical))[: self.architectures]
        return [canonical[index] for index in chosen]


def draw_distinct(space: Space, count: int, rng: np.random.Generator) -> list[Architecture]:
    """Return canonical forms of uniform draws, a function only once; of a space that has fewer, all there are.

    Args:
        space: The space drawn from; it may be too large to walk through.
        count: How many.
        rng: The stream of the draws.
    """
    chosen: dict[str, Architecture] = {}
    repeated = 0
    while len(chosen) < count and repeated < _PATIENCE:
        architecture = space.canonical(space.sample(rng))
        repeated = repeated + 1 if architecture.text in chosen else 0
        chosen.setdefault(architecture.text, architecture)
    if len(chosen) < count and math.prod(len(d.options) for d in space.decisions) <= ENUMERATION_LIMIT:
        for architecture in map(space.canonical, space.enumerate()):
            if len(chosen) < count:
                chosen.setdefault(architecture.text, architecture)
    return list(chosen.values())


PLANS: dict[str, Callable[[], TruthPlan]] = {
    "digits201": lambda: TruthPlan(
        name="digits201",
        space=space("nasbench201", connected=True),
        data="digits",
        recipe=StandaloneRecipe(network={"channels": 8, "cells": 2}, epochs=4, optimizer=OptimizerSettings(lr=0.1)),
        architectures=1200,
        seeds=(0, 1, 2, 3),
    )
}
"""The tables this project ships, each with everything needed to make it again."""


def plan_of(target: str, overrides: Sequence[str] = ()) -> tuple[TruthPlan, RaySettings]:
    """Return the plan that a user means, and where it is to be carried out.

    Args:
        target: The name of a table this project ships, or a YAML file with ``truth.train``.
        overrides: ``key=value`` texts for the file.

    Raises:
        ConfigError: Neither of the two, the file has problems or no ``truth.train``, or overrides without a file.
    """
    if Path(target).suffix in (".yaml", ".yml"):
        config = load_config(target, overrides)
        return plan_configured(config, target), config.ray
    if overrides:
        raise ConfigError([f"'{overrides[0]}' changes nothing: '{target}' is not a YAML file"], "the command line")
    return plan_named(target), RaySettings()


def plan_named(name: str) -> TruthPlan:
    """Return the plan of a shipped table; raises UnknownNameError."""
    if name not in PLANS:
        raise UnknownNameError(
            f"no plan for truth '{name}'{nearest(name, PLANS)} (allowed: {', '.join(PLANS)}, or a YAML file with "
            "truth.train)"
        )
    return PLANS[name]()


def plan_configured(config: Config, source: str = "the configuration") -> TruthPlan:
    """Return the plan of a configuration's ``truth.train``; `source` is what messages call the configuration.

    Raises:
        ConfigError: The configuration has none.
    """
    if config.truth is None or config.truth.train is None:
        raise ConfigError(["'truth.train' is missing: what to train (architectures, seeds, recipe)"], source)
    training = config.truth.train
    return TruthPlan(
        name=f"{config.space.name}-on-{config.data.name}",
        space=space(config.space.name, **config.space.options),
        data=config.data.name,
        recipe=training.recipe,
        architectures=training.architectures,
        seeds=tuple(range(training.seeds)),
        draw_seed=config.seed,
        data_options=config.data.options,
        drawn="architectures",
    )
