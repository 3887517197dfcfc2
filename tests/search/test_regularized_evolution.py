"""Regularized evolution: who is alive, who has children."""

from __future__ import annotations

import numpy as np

import raynas
from raynas.search.regularized_evolution import RegularizedEvolutionSearcher
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")


def value(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(seed: int = 0, initial: list[Architecture] | None = None, **options: int) -> RegularizedEvolutionSearcher:
    return RegularizedEvolutionSearcher(SPACE, np.random.default_rng(seed), initial or [], **options)


def test_alive_are_exactly_the_last_that_were_told() -> None:
    searcher = make(population=7, batch=2)
    for _ in range(40):
        batch = searcher.ask()
        searcher.tell(batch, [-value(architecture) for architecture in batch])  # the good ones die too
        assert searcher.alive == searcher.history[-7:]


def test_first_population_is_asked_for_at_once_and_then_children() -> None:
    searcher = make(population=6)
    sizes = []
    for _ in range(4):
        batch = searcher.ask()
        sizes.append(len(batch))
        searcher.tell(batch, [value(architecture) for architecture in batch])
    assert sizes == [6, 1, 1, 1]


def test_children_are_neighbours_of_the_best_where_the_tournament_is_large() -> None:
    searcher = make(population=10, sample=200)
    for _ in range(30):
        batch = searcher.ask()
        if len(searcher.history) >= 10:
            most = max(score for _, score in searcher.alive)
            assert min(SPACE.distance(one, batch[0]) for one, score in searcher.alive if score == most) == 1
        searcher.tell(batch, [value(architecture) for architecture in batch])


def test_what_is_not_finite_wins_no_tournament() -> None:
    searcher = make(population=4, sample=100)
    first = searcher.ask()
    searcher.tell(first, [float("nan"), float("inf"), -50.0, float("nan")])
    assert SPACE.distance(first[2], searcher.ask()[0]) == 1


def test_walks_on_where_all_neighbours_are_known() -> None:
    start = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    searcher = make(initial=[start], population=1)
    searcher.tell(searcher.ask(), [1.0])
    for neighbour in SPACE.neighbours(start):
        searcher._accept(neighbour)
    child = searcher.ask()[0]
    assert SPACE.distance(start, child) >= 2
