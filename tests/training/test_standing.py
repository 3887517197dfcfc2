"""The mean of the best scores, and its standard error, against repeated draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raynas.training.standing import BEST, mean_of_best


def test_the_error_is_about_what_repeated_draws_scatter_by() -> None:
    rng = np.random.default_rng(0)
    means, errors = zip(*(mean_of_best(rng.normal(size=32).tolist(), rng) for _ in range(300)), strict=True)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.3)
    again = [np.sort(rng.normal(size=32))[-BEST:] for _ in range(3000)]
    assert np.mean(means) == pytest.approx(np.mean(again), abs=0.05)


def test_the_same_stream_gives_the_same() -> None:
    scores = np.random.default_rng(1).normal(size=9).tolist()
    first, again = (mean_of_best(scores, np.random.default_rng(5)) for _ in range(2))
    assert first == again
    assert first[0] == pytest.approx(np.mean(sorted(scores)[-5:]))


def test_what_says_nothing_of_its_error() -> None:
    rng = np.random.default_rng(0)
    assert mean_of_best([0.3], rng) == (0.3, math.inf)
    mean, error = mean_of_best([0.3, math.nan], rng)
    assert math.isnan(mean)
    assert error == math.inf
    assert mean_of_best([0.3, -math.inf], rng) == (-math.inf, math.inf)
    mean, error = mean_of_best([*[0.1, 0.2, 0.3, 0.4, 0.5] * 2, -math.inf], rng)  # not among the best
    assert mean == pytest.approx(0.42)
    assert 0 < error < 0.1
    assert mean_of_best([0.3, 0.3], rng) == pytest.approx((0.3, 0.0))
