"""Playing: one search a seed on a board, over processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from raynas.benchmark.board import Board, Floats
from raynas.search import Found, Searcher, explore
from raynas.search.searcher import best_first
from raynas.spaces import Architecture
from raynas.streams import stream

_ONE = {"OMP_NUM_THREADS": "1"}
"""For what is imported while a search runs, such as torch, which a fork then does not have yet."""


@dataclass(frozen=True)
class Game:
    """What every seed plays; only the random stream differs.

    Args:
        name: The searcher's name.
        make: Its class.
        options: Its options.
        board: What it plays on.
        budget: Evaluations, in full ones.
        seconds: Nothing is asked for after so many; None for no end by time.
        objectives: What it is told: the score, then costs.
        initial: What it begins with.
    """

    name: str
    make: Callable[..., Searcher]
    options: Mapping[str, Any]
    board: Board
    budget: int
    seconds: float | None
    objectives: tuple[str, ...]
    initial: Sequence[Architecture] = ()


@dataclass(frozen=True)
class Play:
    """One seed's search, evaluation by evaluation (E of them).

    Args:
        seed: The seed.
        architectures: (E,) texts.
        entry: (E,) their places on the board.
        score: (E,) what the searcher was told.
        fidelity: (E,) the share of a full evaluation that each was.
        spent: (E,) what had been spent with it, in full evaluations.
        incumbent: (E,) which evaluation, from 0, is the best full one so far by score; -1 before there is one.
    """

    seed: int
    architectures: tuple[str, ...]
    entry: NDArray[np.int64]
    score: Floats
    fidelity: Floats
    spent: Floats
    incumbent: NDArray[np.int64] = field(repr=False)

    def until(self, spent: float) -> int:
        """Return how many evaluations had ended when so much was spent."""
        return int(np.searchsorted(self.spent, spent + 1e-9, side="right"))


def play(game: Game, seed: int) -> Play:
    """Return one seed's search."""
    board = game.board
    searcher = game.make(
        board.space,
        stream(seed, "benchmark", game.name),
        list(game.initial) + _start(board, seed),
        *([] if board.complete else [board.holds]),
        **game.options,
    )
    found = explore(
        searcher,
        board.evaluate,
        budget=game.budget,
        seconds=game.seconds,
        objectives=game.objectives,
        costs={name: board.cost(name) for name in board.costs},
    )
    return Play(
        seed,
        tuple(f.architecture.text for f in found),
        np.array([board.entry(f.architecture) for f in found], np.int64),
        np.array([f.score for f in found], np.float64),
        np.array([f.fidelity for f in found], np.float64),
        np.array([f.spent for f in found], np.float64),
        np.array(incumbents(found), np.int64),
    )


def incumbents(found: Sequence[Found]) -> list[int]:
    """Return after every evaluation which is the best by score so far, as `best_found` would say; -1 for none."""
    best, key, places = -1, (np.inf, ""), []
    for place, one in enumerate(found):
        if one.fidelity == 1.0:
            own = best_first(one.architecture, one.score)
            if best < 0 or own < key:
                best, key = place, own
        places.append(best)
    return places


def play_all(game: Game, seeds: Sequence[int], jobs: int | None) -> list[Play]:
    """Return the searches of several seeds, in order.

    Args:
        game: The game.
        seeds: The seeds.
        jobs: Processes at most; None for as many as there are CPUs.
    """
    workers = min(jobs or _cpus(), len(seeds))
    if workers == 1:
        with _one_thread():
            return [play(game, seed) for seed in seeds]
    # A fork begins at once, knows searchers registered anywhere, and runs no script again; elsewhere it is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    chunk = max(1, len(seeds) // (8 * workers))
    executor = ProcessPoolExecutor(workers, context, _begin, (game,))
    try:
        return list(executor.map(_play_here, seeds, chunksize=chunk))
    finally:
        executor.shutdown(cancel_futures=True)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


_game: Game | None = None


def _begin(game: Game) -> None:
    """Keep the game in this process, which plays in one thread: all CPUs have a process of their own."""
    global _game
    _game = game
    os.environ.update(_ONE)
    threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _play_here(seed: int) -> Play:
    assert _game is not None
    return play(_game, seed)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread as every process does, so that sums are made in the same order."""
    before = {name: os.environ.get(name) for name in _ONE}
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else _cpus()
    os.environ.update(_ONE)
    try:
        with threadpool_limits(1):
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)


def _start(board: Board, seed: int) -> list[Architecture]:
    """Return what a search must begin with: one feasible architecture where drawing would not find any."""
    if not board.rare:
        return []
    text = board.texts[int(stream(seed, "benchmark", "start").integers(len(board.texts)))]
    return [board.space.parse(text)]
