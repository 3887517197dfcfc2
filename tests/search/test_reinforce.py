"""REINFORCE against the formulas written out decision by decision."""

from __future__ import annotations

import math

import numpy as np
import pytest

import raynas
from raynas.search.reinforce import ReinforceSearcher
from raynas.spaces import Architecture, Space

SPACE = raynas.space("nasbench201")


def value(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(seed: int = 0, space: Space = SPACE, **options: float) -> ReinforceSearcher:
    return ReinforceSearcher(space, np.random.default_rng(seed), **options)


def by_hand(
    logits: list[list[float]], learned: list[tuple[Architecture, float]], space: Space, lr: float
) -> list[list[float]]:
    """Adam on -(reward - baseline) log p, in plain Python; the baseline has the reward in it already."""
    first, second = [[[0.0] * len(row) for row in logits] for _ in range(2)]
    baseline = weight = 0.0
    for step, (architecture, reward) in enumerate(learned, 1):
        baseline, weight = 0.9 * baseline + 0.1 * reward, 0.9 * weight + 0.1
        advantage = reward - baseline / weight
        for d, decision in enumerate(space.decisions):
            total = sum(map(math.exp, logits[d]))
            chances = [math.exp(x) / total for x in logits[d]]
            for o, option in enumerate(decision.options):
                gradient = -advantage * ((option == architecture.options[d]) - chances[o])
                first[d][o] = 0.9 * first[d][o] + 0.1 * gradient
                second[d][o] = 0.999 * second[d][o] + 0.001 * gradient**2
                size = math.sqrt(second[d][o] / (1 - 0.999**step)) + 1e-8
                logits[d][o] -= lr * first[d][o] / (1 - 0.9**step) / size
    return logits


@pytest.mark.parametrize("space", [SPACE, SPACE.subspace({"1<-0": ["none"], "2<-1": ["none", "nor_conv_3x3"]})])
def test_updates_are_the_formula(space: Space) -> None:
    searcher = make(space=space, lr=0.05)
    rows = [len(decision.options) for decision in space.decisions]
    logits = [row[:n].tolist() for row, n in zip(searcher.state_dict()["logits"], rows, strict=True)]
    assert max(abs(x) for row in logits for x in row) < 0.01
    rng = np.random.default_rng(1)
    learned = [(space.sample(rng), float(rng.normal(90, 3))) for _ in range(12)]
    for architecture, reward in learned:
        searcher.tell([architecture], [reward])
    expected = by_hand(logits, learned, space, 0.05)
    for row, n, want in zip(searcher.state_dict()["logits"], rows, expected, strict=True):
        np.testing.assert_allclose(row[:n], want, atol=1e-9)
        assert (row[n:] == -np.inf).all()


def test_first_reward_moves_nothing() -> None:
    searcher = make()
    before = searcher.probabilities
    searcher.tell(searcher.ask(), [50.0])
    np.testing.assert_allclose(searcher.probabilities, before)


def test_the_best_options_become_likely() -> None:
    searcher = make(lr=0.1)
    before = searcher.probabilities[:, 3]
    for _ in range(300):
        asked = searcher.ask()
        searcher.tell(asked, [value(architecture) for architecture in asked])
    assert (searcher.probabilities[:, 3] > before + 0.3).all()
    np.testing.assert_allclose(searcher.probabilities.sum(1), 1)


def test_unit_and_offset_of_the_score_do_not_matter() -> None:
    asked = []
    for scale, offset in ((1.0, 0.0), (16.0, 0.0), (1 / 64, -3.0)):
        searcher, trace = make(lr=0.05), []
        for _ in range(150):
            batch = searcher.ask()
            searcher.tell(batch, [scale * value(architecture) + offset for architecture in batch])
            trace += batch
        asked.append(trace)
    assert asked[0] == asked[1] == asked[2]


def test_what_is_drawn_again_teaches_without_an_evaluation() -> None:
    part = SPACE.subspace({d.name: ["nor_conv_3x3"] for d in SPACE.decisions[1:]})
    searcher = make(space=part, lr=0.1)
    for _ in range(5):
        asked = searcher.ask()
        searcher.tell(asked, [value(architecture) for architecture in asked])
    state = searcher.state_dict()
    assert len(searcher.history) == len({part.canonical(a) for a in part.enumerate()}) == 5
    assert state["steps"] > 5


def test_draws_follow_the_policy() -> None:
    searcher = make()
    for _ in range(6):
        asked = searcher.ask()
        searcher.tell(asked, [value(architecture) for architecture in asked])
    drawn = [searcher._options() for _ in range(4_000)]
    for index, decision in enumerate(SPACE.decisions):
        shares = [np.mean([options[index] == option for options in drawn]) for option in decision.options]
        np.testing.assert_allclose(shares, searcher.probabilities[index], atol=0.03)


def test_what_is_not_finite_is_the_worst_that_is_known() -> None:
    plain, broken = make(), make()
    rng = np.random.default_rng(2)
    architectures = [SPACE.sample(rng) for _ in range(4)]
    plain.tell(architectures, [3.0, 1.0, 2.0, 1.0])
    broken.tell(architectures, [3.0, 1.0, 2.0, float("nan")])
    np.testing.assert_array_equal(plain.probabilities, broken.probabilities)
    only = make()
    only.tell(architectures[:1], [float("inf")])
    assert only.state_dict()["steps"] == 0
