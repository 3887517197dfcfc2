"""`evolution`: children of the strong in the place of the weak."""

from __future__ import annotations

import math

import pytest

from raynas.errors import ConfigError
from raynas.search import SCHEDULERS, Birth, PartitionRule, Standing
from raynas.spaces import Architecture

PARTITIONS = tuple("abcdefgh")
VALUES = {label: float(place) for place, label in enumerate(PARTITIONS)}
BEST = Architecture("best", ("best",))


class Nursery:
    """Breeds `a1`, `a2`, ...; remembers what it was asked, and refuses some parents."""

    def __init__(self, barren: str = "") -> None:
        self.barren, self.asked = barren, list[tuple[str, Architecture | None]]()

    def __call__(self, parent: str, keep: Architecture | None) -> str | None:
        self.asked.append((parent, keep))
        return None if parent in self.barren else f"{parent}{len(self.asked)}"


def evolution(budget: int = 80, barren: str = "", **options: float) -> PartitionRule:
    rule = SCHEDULERS.make("evolution", PARTITIONS, budget, **{"every": 1, **options})
    rule.breed = Nursery(barren)
    return rule


def standings(rule: PartitionRule, error: float = 0.0) -> dict[str, Standing]:
    return {label: Standing(VALUES[label[0]], error, best=BEST) for label in rule.alive}


def test_the_weakest_gives_its_place_to_the_strongest_ones_child() -> None:
    rule = evolution()
    turn = rule.next(standings(rule))
    assert turn.born == (Birth("h1", "h", "a"), Birth("g2", "g", "b"))
    assert turn.train == rule.alive == ("h1", "g2", *"cdefgh")
    assert turn.stop == ("a", "b")
    assert isinstance(rule.breed, Nursery)
    assert rule.breed.asked == [("h", BEST), ("g", BEST)]


def test_it_decides_every_so_many_turns() -> None:
    rule = evolution(every=3)
    born = []
    for _ in range(9):
        born.append(len(rule.next(standings(rule)).born))
    assert born == [0, 0, 2, 0, 0, 2, 0, 0, 2]


def test_a_strong_one_that_cannot_be_split_leaves_it_to_the_next() -> None:
    rule = evolution(barren="h")
    assert [(birth.parent, birth.place) for birth in rule.next(standings(rule)).born] == [("g", "a"), ("g", "b")]
    rule = evolution(barren="hg")
    turn = rule.next(standings(rule))
    assert not turn.born
    assert turn.train == PARTITIONS


def test_nobody_is_replaced_on_noise() -> None:
    rule = evolution(confidence=0.9)
    assert not rule.next(standings(rule, error=7 / math.sqrt(2) / 1.28)).born  # h - a is 7
    assert [birth.place for birth in rule.next(standings(rule, error=7 / math.sqrt(2) / 1.29)).born] == ["a"]


def test_what_diverged_is_always_replaced_and_never_a_parent() -> None:
    rule = evolution()
    told = {**standings(rule, error=100.0), "h": Standing(math.nan)}
    assert rule.next(told).born == (Birth("g1", "g", "h"),)
    rule = evolution()
    assert not rule.next(dict.fromkeys(PARTITIONS, Standing(math.nan))).born


def test_a_finished_partition_keeps_its_place_and_has_no_children() -> None:
    rule = evolution()
    for label in "ah":
        rule.finish(label)
    turn = rule.next(standings(rule))
    assert [(birth.parent, birth.place) for birth in turn.born] == [("g", "b")]  # a quarter of six
    assert {"a", "h"} <= set(rule.alive)


def test_a_dropped_partition_has_no_place() -> None:
    rule = evolution()
    told = {**standings(rule), "a": Standing(math.nan)}
    rule.drop("a")
    turn = rule.next(told)
    assert [birth.place for birth in turn.born] == ["b"]
    assert "a" not in turn.train


def test_children_go_on_with_the_schedule_and_the_budget_is_that_of_uniform() -> None:
    rule, trained, turns = evolution(83, every=2), 0, 0
    turn = rule.first()
    while turn.train:
        assert len(set(turn.train)) == 8
        assert set(turn.train) == set(rule.alive)
        trained, turns = trained + len(turn.train), turns + 1
        turn = rule.next(standings(rule))
    assert trained == rule.spent == 80
    assert turns == rule.longest() == 10
    assert all(rule.rounds[label] == 10 for label in rule.alive)
    assert not any(label in "abc" for label in rule.alive)


def test_no_child_is_born_after_the_last_turn() -> None:
    rule = evolution(16)
    assert rule.next(standings(rule)).born
    last = rule.next(standings(rule))
    assert not last.train
    assert not last.born


def test_without_anyone_to_breed_it_is_uniform() -> None:
    rule = evolution()
    rule.breed = None
    turn = rule.next(standings(rule))
    assert turn.train == PARTITIONS
    assert not turn.born


@pytest.mark.parametrize(("labels", "budget"), [(("a",), 20), (PARTITIONS, 16), (PARTITIONS, 23)])
def test_one_that_could_never_replace_is_refused(labels: tuple[str, ...], budget: int) -> None:
    with pytest.raises(ConfigError, match="no partition would ever be replaced"):
        SCHEDULERS.make("evolution", labels, budget, every=2)
