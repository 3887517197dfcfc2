"""What a truth table shall hold, and that a table in the making continues; no Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import raynas
from raynas.cluster import truth_build, truth_plan
from raynas.cluster.truth_build import PARTIAL, Building
from raynas.cluster.truth_plan import TruthPlan, draw_distinct, plan_of
from raynas.errors import ConfigError
from raynas.spaces import Architecture
from raynas.streams import stream
from raynas.training.ledger import Span
from raynas.training.standalone import StandaloneRecipe, StandaloneResult

SPACE = raynas.space("nasbench201", connected=True)
PLAN = TruthPlan(
    name="tiny",
    space=SPACE,
    data="digits",
    recipe=StandaloneRecipe(network={"channels": 2, "cells": 1}, epochs=1),
    architectures=5,
    seeds=(0, 1),
    drawn="architectures",
)
YAML = """
space: {name: nasbench201, connected: true}
data: digits
truth: {train: {architectures: 7, seeds: 3, recipe: {network: {channels: 2}}}}
seed: 4
"""


def test_no_function_is_drawn_twice() -> None:
    drawn = draw_distinct(SPACE, 300, stream(0, "test"))
    assert len({a.text for a in drawn}) == 300
    assert all(SPACE.canonical(a) == a for a in drawn)
    assert draw_distinct(SPACE, 300, stream(0, "test")) == drawn
    assert draw_distinct(SPACE, 20, stream(1, "test")) != drawn[:20]


def test_of_a_space_with_fewer_all_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    small = SPACE.subspace({d.name: ("none", "nor_conv_1x1", "nor_conv_3x3") for d in SPACE.decisions})
    functions = {small.canonical(a).text for a in small.enumerate()}
    assert {a.text for a in draw_distinct(small, 10_000, stream(0, "test"))} == functions
    monkeypatch.setattr(truth_plan, "ENUMERATION_LIMIT", 10)  # a space too large to walk through
    found = {a.text for a in draw_distinct(small, 10_000, stream(0, "test"))}
    assert found <= functions
    assert len(found) > 0.9 * len(functions)


def test_a_configuration_is_a_plan(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(YAML)
    plan, settings = plan_of(str(file), ["ray.cpus=2"])
    assert (plan.name, plan.data, plan.seeds, plan.draw_seed) == ("nasbench201-on-digits", "digits", (0, 1, 2), 4)
    assert len(plan.draw()) == 7
    assert plan.recipe.network == {"channels": 2}
    assert settings.cpus == 2
    with pytest.raises(ConfigError, match=r"'truth\.train' is missing"):
        plan_of(str(file), ["truth=digits201", "search.verify.top=0"])
    with pytest.raises(ConfigError, match="'seed=1' changes nothing: 'digits201' is not a YAML file"):
        plan_of("digits201", ["seed=1"])


def fake_trainings(asked: list[int]) -> Any:
    def train_all(
        space: object,
        architectures: Sequence[Architecture],
        data: object,
        recipe: object,
        seeds: Sequence[int],
        **_: int,
    ) -> Iterator[tuple[Architecture, list[StandaloneResult], Span]]:
        asked.append(len(architectures))
        for architecture in architectures:
            quality = float(len(architecture.text))
            results = [StandaloneResult(quality + seed, quality, 1.0, 1.0, 10) for seed in seeds]
            yield architecture, results, Span("standalone", 0.0, 1.0)

    return train_all


def test_an_interrupted_table_continues_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(truth_build, "train_all", fake_trainings(asked))
    images = raynas.data("digits")
    first = Building(PLAN, images, tmp_path / "run" / "truth.npz", threads=1)
    trainings = first.train()
    next(trainings)
    next(trainings)
    trainings.close()
    partial = tmp_path / "run" / f"truth.npz{PARTIAL}"
    before = partial.read_text()
    partial.write_text(before + '{"architecture": "|no')

    second = Building(PLAN, images, tmp_path / "run-2" / "truth.npz", threads=1, others=[partial])
    assert second.taken_over == 2
    list(second.train())
    table = second.finish("the test")
    assert asked == [5, 3]
    assert table.texts == tuple(a.text for a in PLAN.draw())
    assert table.values("valid_accuracy").tolist() == [len(text) + 0.5 for text in table.texts]
    assert raynas.truth(tmp_path / "run-2" / "truth.npz").texts == table.texts
    assert not (tmp_path / "run-2" / f"truth.npz{PARTIAL}").exists()
    assert partial.read_text().startswith(before)  # another run's file is only read

    other = dataclasses.replace(PLAN, seeds=(0,))
    assert Building(other, images, tmp_path / "run-3" / "truth.npz", threads=1, others=[partial]).taken_over == 0


def test_a_table_serves_wider_spaces_than_it_was_drawn_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_build, "train_all", fake_trainings([]))
    building = Building(PLAN, raynas.data("digits"), tmp_path / "t.npz", threads=1)
    list(building.train())
    table = building.finish("the test")
    whole = raynas.space("nasbench201")
    assert not table.knows(whole.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"))
    assert table.source["threads"] == 1
    assert "connected=True" in table.source["draw"]
