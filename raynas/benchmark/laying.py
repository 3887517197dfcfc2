"""Laying out a board: a truth table, scores of elsewhere, short evaluations and limits put together, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raynas.benchmark.board import Board, Floats
from raynas.benchmark.settings import PLACE, BenchmarkSettings
from raynas.errors import ArchitectureError, ConfigError, TruthError
from raynas.search.constraints import limit_text
from raynas.streams import stream
from raynas.truth import TruthTable, truth
from raynas.truth.columns import has_seeds
from raynas.truth.costs import table_cost

_DRAWS = 1_000
"""Random architectures looked at to see whether a searcher can come upon any that the board holds."""

Tables = Mapping[float, TruthTable]


def as_table(given: str | Path | TruthTable) -> TruthTable:
    """Return a truth table that is given as one, by name or by file."""
    return given if isinstance(given, TruthTable) else truth(given)


def lay_out(
    table: TruthTable, settings: BenchmarkSettings, scores: Mapping[str, float] | None, fidelities: Tables
) -> Board:
    """Return the board.

    Args:
        table: The truth.
        settings: Which of its metrics and costs count, and the limits.
        scores: What searchers are told instead of the metric, by the architecture's text.
        fidelities: What short evaluations tell, by their share of a full one.

    Raises:
        TruthError: A table has no such metric or cost, is of another space, or knows nothing of use.
        ConfigError: Scores or shares are not what they must be, or no architecture obeys the limits.
    """
    if not settings.report.endswith("_accuracy"):
        raise ConfigError(
            [f"'report' must be an accuracy, by which regret is measured, got '{settings.report}'"], PLACE
        )
    for name in settings.costs:
        table_cost(table, name)  # which explains an unknown name
    if scores is None:
        texts, rows = table.texts, np.arange(len(table))
        told = _quality(table, settings.metric)
    else:
        texts, rows, told = _scored(table, scores)
    short = {share: _short(table, texts, share, other, settings.metric) for share, other in sorted(fidelities.items())}
    report, costs = _quality(table, settings.report)[rows], {name: table.values(name)[rows] for name in settings.costs}
    known = np.isfinite(report) & (np.isfinite(told) | (scores is not None))  # a supernet's score may have diverged
    for values in (*short.values(), *costs.values()):
        known &= np.isfinite(values)
    if not known.any():
        raise TruthError(f"truth '{table.name}' knows of no architecture all that the benchmark asks for")
    held = known & _within(table, settings, costs, known)
    board = Board(
        table,
        settings.metric if scores is None else "scores",
        settings.report,
        tuple(text for text, keep in zip(texts, held, strict=True) if keep),
        table.keyed_by == "function" and scores is None,
        told[held],
        report[held],
        {name: values[held] for name, values in costs.items()},
        {share: values[held] for share, values in short.items()},
    )
    if board.complete or _comes_upon(board):
        return board
    if settings.constraints:
        return replace(board, rare=True)
    raise TruthError(
        f"truth '{table.name}' knows {len(board.texts):,} architectures of {table.space_name} of use here, and among "
        f"{_DRAWS:,} random ones was none of them: a searcher would find nothing to evaluate"
    )


def _quality(table: TruthTable, metric: str) -> Floats:
    """Return a metric of all rows (n,), turned so that higher is better."""
    if metric in table.columns and not has_seeds(metric):
        allowed = [name for name in table.columns if has_seeds(name)]
        raise ConfigError(
            [f"'{metric}' is no quality of an architecture but a cost (allowed: {', '.join(allowed)})"], PLACE
        )
    values = table.values(metric)
    return -values if metric.endswith("_loss") else values


def _scored(table: TruthTable, scores: Mapping[str, float]) -> tuple[tuple[str, ...], NDArray[np.int64], Floats]:
    """Return of every scored architecture that the table knows its text, row and score."""
    found: dict[str, tuple[int, float]] = {}
    for text, score in scores.items():
        try:
            architecture = table.space.parse(str(text))
        except ArchitectureError as error:
            raise ConfigError([f"'scores': {error}"], PLACE) from error
        row = table.row_of(architecture)
        if row is not None:
            found[architecture.text] = (row, float(score))
    if not found:
        raise ConfigError([f"'scores': none of {len(scores):,} is of an architecture that '{table.name}' knows"], PLACE)
    rows, told = zip(*found.values(), strict=True)
    return tuple(found), np.array(rows), np.array(told, np.float64)


def _short(table: TruthTable, texts: tuple[str, ...], share: float, other: TruthTable, metric: str) -> Floats:
    """Return (N,) what evaluations of a share of a full one tell of architectures, as another table has it."""
    if not 0 < share < 1:
        raise ConfigError([f"'fidelities': a share of a full evaluation is between 0 and 1, got {share:g}"], PLACE)
    if other.space_name != table.space_name:
        raise TruthError(f"truth '{other.name}' is of space {other.space_name}, '{table.name}' of {table.space_name}")
    values = _quality(other, metric)
    if other.texts == texts:
        return values
    rows = [other.row_of(table.space.parse(text)) for text in texts]
    return np.array([np.nan if row is None else values[row] for row in rows])


def _within(
    table: TruthTable, settings: BenchmarkSettings, costs: Mapping[str, Floats], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return (N,) which architectures obey the limits; raises ConfigError where none of those known does."""
    obeys = np.ones(len(known), bool)
    for name, (least, most) in settings.constraints.items():
        obeys &= (costs[name] >= (-np.inf if least is None else least)) & (
            costs[name] <= (np.inf if most is None else most)
        )
    if not (obeys & known).any():
        wanted = "; ".join(f"{name} {limit_text(*limit)}" for name, limit in settings.constraints.items())
        there = ", ".join(
            f"{name} {costs[name][known].min():g} to {costs[name][known].max():g}" for name in settings.constraints
        )
        raise ConfigError(
            [f"nothing in truth '{table.name}' satisfies {wanted}: its {known.sum():,} architectures have {there}"],
            "the constraints of the benchmark",
        )
    return obeys


def _comes_upon(board: Board) -> bool:
    """Say whether random draws come upon what a board holds."""
    rng = stream(0, "benchmark", "known")
    return any(board.holds(board.space.sample(rng)) for _ in range(_DRAWS))
