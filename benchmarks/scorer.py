"""Scoring as a run of raynas does it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

from benchmarks.workload import Images, shared_network
from raynas.networks import Supernet
from raynas.spaces import Architecture
from raynas.training.scoring import Score, ScoreProtocol, score_architectures


class Scorer:
    """A supernet and the images that its architectures are scored on, all in one batch with its own statistics.

    Args:
        images: The images.
        precision: Of the computation.
        supernet: NAS-Bench-201's if none is given.
    """

    def __init__(
        self,
        images: Images,
        precision: Literal["float32", "bfloat16"] = "float32",
        supernet: Supernet | None = None,
    ) -> None:
        self._supernet = shared_network(images) if supernet is None else supernet
        self._data = images.dataset()
        count = len(images.labels)
        self._protocol = ScoreProtocol(images=count, batch_size=count, precision=precision)

    def score(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Score architectures in one call."""
        return score_architectures(self._supernet, self._data, architectures, self._protocol)

    # Contenders.

    def one(self, architecture: Architecture) -> Callable[[], object]:
        """Prepare to score one architecture."""
        return functools.partial(self.score, [architecture])

    def together(self, architectures: Sequence[Architecture]) -> Callable[[], object]:
        """Prepare to score architectures in one call."""
        return functools.partial(self.score, architectures)

    def one_by_one(self, architectures: Sequence[Architecture]) -> Callable[[], object]:
        """Prepare to score architectures in a call each."""
        return lambda: [self.score([architecture]) for architecture in architectures]
