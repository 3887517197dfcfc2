"""`ScoringActor`: a `Scorer` in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from raynas.data import ImageData
from raynas.spaces import Architecture
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.process import prepare_process
from raynas.training.scorer import Scorer
from raynas.training.scoring import Score
from raynas.training.weights import Version, Weights

if TYPE_CHECKING:
    from ray import ObjectRef

T = TypeVar("T")
Stored: TypeAlias = "list[ObjectRef[T]]"
"""Something in the object store: a reference to it in a list, which Ray hands over as it is."""


class ScoringActor:
    """Scores architectures; made remote by `ScoringService`.

    Args:
        jobs: What can be scored, by label.
        data: The images, in a list with a reference to them: Ray warns of an actor that can be started again and has
            references as its arguments. The service keeps the reference.
        threads: Torch threads.
    """

    def __init__(self, jobs: Mapping[str, SupernetJob], data: Stored[ImageData], threads: int) -> None:
        prepare_process(threads)
        self.scorer = Scorer(jobs, self.fetch(data))

    def ready(self) -> bool:
        """Return once the actor stands."""
        return True

    def score(
        self, version: Version, architectures: Sequence[Architecture], stored: Stored[Weights], images: int | None
    ) -> tuple[list[Score], Span, int]:
        """Return the scores of architectures, in order, when they were measured, and how many had to be evaluated.

        An actor that was started anew holds nothing, and fetches the weights again: so a call can be sent again.

        Args:
            version: The weights to score with.
            architectures: What to score.
            stored: Where they lie, in a list, so that Ray does not fetch them for every call; what is fetched is
                mapped from the object store, nothing is copied.
            images: As for `Scorer.score`.
        """
        start = time.time()
        if not self.scorer.holds(version):
            self.scorer.hold(version, self.fetch(stored))
        scores = self.scorer.score(version, architectures, images)
        evaluated = self.scorer.different(version.label, architectures)
        return scores, Span("score", start, time.time()), evaluated

    def fetch(self, stored: Stored[T]) -> T:
        """Return what lies in the object store."""
        import ray

        (reference,) = stored
        value: T = ray.get(reference)
        return value
