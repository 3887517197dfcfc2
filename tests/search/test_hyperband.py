"""Hyperband and BOHB: the papers' brackets, promotion, budget, the end of a space, and the model of what is good."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import raynas
from raynas.errors import ConfigError
from raynas.search import SEARCHERS, Outcome, explore
from raynas.search.hyperband import HyperbandSearcher, bracket_size, ladder
from raynas.search.hyperband_model import BohbModel, Density
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201", connected=True)
Rung = tuple[float, list[Architecture], list[float]]


def value(architecture: Architecture, fidelity: float = 1.0) -> float:
    """A quality with a slope to climb, whose order changes with the fidelity."""
    noise = math.sin(sum(map(ord, architecture.text)) * (1 + fidelity))
    return sum(option == "nor_conv_3x3" for option in architecture.options) + noise * (1.2 - fidelity)


def make(name: str = "hyperband", seed: int = 0, **keys: object) -> HyperbandSearcher:
    searcher = SEARCHERS.make(
        name, keys.pop("space", SPACE), np.random.default_rng(seed), *keys.pop("args", ()), **keys
    )
    assert isinstance(searcher, HyperbandSearcher)
    return searcher


def play(searcher: HyperbandSearcher, asks: int) -> list[Rung]:
    rungs: list[Rung] = []
    for _ in range(asks):
        batch = searcher.ask()
        scores = [value(architecture, searcher.fidelity) for architecture in batch]
        searcher.tell(batch, scores)
        rungs.append((searcher.fidelity, batch, scores))
    return rungs


def papers_rungs(largest: int, eta: int) -> list[tuple[float, int]]:
    """Return the resource's share and the size of every rung, by algorithm 1 as it stands in the paper."""
    s_max = math.floor(math.log(largest) / math.log(eta) + 1e-9)
    budget = (s_max + 1) * largest
    rungs = []
    for s in range(s_max, -1, -1):
        n = math.ceil(budget / largest * eta**s / (s + 1))
        r = largest * eta**-s
        rungs += [(r * eta**i / largest, math.floor(n * eta**-i)) for i in range(s + 1)]
    return rungs


@pytest.mark.parametrize(("largest", "eta"), [(27, 3), (81, 3), (16, 2), (30, 3), (25, 5)])
def test_brackets_are_the_papers(largest: int, eta: int) -> None:
    expected = papers_rungs(largest, eta)
    rungs = play(make(eta=eta, min_fidelity=1 / largest), len(expected))
    assert [len(batch) for _, batch, _ in rungs] == [size for _, size in expected]
    assert [fidelity for fidelity, _, _ in rungs] == pytest.approx([share for share, _ in expected])


def test_table_1_of_the_paper() -> None:
    assert [bracket_size(4, s, 3) for s in (4, 3, 2, 1, 0)] == [81, 34, 15, 8, 5]


def test_the_ladder_ends_with_exactly_one() -> None:
    assert ladder(3, 1 / 27) == [1 / 27, 1 / 9, 1 / 3, 1.0]
    assert ladder(3, 0.4) == [1.0]
    assert ladder(10, 1e-3)[-1] == 1.0


