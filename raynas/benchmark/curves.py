"""Curves over what was spent, and what they are on average over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.benchmark.board import Board, Floats
from raynas.benchmark.playing import Play
from raynas.benchmark.settings import PLACE
from raynas.errors import ConfigError
from raynas.search import SCORE
from raynas.search.pareto import hypervolume, on_front

_ROUND = (1, 3)


def incumbent_curve(play: Play, board: Board, budget: int) -> Floats:
    """Return (budget,) the truth of the incumbent when 1, 2, ... full evaluations were spent; NaN before there is one.

    A search that ended early keeps its last incumbent.
    """
    ended = np.searchsorted(play.spent, np.arange(1, budget + 1) + 1e-9, side="right")
    place = np.where(ended > 0, np.append(play.incumbent, -1)[ended - 1], -1)
    truth = board.truth[play.entry] if len(play.entry) else np.empty(0)
    return np.where(place < 0, np.nan, np.append(truth, np.nan)[place])


def checked_evaluations(evaluations: Sequence[int] | None, budget: int) -> list[int]:
    """Return the evaluations asked for; 10, 30, 100, ... and the budget where none are.

    Raises:
        ConfigError: One is not between 1 and the budget.
    """
    if evaluations is None:
        steps = (factor * 10**power for power in range(1, 9) for factor in _ROUND)
        return [step for step in steps if step < budget] + [budget]
    wrong = [count for count in evaluations if not 1 <= count <= budget or count != int(count)]
    if wrong:
        raise ConfigError(
            [f"'evaluations' must be whole numbers from 1 to the budget of {budget}, got {wrong[0]}"], PLACE
        )
    return [int(count) for count in evaluations]


def points(board: Board, objectives: Sequence[str], reference: Sequence[float]) -> tuple[Floats, Floats]:
    """Return the board's entries (N, K) by objective, and the reference (K,), both so that higher is better.

    Raises:
        ConfigError: The reference has not one value an objective, or a cost was not looked at.
    """
    unknown = [name for name in objectives[1:] if name not in board.costs]
    if objectives[0] != SCORE or unknown:
        allowed = ", ".join((SCORE, *board.costs))
        raise ConfigError([f"'objectives' must be '{SCORE}' and costs that were looked at: {allowed}"], PLACE)
    if len(reference) != len(objectives):
        raise ConfigError(
            [f"'reference' must have a value for each of {', '.join(objectives)}, got {len(reference)} values"], PLACE
        )
    columns = [board.score, *(-board.costs[name] for name in objectives[1:])]
    signs = np.array([1.0] + [-1.0] * (len(objectives) - 1))
    return np.stack(columns, 1), signs * np.asarray(reference, np.float64)


def front_of(values: Floats) -> Floats:
    """Return the points (F, K) of (N, K) that no other dominates."""
    return values[on_front(values)]


def volumes(plays: Sequence[Play], values: Floats, reference: Floats, evaluations: Sequence[int]) -> Floats:
    """Return (seeds, evaluations) the hypervolume of what was fully evaluated by then."""

    def volume(play: Play, spent: int) -> float:
        ended = play.until(spent)
        return hypervolume(values[play.entry[:ended][play.fidelity[:ended] == 1.0]], reference)

    return np.array([[volume(play, count) for count in evaluations] for play in plays])
