"""`SupernetActor`: a `SupernetWorker` in a process of its own, with a record to come back from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.cluster.resources import Resources
from raynas.cluster.scoring_actor import Stored
from raynas.cluster.standalone_tasks import train_seeds
from raynas.data import ImageData
from raynas.errors import RunError
from raynas.methods import Landmark
from raynas.spaces import Architecture, Space
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.process import prepare_process
from raynas.training.record import Record
from raynas.training.scoring import Score
from raynas.training.standalone import StandaloneRecipe, StandaloneResult
from raynas.training.worker import PoolLike, RoundReport, SupernetWorker

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 3
"""How often a call is sent again whose actor died: what kills it every time ends the run."""


class SupernetActor:
    """Trains and measures rounds; made remote by `RootSupernet`.

    Args:
        job: What to build and how to train it.
        data: The images.
        resources: What it reserves; as many torch threads as CPUs.
        folder: Where its record is; it goes on from there, also where Ray starts it again.
    """

    def __init__(self, job: SupernetJob, data: ImageData, resources: Resources, folder: Path) -> None:
        prepare_process(resources.cpus)
        self._data, self._resources = data, resources
        self._problem: RunError | None = None
        self._record = Record(folder)
        self._landmarks: dict[str, list[tuple[str, float]]] = {}
        try:
            self.worker = SupernetWorker(job, data)
            if self._record.done:
                state = self._record.state()
                self.worker.load_state_dict(state["worker"])
                self._landmarks = state["landmarks"]
        except RunError as error:  # told by `ready`: of an actor that dies in its constructor only a traceback is heard
            self._problem = error

    def ready(self) -> RunError | None:
        """Return, once the actor stands, what keeps it from working."""
        return self._problem

    def run_round(self, number: int, pool: PoolLike, landmarks: Sequence[Landmark] | None = None) -> RoundReport:
        """Train and measure the how-manieth round, or return the report of one that is done.

        See `SupernetWorker.run_round`.
        """
        kept: RoundReport | None = self._record.step(number)
        if kept is not None:
            return kept
        report = self.worker.run_round(pool, landmarks)
        self._record.keep(number, report, self._state())
        return report

    def keep_landmarks(self, number: int, landmarks: Sequence[Landmark]) -> None:
        """Keep the landmarks there are after a round, with what it cost to find them."""
        self._landmarks[str(number)] = [(one.architecture.text, one.quality) for one in landmarks]
        self._record.keep_state(number, self._state())

    def landmarks_after(self, number: int) -> list[tuple[str, float]] | None:
        """Return the landmarks that were kept after a round, and their qualities; None where none were."""
        return self._landmarks.get(str(number))

    def _state(self) -> dict[str, Any]:
        return {"worker": self.worker.state_dict(), "landmarks": dict(self._landmarks)}

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


@dataclass(frozen=True)
class RootSetting:
    """What a `SupernetActor` is made of, in the object store.

    Args:
        job: What to build.
        data: The images.
        resources: What it reserves.
        folder: The folder of its record.
    """

    job: SupernetJob
    data: Stored[ImageData]
    resources: Resources
    folder: Path


class RestartedSupernet:
    """A `SupernetActor` that Ray can start again: made without arguments, as these may be lost.

    What it is made of comes with every call, as a reference that is followed once.
    """

    def __init__(self) -> None:
        self._actor: SupernetActor | None = None

    def call(self, setting: Stored[RootSetting], method: str, *args: Any) -> Any:
        """Call a method of the `SupernetActor`."""
        if self._actor is None:
            import ray

            (reference,) = setting
            found: RootSetting = ray.get(reference)
            self._actor = SupernetActor(found.job, ray.get(found.data[0]), found.resources, found.folder)
        return getattr(self._actor, method)(*args)


class RootSupernet:
    """The root supernet in a process of its own; if that dies it goes on from its record, and so do calls in flight.

    Args:
        job: What to build.
        data: A reference to the images in the object store.
        resources: What it reserves.
        folder: The folder of its record.
    """

    def __init__(self, job: SupernetJob, data: ObjectRef[ImageData], resources: Resources, folder: Path) -> None:
        import ray

        self._setting = ray.put(RootSetting(job, [data], resources, folder))
        remote: Any = ray.remote(**resources.options, max_restarts=-1, max_task_retries=RETRIES)(RestartedSupernet)
        self._handle = remote.remote()

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the `SupernetActor`; return a reference to its answer."""
        return self._handle.call.remote([self._setting], method, *args)

    def end(self) -> None:
        """End the process."""
        import ray

        ray.kill(self._handle)
