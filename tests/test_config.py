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
from raynas.config_sections import SEARCH_KEYS
from raynas.errors import ConfigError
from raynas.methods import PARTITIONS
from raynas.methods.partition_given import GivenPartition
from raynas.search import SEARCHERS
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
    assert config.scheduler.model_dump() == {
        "name": "greedy",
        "every": 2,
        "keep": 0.5,
        "survivors": 2,
        "confidence": 0.9,
    }
    assert config.search.options["population"] == 50
    assert validate(config.model_dump(mode="json")) == config


def test_no_searchers_option_is_called_like_a_key_of_the_search_section() -> None:
    for name in SEARCHERS:
        assert not set(SEARCHERS.options_model(name).model_fields) & {"name", *SEARCH_KEYS}, name


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schedular": "greedy"}, "unknown key 'schedular', did you mean 'scheduler'?"),
        ({"train.roundimages": 5}, "unknown key 'train.roundimages', did you mean 'round_images'?"),
        ({"train.lr": "fast"}, "'train.lr': input should be a valid number"),
        ({"train.lr": -1}, "'train.lr': input should be greater than 0, got -1"),
        ({"train.schedule": "cosinus"}, "got 'cosinus', did you mean 'cosine'?"),
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
        ({"search.budget": 0}, "'search.budget': input should be greater than or equal to 1, got 0"),
        ({"search.seconds": 0}, "'search.seconds': input should be greater than 0, got 0"),
        ({"search.objectives": []}, "'search.objectives': the first must be 'score'"),
        ({"search.objectives": ["flops_m"]}, "'search.objectives': the first must be 'score'"),
        ({"search": {"name": "nsga2", "objectives": ["score", "flops_m", "flops_m"]}}, "'flops_m' stands in it twice"),
        ({"search": {"name": "nsga2", "objectives": ["score", "params"]}}, "'params' is no cost, did you mean"),
        ({"search": {"name": "nsga2", "objectives": ["score", "latency_ms/pixel3"]}}, "has no source: digits201 does"),
        ({"search.objectives": ["score", "flops_m"]}, "the searcher evolution looks at the score only"),
        ({"search.constraints": {"flop_m": [None, 1]}}, "'search.constraints.flop_m': 'flop_m' is no cost"),
        ({"search.constraints": {"flops_m": [None, None]}}, "[null, null] limits nothing"),
        ({"search.constraints": {"flops_m": [2, 1]}}, "nothing is at least 2 and at most 1"),
        (
            {"search.constraints": {"flops_m": 5}},
            "the limits of 'flops_m' are the least and the most, such as [null, 60]",
        ),
        ({"search.constraints": "flops_m<5"}, "limits stand under the costs' names, such as {flops_m: [null, 60]}"),
        ({"search.latency": "nowhere.npz"}, "'search.latency': no truth table at nowhere.npz"),
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
        ({"method.partition": 5}, "'method.partition' must be a name, or a section with a name, got 5"),
        ({"method.regularizer": ["landmark"]}, "must be a name, or a section with a name, got ['landmark']"),
        ({"method.sampler": None}, "got None; set method.sampler=uniform, its default, or leave it out"),
        ({"method.sharing": None}, "got None; set method.sharing=positions, its default, or leave it out"),
        ({"method.sampler": "landmark"}, "'landmark' is no sampler, but a regularizer (method.regularizer=landmark)"),
        ({"method.sampler.m": 5}, "'m' is an option of greedy; set method.sampler.name=greedy (options of the sampler"),
        ({"method.sampler.warmup": 0.5}, "is an option of darts, gdas, greedy, nao, pc_darts, snas; set method.sampl"),
        ({"method.sampler.ovr": 1}, "did you mean 'over'? (options of the sampler uniform: over)"),
        ({"method.sharing": {"x": 1}}, "unknown key 'method.sharing.x' (the sharing positions has no options)"),
        (
            {"method.partition.levels": 2},
            "'levels' is an option of gradient_matching, random; set method.partition.name",
        ),
        (
            {"method.partition.m": 2},
            "(options of the partition given: decisions; allowed besides: restart, calibration",
        ),
        ({"network.m": 5}, "unknown key 'network.m' (options of the network of nasbench201: channels, cells"),
        ({"method.sampler": {"name:greedy": None}}, "YAML wants a space after the colon, 'name: greedy'"),
        ({"method.regularizer": {"name:landmark": None}}, "is missing: YAML wants a space after the colon, 'name: lan"),
        ({"out": False}, "got False (YAML reads off and no as false: write texts like these in quotes)"),
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


