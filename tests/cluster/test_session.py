"""Connecting to Ray: what cannot work is told before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

import raynas
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
