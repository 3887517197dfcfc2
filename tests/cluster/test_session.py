"""Connecting to Ray: what cannot work is told before anything is made."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch

import raynas
from raynas.cluster import session
from raynas.cluster.session import ray_session
from raynas.config import RaySettings
from raynas.errors import RunError
from tests.cluster.test_run import TINY


def test_no_ray_at_the_address_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody_there(**keys: Any) -> None:
        raise ConnectionError(f"nobody at {keys['address']}")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nobody_there)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"cannot connect to a Ray at ray\.address=1\.2\.3\.4:6379: nobody"):
        raynas.run({**TINY, "ray": {"address": "1.2.3.4:6379"}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ray
def test_a_ray_too_small_for_a_trial(local_ray: None) -> None:
    with (
        pytest.raises(RunError, match="cpus_per_trial is 64, this Ray has 2 CPUs"),
        ray_session(RaySettings(cpus_per_trial=64)),
    ):
        pass
    assert ray.is_initialized()


@pytest.mark.parametrize(("wanted", "held", "megabytes"), [(None, 1, 200), (None, 150, 300), (120, 150, 120)])
def test_the_object_store_holds_the_data_twice(
    wanted: int | None, held: int, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SimpleNamespace()
    images: Any = SimpleNamespace(
        train=SimpleNamespace(images=torch.empty(held * 2**20, dtype=torch.uint8)), valid=nothing, test=nothing
    )
    asked: dict[str, Any] = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **keys: asked.update(keys))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(session, "cluster_cpus", lambda: 2)
    with session.ray_session(RaySettings(object_store_mb=wanted), images):
        pass
    assert asked["object_store_memory"] == megabytes * 2**20
