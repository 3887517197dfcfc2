"""Sweeps on clusters of several nodes: all of them train, one may die, and an autoscaler adds and ends them.

Each cluster is in processes of its own, beside the tests' one Ray, and all of them are ended, however a test ends.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

import raynas
from tests.cluster.killing import without_times

pytestmark = pytest.mark.ray

SMALL: dict[str, Any] = {
    "space": {"name": "nasbench201", "connected": True},
    "network": {"channels": 2, "cells": 1},
    "data": "digits",
    "truth": "digits201",
    "method": {"regularizer": {"name": "landmark", "count": 6, "warmup": 0.2}},
    "train": {"batch_size": 64, "round_images": 7680, "root_rounds": 4, "heldout": 0.4},
    "score": {"images": 32, "architectures": 30},
    "search": {"pool": {"capacity": 10, "candidates": 2, "rescore": 0}},
    "sweep": {
        "keys": {"method.regularizer.coefficient": [1, 10, 100, 1000]},
        "seeds": [0],
        "stop": {"name": "halving", "grace": 3, "reduction": 2},
    },
    "wandb": {"mode": "disabled"},
}
STEPS = {"t000": 3, "t001": 3, "t002": 3, "t003": 3}
"""Steps that every setting makes before the weaker half is stopped: they take longer than a node's process to start."""

THREE_NODES = """
import json
import sys
import ray
from ray.cluster_utils import Cluster
import raynas
from raynas.cluster.sweep import SweepLaunch

told, take_in = [], SweepLaunch.report


def report(launch, config, report):
    told.append((report.name, report.step, report.again, report.spans[-1].node))
    take_in(launch, config, report)
    if victims:
        first = told[0][3]
        if first != told[-1][3]:  # the first trial is in its second step meanwhile
            victims.pop()
            killed.append(first)
            cluster.remove_node(next(node for node in workers if node.node_id == first), allow_graceful=False)


SweepLaunch.report = report
config, outs = json.loads(sys.argv[1]), sys.argv[2:]
noticed_soon = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
    "health_check_timeout_ms": 1000,
}
head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 * 2**20, "_system_config": noticed_soon}
cluster = Cluster(initialize_head=True, head_node_args=head)
try:
    workers = [cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20) for _ in range(3)]
    cluster.wait_for_nodes()
    found = {"workers": [node.node_id for node in workers], "told": []}
    for out, victims in zip(outs, ([], [1])):
        killed = []
        told.clear()
        raynas.sweep({**config, "ray": {"address": cluster.address}, "out": out})
        found["told"].append(list(told))
    print(json.dumps({**found, "killed": killed}))
finally:
    ray.shutdown()
    cluster.shutdown()
"""

FROM_ZERO = """
import json
import sys
import time
import ray
import raynas
from raynas.cluster.sweep import SweepLaunch


def no_gpu_is_there():
    import torch
    from raynas.cluster.resources import Resources

    Resources.device = property(lambda self: "cpu")


def workers():
    return [one["NodeID"] for one in ray.nodes() if one["Alive"] and one["Resources"].get("GPU")]


def alive():
    return sum(one["Alive"] for one in ray.nodes())


def report(launch, config, report):
    there.append(len(workers()))
    take_in(launch, config, report)


config, address = json.loads(sys.argv[1]), sys.argv[2]
no_gpu_is_there()
ray.init(address=address, namespace="raynas", log_to_driver=False,
         runtime_env={"worker_process_setup_hook": no_gpu_is_there})
there, take_in, before = [], SweepLaunch.report, alive()
SweepLaunch.report = report
raynas.sweep(config)
ends = time.monotonic() + 120
while workers() and time.monotonic() < ends:
    time.sleep(0.5)
print(json.dumps({"before": before, "there": there, "after": workers(), "alive": alive()}))
"""


