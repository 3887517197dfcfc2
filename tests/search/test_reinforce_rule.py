"""`reinforce`: the policy's gradient, and how the rule learns by it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from raynas.errors import ConfigError
from raynas.search import SCHEDULERS, Standing
from raynas.search.draw_policy import DrawPolicy
from raynas.search.reinforce_rule import MOMENTUM, ReinforceRule

PARTITIONS = tuple("abcdef")


def policy(floor: float = 0.2, count: int = 6) -> DrawPolicy:
    made = DrawPolicy(count, floor)
    made.logits = np.random.default_rng(0).standard_normal(count)
    return made


def rule(budget: int = 60, **options: float) -> ReinforceRule:
    made = SCHEDULERS.make("reinforce", PARTITIONS, budget, **options)
    assert isinstance(made, ReinforceRule)
    return made


def test_chances_are_the_softmax_with_a_floor() -> None:
    made = policy(0.3)
    raised = np.exp(made.logits[[0, 2, 5]])
    np.testing.assert_allclose(made.chances([0, 2, 5]), 0.7 * raised / raised.sum() + 0.1)


def test_the_chances_of_all_ordered_draws_sum_to_one() -> None:
    made, among = policy(), [0, 1, 3, 5]
    total = sum(math.exp(made.log_chances(among, drawn).sum()) for drawn in itertools.permutations(among, 2))
    assert total == pytest.approx(1.0)
    assert made.log_chances(among, among)[-1] == pytest.approx(0.0)


def test_draws_come_as_often_as_their_chances_say() -> None:
    made, among, rng, times = policy(), [0, 1, 3, 5], np.random.default_rng(1), 20_000
    counts = dict.fromkeys(itertools.permutations(among, 2), 0)
    for _ in range(times):
        first, second = made.draw(among, 2, rng)
        counts[first, second] += 1
    for drawn, count in counts.items():
        chance = math.exp(made.log_chances(among, drawn).sum())
        assert count / times == pytest.approx(chance, abs=4 * math.sqrt(chance / times))


@pytest.mark.parametrize("drawn", [(3,), (0, 5), (5, 1, 0), (0, 1, 3, 5)])
@pytest.mark.parametrize("floor", [0.01, 0.2, 0.9])
def test_gradients_are_those_of_the_log_chances(drawn: tuple[int, ...], floor: float) -> None:
    made, among, step = policy(floor), [0, 1, 3, 5], 1e-6
    numeric = np.empty((len(drawn), 6))
    for index in range(6):
        sides = []
        for sign in (1, -1):
            made.logits[index] += sign * step
            sides.append(made.log_chances(among, drawn))
            made.logits[index] -= sign * step
        numeric[:, index] = (sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(made.gradients(among, drawn), numeric, atol=1e-8)
    np.testing.assert_allclose(made.gradients(among, drawn)[:, [2, 4]], 0.0)


def test_rewards_to_go_give_the_gradient_of_the_expected_gain() -> None:
    """Summed over all draws with their chances, whatever the baseline: no sampling in this test."""
    made, among, gains, step = policy(), list(range(6)), np.array([0.3, 0.1, 0.9, 0.0, 0.4, 0.2]), 1e-6

    def expected() -> float:
        draws = itertools.permutations(among, 2)
        return sum(math.exp(made.log_chances(among, d).sum()) * float(gains[list(d)].sum()) for d in draws)

    exact = np.zeros(6)
    for drawn in itertools.permutations(among, 2):
        to_go = np.cumsum((gains[list(drawn)] - 0.7)[::-1])[::-1]
        exact += math.exp(made.log_chances(among, drawn).sum()) * to_go @ made.gradients(among, drawn)
    numeric = np.empty(6)
    for index in range(6):
        made.logits[index] += step
        above = expected()
        made.logits[index] -= 2 * step
        numeric[index] = (above - expected()) / (2 * step)
        made.logits[index] += step
    np.testing.assert_allclose(exact, numeric, atol=1e-8)


def test_the_first_turn_moves_the_policy_by_every_gain() -> None:
    made = rule(lr=0.5, floor=0.2)
    gains = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    made.next({label: Standing(0.0, gain=gain) for label, gain in zip(PARTITIONS, gains, strict=True)})
    np.testing.assert_allclose(made.policy.logits, 0.5 * 0.8 * (gains - 0.25) / np.sqrt(np.mean(gains**2)))


def test_later_turns_follow_the_formula() -> None:
    made = rule(lr=0.5)
    turn = made.next({label: Standing(0.0, gain=0.5) for label in PARTITIONS})
    np.testing.assert_allclose(made.policy.logits, 0.0)
    mean = square = weight = 0.0
    for number in range(5):
        drawn, among, before = made._drawn, made._among, made.policy.logits.copy()
        slopes = made.policy.gradients(among, drawn)
        gains = [0.1 * (place + 1) + 0.05 * number for place in drawn]
        baseline = mean / weight if weight else None
        weight = MOMENTUM * weight + 1 - MOMENTUM
        mean = MOMENTUM * mean + (1 - MOMENTUM) * (gains[0] + gains[1]) / 2
        square = MOMENTUM * square + (1 - MOMENTUM) * (gains[0] ** 2 + gains[1] ** 2) / 2
        turn = made.next({PARTITIONS[p]: Standing(0.0, gain=g) for p, g in zip(drawn, gains, strict=True)})
        assert len(turn.train) == 2
        if baseline is None:
            np.testing.assert_allclose(made.policy.logits, before)
            continue
        first, second = ((gain - baseline) / math.sqrt(square / weight) for gain in gains)
        moved = 0.5 * ((first + second) * slopes[0] + second * slopes[1])
        np.testing.assert_allclose(made.policy.logits, before + moved)


def test_units_do_not_matter() -> None:
    played = []
    for unit in (1.0, 1024.0):  # a power of two, so that rounding is the same
        made = rule().seeded(np.random.default_rng(5))
        turn, turns = made.first(), []
        while turn.train:
            turns.append(turn.train)
            turn = made.next({label: Standing(0.0, gain=unit * (ord(label) * made.spent % 7)) for label in turn.train})
        played.append((turns, made.policy.logits.tolist()))
    assert played[0] == played[1]


def test_the_same_stream_draws_the_same_and_another_draws_differently() -> None:
    def turns(seed: int | None) -> list[tuple[str, ...]]:
        made = rule() if seed is None else rule().seeded(np.random.default_rng(seed))
        turn, trained = made.first(), []
        while turn.train:
            trained.append(turn.train)
            turn = made.next({label: Standing(0.0, gain=0.1 * (ord(label) - 96)) for label in turn.train})
        return trained

    assert turns(0) == turns(0) == turns(None)
    assert turns(0) != turns(1)


@pytest.mark.parametrize("budget", [8, 9, 19, 60])
@pytest.mark.parametrize("most", [1.5, 2.0, 9.0])
def test_nobody_gets_more_than_its_most_and_the_budget_is_spent(budget: int, most: float) -> None:
    made = rule(budget, most=most, lr=5.0)
    turn = made.first()
    while turn.train:
        assert set(turn.train) <= set(made.alive)
        turn = made.next({label: Standing(0.0, gain=float(label == "b")) for label in turn.train})
    assert made.alive == tuple(label for label in PARTITIONS if made.rounds[label] >= budget / 6)
    assert max(made.rounds.values()) <= made.longest() <= most * budget / 6
    assert made.spent == budget


def test_it_learns_to_draw_what_gives_most() -> None:
    rounds = np.zeros(6)
    for seed in range(50):
        made = rule(120, most=6.0).seeded(np.random.default_rng(seed))
        turn = made.first()
        while turn.train:
            turn = made.next({label: Standing(0.0, gain=float(label == "b")) for label in turn.train})
        rounds += [made.rounds[label] for label in PARTITIONS]
    assert rounds[1] > 2 * np.delete(rounds, 1).max()


def test_gains_that_are_no_numbers_or_all_nothing_teach_nothing() -> None:
    made = rule()
    turn = made.next({label: Standing(0.0) for label in PARTITIONS})
    for gain in (0.0, math.nan, math.inf, 0.0):
        turn = made.next({label: Standing(math.nan, gain=gain) for label in turn.train})
    np.testing.assert_array_equal(made.policy.logits, 0.0)


def test_where_there_is_nothing_to_choose_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="draws is 6 of 6 partitions"):
        rule(draws=6)
    for budget, most in [(6, 2.0), (7, 1.5)]:
        with pytest.raises(ConfigError, match="no partition could train more than one round"):
            rule(budget, most=most)


@pytest.mark.parametrize(("budget", "draws"), [(60, 2), (61, 2), (40, 1), (36, 3), (24, 4)])
def test_turns_are_as_many_as_the_budget_pays_for(budget: int, draws: int) -> None:
    made = rule(budget, draws=draws)
    made.seeded(np.random.default_rng(3))
    turn, turns, gains = made.first(), 0, np.random.default_rng(4)
    while turn.train:
        turns += 1
        turn = made.next({label: Standing(0.5, 0.1, float(gains.random())) for label in turn.train})
    assert turns == made.most_turns()
