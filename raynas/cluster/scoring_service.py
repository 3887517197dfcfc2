"""`ScoringService`: scores of architectures by any supernet of a run, measured by all slots at the same time.

A version's weights are put into the object store once, and an actor fetches them once, the first time it needs them:
all actors of a machine read the same memory, and a version that is asked for again moves nothing. An actor whose
process dies is started again, and what it was asked is sent to it again.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from raynas.cluster.resources import Resources
from raynas.cluster.scoring_actor import ScoringActor, Setting
from raynas.spaces import Architecture
from raynas.training.job import SupernetJob
from raynas.training.ledger import Ledger
from raynas.training.scorer import images_an_architecture, shortened
from raynas.training.scoring import Score
from raynas.training.weights import Version, Weights

if TYPE_CHECKING:
    from ray import ObjectRef

    from raynas.data import ImageData

Wanted = tuple[Version, Architecture]

PATIENCE = 60.0
"""Seconds that actors have to come up after the first; a process starts in two to ten."""
RETRIES = 5
"""So often what an actor was asked is sent again, should its process die."""


class ScoringService:
    """The scoring actors of a run.

    Args:
        jobs: The supernets that can be scored with, by label.
        data: The images.
        stored: A reference to them in the object store.
        slots: How many actors.
        resources: What each of them reserves.
        ledger: Where time and images are booked.
    """

    def __init__(
        self,
        jobs: Mapping[str, SupernetJob],
        data: ImageData,
        stored: ObjectRef[ImageData],
        *,
        slots: int,
        resources: Resources,
        ledger: Ledger,
    ) -> None:
        import ray

        self._ledger = ledger
        self._setting = ray.put(Setting(dict(jobs), [stored], resources.cpus))
        self._forms = {
            label: functools.partial(job.parts().sharing.shared_form, job.space) for label, job in jobs.items()
        }
        self._jobs, self._data = dict(jobs), data
        self._weights: dict[Version, ObjectRef[Weights]] = {}
        remote: Any = ray.remote(**resources.options, max_restarts=-1, max_task_retries=RETRIES)(ScoringActor)
        self._actors = [remote.remote() for _ in range(slots)]

    def wait(self) -> None:
        """Return when all actors stand, or some do and the others have had `PATIENCE` seconds more.

        Those are given up: there may be no place for them any more, as their node was taken away, or as Ray has lost
        count of a CPU (seen once with 2.60: all placement groups removed, and the CPU of one still reserved). Scores
        are the same, whoever measures them.
        """
        import ray

        standing = {actor.ready.remote([self._setting]): actor for actor in self._actors}
        ray.wait(list(standing), num_returns=1)
        ready, late = ray.wait(list(standing), num_returns=len(standing), timeout=PATIENCE)
        ray.get(ready)
        for answer in late:
            ray.kill(standing[answer])
        self._actors = [standing[answer] for answer in standing if answer in set(ready)]

    def publish(self, version: Version, state: Mapping[str, Tensor]) -> None:
        """Make a version known; older ones of its supernet are forgotten.

        Args:
            version: Its name.
            state: The supernet's ``state_dict()``.
        """
        import ray

        if version not in self._weights:
            self._weights = {known: ref for known, ref in self._weights.items() if known.label != version.label}
            self._weights[version] = ray.put(Weights.of(state))

    def score(self, version: Version, architectures: Sequence[Architecture]) -> list[Score]:
        """Return the scores that one version gives to architectures, in order."""
        return self.score_all([(version, architecture) for architecture in architectures])

    def score_all(self, wanted: Sequence[Wanted], fidelity: float = 1.0) -> list[Score]:
        """Return the scores of architectures, each by a version of its own, in order.

        What is equal under shared weights is measured once. Every actor gets an equal share of neighbours: they have
        the most in common that need not be computed twice.

        Args:
            wanted: Versions and architectures.
            fidelity: The share of the protocol's images that they are scored on, in (0, 1]; at least two images.

        Raises:
            KeyError: A version was not published.
        """
        import ray

        keys: list[Hashable] = [(version, self._forms[version.label](a)) for version, a in wanted]
        distinct = dict(zip(keys, wanted, strict=True))
        order = sorted(distinct, key=lambda key: (distinct[key][0], distinct[key][1].options))
        waiting = []
        for place in range(len(self._actors)):
            share = order[place * len(order) // len(self._actors) : (place + 1) * len(order) // len(self._actors)]
            for version, keys_of_version in itertools.groupby(share, key=lambda key: distinct[key][0]):
                group = list(keys_of_version)
                answer = self._ask(place, version, [distinct[key][1] for key in group], fidelity)
                waiting.append((version, group, answer))
        scores: dict[Hashable, Score] = {}
        for version, group, answer in waiting:
            found, span, evaluated = ray.get(answer)
            protocol = shortened(self._jobs[version.label].protocol, self._data, fidelity)
            self._ledger.add([span], scored=evaluated * images_an_architecture(protocol, self._data))
            scores.update(zip(group, found, strict=True))
        return [scores[key] for key in keys]

    def close(self) -> None:
        """End the actors."""
        import ray

        for actor in self._actors:
            ray.kill(actor)

    def _ask(self, place: int, version: Version, architectures: Sequence[Architecture], fidelity: float) -> Any:
        """Send one actor architectures of one version."""
        return self._actors[place].score.remote(
            version, architectures, fidelity, [self._weights[version]], [self._setting]
        )
