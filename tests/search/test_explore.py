"""The loop of all path searches: budget, time, what is told and what is recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import raynas
from raynas.search import SCORE, SEARCHERS, Outcome, Searcher, explore
from raynas.search.searcher import Values
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")


def convolutions(architecture: Architecture) -> float:
    return float(sum(option.startswith("nor_conv") for option in architecture.options))


def evaluate(architectures: Sequence[Architecture], fidelity: float) -> list[Outcome]:
    return [Outcome(convolutions(a) * fidelity, 1.0, 50.0, "table") for a in architectures]


class Recorder(Searcher):
    """Draws five an ask, and keeps what it is told; its asks may be short."""

    uses_fidelity = True
    share = 1.0

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.told: list[np.ndarray] = []

    @property
    def fidelity(self) -> float:
        return self.share

    def ask(self) -> list[Architecture]:
        return self._draw(5)

    def tell(self, architectures: Sequence[Architecture], values: Values) -> None:
        self.told.append(np.asarray(values))
        super().tell(architectures, values)


def recorder(share: float = 1.0) -> Recorder:
    made = Recorder(SPACE, np.random.default_rng(0))
    made.share = share
    return made


@pytest.mark.parametrize("budget", [1, 7, 50, 120])
def test_budget_is_spent_exactly(budget: int) -> None:
    searcher = SEARCHERS.make("random", SPACE, np.random.default_rng(0))
    found = explore(searcher, evaluate, budget=budget)
    assert [f.evaluation for f in found] == list(range(1, budget + 1))
    assert [f.architecture for f in found] == [architecture for architecture, _ in searcher.history]
    assert found[-1].spent == budget


def test_short_evaluations_cost_their_share_and_are_no_history() -> None:
    searcher = recorder(0.25)
    found = explore(searcher, evaluate, budget=3)
    assert len(found) == 12
    assert found[-1].spent == pytest.approx(3)
    assert {f.fidelity for f in found} == {0.25}
    assert searcher.history == []


def test_nothing_is_asked_for_once_the_time_is_over() -> None:
    now = [100.0]

    def slow(architectures: Sequence[Architecture], fidelity: float) -> list[Outcome]:
        now[0] += 2.0
        return evaluate(architectures, fidelity)

    found = explore(recorder(), slow, budget=None, seconds=5.0, clock=lambda: now[0])
    assert len(found) == 15  # asked at 0, 2 and 4 seconds
    assert explore(recorder(), slow, budget=10, seconds=0.0, clock=lambda: now[0]) == []


def test_ends_where_nothing_is_new() -> None:
    part = SPACE.only(SPACE.sample(np.random.default_rng(0)))
    searcher = SEARCHERS.make("random", part, np.random.default_rng(0))
    assert len(explore(searcher, evaluate, budget=None)) == 1


def test_costs_are_told_turned_and_recorded_as_they_are() -> None:
    searcher = recorder()
    costs = {"edges": lambda a: 6.0 - a.options.count("none"), "convs": convolutions}
    found = explore(searcher, evaluate, budget=5, objectives=(SCORE, "edges"), costs=costs)
    expected = [(f.score, -f.costs["edges"]) for f in found]
    np.testing.assert_array_equal(np.concatenate(searcher.told), expected)
    assert all(f.costs["convs"] == convolutions(f.architecture) for f in found)
    assert found[0].row()["edges"] == found[0].costs["edges"]
    assert [score for _, score in searcher.history] == [f.score for f in found]
