"""Configurations: what is refused, how it is told, and that everything resolved is there."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raynas
from raynas.catalogue import catalogue
from raynas.config import Config, load_config, validate
from raynas.errors import ConfigError
from raynas.truth import TruthTable

ROOT = Path(__file__).resolve().parents[1]
GOOD: dict[str, Any] = {
    "space": {"name": "nasbench201", "connected": True},
    "network": {"channels": 8, "cells": 2},
    "data": "digits",
    "truth": "digits201",
    "method": {"partition": {"decisions": ["3<-0"]}},
}


def problems(changes: dict[str, Any]) -> list[str]:
    plain = copy.deepcopy(GOOD)
    for key, value in changes.items():
        *path, last = key.split(".")
        section = plain
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    with pytest.raises(ConfigError) as caught:
        validate(plain)
    return caught.value.problems


def test_defaults_are_filled_in_also_those_of_components() -> None:
    config = validate(GOOD)
    assert config.space.options == {"connected": True}
    assert config.network == {"channels": 8, "cells": 2, "affine": False, "track": False}
    assert config.scheduler.model_dump() == {"name": "greedy", "every": 2, "keep": 0.5, "survivors": 2}
    assert config.search.options["population"] == 50
    assert validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schedular": "greedy"}, "unknown key 'schedular', did you mean 'scheduler'?"),
        ({"train.roundimages": 5}, "unknown key 'train.roundimages', did you mean 'round_images'?"),
        ({"train.lr": "fast"}, "'train.lr': input should be a valid number"),
        ({"train.lr": -1}, "'train.lr': input should be greater than 0, got -1"),
        ({"train.batch_size": 1}, "'train.batch_size': input should be greater than or equal to 2, got 1"),
        ({"seed": "x"}, "'seed': input should be a valid integer"),
        ({"space": "nasbench21"}, "unknown space 'nasbench21', did you mean 'nasbench201'?"),
        ({"space.connectd": True}, "unknown key 'space.connectd', did you mean 'connected'?"),
        ({"network.channels": 0}, "'network.channels': input should be greater than or equal to 1, got 0"),
        ({"network.chanels": 4}, "unknown key 'network.chanels', did you mean 'channels'?"),
        ({"data": "digit"}, "unknown data set 'digit', did you mean 'digits'?"),
        ({"truth": "digits21"}, "unknown truth 'digits21', did you mean 'digits201'?"),
        ({"truth": "nowhere.npz"}, "no truth table at nowhere.npz"),
        ({"method.sampler": "unifrm"}, "unknown sampler 'unifrm', did you mean 'uniform'?"),
        ({"method.partition.decisions": ["3<-9"]}, "nasbench201 has no decision '3<-9', did you mean '3<-"),
        ({"method.partition.decisions": []}, "'method.partition.decisions': list should have at least 1 item"),
        ({"method.partition.decisions": ["3<-0", "2<-0"], "train.partition_rounds": 20}, "too few for 25 partitions"),
        ({"method.partition.decisions": ["3<-0", "2<-0"]}, "20 rounds are too few for 25 partitions"),
        ({"method.partition.decisions": ["3<-0", "3<-0"]}, "named more than once"),
        ({"search.verify": {"recipe": {"network": {"chanels": 2}}}}, "'search.verify.recipe.network.chanels'"),
        ({"search.verify": {"recipe": {"network": {"track": 1}}}}, "always have track=true; leave it out"),
        ({"scheduler": {"survivors": 9}}, "survivors is 9, but there are only 5 partitions"),
        ({"scheduler": {"every": 9}}, "nothing would ever be rejected"),
        ({"train": 5}, "'train' must be a section with keys (batch_size, lr,"),
        ({"ray": {"cpus": 1, "cpus_per_trial": 4}}, "4 CPUs a trial, but this Ray will have 1"),
        ({"scheduler": {"name": "greedy", "keep": 1.5}}, "'scheduler.keep': input should be less than or equal to 1"),
        ({"search": {"name": "evolution", "budgt": 3}}, "unknown key 'search.budgt', did you mean 'budget'?"),
        ({"search": {"name": "evolution", "budget": 0}}, "'search.budget': input should be greater than or equal to 1"),
        ({"score.batch_norm": "running"}, "set network.track=true"),
        ({"score.metric": "accurracy"}, "'score.metric': input should be 'loss' or 'accuracy', got 'accurracy'"),
        ({"truth": None}, "'search.verify.recipe': there is no truth whose recipe could be taken; give search.verify"),
        ({"truth": {"metric": "test_accuracy"}}, "'truth': give either name (a shipped table or a file) or train"),
        ({"truth": {"name": "digits201", "train": {"recipe": {}}}}, "'truth': give either name"),
        ({"truth": {"train": {"architectures": 20}}}, "'truth.train.recipe' is missing"),
        ({"truth": {"train": {"architectures": 1, "recipe": {}}}}, "greater than or equal to 2, got 1"),
        ({"truth": {"train": {"sedes": 1, "recipe": {}}}}, "unknown key 'truth.train.sedes', did you mean 'seeds'?"),
        (
            {"truth": {"train": {"recipe": {"network": {"chanels": 2}}}}},
            "'truth.train.recipe.network.chanels', did you",
        ),
        ({"truth": {"train": {"recipe": {"network": {"affine": 1}}}}}, "always have affine=true; leave it out"),
        ({"method.partition": 5}, "'method.partition' must be a section with keys (name, restart, calib"),
        (
            {"method": None},
            "'method' must be a section with keys (sampler, sharing, regularizer, curriculum, partition), got None",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_problem_names_key_value_and_cure(changes: dict[str, Any], sentence: str) -> None:
    found = problems(changes)
    assert len(found) == 1, found
    assert sentence in found[0]


def test_missing_keys_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"space": "nasbench201"})
    assert caught.value.problems[0] == "'data' is missing"


def test_the_least_configuration_is_one_supernet_without_truth() -> None:
    config = validate({"space": "nasbench201", "data": "digits", "search": {"verify": {"top": 0}}})
    assert config.truth is None
    assert config.method.partition is None
    assert config.method.sampler.name == "uniform"
    assert config.ray.object_store_mb is None
    assert validate(config.model_dump(mode="json")) == config


def test_parts_can_be_taken_away_on_the_command_line() -> None:
    config = load_config(GOOD, ["method.partition=null", "truth=null", "search.verify.top=0"])
    assert (config.method.partition, config.truth) == (None, None)


def test_truth_on_demand_brings_its_recipe() -> None:
    config = load_config(GOOD, truth={"train": {"architectures": 8, "recipe": {"network": {"channels": 2}}}})
    assert config.truth is not None
    assert config.truth.train is not None
    assert (config.truth.train.architectures, config.truth.train.seeds) == (8, 2)
    assert config.truth.train.recipe.network == {"channels": 2}  # what it leaves out is the network's own
    assert validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ({}, {"channels": 8, "cells": 2}),
        ({"network": None}, {"channels": 8, "cells": 2}),
        ({"network": {}}, {}),
        ({"network": {"cells": 1}}, {"cells": 1}),
    ],
)
def test_a_recipe_without_network_has_the_runs(given: dict[str, Any], network: dict[str, Any]) -> None:
    changes: dict[str, Any] = {"truth": {"train": {"recipe": given}}, "search": {"verify": {"recipe": given}}}
    config = load_config({**GOOD, **changes})
    assert config.truth is not None
    assert config.truth.train is not None
    assert config.search.verify.recipe is not None
    assert config.truth.train.recipe.network == config.search.verify.recipe.network == network
    assert validate(config.model_dump(mode="json")) == config


def test_overrides_add_to_components_given_as_texts(table: TruthTable, tmp_path: Path) -> None:
    file = str(tmp_path / "other.npz")
    expected = {"name": file, "train": None, "metric": "valid_accuracy"}
    trained = {**GOOD, "truth": {"train": {"recipe": {}}}}
    for config in (
        load_config(GOOD, [f"truth={file}", "truth.metric=valid_accuracy"]),
        load_config({**GOOD, "truth": file}, ["truth.metric=valid_accuracy"]),
        load_config({**GOOD, "truth": file}, **{"truth.metric": "valid_accuracy"}),
        load_config(
            trained, [f"truth={file}"], **{"truth.metric": "valid_accuracy"}
        ),  # a text takes its section's place
    ):
        assert config.truth is not None
        assert config.truth.model_dump() == expected
    config = load_config(GOOD, ["scheduler=greedy", "scheduler.every=3", "search=random", "search.budget=7"])
    assert (config.scheduler.options["every"], config.search.name, config.search.budget) == (3, "random", 7)


def test_an_empty_section_takes_the_place_of_what_was_there() -> None:
    config = load_config({**GOOD, "network": {"channels": 3, "cells": 2}}, ["network={}", "network.cells=1"])
    assert config.network["cells"] == 1
    assert config.network["channels"] != 3


@pytest.fixture
def table(tmp_path: Path) -> TruthTable:
    """A table like the shipped one, as another file."""
    made = replace(raynas.truth("digits201"), name="other")
    made.save(tmp_path / "other.npz")
    return made


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": {"data": "digits"}}, "'search.verify.recipe': other does not tell how it was trained; give search"),
        ({"source": {"recipe": {}, "data": "cifar10"}}, "other was trained on cifar10, the data are digits; give"),
        (
            {"source": {"recipe": {}, "data": "digits", "data_options": {"a": 1}}},
            "trained on digits with {'a': 1}, the",
        ),
        ({"columns": {"valid_accuracy": np.ones((1200, 1))}}, "'truth.metric': other does not hold test_accuracy (it"),
    ],
)
def test_a_table_must_fit_the_run(
    change: dict[str, Any], sentence: str, table: TruthTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(table, **change).save(tmp_path / "other.npz")
    monkeypatch.chdir(tmp_path)  # relative paths are relative to the current folder
    found = problems({"truth": "other.npz"})
    assert len(found) == 1, found
    assert sentence in found[0]


def test_an_unreadable_table_is_told_under_its_key(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_text("nothing")
    found = problems({"truth": str(tmp_path / "broken.npz")})
    assert len(found) == 1
    assert found[0].startswith("'truth': ")
    assert "is not a truth table" in found[0]


def test_a_path_may_stand_behind_the_name() -> None:
    plain = {**GOOD, "search": {"verify": {"top": 0}}, "data": "npz:some/x.npz"}
    assert validate(plain) == validate({**plain, "data": {"name": "npz", "path": "some/x.npz"}})


def test_all_problems_at_once() -> None:
    found = problems({"seed": -1, "data": "digit", "train.lr": 0, "scheduler": "greedi", "network.chanels": 4})
    assert len(found) == 5


def test_overrides_reach_nested_keys(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("space: nasbench201\ndata: digits\ntruth: digits201\nmethod: {partition: {decisions: ['3<-0']}}\n")
    config = load_config(file, ["train.lr=0.05", "search.budget=10", "method.partition.decisions=[2<-0]"], seed=7)
    assert (config.train.lr, config.search.budget, config.seed) == (0.05, 10, 7)
    assert config.method.partition is not None
    assert config.method.partition.decisions == ["2<-0"]
    assert isinstance(config, Config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "cannot be read"),
        ("- 1\n- 2\n", "does not hold keys and values"),
        ("seed: ${nowhere}", "cannot be"),
    ],
)
def test_unreadable_files(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(file)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("seed: 0\n")
    with pytest.raises(ConfigError, match=r"did you mean 'quickstart\.yaml'"):
        load_config(tmp_path / "quickstrt.yaml")


def test_override_without_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'seed' is not of the form key=value"):
        load_config(GOOD, ["seed"])


def test_a_checked_configuration_takes_overrides_again() -> None:
    config = load_config(GOOD, ["seed=3"])
    again = load_config(config.model_dump(mode="json"), ["train.lr=0.5"], seed=4)
    assert (again.train.lr, again.seed) == (0.5, 4)
    assert again.model_copy(update={"train": config.train, "seed": 3}) == config


def test_every_key_is_listed_also_of_sections_that_may_be_null() -> None:
    rows = dict(catalogue("keys")["keys"])
    assert rows["truth"].startswith("default null")
    assert rows["truth.train.architectures"].startswith("default 20")
    assert rows["truth.train.recipe"].startswith("required")
    assert rows["method.partition"].startswith("default null")
    assert rows["search.verify.recipe.network"].startswith("default null; options of the space's network; null")
    assert "search.verify.recipe.epochs" in rows
    assert rows["search.name"] == "default evolution"
    assert "space.name" not in rows  # a component: its own options stand with it


def test_options_of_networks_and_configurations_in_folders_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    rows = dict(catalogue("networks")["networks"])
    assert "channels=" in rows["nasbench201"]
    assert "cells=" in rows["nasbench201"]
    assert "width=" in rows["ofa_mobilenetv3"]
    assert "experiments/spaces/nasbench101.yaml" in dict(catalogue("configs")["configs"])
