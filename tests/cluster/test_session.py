"""Connecting to Ray: what cannot work is told before anything is made."""

from __future__ import annotations

import subprocess
import sys
import threading
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
from raynas.errors import ConfigError, RunError
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
        pytest.raises(RunError, match="cpus_per_trial is 64, the largest node of this Ray has 2 CPUs"),
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
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2}}])
    with session.ray_session(RaySettings(object_store_mb=wanted), images):
        pass
    assert asked["object_store_memory"] == megabytes * 2**20


@pytest.mark.parametrize("starts", [True, False])
def test_an_error_in_the_meantime_is_told_and_the_start_undone(starts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def init(**keys: Any) -> None:
        begun.set()
        go_on.wait(30)
        done.append("started" if starts else "failed")
        if not starts:
            raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: done.append("stopped"))
    settings = RaySettings() if starts else RaySettings(address="1.2.3.4:6379")
    with pytest.raises(ConfigError, match="a problem"), session.ray_starting(settings):  # noqa: PT012
        assert begun.wait(30)
        go_on.set()
        raise ConfigError(["a problem"])
    assert done == (["started", "stopped"] if starts else ["failed"])


@pytest.mark.ray
def test_a_problem_found_while_ray_starts_leaves_nothing_running(tmp_path: Path) -> None:
    config = tmp_path / "depth.yaml"
    config.write_text("{space: depth_v2, data: digits, search: {verify: {top: 0}}}")
    code = (
        "import subprocess, sys, raynas, ray\n"
        "try:\n    raynas.run(sys.argv[1])\n"
        "except raynas.errors.ConfigError as error:\n    print(error)\n"
        "children = subprocess.run(['ps', '--ppid', str(__import__('os').getpid()), '-o', 'comm='],"
        " capture_output=True, text=True).stdout.split()\n"
        "print(ray.is_initialized(), [name for name in children if name != 'ps'])"
    )
    command = [sys.executable, "-c", code, str(config)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    *told, left = done.stdout.splitlines()
    assert "'space': depth_v2 cannot be built for images (1, 8, 8)" in " ".join(told)
    assert left == "False []"
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["depth.yaml"]
