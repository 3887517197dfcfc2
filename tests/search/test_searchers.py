"""What every path searcher must do, run over every registered one; and what each is."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import raynas
from raynas.search import SEARCHERS, Searcher
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201", connected=True)


def value(architecture: Architecture) -> float:
    """A quality with a slope to climb: convolutions on every edge."""
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(name: str, seed: int = 0, **keys: object) -> Searcher:
    return SEARCHERS.make(name, SPACE, np.random.default_rng(seed), *keys.pop("args", ()), **keys)


def play(searcher: Searcher, generations: int) -> list[Architecture]:
    asked: list[Architecture] = []
    for _ in range(generations):
        batch = searcher.ask()
        searcher.tell(batch, [value(architecture) for architecture in batch])
        asked += batch
    return asked


@pytest.fixture(params=SEARCHERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_never_the_same_function_twice(name: str) -> None:
    asked = play(make(name), 6)
    assert len(asked) >= 100
    assert len({SPACE.canonical(architecture) for architecture in asked}) == len(asked)
    assert all(architecture in SPACE for architecture in asked)


def test_same_seed_same_search(name: str) -> None:
    assert play(make(name), 4) == play(make(name), 4)
    assert play(make(name), 4) != play(make(name, seed=1), 4)


def test_broken_and_continued_is_unbroken(name: str) -> None:
    whole = make(name)
    play(whole, 2)
    state = copy.deepcopy(whole.state_dict())
    continued = make(name, seed=9)
    continued.load_state_dict(state)
    assert play(whole, 3) == play(continued, 3)


def test_infeasible_is_never_proposed(name: str) -> None:
    def few_convolutions(architecture: Architecture) -> bool:
        return value(architecture) <= 2

    assert all(few_convolutions(a) for a in play(make(name, args=((), few_convolutions)), 5))


def test_begins_with_the_initial_architectures(name: str) -> None:
    rng = np.random.default_rng(5)
    initial = list({SPACE.canonical(a): a for a in (SPACE.sample(rng) for _ in range(8))}.values())
    assert make(name, args=(initial,)).ask()[: len(initial)] == initial


def test_ends_when_nothing_is_left(name: str) -> None:
    part = SPACE.subspace({d.name: ["none", "skip_connect"] for d in SPACE.decisions[:3]}).subspace(
        {d.name: ["skip_connect"] for d in SPACE.decisions[3:]}
    )
    searcher = SEARCHERS.make(name, part, np.random.default_rng(0))
    asked = play(searcher, 5)
    assert len({SPACE.canonical(a) for a in part.enumerate()}) == len(asked)
    assert searcher.ask() == []


def test_evolution_climbs_faster_than_chance() -> None:
    means = {
        name: np.mean([np.mean([value(a) for a in play(make(name, seed), 6)[-100:]]) for seed in range(5)])
        for name in ("evolution", "random")
    }
    assert means["evolution"] > means["random"] + 1


def test_evolution_breeds_from_the_best_of_all_generations() -> None:
    searcher = make("evolution", parents=1, mutations=50, crossovers=0, population=50)
    play(searcher, 2)
    best = searcher.ranked[0][0]
    children = searcher.ask()
    near = [child for child in children if SPACE.distance(best, child) <= 3]
    assert len(near) > len(children) / 2


def test_scores_that_are_not_numbers_rank_last() -> None:
    searcher = make("random", batch=3)
    asked = searcher.ask()
    searcher.tell(asked, [float("nan"), 1.0, 2.0])
    assert [score for _, score in searcher.ranked[:2]] == [2.0, 1.0]
