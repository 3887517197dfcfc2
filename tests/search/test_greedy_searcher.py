"""GreedyNAS's sampling as a searcher: the pool, and how much comes from it."""

from __future__ import annotations

import numpy as np
import pytest

import raynas
from raynas.search.greedy import GreedySearcher
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")


def value(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(seed: int = 0, initial: tuple[Architecture, ...] = (), **options: float) -> GreedySearcher:
    return GreedySearcher(SPACE, np.random.default_rng(seed), initial, **options)


def play(searcher: GreedySearcher, asks: int) -> None:
    for _ in range(asks):
        asked = searcher.ask()
        searcher.tell(asked, [value(architecture) for architecture in asked])


def test_pool_is_the_best_of_all_that_were_told() -> None:
    searcher = make(members=13)
    for _ in range(12):
        play(searcher, 1)
        assert searcher.pool == searcher.ranked[:13]


def test_epsilon_grows_linearly() -> None:
    searcher = make(epsilon_start=0.2, epsilon_end=0.6, ramp=40, batch=10)
    seen = []
    for _ in range(6):
        seen.append(searcher.epsilon)
        play(searcher, 1)
    np.testing.assert_allclose(seen, [0.2, 0.3, 0.4, 0.5, 0.6, 0.6])
    assert make(ramp=0, epsilon_end=0.7).epsilon == 0.7


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_share_of_the_pool_is_epsilon(epsilon: float) -> None:
    searcher = make(members=1, epsilon_start=epsilon, epsilon_end=epsilon, batch=1, mutate_probability=0.01)
    best = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    searcher.tell([best], [9.0])
    near = []
    for _ in range(200):  # nothing is told, so that the pool stays as it is, and forgotten, so that all stay new
        near.append(SPACE.distance(best, searcher.ask()[0]) <= 1)
        searcher._seen.clear()
    assert abs(np.mean(near) - epsilon) < 0.1


def test_climbs_faster_than_chance_and_its_pool_feeds_another() -> None:
    greedy, chance = make(ramp=50), make(epsilon_end=0.0)
    play(greedy, 30)
    play(chance, 30)
    assert np.mean([score for _, score in greedy.pool]) > np.mean([score for _, score in chance.pool]) + 0.5
    initial = tuple(architecture for architecture, _ in greedy.pool)
    assert make(initial=initial).ask() == list(initial[:10])
