"""`SupernetActor`: a `SupernetWorker` in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raynas.cluster.resources import Resources
from raynas.cluster.standalone_tasks import train_seeds
from raynas.data import ImageData
from raynas.errors import RunError
from raynas.methods import Landmark
from raynas.spaces import Architecture, Space
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.process import prepare_process
from raynas.training.scoring import Score
from raynas.training.standalone import StandaloneRecipe, StandaloneResult
from raynas.training.worker import PoolLike, RoundReport, SupernetWorker


class SupernetActor:
    """Trains and measures rounds; made remote by `start_supernet`.

    Args:
        job: What to build and how to train it.
        data: The images.
        resources: What it reserves; as many torch threads as CPUs.
    """

    def __init__(self, job: SupernetJob, data: ImageData, resources: Resources) -> None:
        prepare_process(resources.cpus)
        self._data, self._resources = data, resources
        self._problem: RunError | None = None
        try:
            self.worker = SupernetWorker(job, data)
        except RunError as error:  # told by `ready`: of an actor that dies in its constructor only a traceback is heard
            self._problem = error

    def ready(self) -> RunError | None:
        """Return, once the actor stands, what keeps it from working."""
        return self._problem

    def run_round(self, pool: PoolLike, landmarks: Sequence[Landmark] | None = None) -> RoundReport:
        """Train and measure one round; see `SupernetWorker.run_round`."""
        return self.worker.run_round(pool, landmarks)

    def score_to_train(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Score architectures between two rounds to decide what is trained; the next round's report counts them."""
        return self.worker.score_to_train(architectures)

    def train_alone(
        self, space: Space, architecture: Architecture, recipe: StandaloneRecipe, seeds: Sequence[int]
    ) -> tuple[list[StandaloneResult], Span]:
        """Train an architecture stand-alone between two rounds: for a Ray that has no room beside this actor."""
        return train_seeds(space, architecture, self._data, recipe, seeds, self._resources)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return self.worker.state_dict()


def start_supernet(job: SupernetJob, data: object, resources: Resources) -> Any:
    """Start the actor and return its handle.

    Args:
        job: What to build.
        data: The images, or a reference to them in the object store.
        resources: What it reserves.
    """
    import ray

    return ray.remote(**resources.options)(SupernetActor).remote(job, data, resources)
