"""NSGA-II and CARS: who survives, against the definitions; and fronts that they find."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import raynas
from raynas.errors import ConfigError
from raynas.search import SEARCHERS, Searcher, cars, nsga2
from raynas.search.pareto import hypervolume
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")
Matrix = NDArray[np.float64]


def dominates(a: Matrix, b: Matrix) -> bool:
    return bool((a >= b).all() and (a > b).any())


def peel(values: Matrix) -> list[list[int]]:
    """Fronts by the definition: those that no other that is left dominates, again and again."""
    left, found = list(range(len(values))), []
    while left:
        front = [i for i in left if not any(dominates(values[j], values[i]) for j in left)]
        found.append(front)
        left = [i for i in left if i not in front]
    return found


def crowd(values: Matrix, front: list[int]) -> dict[int, float]:
    """Deb's crowding distance, point by point."""
    distance = dict.fromkeys(front, 0.0)
    for column in range(values.shape[1]):
        order = sorted(front, key=lambda i: values[i, column])
        distance[order[0]] = distance[order[-1]] = np.inf
        spread = values[order[-1], column] - values[order[0], column]
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distance[here] += (values[after, column] - values[before, column]) / spread
    return distance


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_nsga2_keeps_whole_fronts_and_the_least_crowded_of_the_next(objectives: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(60, objectives))
    expected: list[int] = []
    for front in peel(values):
        distance = crowd(values, front)
        expected += sorted(front, key=lambda i: -distance[i])[: 25 - len(expected)]
    chosen, standing = nsga2.survivors(values, 25)
    assert sorted(chosen) == sorted(expected)
    place = {i: level for level, front in enumerate(peel(values)) for i in front}
    assert [front for front, _ in standing] == [place[i] for i in chosen]


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_cars_joins_unions_of_fronts_of_both_directions(objectives: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(60, objectives))
    sortings = [
        peel(np.stack([values[:, 0], sign * values[:, o]], 1)) for o in range(1, objectives) for sign in (1, -1)
    ]
    whole: list[int] = []
    union: set[int] = set()
    for stage in range(60):
        union = {i for fronts in sortings for i in (fronts[stage] if stage < len(fronts) else [])} - set(whole)
        if len(whole) + len(union) > 25:
            break
        whole += sorted(union)
    picks = [cars.survivors(values, 25, np.random.default_rng(s)) for s in range(40)]
    assert all(len(set(pick)) == len(pick) == 25 for pick in picks)
    assert all(pick[: len(whole)] == whole and set(pick[len(whole) :]) <= union for pick in picks)
    if len(whole) < 25:
        assert len({tuple(pick) for pick in picks}) > 1  # chance decides


def test_cars_keeps_the_best_by_the_score_alone() -> None:
    values = np.random.default_rng(0).normal(size=(30, 1))
    assert cars.survivors(values, 10, np.random.default_rng(0)) == np.argsort(-values[:, 0])[:10].tolist()


def test_cars_protects_large_ones_that_nsga2_lets_go() -> None:
    values = np.array([(0.9, -1.0), (0.8, -1.1), (0.7, -1.2), (0.5, -9.0)])  # each dominates all that come after it
    assert nsga2.survivors(values, 2)[0] == [0, 1]
    picks = [cars.survivors(values, 2, np.random.default_rng(seed)) for seed in range(200)]
    assert np.mean([3 in pick for pick in picks]) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("name", ["cars", "nsga2"])
def test_what_is_not_finite_in_anything_goes_first(name: str) -> None:
    searcher = SEARCHERS.make(name, SPACE, np.random.default_rng(0), population=4)
    asked = searcher.ask()
    searcher.tell(asked, [(np.nan, 9.0), (1.0, -1.0), (2.0, np.nan), (np.inf, 5.0)])
    searcher.tell(more := searcher.ask(), [(0.0, -2.0), (0.5, -3.0), (0.1, -1.5), (0.2, -9.0)])
    assert len(more) == len(searcher.members) == 4
    assert asked[1] in [architecture for architecture, _ in searcher.members]
    assert not {asked[0], asked[2], asked[3]} & {architecture for architecture, _ in searcher.members}


def objectives(architecture: Architecture) -> tuple[float, float]:
    """A score that wants convolutions, against a cost that counts them; no edge is like another."""
    weights = (1.0, 1.3, 0.7, 1.1, 0.9, 1.2)
    chosen = [w for w, option in zip(weights, architecture.options, strict=True) if option == "nor_conv_3x3"]
    rest = sum(option == "none" for option in architecture.options)
    return sum(chosen) - 0.3 * rest, -float(len(chosen)) - 0.1 * rest


def volume(searcher: Searcher, count: int) -> float:
    found: list[tuple[float, float]] = []
    while len(found) < count:
        asked = searcher.ask()[: count - len(found)]
        found += (told := [objectives(architecture) for architecture in asked])
        searcher.tell(asked, told)
    return hypervolume(found, (-2.0, -7.0))


def test_fronts_are_better_than_those_of_chance() -> None:
    best = hypervolume([objectives(a) for a in SPACE.enumerate()], (-2.0, -7.0))

    def mean(name: str, **options: int) -> float:
        return float(
            np.mean([volume(SEARCHERS.make(name, SPACE, np.random.default_rng(s), **options), 400) for s in range(5)])
        )

    chance, nsga, cars_ = mean("random"), mean("nsga2", population=20), mean("cars", population=20)
    assert nsga > 0.98 * best
    assert best - nsga < (best - chance) / 2
    assert cars_ > chance


def test_shares_of_children_that_are_more_than_all_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"together at most 1, got 0\.8 and 0\.3"):
        SEARCHERS.make("cars", SPACE, np.random.default_rng(0), random=0.8, crossover=0.3)
