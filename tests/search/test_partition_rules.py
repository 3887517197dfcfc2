"""Rules that spend rounds on partitions, played through without Ray."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raynas.errors import ConfigError
from raynas.search import SCHEDULERS, PartitionRule

PARTITIONS = ("a", "b", "c", "d", "e")
QUALITY = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.4, "e": 0.2}


def play(rule: PartitionRule, noise: float = 0.0, seed: int = 0) -> tuple[dict[str, int], list[tuple[str, ...]]]:
    """Return the rounds each partition got, and the turns."""
    rng = np.random.default_rng(seed)
    rounds, turns = dict.fromkeys(rule.partitions, 0), []
    turn = rule.first()
    while turn.train:
        turns.append(turn.train)
        for label in turn.train:
            rounds[label] += 1
        turn = rule.next({label: QUALITY[label] + noise * rng.normal() for label in turn.train})
    return rounds, turns


@pytest.fixture(params=SCHEDULERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("budget", [8, 9, 20, 33])
def test_budget_is_kept_and_the_schedule_length_is_right(name: str, budget: int) -> None:
    rule = SCHEDULERS.make(name, PARTITIONS, budget, **({"every": 1} if name == "greedy" else {}))
    longest = rule.longest()
    rounds, turns = play(rule)
    assert sum(rounds.values()) == rule.spent <= budget
    assert turns[0] == PARTITIONS
    assert max(rounds.values()) == longest
    assert budget - rule.spent < len(turns[-1])
    assert rule.alive


def test_uniform_is_even() -> None:
    rounds, _ = play(SCHEDULERS.make("uniform", PARTITIONS, 23))
    assert rounds == dict.fromkeys(PARTITIONS, 4)


def test_greedy_rejects_the_weak() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 20, every=2, keep=0.5, survivors=2)
    rounds, turns = play(rule)
    assert turns == [PARTITIONS, PARTITIONS, ("b", "c", "d"), ("b", "c", "d"), ("b", "d"), ("b", "d")]
    assert rule.alive == ("b", "d")
    assert rounds == {"a": 2, "b": 6, "c": 4, "d": 6, "e": 2}


@pytest.mark.parametrize(
    ("options", "words"), [({"survivors": 9}, "only 5 partitions"), ({"every": 5}, "nothing would ever be rejected")]
)
def test_greedy_that_could_never_reject_is_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SCHEDULERS.make("greedy", PARTITIONS, 20, **options)


def test_nobody_is_rejected_where_nothing_is_left_for_the_others() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 13, every=2, survivors=2)
    _, turns = play(rule)
    assert [len(turn) for turn in turns] == [5, 5, 3]
    assert len(rule.alive) == 3
    with pytest.raises(ConfigError, match="nothing would ever be rejected"):
        SCHEDULERS.make("greedy", PARTITIONS, 12, every=2, survivors=2)


def test_a_dropped_partition_is_gone() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 40, every=2)
    rule.drop("c")
    assert rule.next(dict.fromkeys(PARTITIONS, 0.0)).train == ("a", "b", "d", "e")


def play_with_finished(rule: PartitionRule, ends: dict[str, int]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return who trained in each turn and who stopped after it, when partitions finish after so many rounds."""
    turns, turn = [], rule.first()
    while turn.train:
        trained = turn.train
        for label in trained:
            if ends.get(label) == rule.turns + 1:
                rule.finish(label)
        turn = rule.next({label: QUALITY[label] for label in trained})
        turns.append((trained, turn.stop))
    return turns


def test_a_finished_partition_trains_no_more_and_stays() -> None:
    rule = SCHEDULERS.make("uniform", ("a", "b", "c"), 12)
    turns = play_with_finished(rule, {"b": 1})
    assert turns == [(("a", "b", "c"), ("b",)), *[(("a", "c"), ("b",))] * 2, (("a", "c"), ("a", "b", "c"))]
    assert rule.alive == ("a", "b", "c")
    assert rule.spent == 9  # no schedule is longer than it was to be: what b leaves is not spent


def test_greedy_keeps_a_finished_partition_and_rejects_of_the_others() -> None:
    rule = SCHEDULERS.make("greedy", PARTITIONS, 20, every=2, keep=0.5, survivors=2)
    turns = play_with_finished(rule, {"a": 2})  # the weakest
    trained = [train for train, _ in turns]
    assert trained[:4] == [PARTITIONS, PARTITIONS, ("b", "d"), ("b", "d")]
    assert trained[4:] == [("b",)] * 2
    assert len(trained) == rule.longest()
    assert rule.alive == ("a", "b")


def test_when_all_have_finished_it_ends(name: str) -> None:
    rule = SCHEDULERS.make(name, PARTITIONS, 33)
    assert len(play_with_finished(rule, dict.fromkeys(PARTITIONS, 2))) == 2
    assert set(rule.alive) == set(PARTITIONS)


def test_greedy_breaks_ties_by_order_and_drops_what_diverged() -> None:
    rule = SCHEDULERS.make("greedy", ("a", "b", "c"), 30, every=1, keep=0.5, survivors=1)
    assert rule.next({"a": math.nan, "b": 1.0, "c": 1.0}).train == ("b", "c")
    assert rule.next({"b": 1.0, "c": 1.0}).train == ("b",)


def test_greedy_spends_more_on_the_better_under_noise() -> None:
    spent = dict.fromkeys(PARTITIONS, 0)
    for seed in range(200):
        rounds, _ = play(SCHEDULERS.make("greedy", PARTITIONS, 30), noise=0.1, seed=seed)
        for label, count in rounds.items():
            spent[label] += count
    assert sorted(PARTITIONS, key=lambda label: spent[label]) == sorted(PARTITIONS, key=lambda label: QUALITY[label])