@pytest.mark.parametrize("name", ["hyperband", "bohb"])
def test_the_best_are_promoted(name: str) -> None:
    rungs = play(make(name), 30)
    promotions = 0
    for (before, asked, scores), (fidelity, batch, _) in itertools.pairwise(rungs):
        if before < 1.0:
            promotions += 1
            assert fidelity == pytest.approx(3 * before)
            best = sorted(range(len(asked)), key=lambda i: (-scores[i], asked[i].text))[: len(asked) // 3]
            assert batch == [asked[i] for i in best]
    assert promotions >= 15


@pytest.mark.parametrize("name", ["hyperband", "bohb"])
def test_history_is_of_full_evaluations_and_none_is_asked_for_twice(name: str) -> None:
    searcher = make(name)
    rungs = play(searcher, 20)
    assert searcher.history == [
        pair for f, batch, scores in rungs if f == 1.0 for pair in zip(batch, scores, strict=True)
    ]
    began = [a for (before, _, _), (_, batch, _) in zip([(1.0, [], []), *rungs], rungs, strict=False) if before == 1.0
             for a in batch]  # fmt: skip
    assert len({SPACE.canonical(a) for a in began}) == len(began)


def test_given_levels_are_used() -> None:
    rungs = play(make(levels=[0.06, 1.0]), 5)
    assert [(f, len(batch)) for f, batch, _ in rungs] == [(0.06, 3), (1.0, 1), (1.0, 2), (0.06, 3), (1.0, 1)]


@pytest.mark.parametrize("levels", [[], [0.5], [1.0, 0.5], [0.5, 0.5, 1.0], [0.0, 1.0]])
def test_levels_that_are_no_ladder_are_refused(levels: list[float]) -> None:
    with pytest.raises(ConfigError, match="the searcher bohb"):
        make("bohb", levels=levels)


def test_one_bracket_is_successive_halving() -> None:
    assert [len(batch) for _, batch, _ in play(make(brackets=1), 8)] == [27, 9, 3, 1] * 2


def test_the_budget_is_spent_in_full_evaluations() -> None:
    def evaluate(asked: list[Architecture], fidelity: float) -> list[Outcome]:
        return [Outcome(value(a, fidelity), math.nan, math.nan, "toy") for a in asked]

    found = explore(make(), evaluate, budget=10)
    assert found[-1].spent == pytest.approx(sum(f.fidelity for f in found))
    assert 9 < found[-1].spent < 11
    assert [f.fidelity for f in found[:41]] == [1 / 27] * 27 + [1 / 9] * 9 + [1 / 3] * 3 + [1.0] + [1 / 9]


def test_what_scored_no_number_is_not_promoted() -> None:
    searcher = make()
    first = searcher.ask()
    searcher.tell(first, [math.nan] * 25 + [1.0, 2.0])
    assert searcher.ask() == [first[26], first[25]]
    searcher.tell([first[26], first[25]], [math.nan, math.nan])
    assert len(searcher.ask()) == 12  # nothing is left of the bracket: the next one begins
    assert searcher.fidelity == pytest.approx(1 / 9)


@pytest.mark.parametrize("name", ["hyperband", "bohb"])
def test_it_ends_with_the_space(name: str) -> None:
    part = SPACE.subspace({d.name: ["none", "skip_connect"] for d in SPACE.decisions})
    searcher = make(name, space=part)
    asked = [batch for _, batch, _ in play(searcher, 40)]
    assert asked[-1] == []
    assert {part.canonical(a) for batch in asked for a in batch} == {part.canonical(a) for a in part.enumerate()}


def test_a_density_sums_to_one_and_is_the_kernels_by_hand() -> None:
    codes, counts = np.array([[0, 1], [0, 0], [2, 1]]), np.array([3, 2])
    density = Density(codes, counts)
    every = np.array([[i, j] for i in range(3) for j in range(2)])
    assert density(every).sum() == pytest.approx(1)
    a, b = density.widths
    by_hand = ((1 - a) * (1 - b) + (1 - a) * b + a / 2 * (1 - b)) / 3
    assert density(np.array([[0, 1]])) == pytest.approx([by_hand])
    assert b == pytest.approx(1.06 * np.std([1, 0, 1]) * 3 ** (-1 / 6))  # two options: the released code's rule


def test_the_model_is_of_the_highest_fidelity_with_enough() -> None:
    rng = np.random.default_rng(0)
    model = BohbModel(SPACE, 0.15, 64)
    some = [(a, value(a)) for a in (SPACE.sample(rng) for _ in range(60))]
    upside_down = [(a, -score) for a, score in some]

    def mean() -> float:
        return float(np.mean([sum(o == "nor_conv_3x3" for o in model.propose(rng)[0].options) for _ in range(40)]))

    enough = model.fewest + 2
    model.fit([some, upside_down[: enough - 1]])
    up = mean()
    model.fit([upside_down, some])
    assert mean() > 2
    model.fit([some, upside_down])
    assert mean() < 1 < up - 1


def test_bohb_draws_better_than_hyperband() -> None:
    def mean(name: str) -> float:
        asked = [play(make(name, seed, levels=[1.0]), 120)[-40:] for seed in range(3)]
        return float(np.mean([value(architecture) for run in asked for _, batch, _ in run for architecture in batch]))

    assert mean("bohb") > mean("hyperband") + 0.7
