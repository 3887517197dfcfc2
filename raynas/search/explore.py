"""`explore`: the one loop of all path searches, whoever evaluates: a supernet, many of them, or a truth table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from raynas.search.found import Found
from raynas.search.searcher import Searcher
from raynas.spaces import Architecture

SCORE = "score"
"""The objective that every search has."""

Cost = Callable[[Architecture], float]
"""What an architecture costs by one measure (millions, milliseconds): lower is better."""


class Outcome(NamedTuple):
    """What evaluating an architecture gave: see `Found`."""

    score: float
    loss: float
    accuracy: float
    scorer: str


Evaluate = Callable[[Sequence[Architecture], float], Sequence[Outcome]]
"""Evaluates architectures, in order, each with this share of a full evaluation."""


def explore(
    searcher: Searcher,
    evaluate: Evaluate,
    *,
    budget: float | None,
    seconds: float | None = None,
    objectives: Sequence[str] = (SCORE,),
    costs: Mapping[str, Cost] = MappingProxyType({}),
    clock: Callable[[], float] = time.monotonic,
) -> list[Found]:
    """Ask, evaluate and tell until the budget is spent, or the searcher has nothing new.

    Args:
        searcher: Proposes; continues where it is.
        evaluate: Evaluates.
        budget: Evaluations to spend, in full ones; None for no end by number. The last may be begun with less than a
            whole one left, so that less than one more is spent.
        seconds: Nothing is asked for once so many have passed; None for no end by time.
        objectives: What the searcher is told: the score, then costs, each turned so that higher is better.
        costs: What is recorded of every architecture, by name; the objectives' own must be among them.
        clock: Tells the time in seconds.

    Returns:
        Everything that was evaluated, in the order in which it was asked for.
    """
    began = clock()
    found: list[Found] = []
    spent = 0.0
    while (budget is None or spent < budget - 1e-9) and (seconds is None or clock() - began < seconds):
        asked = searcher.ask()
        fidelity = searcher.fidelity
        if budget is not None:  # the last evaluation may be begun with less than a whole one left
            asked = asked[: max(1, int((budget - spent) / fidelity + 1e-9))]
        if not asked:
            break
        outcomes = evaluate(asked, fidelity)
        rows = [{name: cost(architecture) for name, cost in costs.items()} for architecture in asked]
        searcher.tell(asked, [_vector(o, row, objectives) for o, row in zip(outcomes, rows, strict=True)])
        for architecture, outcome, row in zip(asked, outcomes, rows, strict=True):
            spent += fidelity
            found.append(Found(len(found) + 1, architecture, *outcome, fidelity, spent, row))
    return found


def _vector(outcome: Outcome, costs: Mapping[str, float], objectives: Sequence[str]) -> tuple[float, ...]:
    return tuple(outcome.score if name == SCORE else -costs[name] for name in objectives)
