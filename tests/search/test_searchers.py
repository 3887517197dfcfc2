"""What every path searcher must do, run over every registered one; and what each is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import raynas
import raynas.methods  # registers nao
from raynas.search import SEARCHERS, Searcher
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201", connected=True)


FAST: dict[str, dict[str, object]] = {
    "cmaes": {"population": 4, "separable": True},
    "gp": {"startup": 1_000_000},  # without its model, which has tests of its own
    "nao": {"seeds": 20, "generated": 20, "random": 5, "top": 5, "epochs": 2},
    "nsga3": {"population": 10},
    "qmc": {"batch": 10},
    "tpe": {"batch": 4},
}
"""Options for those whose defaults are slow."""


def value(architecture: Architecture) -> float:
    """A quality with a slope to climb: convolutions on every edge."""
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(name: str, seed: int = 0, **keys: object) -> Searcher:
    options = {**FAST.get(name, {}), **keys}
    return SEARCHERS.make(name, SPACE, np.random.default_rng(seed), *options.pop("args", ()), **options)


def values(searcher: Searcher, batch: list[Architecture]) -> list[tuple[float, ...]]:
    """What is told: the score, and to those that look at more a cost as well."""
    if not searcher.multi_objective:
        return [(value(architecture),) for architecture in batch]
    return [(value(a), -float(sum(option != "none" for option in a.options))) for a in batch]


def play(searcher: Searcher, generations: int) -> list[Architecture]:
    asked: list[Architecture] = []
    for _ in range(generations):
        batch = searcher.ask()
        searcher.tell(batch, values(searcher, batch))
        asked += batch
    return asked


def play_until(searcher: Searcher, count: int) -> list[tuple[Architecture, float]]:
    """Play until so many were fully evaluated, or nothing is left; return what was asked for, and its fidelity."""
    asked: list[tuple[Architecture, float]] = []
    while len(searcher.history) < count and (batch := searcher.ask()):
        asked += [(architecture, searcher.fidelity) for architecture in batch]
        searcher.tell(batch, values(searcher, batch))
    return asked


@pytest.fixture(params=SEARCHERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_never_the_same_function_twice(name: str) -> None:
    searcher = make(name)
    asked = play_until(searcher, 100)
    assert len(searcher.history) >= 100
    assert len({(SPACE.canonical(architecture), fidelity) for architecture, fidelity in asked}) == len(asked)
    assert searcher.uses_fidelity or {fidelity for _, fidelity in asked} == {1.0}
    assert all(architecture in SPACE for architecture, _ in asked)
    assert all(0 < fidelity <= 1 for _, fidelity in asked)


def test_same_seed_same_search(name: str) -> None:
    once = play_until(make(name), 60)
    assert once == play_until(make(name), 60)
    assert once != play_until(make(name, seed=1), 60)


@pytest.mark.parametrize("before", [1, 45])
def test_broken_and_continued_is_unbroken(name: str, before: int) -> None:
    whole = make(name)
    play_until(whole, before)
    upto = len(whole.history) + 20
    state = whole.state_dict()
    kept = pickle.dumps(state)
    ahead = play_until(whole, upto)
    for saved in (state, pickle.loads(kept)):  # the first shows whether playing on changed it
        continued = make(name, seed=9)
        continued.load_state_dict(saved)
        assert play_until(continued, upto) == ahead


def test_infeasible_is_never_proposed(name: str) -> None:
    def few_convolutions(architecture: Architecture) -> bool:
        return value(architecture) <= 2

    asked = play_until(make(name, args=((), few_convolutions)), 60)
    assert len(asked) >= 60
    assert all(few_convolutions(architecture) for architecture, _ in asked)


def test_begins_with_the_initial_architectures(name: str) -> None:
    rng = np.random.default_rng(5)
    initial = list({SPACE.canonical(a): a for a in (SPACE.sample(rng) for _ in range(8))}.values())
    searcher = make(name, args=(initial,))
    asked = list(dict.fromkeys(architecture for architecture, _ in play_until(searcher, len(initial))))
    assert asked[: len(initial)] == initial


def test_ends_when_nothing_is_left(name: str) -> None:
    part = SPACE.subspace({d.name: ["none", "skip_connect"] for d in SPACE.decisions[:3]}).subspace(
        {d.name: ["skip_connect"] for d in SPACE.decisions[3:]}
    )
    searcher = SEARCHERS.make(name, part, np.random.default_rng(0), **FAST.get(name, {}))
    asked = {architecture for architecture, _ in play_until(searcher, 1_000)}
    assert searcher.ask() == []
    assert {SPACE.canonical(a) for a in part.enumerate()} == {SPACE.canonical(a) for a in asked}


def test_scores_that_are_not_finite_do_no_harm(name: str) -> None:
    searcher = make(name)
    for turn in range(6):
        batch = searcher.ask()
        told = [tuple(v * [1, np.nan, np.inf, -np.inf][(turn + i) % 4] for v in vector)
                for i, vector in enumerate(values(searcher, batch))]  # fmt: skip
        searcher.tell(batch, told)
    assert searcher.ask()


def test_what_is_left_of_a_space_is_found_though_it_is_rare() -> None:
    target = SPACE.sample(np.random.default_rng(3))
    searcher = make("random", args=((), lambda architecture: architecture == target), batch=1)
    assert searcher.ask() == [target]
    assert play(searcher, 1) == []


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
