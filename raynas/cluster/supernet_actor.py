"""`SupernetActor`: a `SupernetWorker` in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from raynas.data import ImageData
from raynas.spaces import Architecture
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.scoring import Score
from raynas.training.worker import PoolLike, RoundReport, SupernetWorker


class SupernetActor:
    """Trains rounds and scores architectures; made remote by `start_supernet`.

    Args:
        job: What to build and how to train it.
        data: The images.
        state: A worker's ``state_dict()`` to continue from; fresh weights if None.
        threads: Torch threads.
    """

    def __init__(self, job: SupernetJob, data: ImageData, state: Mapping[str, Any] | None, threads: int) -> None:
        torch.set_num_threads(threads)
        self.worker = SupernetWorker(job, data)
        if state is not None:
            self.worker.load_state_dict(state)

    def ready(self) -> bool:
        """Return once the actor stands."""
        return True

    def run_round(self, pool: PoolLike) -> RoundReport:
        """Train and measure one round."""
        return self.worker.run_round(pool)

    def score(self, architectures: Sequence[Architecture]) -> tuple[list[Score], int, Span]:
        """Return the scores, the images they took, and when."""
        start, before = time.time(), self.worker.images_scored
        scores = self.worker.score(architectures)
        return scores, self.worker.images_scored - before, Span("score", start, time.time())

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return self.worker.state_dict()


def start_supernet(job: SupernetJob, data: object, state: Mapping[str, Any] | None, cpus: int) -> Any:
    """Start the actor and return its handle.

    Args:
        job: What to build.
        data: The images, or a reference to them in the object store.
        state: A worker's state to continue from.
        cpus: CPUs it reserves, and its torch threads.
    """
    import ray

    return ray.remote(num_cpus=cpus)(SupernetActor).remote(job, data, state, cpus)
