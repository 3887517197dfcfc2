"""Shared fixtures; tests that start Ray run last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks; threads that wait for each other take many times longer
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["WANDB_MODE"] = "offline"

SHARED = Path(os.environ.get("RAYNAS_SHARED", Path(__file__).resolve().parents[1] / ".." / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)


def shared_file(name: str) -> Path:
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"needs the real data file {name}; set RAYNAS_SHARED to the folder that holds data/{name}")
    return path


@pytest.fixture(scope="session")
def nasbench201_table() -> dict[str, np.ndarray]:
    """The real NAS-Bench-201 table, by column."""
    with np.load(shared_file("nasbench201/nasbench201.npz"), allow_pickle=False) as stored:
        return {name: stored[name] for name in ("arch", "iso_class", "params_cifar10", "macs_conv_cifar10_M")}


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One local Ray for all tests that need one."""
    from raynas.cluster.session import ray_session
    from raynas.config import RaySettings

    with ray_session(RaySettings(cpus=2, object_store_mb=100)):
        yield
