"""Which architectures become landmarks, in which lots, and what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import raynas
from raynas.errors import ConfigError
from raynas.methods.landmark_choice import LandmarkChoice
from raynas.methods.landmark_selection import choose_landmarks
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.truth import TruthTable
from raynas.truth.ranking_set import known_architectures

SPACE = raynas.space("nasbench201", connected=True)
TABLE = raynas.truth("digits201")


def chosen(space: Space = SPACE, table: TruthTable | None = None, seed: int = 0, **options: Any) -> list[Architecture]:
    choice = LandmarkChoice(truth="train" if table is None else "table", **options)
    return choose_landmarks(choice, space, stream(seed, "landmarks"), table)


def functions(architectures: list[Architecture]) -> set[str]:
    return {SPACE.canonical(architecture).text for architecture in architectures}


@pytest.mark.parametrize("select", ["random", "hamming"])
@pytest.mark.parametrize("table", [None, TABLE], ids=["trained", "table"])
def test_they_are_distinct_functions_of_the_space(select: str, table: TruthTable | None) -> None:
    found = chosen(table=table, select=select, count=12)
    assert len(functions(found)) == 12
    assert all(architecture in SPACE for architecture in found)
    if table is not None:
        assert all(table.knows(architecture, "valid_accuracy") for architecture in found)
    assert found == chosen(table=table, select=select, count=12)
    assert found != chosen(table=table, select=select, count=12, seed=1)


@pytest.mark.parametrize("table", [None, TABLE], ids=["trained", "table"])
@pytest.mark.parametrize("tau", [1, 3])
def test_hamming_keeps_a_distance_to_all_landmarks(tau: int, table: TruthTable | None) -> None:
    found = chosen(table=table, select="hamming", tau=tau, count=8)
    assert min(SPACE.distance(a, b) for a, b in itertools.combinations(found, 2)) > tau


def test_the_released_code_keeps_a_distance_to_the_root_only() -> None:
    found = chosen(select="hamming", tau=4, count=20, official=True)
    assert min(SPACE.distance(found[0], other) for other in found[1:]) > 4
    assert min(SPACE.distance(a, b) for a, b in itertools.combinations(found[1:], 2)) <= 4
    assert len(functions(found)) == 20


def test_a_tau_that_cannot_be_had_is_refused_with_the_largest_possible() -> None:
    with pytest.raises(ConfigError, match="larger than 6 of 6 decisions; the largest possible tau is 5"):
        chosen(select="hamming", tau=6, count=2)
    with pytest.raises(ConfigError, match=r"with tau=5 only 5 of 6 landmarks were found .* with this seed is [34],"):
        chosen(raynas.space("nasbench201"), select="hamming", tau=5, count=6)  # five options: no sixth differs in all
    assert len(chosen(raynas.space("nasbench201"), select="hamming", tau=5, count=3)) == 3


def test_fixed_is_evenly_spaced_by_validation_accuracy_up_to_the_best() -> None:
    found = chosen(table=TABLE, select="fixed", count=5)
    every = sorted(known_architectures(TABLE, SPACE, stream(0, "x"), 10_000), key=lambda a: _quality(a))
    places = sorted(_quality(a) for a in every)
    assert [_quality(a) for a in found] == [places[round(len(places) * k / 5) - 1] for k in range(1, 6)]
    assert _quality(found[-1]) == TABLE.values("valid_accuracy").max()


def _quality(architecture: Architecture) -> float:
    return TABLE.query(architecture, "valid_accuracy")


def test_the_code_orders_by_test_accuracy() -> None:
    found = chosen(table=TABLE, select="fixed", count=4, official=True)
    assert TABLE.query(found[-1], "test_accuracy") == TABLE.values("test_accuracy").max()


def test_a_list_is_taken_as_it_is() -> None:
    texts = tuple(architecture.text for architecture in chosen(count=4))
    assert [a.text for a in chosen(select="fixed", architectures=texts)] == list(texts)


def test_what_cannot_stand_in_a_list_is_told_all_at_once() -> None:
    known, twin = next(
        (a.text, b.text)
        for a in TABLE.architectures
        for b in SPACE.neighbours(a)
        if SPACE.canonical(b) == SPACE.canonical(a)
    )
    unknown = next(a.text for a in SPACE.enumerate() if not TABLE.knows(a))
    with pytest.raises(ConfigError) as caught:
        chosen(table=TABLE, select="fixed", architectures=(known, twin, unknown, "|conv~0|"))
    told = caught.value.problems
    assert len(told) == 3
    assert "is the same function as" in told[0]
    assert "digits201 does not know the valid_accuracy of" in told[1]
    assert "|conv~0|" in told[2]


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1201 landmarks are wanted, but digits201 knows .* only 1200; take fewer"):
        chosen(table=TABLE, count=1201)
    small = SPACE.subspace({decision.name: decision.options[1:3] for decision in SPACE.decisions[:5]})
    small = small.subspace({SPACE.decisions[5].name: ("skip_connect",)})
    classes = len(functions(list(small.enumerate())))
    assert len(chosen(small, count=classes)) == classes  # to the last
    with pytest.raises(ConfigError, match=f"but nasbench201 has, distinct as functions, only {classes}"):
        chosen(small, count=classes + 1)
    with pytest.raises(ConfigError, match=f"{classes + 1} landmarks are wanted"):
        chosen(small, count=classes + 1, select="hamming", tau=0)


def test_a_space_too_large_to_walk_through() -> None:
    large = raynas.space("mobilenet")
    found = chosen(large, select="hamming", tau=15, count=10)
    assert min(large.distance(a, b) for a, b in itertools.combinations(found, 2)) > 15


# ---------------------------------------------------------------- lots and iterations


@pytest.mark.parametrize(
    ("options", "lots"),
    [
        ({}, (30,)),
        ({"iterations": 3}, (10, 10, 10)),
        ({"iterations": 3, "count": 8}, (3, 3, 2)),
        ({"select": "fixed", "architectures": ("a", "b")}, (2,)),
        ({"select": "fixed", "architectures": ("a", "b"), "iterations": 3}, (2, 2, 2)),
        ({"select": "fixed", "architectures": ("a", "b"), "iterations": 3, "count": 7}, (2, 3, 2)),
    ],
)
def test_lots(options: dict[str, Any], lots: tuple[int, ...]) -> None:
    assert LandmarkChoice(**options).lots == lots


@pytest.mark.parametrize(
    ("rounds", "warmup", "iterations", "after"),
    [(8, 0.375, 1, ()), (8, 0.375, 3, (5, 7)), (3, 0.0, 3, (1, 2)), (10, 0.4, 3, (6, 8)), (5, 0.4, 3, (3, 4))],
)
def test_lots_are_added_at_equal_distances_after_the_warmup(
    rounds: int, warmup: float, iterations: int, after: tuple[int, ...]
) -> None:
    assert LandmarkChoice(iterations=iterations).boundaries(rounds, warmup) == after


def test_too_few_rounds_are_refused_with_how_many_there_must_be() -> None:
    choice = LandmarkChoice(iterations=3)
    with pytest.raises(ConfigError, match=r"iterations=3 .*root_rounds=4 only 2\.5 .* set train\.root_rounds=5 or"):
        choice.boundaries(4, 0.375)
    assert choice.boundaries(5, 0.375) == (3, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 3, "iterations": 4}, "count=3 landmarks are too few for iterations=4"),
        ({"count": 4, "iterations": 4}, "the first of iterations=4 would have 1 of count=4"),
        ({"architectures": ("a", "b")}, "a list of architectures is for select=fixed, got select=random"),
        ({"architectures": ("a", "b"), "select": "fixed", "count": 3}, "count must be 2, got 3; leave it out"),
        ({"select": "fixed", "truth": "train"}, "select=fixed takes the architectures from a table"),
        ({"iterations": 3, "feedback_budget": 9}, "feedback_budget=9 architectures are too few to take the best 10"),
    ],
)
def test_contradicting_choices_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LandmarkChoice(**options)


# ---------------------------------------------------------------- what is left for the ranking


def test_a_ranking_set_without_landmarks_is_else_the_same() -> None:
    plain = known_architectures(TABLE, SPACE, stream(0, "r"), 50)
    landmarks = functions(plain[3:9]) | functions(chosen(table=TABLE, count=10))
    found = known_architectures(TABLE, SPACE, stream(0, "r"), 50, excluded=landmarks)
    assert not functions(found) & landmarks
    assert len(functions(found)) == 50
    kept = [architecture for architecture in plain if SPACE.canonical(architecture).text not in landmarks]
    assert set(kept) < set(found)
    # functions set aside later, none of which is in the set, do not change it
    later = functions(known_architectures(TABLE, SPACE, stream(1, "r"), 200, excluded=landmarks | functions(found)))
    assert known_architectures(TABLE, SPACE, stream(0, "r"), 50, excluded=landmarks | later) == found


def test_what_is_not_known_is_no_landmark() -> None:
    columns = {name: np.array(values) for name, values in TABLE.columns.items()}
    columns["valid_accuracy"][20:] = np.nan
    table = replace(TABLE, columns=columns)
    assert functions(chosen(table=table, count=20)) == set(TABLE.texts[:20])
