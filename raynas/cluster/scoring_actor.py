"""`ScoringActor`: scores architectures of several supernets in one process.

There are as many of these as slots, not as supernets: a run may have more survivors than CPUs, or fewer.
"""

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
from raynas.training.worker import SupernetWorker


class ScoringActor:
    """Holds trained supernets and scores architectures with them; made remote by `start_scorers`.

    Args:
        jobs: The supernets' jobs, by label.
        states: Their workers' states, by label.
        data: The images.
        threads: Torch threads.
    """

    def __init__(
        self, jobs: Mapping[str, SupernetJob], states: Mapping[str, Mapping[str, Any]], data: ImageData, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        self._workers = {label: SupernetWorker(job, data) for label, job in jobs.items()}
        for label, state in states.items():
            self._workers[label].load_state_dict(state)

    def ready(self) -> bool:
        """Return once the actor stands."""
        return True

    def score(self, label: str, architectures: Sequence[Architecture]) -> tuple[list[Score], int, Span]:
        """Return one supernet's scores, the images they took, and when."""
        start, worker = time.time(), self._workers[label]
        before = worker.images_scored
        scores = worker.score(architectures)
        return scores, worker.images_scored - before, Span("score", start, time.time())


def start_scorers(
    jobs: Mapping[str, SupernetJob],
    states: Mapping[str, Mapping[str, Any]],
    data: object,
    *,
    slots: int,
    cpus: int,
) -> dict[str, list[Any]]:
    """Start the actors, dealing the supernets out to them, and return each supernet's actor handles by label.

    With more slots than supernets, several actors hold the same one.
    """
    import ray

    labels = list(states)
    remote: Any = ray.remote(num_cpus=cpus)(ScoringActor)
    handles: dict[str, list[Any]] = {label: [] for label in labels}
    actors = []
    for slot in range(slots):
        mine = labels[slot::slots] or [labels[slot % len(labels)]]
        actor = remote.remote(
            {label: jobs[label] for label in mine}, {label: states[label] for label in mine}, data, cpus
        )
        actors.append(actor)
        for label in mine:
            handles[label].append(actor)
    ray.get([actor.ready.remote() for actor in actors])
    return handles
