"""What a truth table shall hold, and that a table in the making continues; no Ray."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import raynas
from raynas.cluster import truth_build, truth_plan
from raynas.cluster.header import _intended_truth
from raynas.cluster.resources import Resources
from raynas.cluster.truth_build import PARTIAL, Building, fingerprint
from raynas.cluster.truth_phase import kept_text
from raynas.cluster.truth_plan import TruthPlan, draw_distinct, plan_of
from raynas.config import load_config
from raynas.data import ImageData
from raynas.data.source import ArraySource, Fit
from raynas.data.split import TensorSplit
from raynas.data.stream_split import StreamSplit
from raynas.errors import ConfigError, TruthError
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
        **_: object,
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
    first = Building(PLAN, images, tmp_path / "run" / "truth.npz", resources=Resources(1))
    trainings = first.train()
    next(trainings)
    next(trainings)
    trainings.close()
    partial = tmp_path / "run" / f"truth.npz{PARTIAL}"
    before = partial.read_text()
    partial.write_text(before + '{"architecture": "|no')

    second = Building(PLAN, images, tmp_path / "run-2" / "truth.npz", resources=Resources(1), others=[partial])
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
    third = Building(other, images, tmp_path / "run-3" / "truth.npz", resources=Resources(1), others=[partial])
    assert third.taken_over == 0
    assert third.skipped == [f"{partial}: made otherwise (another seeds)"]


def begin(folder: Path, rows: int = 2, threads: int = 1) -> Path:
    """Begin the table in a folder and return its partial file."""
    trainings = Building(PLAN, raynas.data("digits"), folder / "truth.npz", resources=Resources(threads)).train()
    for _ in range(rows):
        next(trainings)
    trainings.close()
    return folder / f"truth.npz{PARTIAL}"


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_build, "train_all", fake_trainings([]))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("number", "damage"),
    [(1, "{"), (1, "[]"), (3, "{half"), (2, "7"), (2, '{"architecture": "x"}'), (3, "\udcff")],
)
def test_a_damaged_file_of_its_own_is_named_with_the_line(tmp_path: Path, number: int, damage: str) -> None:
    partial = begin(tmp_path)
    lines = partial.read_text().splitlines()
    lines[number - 1] = damage
    partial.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    before = partial.read_bytes()
    with pytest.raises(TruthError, match=rf"truth\.npz\.partial\.jsonl, line {number}: .*move the file away"):
        Building(PLAN, raynas.data("digits"), tmp_path / "truth.npz", resources=Resources(1))
    assert partial.read_bytes() == before


@pytest.mark.usefixtures("no_training")
def test_a_strangers_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    good, folder = begin(tmp_path / "good"), tmp_path / "a folder"
    damaged = [tmp_path / f"damaged-{number}" for number in range(3)]
    damaged[0].write_text("no JSON at all\n")
    damaged[1].write_text(good.read_text() + "{\n")
    damaged[2].write_bytes(b"\xff\xfe\n")
    folder.mkdir()
    others = [*damaged, folder, good]
    building = Building(PLAN, raynas.data("digits"), tmp_path / "truth.npz", resources=Resources(1), others=others)
    assert building.taken_over == 2
    assert [message.split(",")[0].split(" cannot")[0] for message in building.skipped] == [str(p) for p in others[:4]]
    assert all("\n" not in message for message in building.skipped)


@pytest.mark.usefixtures("no_training")
def test_only_rows_made_alike_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = raynas.data("digits")
    partial = begin(tmp_path / "first")

    def taken_over(data: ImageData = images, threads: int = 1) -> int:
        out = tmp_path / "other" / "truth.npz"
        return Building(PLAN, data, out, resources=Resources(threads), others=[partial]).taken_over

    assert taken_over() == 2
    assert taken_over(threads=2) == 0
    changed = dataclasses.replace(images, test=images.test.select(torch.arange(10)))
    assert taken_over(changed) == 0
    with pytest.raises(TruthError, match=r"other circumstances \(another threads\); move it away"):
        Building(PLAN, images, tmp_path / "first" / "truth.npz", resources=Resources(2))
    with monkeypatch.context() as patch:
        patch.setattr(truth_build, "processor", lambda: "a faster one")
        assert taken_over() == 0
    heading, *rows = partial.read_text().splitlines()
    begun = {**json.loads(heading), "begun": "2020-02-02"}
    partial.write_text("\n".join([json.dumps(begun), *rows]) + "\n")
    building = Building(PLAN, images, tmp_path / "third" / "truth.npz", resources=Resources(1), others=[partial])
    list(building.train())
    source = building.finish("the test").source
    assert building.taken_over == 2
    assert (source["begun"], source["threads"]) == ("2020-02-02", 1)
    assert source["date"] > source["begun"]
    assert source["data_fingerprint"] == fingerprint(images)


def test_the_fingerprint_is_of_the_content() -> None:
    images = raynas.data("digits")
    split = images.valid
    assert isinstance(split, TensorSplit)
    assert fingerprint(raynas.data("digits")) == fingerprint(images)
    pixels, targets = split.images.clone(), split.targets.clone()
    pixels[len(pixels) // 2] += 1
    targets[3] = (targets[3] + 1) % 10
    for other in (
        TensorSplit(pixels, split.targets, split.mean, split.std),
        TensorSplit(split.images, targets, split.mean, split.std),
    ):
        assert fingerprint(dataclasses.replace(images, valid=other)) != fingerprint(images)
    assert fingerprint(dataclasses.replace(images, valid=images.test, test=split)) != fingerprint(images)


def test_the_fingerprint_of_a_split_decoded_on_demand(tmp_path: Path) -> None:
    def streamed(last: int) -> ImageData:
        images = np.zeros((100, 4, 4, 3), np.uint8)
        images[-1] = last
        rows, targets = np.arange(100), torch.zeros(100, dtype=torch.int64)
        split = StreamSplit(ArraySource(images, "x"), rows, targets, Fit(), (3, 4, 4), (0.0,) * 3, (1.0,) * 3)
        return ImageData("x", split, split, split, 2)

    assert fingerprint(streamed(0)) == fingerprint(streamed(0)) != fingerprint(streamed(1))


@pytest.mark.parametrize("network", [{"affine": False}, {"track": True}, {"affine": True, "track": True}])
def test_batch_norm_of_a_recipe_is_fixed(network: dict[str, Any]) -> None:
    always = " and ".join(f"{name}=true" for name in network)
    with pytest.raises(ValueError, match=f"stand-alone networks always have {always}; leave"):
        StandaloneRecipe(network=network)
    given = {"space": "nasbench201", "data": "digits"}
    recipe = {"network": network}
    with pytest.raises(ConfigError, match=r"1 problem[\s\S]*'truth\.train\.recipe\.network': stand-alone"):
        load_config({**given, "truth": {"train": {"recipe": recipe}}, "search": {"verify": {"top": 0}}})
    with pytest.raises(ConfigError, match=r"1 problem[\s\S]*'search\.verify\.recipe\.network': stand-alone"):
        load_config({**given, "search": {"verify": {"recipe": recipe}}})


def test_a_recorded_recipe_that_cannot_be_repeated_is_told_at_once(tmp_path: Path) -> None:
    table = raynas.truth("digits201")
    source = {**table.source, "recipe": {"network": {"track": False}}}
    dataclasses.replace(table, source=source).save(tmp_path / "t.npz")
    with pytest.raises(ConfigError, match=r"'truth': digits201 records a recipe .*'recipe\.network': stand-alone"):
        load_config({"space": "nasbench201", "data": "digits", "truth": str(tmp_path / "t.npz")})


def test_a_table_serves_wider_spaces_than_it_was_drawn_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_build, "train_all", fake_trainings([]))
    building = Building(PLAN, raynas.data("digits"), tmp_path / "t.npz", resources=Resources(1))
    list(building.train())
    table = building.finish("the test")
    whole = raynas.space("nasbench201")
    assert not table.knows(whole.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"))
    assert table.source["threads"] == 1
    assert "connected=True" in table.source["draw"]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("rows", "out", "told"),
    [
        (0, None, "none of the truth's 5 architectures was trained to the end"),
        (2, None, "2 of the truth's 5 architectures are trained, the same command continues with the others"),
        (2, "runs/x", "the same command with another out= beside it continues with the others"),
        (5, None, ""),
    ],
)
def test_an_interruption_tells_what_is_kept(tmp_path: Path, rows: int, out: str | None, told: str) -> None:
    building = Building(PLAN, raynas.data("digits"), tmp_path / "truth.npz", resources=Resources(1))
    trainings = building.train()
    for _ in range(rows):
        next(trainings)
    trainings.close()
    assert kept_text(building, out).endswith(told)
    assert bool(told) == bool(kept_text(building, out))


def test_the_header_tells_what_will_be_trained(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(YAML)
    recipe = "truth.train.recipe={epochs: 2, network: null}"
    config = load_config(file, ["network={channels: 3, cells: 1}", recipe, "truth.train.seeds=1"])
    plan: Any = SimpleNamespace(config=config, truth=None)
    assert _intended_truth(plan) == (
        "trained first: 7 architectures x 1 seed x 2 epochs, network channels=3, cells=1, into truth.npz"
    )
