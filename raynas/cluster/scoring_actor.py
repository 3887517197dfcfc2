"""`ScoringActor`: a `Scorer` in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
"""Something in the object store: a reference to it in a list, which Ray hands over as it is, and does not follow."""


@dataclass(frozen=True)
class Setting:
    """What scores are measured with, but for the weights.

    Args:
        jobs: What can be scored, by label.
        data: The images, in the object store.
        threads: Torch threads.
    """

    jobs: Mapping[str, SupernetJob]
    data: Stored[ImageData]
    threads: int


class ScoringActor:
    """Scores architectures; made remote by `ScoringService`.

    Made without arguments: what it needs comes with every call, as a reference that is followed once. So an actor that
    was started anew needs nobody to tell it anything.
    """

    def __init__(self) -> None:
        self._scorer: Scorer | None = None

    def ready(self, setting: Stored[Setting]) -> bool:
        """Return once the actor can score."""
        self.scorer(setting)
        return True

    def scorer(self, setting: Stored[Setting]) -> Scorer:
        """Return the scorer, made at the first call."""
        if self._scorer is None:
            found = self.fetch(setting)
            prepare_process(found.threads)
            self._scorer = Scorer(found.jobs, self.fetch(found.data))
        return self._scorer

    def score(
        self,
        version: Version,
        architectures: Sequence[Architecture],
        fidelity: float,
        stored: Stored[Weights],
        setting: Stored[Setting],
    ) -> tuple[list[Score], Span, int]:
        """Return the scores of architectures, in order, when they were measured, and how many had to be evaluated.

        Args:
            version: The weights to score with.
            architectures: What to score.
            fidelity: As for `Scorer.score`.
            stored: Where the weights lie; they are mapped from the object store, nothing is copied.
            setting: Where everything else lies.
        """
        start = time.time()
        scorer = self.scorer(setting)
        if not scorer.holds(version):
            scorer.hold(version, self.fetch(stored))
        scores = scorer.score(version, architectures, fidelity)
        evaluated = scorer.different(version.label, architectures)
        return scores, Span("score", start, time.time()), evaluated

    def fetch(self, stored: Stored[T]) -> T:
        """Return what lies in the object store."""
        import ray

        (reference,) = stored
        value: T = ray.get(reference)
        return value
