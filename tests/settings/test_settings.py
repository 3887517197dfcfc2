"""Ranges, settings, their names, and successive halving against a plain simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from raynas.errors import ConfigError
from raynas.settings import (
    Choices,
    HalvingRule,
    Interval,
    Setting,
    every_setting,
    names_of,
    random_settings,
    read_range,
)
from raynas.settings.halving import rungs


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 2.5, "a", None], Choices((1, 2.5, "a", None))),
        ({"choice": [{"name": "greedy"}, "uniform"]}, Choices(({"name": "greedy"}, "uniform"))),
        ({"grid": [1]}, Choices((1,))),
        ({"uniform": [0, 1]}, Interval(0, 1)),
        ({"loguniform": [0.1, 100]}, Interval(0.1, 100, log=True)),
        ({"int": [1, 8]}, Interval(1, 8, whole=True)),
        ({"logint": [1, 64]}, Interval(1, 64, log=True, whole=True)),
    ],
)
def test_ranges_as_they_are_written(given: Any, expected: object) -> None:
    assert read_range(given) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "must be a list of values, .*got 3"),
        ([], "is an empty list"),
        ([1, 2, 1], "has 1 more than once"),
        ({"unifrom": [0, 1]}, "no form 'unifrom', did you mean 'uniform'"),
        ({"uniform": [0]}, "takes the least and the most"),
        ({"uniform": ["a", 1]}, 'takes two numbers, got \\["a", 1\\]'),
        ({"uniform": [True, 2]}, "takes the least and the most"),
        ({"int": [1, 2.5]}, "takes two whole numbers"),
        ({"uniform": [2, 1]}, "the least must be below the most"),
        ({"loguniform": [0, 1]}, "begins above 0, got 0"),
    ],
)
def test_what_is_no_range(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_range(given)


@pytest.mark.parametrize("one", [Interval(2, 5, whole=True), Interval(1, 64, log=True, whole=True)])
def test_whole_numbers_reach_both_ends(one: Interval) -> None:
    rng = np.random.default_rng(0)
    drawn = {one.sample(rng) for _ in range(5000)}
    assert drawn >= {one.low, one.high}
    assert all(isinstance(value, int) and one.low <= value <= one.high for value in drawn)


def test_every_order_of_magnitude_is_as_likely() -> None:
    rng = np.random.default_rng(0)
    drawn = np.log10([Interval(0.01, 100, log=True).sample(rng) for _ in range(4000)])
    np.testing.assert_allclose(np.histogram(drawn, 4, (-2, 2))[0], 1000, atol=120)


def test_labels_give_the_values_back() -> None:
    choices = Choices((1, 1.5, None, "constant", {"name": "greedy", "m": 4}))
    assert [choices.value_of(label) for label in choices.labels] == list(choices.options)


def test_names_are_as_short_as_they_can_be() -> None:
    keys = ["method.regularizer.coefficient", "train.lr", "method.regularizer.warmup", "method.sampler.warmup", "seed"]
    assert list(names_of(keys).values()) == ["coefficient", "lr", "regularizer.warmup", "sampler.warmup", "seed"]


def test_every_setting_and_random_ones() -> None:
    ranges = {"a": Choices((1, 2)), "b.c": Choices(("x", "y", "z"))}
    every = every_setting(ranges)
    assert [tuple(one.values.values()) for one in every] == [(a, c) for a in (1, 2) for c in "xyz"]
    assert [one.name for one in every][:2] == ["t000", "t001"]
    assert every[1].text(names_of(ranges)) == "a=1 c=y"
    assert Setting("spos", {"a": None}, control=True).text({}) == "spos"
    drawn = random_settings(ranges, 10, np.random.default_rng(0))
    assert len({tuple(one.values.values()) for one in drawn}) == len(drawn) == 6  # all there are
    again = random_settings({"a": Interval(0, 1)}, 3, np.random.default_rng(1))
    assert again == random_settings({"a": Interval(0, 1)}, 3, np.random.default_rng(1))


def test_rungs() -> None:
    assert rungs(10, 1, 3) == [1, 3, 9]
    assert rungs(9, 1, 3) == [1, 3]
    assert rungs(8, 2, 2) == [2, 4]
    assert rungs(2, 2, 2) == []


def test_halving_against_a_simulation() -> None:
    rng = np.random.default_rng(0)
    names = [f"t{i}" for i in range(10)]
    values = {(name, step): float(rng.normal()) for name in names for step in range(1, 11)}
    rule = HalvingRule(names, 10, grace=1, reduction=3)
    alive = list(names)
    for step in (1, 3, 9):
        for name in rng.permutation(alive).tolist():  # the order of the reports does not matter
            assert rule.decide() is None
            assert rule.tell(name, step, values[name, step])
        best = sorted(alive, key=lambda name: -values[name, step])[: math.ceil(len(alive) / 3)]
        assert rule.decide() == [name for name in alive if name not in best]
        alive = [name for name in alive if name in best]
        assert rule.alive == alive
        assert not rule.tell(alive[0], step + 1, 0.0) or step == 9
    assert rule.next_rung is None
    assert rule.decide() is None


def test_failed_and_diverged_settings() -> None:
    rule = HalvingRule("abcd", 4, grace=1, reduction=2)
    rule.drop("d")
    for name, value in (("a", math.nan), ("b", 0.1), ("c", 0.2)):
        rule.tell(name, 1, value)
    assert rule.decide() == ["a"]
    with pytest.raises(ConfigError, match="ever be stopped: grace is 4, and a training has 4"):
        HalvingRule("ab", 4, grace=4)
