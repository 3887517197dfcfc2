"""Every scheduler on partitions of known quality and known noise: where rounds go, and what is found in the end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from raynas.search import Pool, PoolEntry
from tests.search.simulated_partitions import CAPACITY, Floats, Played, bests, gain, number, play
from tests.search.test_partition_rules import NAMES

SEEDS = range(120)
FEW, MANY = 32, 96
"""Rounds over eight partitions: 4 or 12 of each if spent evenly."""
CHOOSING = [name for name in NAMES if name != "uniform"]


@pytest.fixture(scope="module")
def played() -> dict[tuple[str, int], list[Played]]:
    """All runs: the same worlds for every scheduler."""
    return {(name, budget): [play(name, budget, seed) for seed in SEEDS] for name in NAMES for budget in (FEW, MANY)}


def regrets(runs: list[Played]) -> Floats:
    return np.array([run.regret for run in runs])


def two_errors(differences: Floats) -> float:
    return float(2 * differences.std(ddof=1) / np.sqrt(len(differences)))


@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize("budget", [FEW, MANY])
def test_rounds_go_to_the_better_partitions(
    played: dict[tuple[str, int], list[Played]], name: str, budget: int
) -> None:
    rounds = np.mean([list(run.rounds.values()) for run in played[name, budget]], 0)
    assert spearmanr(rounds, bests(8)).statistic > 0.7
    assert rounds[-1] > 1.25 * rounds.mean()
    assert rounds[0] < 0.95 * rounds.mean()


@pytest.mark.parametrize("name", NAMES)
def test_regret_falls_with_the_budget(played: dict[tuple[str, int], list[Played]], name: str) -> None:
    saved = regrets(played[name, FEW]) - regrets(played[name, MANY])
    assert saved.mean() > two_errors(saved)


@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize("budget", [FEW, MANY])
def test_regret_is_not_worse_than_that_of_uniform(
    played: dict[tuple[str, int], list[Played]], name: str, budget: int
) -> None:
    worse = regrets(played[name, budget]) - regrets(played["uniform", budget])
    assert worse.mean() < two_errors(worse)


def test_regret_of_greedy_is_better_than_that_of_uniform(played: dict[tuple[str, int], list[Played]]) -> None:
    better = regrets(played["uniform", MANY]) - regrets(played["greedy", MANY])
    assert better.mean() > two_errors(better)


def test_regret_of_reinforce_is_better_than_that_of_uniform_given_time(
    played: dict[tuple[str, int], list[Played]],
) -> None:
    better = regrets(played["uniform", MANY]) - regrets(played["reinforce", MANY])
    assert better.mean() > two_errors(better)


def test_what_reinforce_seldom_draws_is_not_searched(played: dict[tuple[str, int], list[Played]]) -> None:
    for run in played["reinforce", MANY]:
        assert run.alive == sum(rounds >= MANY / 8 for rounds in run.rounds.values()) < 8


def test_children_are_born_and_rejections_wait_for_evidence(played: dict[tuple[str, int], list[Played]]) -> None:
    assert np.mean([run.births for run in played["evolution", MANY]]) > 5
    assert np.mean([run.alive for run in played["greedy", FEW]]) > 3.0  # the strong would be 2 of 8 by then
    assert all(run.alive == 8 for name in ("evolution", "uniform") for run in played[name, MANY])


def test_gain_is_that_of_a_pool() -> None:
    def entries(scores: dict[int, float]) -> list[PoolEntry]:
        return [PoolEntry(number(index), score, "loss", "a", 0) for index, score in scores.items()]

    rng = np.random.default_rng(0)
    for _ in range(20):
        held, proposed = (
            dict(zip(rng.permutation(40)[:size].tolist(), rng.standard_normal(size).tolist(), strict=True))
            for size in (CAPACITY, 10)
        )
        pool = Pool(CAPACITY)
        pool.add(entries(held))
        assert gain(held, proposed) == pytest.approx(pool.gain_after(entries(proposed), "loss"))
