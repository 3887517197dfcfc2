"""Local search against the definition of a local optimum."""

from __future__ import annotations

import numpy as np
import pytest

import raynas
from raynas.search.local import LocalSearcher
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")
RUGGED = dict(zip((a.text for a in SPACE.enumerate()), np.random.default_rng(0).normal(size=15_625), strict=True))


def rugged(architecture: Architecture) -> float:
    return float(RUGGED[SPACE.canonical(architecture).text])


def play(searcher: LocalSearcher, count: int) -> list[list[Architecture]]:
    asks = []
    while len(searcher.history) < count:
        asks.append(searcher.ask())
        searcher.tell(asks[-1], [rugged(architecture) for architecture in asks[-1]])
    return asks


def make(seed: int = 0, initial: tuple[Architecture, ...] = (), **options: int) -> LocalSearcher:
    return LocalSearcher(SPACE, np.random.default_rng(seed), initial, **options)


def climb(start: Architecture) -> list[Architecture]:
    """Steepest ascent from a start to its local optimum: where it was."""
    path = [start]
    while rugged(best := max(SPACE.neighbours(path[-1]), key=rugged)) > rugged(path[-1]):
        path.append(best)
    return path


def test_climbs_the_steepest_way_and_evaluates_all_around_it() -> None:
    start = SPACE.sample(np.random.default_rng(4))
    path = climb(start)
    around = {SPACE.canonical(a) for here in path for a in [here, *SPACE.neighbours(here)]}
    searcher = make(initial=(start,), starts=1, batch=3)
    play(searcher, len(around))
    assert {SPACE.canonical(architecture) for architecture, _ in searcher.history} == around
    assert len(path) > 1


def test_begins_again_at_a_local_optimum_with_the_next_initial_and_then_by_chance() -> None:
    rng = np.random.default_rng(4)
    start, other = SPACE.sample(rng), SPACE.sample(rng)
    searcher = make(initial=(start, other), starts=1, batch=100)
    asks = play(searcher, 400)
    single = [ask[0] for ask in asks if len(ask) == 1]
    assert single[:2] == [start, other]
    assert len(single) > 2


def test_of_several_starts_the_best_is_climbed_from() -> None:
    searcher = make(starts=20, batch=100)
    first, second = play(searcher, 21)[:2]
    best = max(first, key=rugged)
    assert all(SPACE.distance(best, architecture) == 1 for architecture in second)


def test_first_goes_on_as_soon_as_one_is_better() -> None:
    searcher = make(starts=1, batch=1, first=True)
    here = searcher.ask()[0]
    searcher.tell([here], [0.0])
    for score in range(1, 30):
        near = searcher.ask()[0]
        assert SPACE.distance(here, near) == 1
        searcher.tell([near], [float(score)])
        here = near


@pytest.mark.parametrize("first", [False, True])
def test_finds_more_than_chance(first: bool) -> None:
    def smooth(architecture: Architecture) -> float:
        return float(sum(option == "nor_conv_3x3" for option in architecture.options))

    searcher = make(first=first)
    while len(searcher.history) < 150:
        asked = searcher.ask()
        searcher.tell(asked, [smooth(architecture) for architecture in asked])
    assert searcher.ranked[0][1] == 6
