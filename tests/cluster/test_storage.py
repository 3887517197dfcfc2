"""A run folder that some node cannot see is refused at once, and not when the first trial is saved there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

import raynas
from raynas.cluster import storage
from raynas.cluster.storage import Node, read, refuse_private_storage, refuse_url
from raynas.config import load_config
from raynas.errors import RunError
from tests.cluster.test_run import TINY

TWO_NODES = """
import json
import sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from raynas.cluster.storage import read, refuse_private_storage
from raynas.errors import RunError

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=0)  # its processes are asked without a CPU to reserve
cluster.wait_for_nodes()
ray.init(address=cluster.address, log_to_driver=False)
blind, asked = second.node_id, Path(sys.argv[2])


def node():
    return ray.get_runtime_context().get_node_id()


def noting(path, patience):
    (asked / node()).touch()
    return read(path, patience)


def not_on_the_second(path, patience):
    return read(path if node() != blind else Path("/nowhere/at/all"), patience)


def failing(path, patience):
    raise ModuleNotFoundError("No module named 'raynas'")


folder = Path(sys.argv[1])
refuse_private_storage(folder, noting)
told = None
try:
    refuse_private_storage(folder, not_on_the_second, patience=0.0)
except RunError as error:
    told = str(error)
broken = None
try:
    refuse_private_storage(folder, failing)
except RunError as error:
    broken = str(error)
alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
print(json.dumps({"told": told, "broken": broken, "alive": alive, "left": [path.name for path in folder.iterdir()]}))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.ray
def test_two_nodes(tmp_path: Path) -> None:
    """Both are asked; one that does not see the file is told. In a process of its own, beside the tests' one Ray."""
    folder, asked = tmp_path / "run", tmp_path / "asked"
    folder.mkdir()
    asked.mkdir()
    command = [sys.executable, "-c", TWO_NODES, str(folder), str(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["alive"]) == 2
    assert sorted(path.name for path in asked.iterdir()) == sorted(found["alive"])
    assert f"the run folder {folder} is not on storage that all nodes share: 1 of 2 nodes" in found["told"]
    assert "give out= on storage that all nodes mount" in found["told"]
    assert "could not be asked whether it sees" in found["broken"]
    assert "No module named 'raynas'" in found["broken"]
    assert found["left"] == []


@pytest.mark.ray
def test_one_node_is_not_asked(local_ray: None, tmp_path: Path) -> None:
    def never(path: Path, patience: float) -> str | None:
        raise AssertionError("it was asked")

    refuse_private_storage(tmp_path, never)
    assert list(tmp_path.iterdir()) == []


def test_the_nodes_that_do_not_see_it_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nodes = [Node("a", "10.0.0.1"), Node("b", "10.0.0.2"), Node("c", "10.0.0.3")]
    monkeypatch.setattr(storage, "_alive", lambda: nodes)
    monkeypatch.setattr(storage, "_ask", lambda nodes, token, *_: [token.read_text(), None, "of another run"])
    with pytest.raises(RunError, match=r"2 of 3 nodes do not see what is written there \(10\.0\.0\.2, 10\.0\.0\.3\)"):
        refuse_private_storage(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(storage, "_ask", lambda nodes, token, *_: [token.read_text()] * 3)
    refuse_private_storage(tmp_path)


def test_a_refused_folder_is_taken_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        assert (folder / "config.yaml").is_file()
        raise RunError("private")

    monkeypatch.setattr(storage, "refuse_private_storage", refuse)
    with pytest.raises(RunError, match="private"):
        storage.create_shared_folder(load_config({**TINY, "out": str(tmp_path / "run")}), "run")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_comes_late(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, now = tmp_path / "token", [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 3:
            path.write_text("here")

    monkeypatch.setattr(storage, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    assert read(path, 2.0) is None
    assert read(path, 5.0) == "here"


@pytest.mark.parametrize("out", ["s3://bucket/run", "gs://bucket/run", "file:///tmp/run"])
def test_a_url_is_refused_before_anything_is_done(out: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(**keys: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", never)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"is a URL.*mount the storage"):
        raynas.run({**TINY, "out": out})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [None, "runs/x", "/shared/x", "a:b"])
def test_paths_are_not_urls(out: str | None) -> None:
    refuse_url(out)
