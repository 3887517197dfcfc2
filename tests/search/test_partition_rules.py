"""Rules that spend rounds on partitions, played through without Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from raynas.search import SCHEDULERS, Birth, PartitionRule, Standing
from raynas.search.partition_noise import surely_worse
from raynas.search.tune_rules import TuneRule


def type_of(name: str) -> type:
    made = SCHEDULERS.get(name)
    assert isinstance(made, type)
    return made


PARTITIONS = ("a", "b", "c", "d", "e")
NAMES = [name for name in SCHEDULERS.names() if not issubclass(type_of(name), TuneRule)]
QUALITY = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.4, "e": 0.2}


def standings(values: Mapping[str, float], error: float = 0.0) -> dict[str, Standing]:
    return {label: Standing(value, error) for label, value in values.items()}


def play(rule: PartitionRule, noise: float = 0.0, seed: int = 0) -> tuple[dict[str, int], list[tuple[str, ...]]]:
    """Return the rounds each partition got, and the turns."""
    rng = np.random.default_rng(seed)
    rounds, turns = dict.fromkeys(rule.partitions, 0), []
    turn = rule.first()
    while turn.train:
        turns.append(turn.train)
        for label in turn.train:
            rounds[label] += 1
        turn = rule.next(standings({label: QUALITY[label] + noise * rng.normal() for label in turn.train}))
    return rounds, turns


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("budget", [8, 9, 20, 33])
def test_budget_is_kept_and_the_schedule_length_is_right(name: str, budget: int) -> None:
    budget += 2 * (name == "evolution")  # no child is born before there are two turns
    rule = SCHEDULERS.make(name, PARTITIONS, budget, **({"every": 1} if name in ("greedy", "evolution") else {}))
    longest = rule.longest()
    rounds, turns = play(rule)
    assert sum(rounds.values()) == rule.spent <= budget
    assert rule.rounds == rounds
    assert turns[0] == PARTITIONS
    assert max(rounds.values()) == longest or (name == "reinforce" and max(rounds.values()) < longest)
    assert budget - rule.spent < len(turns[-1])
    assert rule.alive


def test_uniform_is_even() -> None:
    rounds, _ = play(SCHEDULERS.make("uniform", PARTITIONS, 23))
    assert rounds == dict.fromkeys(PARTITIONS, 4)


def test_a_dropped_partition_is_gone(name: str) -> None:
    rule = SCHEDULERS.make(name, PARTITIONS, 60)
    turn = rule.first()
    rule.drop("c")
    trained: set[str] = set()
    while turn.train:
        turn = rule.next({label: Standing(math.nan if label == "c" else 0.0, gain=1.0) for label in turn.train})
        trained.update(turn.train)
    assert trained == set("abde")
    assert rule.alive == ("a", "b", "d", "e")


def play_with_finished(rule: PartitionRule, ends: dict[str, int]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return who trained in each turn and who stopped after it, when partitions finish after so many rounds."""
    turns, turn = [], rule.first()
    while turn.train:
        trained = turn.train
        for label in trained:
            if ends.get(label) == rule.turns + 1:
                rule.finish(label)
        turn = rule.next(standings({label: QUALITY[label] for label in trained}))
        turns.append((trained, turn.stop))
    return turns


def test_a_finished_partition_trains_no_more_and_stays() -> None:
    rule = SCHEDULERS.make("uniform", ("a", "b", "c"), 12)
    turns = play_with_finished(rule, {"b": 1})
    assert turns == [(("a", "b", "c"), ("b",)), *[(("a", "c"), ("b",))] * 2, (("a", "c"), ("a", "b", "c"))]
    assert rule.alive == ("a", "b", "c")
    assert rule.spent == 9  # no schedule is longer than it was to be: what b leaves is not spent


def test_when_all_have_finished_it_ends(name: str) -> None:
    rule = SCHEDULERS.make(name, PARTITIONS, 33)
    assert len(play_with_finished(rule, dict.fromkeys(PARTITIONS, 1))) == 1
    assert set(rule.alive) == set(PARTITIONS)


