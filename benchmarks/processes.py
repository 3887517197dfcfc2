"""Processes of their own that score paths: with other threads, or another allocator, than this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch

from benchmarks.scorer import Scorer
from benchmarks.workload import cifar10
from raynas.spaces import Architecture
from raynas.training.allocator import keep_memory

_scorer: Scorer | None = None
"""Of this process, where it is one of a pool."""


class ScoringProcesses:
    """Processes that score paths, each path in whichever is free.

    Args:
        count: How many.
        threads: Of torch, in each.
        images: Scored on so many.
        keeps_memory: Whether freed memory stays with them.
    """

    def __init__(self, count: int, threads: int, images: int, *, keeps_memory: bool) -> None:
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), _start, (threads, images, keeps_memory)
        )

    def contender(self, paths: Sequence[Architecture]) -> Callable[[], object]:
        """Prepare to score these paths."""
        return lambda: list(self._pool.map(_score, paths))

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def _start(threads: int, images: int, keeps_memory: bool) -> None:
    global _scorer
    torch.set_num_threads(threads)
    if keeps_memory:
        keep_memory()
    _scorer = Scorer(cifar10(images))


def _score(path: Architecture) -> None:
    assert _scorer is not None
    _scorer.score([path])
