"""Constraints: what obeys, how far the rest is off, what is found where little obeys, and the refusal."""

from __future__ import annotations

import math

import numpy as np
import pytest

import raynas
from raynas.errors import ConfigError
from raynas.search import SEARCHERS, Constraints
from raynas.search.constraints import feasible_architectures, limit_text
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")


def convolutions(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def limited(least: float | None, most: float | None) -> Constraints:
    return Constraints({"convs": (least, most)}, {"convs": convolutions, "other": lambda architecture: math.nan})


def with_convolutions(count: int) -> Architecture:
    return SPACE.make(["nor_conv_3x3"] * count + ["none"] * (6 - count))


def test_violation_is_the_sum_of_what_is_missed_as_shares_of_the_limits() -> None:
    both = Constraints({"a": (2.0, None), "b": (None, 4.0)}, {"a": convolutions, "b": lambda a: 2 * convolutions(a)})
    assert [both.violation(with_convolutions(n)) for n in range(5)] == [1.0, 0.5, 0.0, 0.5, 1.0]
    assert [both(with_convolutions(n)) for n in range(5)] == [False, False, True, False, False]
    assert both.values(with_convolutions(3)) == {"a": 3.0, "b": 6.0}


def test_limits_themselves_obey_and_a_cost_that_is_not_known_does_not() -> None:
    assert limited(2, 3)(with_convolutions(2))
    assert limited(2, 3)(with_convolutions(3))
    unknown = Constraints({"x": (None, 1e9)}, {"x": lambda architecture: math.nan})
    assert unknown.violation(with_convolutions(1)) == math.inf


def test_a_cost_is_asked_once_of_an_architecture() -> None:
    asked: list[Architecture] = []
    counted = Constraints({"x": (None, 1.0)}, {"x": lambda a: float(asked.append(a) or 0.0)})
    for _ in range(3):
        counted(with_convolutions(1))
        counted.values(with_convolutions(1))
    assert len(asked) == 1


def test_draws_that_obey_are_returned() -> None:
    found = feasible_architectures(SPACE, limited(1, 2), np.random.default_rng(0))
    assert len(found) > 100
    assert all(1 <= convolutions(architecture) <= 2 for architecture in found)


def test_what_is_rare_is_found_by_descent() -> None:
    found = feasible_architectures(SPACE, limited(6, None), np.random.default_rng(0), draws=30)
    assert found == [with_convolutions(6)]


@pytest.mark.parametrize("name", ["random", "evolution", "regularized_evolution", "local", "nsga2", "cars"])
def test_searchers_find_the_few_that_obey(name: str) -> None:
    searcher = SEARCHERS.make(name, SPACE, np.random.default_rng(0), (), limited(6, None))
    asked = searcher.ask()
    assert asked == [with_convolutions(6)]


def test_refusal_says_what_was_found_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        feasible_architectures(SPACE, limited(7, None), np.random.default_rng(0), draws=200)
    text = str(error.value)
    for part in ("convs at least 7", "architectures drawn have convs 0 to", str(with_convolutions(6)), "convs 6;"):
        assert part in text


def test_limits_in_words() -> None:
    assert [limit_text(None, 3.0), limit_text(2.0, None), limit_text(1.0, 2.5)] == [
        "at most 3",
        "at least 2",
        "1 to 2.5",
    ]
