"""Ranking measures against brute force: ties, constants, too few, signs, NaN."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raynas.ranking import noise_ceiling, rank
from raynas.ranking.metrics import (
    best_rank_at,
    kendall_tau,
    membership,
    p_at_top,
    regret,
    spearman,
    top_count,
    true_rank,
    weighted_kendall_tau,
    worst_rank_at,
)

few_values = st.integers(0, 4).map(float)  # few different values, so that ties are common


@st.composite
def two_vectors(draw: st.DrawFn, least: int = 2, most: int = 12) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(least, most))
    return tuple(np.array(draw(st.lists(few_values, min_size=n, max_size=n))) for _ in range(2))  # type: ignore[return-value]


def brute_tau_b(x: np.ndarray, y: np.ndarray) -> float:
    pairs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in itertools.combinations(range(len(x)), 2)]
    balance = sum(a * b for a, b in pairs)
    untied_x, untied_y = sum(a != 0 for a, _ in pairs), sum(b != 0 for _, b in pairs)
    return balance / math.sqrt(untied_x * untied_y) if untied_x and untied_y else math.nan


def tie_breaks(values: np.ndarray, k: int) -> list[set[int]]:
    """Return the top-k set under every order of the elements (ties broken by that order)."""
    orders = itertools.permutations(range(len(values)))
    return [set(sorted(order, key=lambda i: -values[i])[:k]) for order in orders]


@given(two_vectors())
def test_kendall_tau_is_tau_b(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = vectors
    assert kendall_tau(x, y) == pytest.approx(brute_tau_b(x, y), nan_ok=True)
    assert kendall_tau(-x, y) == pytest.approx(-kendall_tau(x, y), nan_ok=True)


@given(two_vectors(), st.integers(0, 2**32 - 1))
def test_weighted_tau_is_tau_of_the_resample(vectors: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    x, y = vectors
    counts = np.random.default_rng(seed).multinomial(len(x), np.full(len(x), 1 / len(x)), size=3)
    weighted = weighted_kendall_tau(x, y, counts.astype(float))
    for row, tau in zip(counts, weighted, strict=True):
        assert tau == pytest.approx(brute_tau_b(np.repeat(x, row), np.repeat(y, row)), nan_ok=True)


@given(two_vectors())
def test_spearman_is_scipys(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = vectors
    constant = len(set(x)) == 1 or len(set(y)) == 1
    expected = math.nan if constant else float(stats.spearmanr(x, y).statistic)
    assert float(spearman(x, y)) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(two_vectors(2, 6), st.sampled_from([0.05, 0.34, 0.5]))
def test_p_at_top_is_the_mean_over_tie_breaks(vectors: tuple[np.ndarray, np.ndarray], fraction: float) -> None:
    x, y = vectors
    k = top_count(len(x), fraction)
    predicted, true = tie_breaks(x, k), tie_breaks(y, k)
    member = [np.mean([i in chosen for chosen in sets]) for sets in (predicted, true) for i in range(len(x))]
    expected = sum(member[i] * member[len(x) + i] for i in range(len(x))) / k
    assert float(p_at_top(x, y, fraction)) == pytest.approx(expected)


@given(two_vectors())
def test_membership_sums_to_k(vectors: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = vectors
    for k in range(1, len(x) + 1):
        chances = membership(x, k)
        assert chances.sum() == pytest.approx(k)
        assert ((chances >= 0) & (chances <= 1)).all()


def test_known_values() -> None:
    truth = np.array([90.0, 91.0, 92.0, 93.0, 94.0])
    assert float(p_at_top(truth, truth, 0.2)) == 1.0
    assert float(p_at_top(-truth, truth, 0.2)) == 0.0
    assert true_rank(truth).tolist() == [5, 4, 3, 2, 1]
    assert float(best_rank_at(np.array([5, 1, 1, 4, 0.0]), truth, 0.4)) == pytest.approx(2 / 5)
    assert float(worst_rank_at(np.array([5, 1, 1, 4, 0.0]), truth, 0.4)) == pytest.approx(5 / 5)
    assert float(regret(np.array([0, 0, 1, 0, 0.0]), truth)) == pytest.approx(2.0)
    assert float(regret(np.array([0, 0, 1, 1, 0.0]), truth)) == pytest.approx(1.5)


def test_nothing_depends_on_the_order_of_the_architectures() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 4, 40).astype(float), rng.integers(80, 90, 40).astype(float)
    order = rng.permutation(40)
    for measure in (spearman, p_at_top, best_rank_at, worst_rank_at, regret):
        assert float(measure(scores, truth)) == pytest.approx(float(measure(scores[order], truth[order])))
    constant = np.zeros(40)
    assert float(best_rank_at(constant, truth)) == pytest.approx(1 / 40)
    assert float(worst_rank_at(constant, truth)) == pytest.approx(true_rank(truth).max() / 40)


def test_top_count() -> None:
    assert [top_count(n, 0.05) for n in (1, 19, 20, 39, 40, 200, 1024)] == [1, 1, 1, 1, 2, 10, 51]


def test_noise_ceiling_is_the_mean_over_pairs_stepped_up() -> None:
    values = np.random.default_rng(0).normal(size=(40, 1)) + np.random.default_rng(1).normal(size=(40, 3))
    taus = [brute_tau_b(values[:, i], values[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    ceiling = noise_ceiling(values)
    assert ceiling.single == pytest.approx(np.mean(taus))
    assert ceiling.mean == pytest.approx(3 * np.mean(taus) / (1 + 2 * np.mean(taus)))
    assert math.isnan(noise_ceiling(values[:, :1]).mean)
    opposed = np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]])  # seeds that contradict each other: nothing to step up
    assert noise_ceiling(opposed).mean == noise_ceiling(opposed).single == pytest.approx(-1 / 3)


class TestRank:
    def test_report_agrees_with_the_measures(self) -> None:
        rng = np.random.default_rng(0)
        truth = np.round(rng.normal(90, 3, 150), 1)
        scores = truth + rng.normal(0, 3, 150)
        report = rank(scores, truth)
        assert report.n == 150
        assert report.kendall_tau == pytest.approx(brute_tau_b(scores, truth))
        assert report.spearman == pytest.approx(stats.spearmanr(scores, truth).statistic)
        assert report.p_at_top5 == pytest.approx(float(p_at_top(scores, truth)))
        low, high = report.kendall_tau_ci
        assert low < report.kendall_tau < high
        best = np.flatnonzero(truth >= np.sort(truth)[-15])  # the true top 10 %, ties at its edge included
        assert report.values["kendall_tau_top10"] == pytest.approx(brute_tau_b(scores[best], truth[best]))

    def test_interval_covers_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(1)
        true_tau = 2 / math.pi * math.asin(0.6)  # of a bivariate normal with correlation 0.6
        hits = 0
        for _ in range(200):
            x = rng.normal(size=80)
            y = 0.6 * x + 0.8 * rng.normal(size=80)
            low, high = rank(x, y, resamples=300).kendall_tau_ci
            hits += low <= true_tau <= high
        assert 0.88 <= hits / 200 <= 0.99

    def test_large_inputs_take_the_other_way_to_the_same_interval(self) -> None:
        rng = np.random.default_rng(2)
        x = rng.normal(size=2_100)
        y = x + rng.normal(size=2_100)
        large, dense = rank(x, y), rank(x[:2_000], y[:2_000])
        assert large.kendall_tau_ci == pytest.approx(dense.kendall_tau_ci, abs=0.02)

    @pytest.mark.parametrize(
        ("scores", "truth"),
        [([], []), ([1.0], [2.0]), ([math.nan, 1.0, 2.0], [1.0, 2.0, 3.0]), ([1, 2], [1, math.nan])],
    )
    def test_undefined_is_nan_everywhere(self, scores: list[float], truth: list[float]) -> None:
        values = rank(scores, truth).to_dict()
        assert values.pop("n_architectures") == len(scores)
        assert all(math.isnan(value) for value in values.values())

    def test_constant_side_has_no_correlation(self) -> None:
        report = rank([1, 1, 1, 1], [1, 2, 3, 4])
        assert math.isnan(report.kendall_tau)
        assert math.isnan(report.spearman)
        assert math.isnan(report.p_at_top5)
        assert rank([1] * 20, list(range(20))).p_at_top5 == pytest.approx(1 / 20)

    @pytest.mark.parametrize(
        ("n", "interval", "top"), [(2, False, False), (9, False, False), (10, True, False), (20, True, True)]
    )
    def test_few_architectures_have_no_interval_and_no_top(self, n: int, interval: bool, top: bool) -> None:
        report = rank(list(range(n)), list(range(n)))
        flat = report.to_dict()
        assert report.kendall_tau == pytest.approx(1)
        for name in ("kendall_tau", "spearman", "regret"):
            assert math.isnan(flat[f"{name}_ci_low"]) != interval
        for name in ("p_at_top5", "best_rank_at_top5", "worst_rank_at_top5"):
            assert math.isnan(flat[name]) != top
        assert math.isnan(flat["kendall_tau_top10_ci_low"])  # of two architectures at most
        told = f"tau 1.00 {'[1.00, 1.00]' if interval else '-'} n={n} | P@top5% {'1.00' if top else '-'}"
        assert str(report) == told

    def test_sparse_tau_ignores_small_differences_of_truth(self) -> None:
        truth = [90.01, 90.05, 91.0, 92.0]
        assert rank([2, 1, 3, 4], truth).values["kendall_tau_sparse"] == pytest.approx(
            brute_tau_b(np.array([2, 1, 3, 4]), np.array([900, 900, 910, 920]))
        )

    def test_shapes_must_match(self) -> None:
        with pytest.raises(ValueError, match="one length"):
            rank([1, 2], [1, 2, 3])

    def test_same_seed_same_interval(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(2, 60))
        assert rank(x, y, seed=5).to_dict() == rank(x, y, seed=5).to_dict()


def test_noise_ceiling_with_missing_seeds_is_that_of_those_there() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (40, 1)) + rng.normal(0, 0.5, (40, 3))
    values[10:, 2] = np.nan
    values[30:, 1] = np.nan
    known = {(0, 1): slice(0, 30), (0, 2): slice(0, 10), (1, 2): slice(0, 10)}
    taus = {(i, j): stats.kendalltau(values[rows, i], values[rows, j]).statistic for (i, j), rows in known.items()}
    single = (30 * 29 * taus[0, 1] + 10 * 9 * (taus[0, 2] + taus[1, 2])) / (30 * 29 + 2 * 10 * 9)
    seeds = 40 / (10 / 3 + 20 / 2 + 10 / 1)
    ceiling = noise_ceiling(values)
    assert ceiling.single == pytest.approx(single)
    assert ceiling.n_seeds == pytest.approx(seeds)
    assert ceiling.mean == pytest.approx(seeds * single / (1 + (seeds - 1) * single))
    assert single < ceiling.mean


@pytest.mark.parametrize(
    "values", [np.ones((5, 1)), np.full((5, 3), np.nan), np.ones((0, 2)), np.eye(4)[:, :2] * np.nan]
)
def test_noise_ceiling_of_what_has_no_two_seeds_is_unknown(values: np.ndarray) -> None:
    ceiling = noise_ceiling(values)
    assert math.isnan(ceiling.single)
    assert math.isnan(ceiling.mean)
    assert "unknown" in str(ceiling)
