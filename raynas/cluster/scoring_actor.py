"""`ScoringActor`: a `Scorer` in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from raynas.data import ImageData
from raynas.spaces import Architecture
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.process import prepare_process
from raynas.training.scorer import Scorer
from raynas.training.scoring import Score
from raynas.training.weights import Version, Weights


class ScoringActor:
    """Scores architectures; made remote by `ScoringService`.

    Args:
        jobs: What can be scored, by label.
        data: The images.
        threads: Torch threads.
    """

    def __init__(self, jobs: Mapping[str, SupernetJob], data: ImageData, threads: int) -> None:
        prepare_process(threads)
        self.scorer = Scorer(jobs, data)

    def ready(self) -> bool:
        """Return once the actor stands."""
        return True

    def score(
        self, version: Version, architectures: Sequence[Architecture], weights: Weights | None
    ) -> tuple[list[Score], Span, int]:
        """Return the scores of architectures, in order, when they were measured, and how many had to be evaluated.

        Args:
            version: The weights to score with.
            architectures: What to score.
            weights: Them, if this actor was never told; Ray maps them from the object store, nothing is copied.
        """
        start = time.time()
        if weights is not None:
            self.scorer.hold(version, weights)
        scores = self.scorer.score(version, architectures)
        evaluated = self.scorer.different(version.label, architectures)
        return scores, Span("score", start, time.time()), evaluated
