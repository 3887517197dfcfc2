"""`SupernetActor`: a `SupernetWorker` in a process of its own."""

from __future__ import annotations

from typing import Any

from raynas.cluster.resources import Resources
from raynas.data import ImageData
from raynas.errors import RunError
from raynas.training.job import SupernetJob
from raynas.training.process import prepare_process
from raynas.training.worker import PoolLike, RoundReport, SupernetWorker


class SupernetActor:
    """Trains and measures rounds; made remote by `start_supernet`.

    Args:
        job: What to build and how to train it.
        data: The images.
        threads: Torch threads.
    """

    def __init__(self, job: SupernetJob, data: ImageData, threads: int) -> None:
        prepare_process(threads)
        self._problem: RunError | None = None
        try:
            self.worker = SupernetWorker(job, data)
        except RunError as error:  # told by `ready`: of an actor that dies in its constructor only a traceback is heard
            self._problem = error

    def ready(self) -> RunError | None:
        """Return, once the actor stands, what keeps it from working."""
        return self._problem

    def run_round(self, pool: PoolLike) -> RoundReport:
        """Train and measure one round."""
        return self.worker.run_round(pool)

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

    return ray.remote(**resources.options)(SupernetActor).remote(job, data, resources.cpus)
