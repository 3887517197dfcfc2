"""Fronts, crowding distance and hypervolume against their definitions."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from raynas.search.pareto import crowding, fronts, hypervolume, on_front

Matrix = NDArray[np.float64]


def points(seed: int, count: int, objectives: int) -> Matrix:
    """Points with many ties: few levels a column, and some rows twice."""
    return np.random.default_rng(seed).integers(0, 6, size=(count, objectives)).astype(float)


def dominates(a: Matrix, b: Matrix) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))


def by_inclusion_exclusion(values: Matrix, reference: Matrix) -> float:
    total = 0.0
    for size in range(1, len(values) + 1):
        for chosen in itertools.combinations(values, size):
            sides = np.maximum(np.min(chosen, 0) - reference, 0)
            total += (-1) ** (size + 1) * float(np.prod(sides))
    return total


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_fronts_are_what_no_other_that_is_left_dominates(objectives: int, seed: int) -> None:
    values = points(seed, 40, objectives)
    expected, left, level = np.full(40, -1), set(range(40)), 0
    while left:
        now = {i for i in left if not any(dominates(values[j], values[i]) for j in left)}
        expected[list(now)] = level
        left, level = left - now, level + 1
    np.testing.assert_array_equal(fronts(values), expected)
    np.testing.assert_array_equal(on_front(values), expected == 0)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_hypervolume_by_inclusion_and_exclusion(objectives: int, seed: int) -> None:
    values = points(seed, 9, objectives) + np.random.default_rng(seed).choice([0.0, 0.25], size=(9, objectives))
    reference = np.full(objectives, 1.0)
    assert hypervolume(values, reference) == pytest.approx(by_inclusion_exclusion(values, reference))


def test_hypervolume_by_counting_darts() -> None:
    rng = np.random.default_rng(0)
    values, darts = rng.random((30, 3)), rng.random((40_000, 3))
    under = (values[None] >= darts[:, None]).all(2).any(1)
    assert hypervolume(values, np.zeros(3)) == pytest.approx(under.mean(), abs=0.01)


def test_hypervolume_of_equal_bad_and_no_points() -> None:
    point = [2.0, 3.0]
    assert hypervolume([point], (0, 0)) == hypervolume([point, point, [2.0, 1.0]], (0, 0)) == 6.0
    assert hypervolume([point, [float("nan"), 9.0], [9.0, -1.0]], (0, 0)) == 6.0
    assert hypervolume([[-1.0, 5.0]], (0, 0)) == 0.0
    assert hypervolume(np.empty((0, 2)), (0, 0)) == 0.0


def test_what_is_not_a_number_is_the_least() -> None:
    nan = float("nan")
    values = [[1.0, 1.0], [nan, 1.0], [nan, nan], [0.5, 2.0]]
    assert fronts(values).tolist() == [0, 1, 2, 0]
    assert on_front(values).tolist() == [True, False, False, True]
    assert fronts([[nan, nan], [nan, nan]]).tolist() == [0, 0]


def test_equal_points_stand_on_one_front() -> None:
    assert fronts([[1, 2], [1, 2], [0, 0], [0, 0]]).tolist() == [0, 0, 1, 1]
    assert on_front([[1, 2], [1, 2], [0, 0]]).tolist() == [True, True, False]


def test_crowding_is_the_sum_of_the_gaps_as_shares_of_the_range() -> None:
    values = [[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [4.0, 0.0]]
    np.testing.assert_allclose(crowding(values), [np.inf, 3 / 4 + 5 / 10, 3 / 4 + 6 / 10, np.inf])


def test_crowding_where_all_are_equal_or_not_finite_is_quiet() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert crowding([[1.0, 1.0]] * 3)[1] == 0
        crowding([[-np.inf, -np.inf]] * 4)
        assert crowding([[1.0, 2.0]]).tolist() == [np.inf]
