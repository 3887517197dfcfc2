"""Ranks and tau-b without scipy are scipy's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raynas.ranking.ranks import inversions, ranks, tau_b


@pytest.mark.parametrize("n", [2, 3, 5, 17, 200, 1025])
@pytest.mark.parametrize("values", [1, 2, 7, 10**6])
def test_tau_b(n: int, values: int) -> None:
    rng = np.random.default_rng([n, values])
    for _ in range(10):
        a, b = rng.integers(values, size=(2, n)).astype(np.float64)
        expected = stats.kendalltau(a, b).statistic
        np.testing.assert_equal(tau_b(a, b), expected)


@pytest.mark.parametrize(("ties", "method"), [("mean", "average"), ("first", "min")])
def test_ranks(ties: str, method: str) -> None:
    values = np.random.default_rng(0).integers(20, size=(6, 5, 40)).astype(np.float64)
    values[2, 3, 7] = np.nan
    expected = stats.rankdata(values, axis=-1, method=method)
    np.testing.assert_array_equal(ranks(values, ties), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, 1, 2, 5, 33])
def test_inversions(n: int) -> None:
    numbers = np.random.default_rng(n).integers(max(1, n), size=n)
    expected = sum(int(numbers[i] > numbers[j]) for i in range(n) for j in range(i + 1, n))
    assert inversions(numbers) == expected