@contextmanager
def ended_in_the_end(command: list[str], **keys: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end of the block, with all that it started and is still there."""
    import psutil  # Ray's own copy, which `import ray` makes known

    process = subprocess.Popen(command, text=True, start_new_session=True, **keys)
    try:
        yield process
    finally:
        mine = [] if process.poll() is not None else [psutil.Process(process.pid)]
        for one in [each for parent in mine for each in (parent, *parent.children(recursive=True))]:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait()


def said_by(program: str, *arguments: str, seconds: float = 300, env: dict[str, str] | None = None) -> Any:
    """Run a program, and return the JSON of its last line."""
    command = [sys.executable, "-c", program, *arguments]
    keys = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": env}
    with ended_in_the_end(command, **keys) as process:
        said, complaints = process.communicate(timeout=seconds)
    assert process.returncode == 0, complaints
    return json.loads(said.splitlines()[-1])


@pytest.fixture(scope="module")
def on_one_node(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the sweep on a local Ray."""
    return raynas.sweep({**SMALL, "out": str(tmp_path_factory.mktemp("sweeps") / "one")}).path


def same(one: Path, other: Path) -> None:
    """Compare what two sweeps found."""
    first, second = raynas.load_sweep(one), raynas.load_sweep(other)
    assert without_times(first.folder.metrics) == without_times(second.folder.metrics)
    assert first.settings == second.settings
    assert first.summary == second.summary


def test_three_nodes_of_which_one_dies(on_one_node: Path, tmp_path: Path) -> None:
    """Each trains, and what comes out is what one node gives; also where one is killed while it trains.

    A node's death costs the step that its trial was in: no step that was reported is made again.
    """
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    found = said_by(THREE_NODES, json.dumps(SMALL), str(whole), str(broken))
    same(on_one_node, whole)
    same(on_one_node, broken)
    told, after_death = found["told"]
    assert {node for *_, node in told} == set(found["workers"])
    assert set(raynas.load_sweep(whole).ledger["node_seconds"]) == set(found["workers"])
    (dead,) = found["killed"]
    assert dead in found["workers"]
    for reports in (told, after_death):
        made = [(name, step) for name, step, again, _ in reports if not again]
        assert len(made) == len(set(made))
        assert set(made) >= {(name, step) for name, last in STEPS.items() for step in range(1, last + 1)}
    assert len({node for *_, node in after_death} - {dead}) == 2


@contextmanager
def sleeping_cluster(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A head that runs nothing, and an autoscaler that can start two nodes with a GPU; its address and environment.

    It is started as `ray up` starts a head, with its cluster file in the home folder, and Ray's provider for tests:
    nodes are raylets on this machine. (`ray.cluster_utils.AutoscalingCluster` would end every Ray there is.)
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    provider = {
        "type": "fake_multinode",
        "gcs_address": address,
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    }
    store = 100 * 2**20
    steps = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    file = {
        **{f"{step}_commands": [] for step in steps},  # what `ray up` fills in
        "file_mounts": {},
        "cluster_synced_files": [],
        "auth": {},
        "upscaling_speed": 1.0,
        "cluster_name": "sleeping",
        "max_workers": 2,
        "idle_timeout_minutes": 0.1,
        "provider": provider,
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {
                "resources": {"CPU": 1, "GPU": 1, "object_store_memory": store},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
    }
    (home / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(file))
    env = {
        **os.environ,
        "HOME": str(home),
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    temporary = tempfile.mkdtemp(prefix="ray-")  # short: the names of Ray's sockets begin with it
    start = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        f"--port={port}",
        "--num-cpus=0",
    ]
    start += [f"--object-store-memory={store}", "--include-dashboard=false", f"--temp-dir={temporary}"]
    start += ["--autoscaling-config=~/ray_bootstrap_config.yaml"]
    log = (home / "head.log").open("w")
    try:
        with log, ended_in_the_end(start, env=env, stdout=log, stderr=subprocess.STDOUT) as head:
            ends = time.monotonic() + 120
            while "Ray runtime started" not in (home / "head.log").read_text():
                assert head.poll() is None, (home / "head.log").read_text()
                assert time.monotonic() < ends, "the head did not start"
                time.sleep(0.2)
            yield address, env
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def test_gpu_nodes_come_from_zero_and_go(on_one_node: Path, tmp_path: Path) -> None:
    """Trials that ask for a GPU wake a cluster without a worker, and it falls asleep again after them.

    Ray believes what it is told of GPUs, torch does not: `Resources.device`, where networks compute, is the one thing
    that is replaced, in the driver and (by Ray's hook for new worker processes) in the trials.
    """
    home, out = tmp_path / "home", tmp_path / "sweep"
    home.mkdir()
    with sleeping_cluster(home) as (address, env):
        config = {**SMALL, "ray": {"address": address, "gpus_per_trial": 1}, "out": str(out)}
        found = said_by(FROM_ZERO, json.dumps(config), address, env=env)
    assert found["before"] == 1
    assert set(found["there"]) <= {1, 2}
    assert (found["after"], found["alive"]) == ([], 1)
    same(on_one_node, out)
    ledger = raynas.load_sweep(out).ledger
    assert ledger["node_seconds"]
    assert ledger["slots"] >= max(found["there"])