def test_what_all_have_finished_stops_where_it_would_train(name: str) -> None:
    rule = SCHEDULERS.make(name, PARTITIONS, 40)
    for label in "ab":
        rule.finish(label)
    turn = rule.next(standings(QUALITY))
    assert set(turn.stop) == {"a", "b"}
    while turn.train:
        assert not {"a", "b"} & set(turn.train)
        turn = rule.next(standings({label: QUALITY[label] for label in turn.train}))
    assert {"a", "b"} <= set(rule.alive)
    assert max(rule.rounds.values()) <= rule.longest()


class Heirs(PartitionRule):
    """Puts a child of the first in the place of the last, once."""

    def select(self, standings: Mapping[str, Standing]) -> tuple[str, ...]:
        return self.alive

    def longest(self) -> int:
        return 3

    def births(self, train: tuple[str, ...], standings: Mapping[str, Standing]) -> tuple[Birth, ...]:
        return (Birth("a2", train[0], train[-1]),) if self.turns == 1 else ()


def test_a_child_takes_a_place_and_its_parents_rounds() -> None:
    rule = Heirs(("a", "b", "c"), 9)
    turn = rule.next(standings(dict.fromkeys("abc", 0.0)))
    assert turn.train == ("a", "b", "a2")
    assert rule.alive == turn.train
    assert turn.stop == ("c",)
    assert turn.born == (Birth("a2", "a", "c"),)
    assert rule.rounds == {"a": 1, "b": 1, "c": 1, "a2": 1}
    rule.finish("a2")
    turn = rule.next(standings(dict.fromkeys(turn.train, 0.0)))
    assert (turn.train, turn.stop) == (("a", "b"), ("a2",))
    assert rule.alive == ("a", "b", "a2")
    rule.drop("a2")
    assert " ".join(rule.alive) == "a b"


def test_no_child_is_born_where_no_turn_can_be_paid_for() -> None:
    rule = Heirs(("a", "b", "c"), 5)
    turn = rule.next(standings(dict.fromkeys("abc", 0.0)))
    assert not turn.train
    assert not turn.born
    assert rule.alive == ("a", "b", "c")


def test_seeded_returns_the_rule_and_sets_its_stream() -> None:
    rng = np.random.default_rng(3)
    rule = SCHEDULERS.make("uniform", PARTITIONS, 20)
    assert rule.seeded(rng) is rule
    assert rule.rng is rng


def test_surely_worse_is_the_one_sided_z_test() -> None:
    rng = np.random.default_rng(0)
    low, high = 0.3 * rng.standard_normal(20_000), 0.4 * rng.standard_normal(20_000)  # equal values
    for confidence, wrong in [(0.9, 0.1), (0.5, 0.5), (0.99, 0.01)]:
        said = [surely_worse(Standing(a, 0.3), Standing(b, 0.4), confidence) for a, b in zip(low, high, strict=True)]
        assert np.mean(said) == pytest.approx(wrong, abs=4 * math.sqrt(wrong * (1 - wrong) / 20_000))
    assert surely_worse(Standing(0.0, 0.3), Standing(1.2816 * 0.5 + 1e-3, 0.4), 0.9)
    assert not surely_worse(Standing(0.0, 0.3), Standing(1.2816 * 0.5 - 1e-3, 0.4), 0.9)


def test_surely_worse_without_numbers() -> None:
    assert surely_worse(Standing(math.nan), Standing(0.0, 9.0), 0.99)
    assert not surely_worse(Standing(0.0), Standing(math.nan), 0.5)
    assert not surely_worse(Standing(math.nan), Standing(math.nan), 0.5)
    assert not surely_worse(Standing(0.0, math.inf), Standing(9.0), 0.51)
    assert surely_worse(Standing(0.0, math.inf), Standing(9.0), 0.5)  # the estimates decide alone
    assert not surely_worse(Standing(0.0, math.nan), Standing(9.0), 0.9)
    assert not surely_worse(Standing(1.0), Standing(1.0), 0.5)
