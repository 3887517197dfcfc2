"""What each actor, trial and task of a run reserves: all the same, and said here only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        """Return how many such processes the Ray that is connected to can hold at the same time, at least one."""
        have = _available()
        slots = int(have.get("CPU", 1)) // self.cpus
        if self.gpus:
            slots = min(slots, int(have.get("GPU", 0) / self.gpus))
        return max(1, slots)

    def check_fit(self) -> None:
        """Refuse a Ray that can never hold one such process.

        Raises:
            RunError: It has too few CPUs or GPUs in all.
        """
        have = _available()
        for key, name, wanted in (("CPU", "cpus", self.cpus), ("GPU", "gpus", self.gpus)):
            if wanted > have.get(key, 0):
                raise RunError(
                    f"no trial fits: ray.{name}_per_trial is {wanted:g}, this Ray has {have.get(key, 0):g} {key}s"
                )


def _available() -> dict[str, Any]:
    import ray

    resources: dict[str, Any] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources
