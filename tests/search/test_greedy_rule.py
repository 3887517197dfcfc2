"""`greedy`: rejects the weak partitions, but not on noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raynas.errors import ConfigError
from raynas.search import SCHEDULERS, Standing
from tests.search.test_partition_rules import PARTITIONS, QUALITY, play, play_with_finished, standings


def test_it_rejects_the_weak() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 20, every=2, keep=0.5, survivors=2)
    rounds, turns = play(rule)
    assert turns == [PARTITIONS, PARTITIONS, ("b", "c", "d"), ("b", "c", "d"), ("b", "d"), ("b", "d")]
    assert rule.alive == ("b", "d")
    assert rounds == {"a": 2, "b": 6, "c": 4, "d": 6, "e": 2}


@pytest.mark.parametrize(
    ("options", "words"), [({"survivors": 9}, "only 5 partitions"), ({"every": 5}, "nothing would ever be rejected")]
)
def test_one_that_could_never_reject_is_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SCHEDULERS.make("greedy", PARTITIONS, 20, **options)


def test_nobody_is_rejected_where_nothing_is_left_for_the_others() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 13, every=2, survivors=2)
    _, turns = play(rule)
    assert [len(turn) for turn in turns] == [5, 5, 3]
    assert len(rule.alive) == 3
    with pytest.raises(ConfigError, match="nothing would ever be rejected"):
        SCHEDULERS.make("greedy", PARTITIONS, 12, every=2, survivors=2)


def test_a_finished_partition_stays_and_the_others_are_rejected() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 20, every=2, keep=0.5, survivors=2)
    turns = play_with_finished(rule, {"a": 2})  # the weakest
    trained = [train for train, _ in turns]
    assert trained[:4] == [PARTITIONS, PARTITIONS, ("b", "d"), ("b", "d")]
    assert trained[4:] == [("b",)] * 2
    assert len(trained) == rule.longest()
    assert rule.alive == ("a", "b")


def test_equals_stay_and_what_diverged_goes() -> None:
    rule = SCHEDULERS.make("greedy", ("a", "b", "c"), 30, every=1, keep=0.5, survivors=1)
    assert rule.next(standings({"a": math.nan, "b": 1.0, "c": 1.0})).train == ("b", "c")
    assert rule.next(standings({"b": 1.0, "c": 1.0})).train == ("b", "c")
    assert rule.next(standings({"b": 1.0, "c": 1.1})).train == ("c",)


def test_what_diverged_goes_even_out_of_the_strong() -> None:
    rule = SCHEDULERS.make("greedy", ("a", "b", "c"), 30, every=1, survivors=2)
    assert rule.next(standings({"a": math.nan, "b": math.nan, "c": 1.0})).train == ("c",)


def test_where_all_diverged_it_ends_and_nobody_is_given_up() -> None:
    rule = SCHEDULERS.make("greedy", ("a", "b"), 30, every=1, survivors=1)
    assert not rule.next(standings({"a": math.nan, "b": math.nan})).train
    assert rule.alive == ("a", "b")


@pytest.mark.parametrize(("confidence", "z"), [(0.5, 0.0), (0.9, 1.2815515655), (0.975, 1.9599639845)])
def test_the_margin_is_that_of_both_estimates(confidence: float, z: float) -> None:
    """d is the last of the strong; who is below it by less than z sqrt(0.03^2 + 0.04^2) stays."""
    for off, gone in [(1e-6, True), (-1e-6, False)]:
        rule = SCHEDULERS.make("greedy", PARTITIONS, 60, every=1, keep=0.4, survivors=2, confidence=confidence)
        values = {"a": 0.1, "b": 0.9, "c": -9.0, "d": 0.5, "e": 0.5 - 0.05 * z - off}
        errors = {"a": 9.0, "b": 5.0, "c": 0.0, "d": 0.03, "e": 0.04}
        if confidence == 0.5 and not gone:
            values["e"] = 0.5  # equal
        rule.next({label: Standing(values[label], errors[label]) for label in PARTITIONS})
        assert ("e" not in rule.alive) == gone
        assert ("a" in rule.alive) == (confidence > 0.5)
        assert {"b", "d"} <= set(rule.alive)
        assert "c" not in rule.alive


@pytest.mark.parametrize(("confidence", "most"), [(0.5, 1.0), (0.9, 0.35), (0.99, 0.1)])
def test_partitions_that_are_equal_are_rarely_told_apart(confidence: float, most: float) -> None:
    """Of six equal partitions three are outside the best three; by the estimates alone all of them go."""
    rng, rejected = np.random.default_rng(0), 0
    labels = tuple("abcdef")
    for _ in range(1000):
        rule = SCHEDULERS.make("greedy", labels, 60, every=1, confidence=confidence)
        rule.next({label: Standing(0.05 * rng.standard_normal(), 0.05) for label in labels})
        rejected += 6 - len(rule.alive)
    assert rejected / 3000 == 1.0 if confidence == 0.5 else rejected / 3000 < most


@pytest.mark.parametrize("error", [0.0, 0.05, 0.2, 5.0])
def test_no_partition_trains_longer_than_its_schedule(error: float) -> None:
    rng = np.random.default_rng(1)
    for budget in range(15, 60):
        rule = SCHEDULERS.make("greedy", PARTITIONS, budget)
        turn = rule.first()
        while turn.train:
            turn = rule.next({a: Standing(QUALITY[a] + error * rng.standard_normal(), error) for a in turn.train})
        assert max(rule.rounds.values()) <= rule.longest()
        assert sum(rule.rounds.values()) == rule.spent <= budget


def test_it_spends_more_on_the_better_under_noise() -> None:
    spent = dict.fromkeys(PARTITIONS, 0)
    for seed in range(200):
        rounds, _ = play(SCHEDULERS.make("greedy", PARTITIONS, 30), noise=0.1, seed=seed)
        for label, count in rounds.items():
            spent[label] += count
    assert sorted(PARTITIONS, key=lambda label: spent[label]) == sorted(PARTITIONS, key=lambda label: QUALITY[label])
