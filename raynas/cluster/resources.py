"""What each actor, trial and task of a run reserves: all the same, and said here only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raynas.cluster.node_types import places
from raynas.config import RaySettings
from raynas.errors import RunError


@dataclass(frozen=True)
class Resources:
    """What one process of a run reserves.

    Args:
        cpus: CPUs, and torch threads.
        gpus: GPUs, or a fraction of one; networks are on the GPU if there are any.
    """

    cpus: int
    gpus: float = 0

    @classmethod
    def of(cls, settings: RaySettings) -> Resources:
        """Return what a configuration asks for."""
        return cls(settings.cpus_per_trial, settings.gpus_per_trial)

    @property
    def device(self) -> str:
        """Where networks compute: ``cpu`` or ``cuda``."""
        return "cuda" if self.gpus else "cpu"

    @property
    def options(self) -> dict[str, Any]:
        """Options of a Ray actor or task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}

    @property
    def bundle(self) -> dict[str, float]:
        """Resources of a Tune trial."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def slots(self) -> int:
        """Return how many such processes the nodes of the connected Ray can hold at the same time, at least one."""
        return max(1, sum(self._on(node) for node in _nodes()))

    def check_fit(self, to_come: Sequence[Mapping[str, float]] = ()) -> None:
        """Refuse a Ray of which no node can ever hold one such process.

        Args:
            to_come: What nodes have that an autoscaler can start.

        Raises:
            RunError: With what the largest node has.
        """
        nodes = [*_nodes(), *to_come]
        if any(self._on(node) for node in nodes):
            return
        for key, name, wanted in (("CPU", "cpus", self.cpus), ("GPU", "gpus", self.gpus)):
            most = max((node.get(key, 0) for node in nodes), default=0)
            if wanted > most:
                largest = f"the largest node of this Ray has {most:g} {key}s"
                raise RunError(f"no trial fits: ray.{name}_per_trial is {wanted:g}, {largest}")
        raise RunError(f"no trial fits: no node of this Ray has {self.cpus} CPUs and {self.gpus:g} GPUs together")

    def _on(self, node: Mapping[str, float]) -> int:
        """Return how many fit on a node; a fraction of a GPU lies on one GPU."""
        return places(node, self.bundle)


def _nodes() -> list[dict[str, float]]:
    """Return the resources of each node that is alive."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