GLOW = {"sharing": "glow", "curriculum": "close"}
GROUPS = [["none", "skip_connect"], ["nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]]
ALL_EDGES = ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": {**GLOW, "curriculum": {"name": "close", "wit": False}}}, """write "off" in quotes; on the comm"""),
        ({"method": {**GLOW, "sharing": {"name": "glow", "blocks": 1}}}, "and there is 1; set method.sharing.blocks"),
        ({"method": {**GLOW, "curriculum": {"name": "close", "first": 5}}}, "begins with 5 blocks, and there are 4"),
        (
            {"method": {"sharing": "glow", "partition": "gradient_matching"}, "train.partition_rounds": 40},
            "'method.sharing': the partition gradient_matching compares the gradients of modules",
        ),
        ({"method.sampler": "greedy", "train.heldout": 0}, "'train.heldout': the sampler greedy scores architectures"),
        ({"method.sampler": "nao", "train.heldout": 0.0}, "the sampler nao scores architectures on held-out images"),
        ({"method.sampler": "darts", "train.heldout": 0}, "the sampler darts draws batches of held-out images, got 0"),
        ({"method.regularizer": "landmark", "train.heldout": 0}, "'train.heldout': landmarks are compared on held-out"),
        (
            {"method.regularizer": {"name": "landmark", "recipe": {}}},
            "'method.regularizer.recipe': with truth=table nothing is trained for the landmarks; leave recipe out, or",
        ),
        ({"method.partition.decisions": [["1<-0"], ["1<-0"]]}, "1<-0 is on level 2 again, where no part has options"),
        ({"method.partition.decisions": [[{"1<-0": GROUPS}], [{"1<-0": GROUPS}]]}, "1<-0 is on level 2 again"),
        ({"method.partition.decisions": [["1<-0"], ["1<-9"]]}, "has no decision '1<-9', did you mean '1<-0'?"),
        ({"train.level_rounds": 7}, "'train.level_rounds': the partition has one level, whose rounds are train.part"),
        (
            {"method": {}, "train.level_rounds": 7},
            "'train.level_rounds': there is no partition whose train",
        ),
        ({"method": {}, "train.partition_lr": 0.1}, "'train.partition_lr': there is no partition whose"),
        (
            {"method": {}, "train.partition_round_images": 32},
            "'train.partition_round_images': there is no partition whose training it could set, got 32; leave it out",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_parts_that_do_not_go_together_are_refused(changes: dict[str, Any], sentence: str) -> None:
    found = problems(changes)
    assert len(found) == 1, found
    assert sentence in found[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"method.sampler": "greedy"},  # train.heldout=null: what it asks for
        {"method.sampler": "uniform", "train.heldout": 0},
        {"method.sampler": {"name": "darts", "warmup": 1.0}, "train.heldout": 0},  # never learns alpha
        {"method": {**GLOW, "curriculum": {"name": "close", "first": 4, "wit": "off"}}},
        {"method.partition.decisions": [[{"1<-0": GROUPS}], ["1<-0"]], "train.level_rounds": 4},
    ],
    ids=lambda value: str(value)[:60],
)
def test_their_neighbours_are_not_refused(changes: dict[str, Any]) -> None:
    config = load_config(GOOD, **changes)
    assert validate(config.model_dump(mode="json")) == config


def test_far_too_many_partitions_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raynas.methods.partition_given.split_by", None)  # would make them
    (found,) = problems({"method.partition.decisions": ALL_EDGES})
    assert (
        "train.partition_rounds=20 rounds are too few for its partitions, which are more than 20 (up to 15,6" in found
    )


def test_only_partitions_with_architectures_count() -> None:
    space = raynas.space("nasbench201", connected=True)
    given = PARTITIONS.make("given", decisions=[ALL_EDGES[:2], ALL_EDGES[2:4]])
    assert isinstance(given, GivenPartition)
    made = given.most(space)[1]
    assert made < 5**4  # nothing reaches the output where 1<-0, 2<-0 and 3<-0 are none
    assert not given.surely_exceeds(space, 1, made)
    assert not given.surely_exceeds(space, 1, 5**4 - 1)
    assert given.surely_exceeds(space, 1, 300)
    assert not given.surely_exceeds(space, 0, 3)  # so few are made, and counted exactly


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("method.sampler=[greedy]", "'method.sampler' must be a name, or a section with a name, got ['greedy']"),
        ("network=[3]", "'network': input should be a valid dictionary, got [3]"),
        ("method={sampler: [greedy]}", "'method={sampler: [greedy]}': a list meets a section with keys in it"),
        ("method.partition.decisions.x=1", "'method.partition.decisions.x=1': a list meets a section with keys in it"),
        ("method.sampler={name:greedy}", "YAML wants a space after the colon, 'name: greedy'"),
    ],
)
def test_an_override_of_another_shape_is_a_problem_like_others(override: str, sentence: str) -> None:
    plain = copy.deepcopy(GOOD)
    plain["method"]["sampler"] = "uniform"
    with pytest.raises(ConfigError) as caught:
        load_config(plain, [override])
    assert any(sentence in problem for problem in caught.value.problems), caught.value.problems


def test_a_list_and_a_section_can_take_each_others_place() -> None:
    plain = {**GOOD, "network": [1]}
    assert load_config(plain, ["network={channels: 3}"]).network["channels"] == 3


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


def test_trained_landmarks_need_a_recipe_where_the_table_has_none(table: TruthTable, tmp_path: Path) -> None:
    replace(table, source={"data": "digits"}).save(tmp_path / "other.npz")
    regularizer = {"name": "landmark", "truth": "train"}
    changes = {"truth": str(tmp_path / "other.npz"), "search.verify": {"top": 0}, "method.regularizer": regularizer}
    (found,) = problems(changes)
    assert "'method.regularizer.recipe': landmarks are to be trained, and there is no truth whose recipe" in found


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
