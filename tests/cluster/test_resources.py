"""What each process reserves; Ray believes what it is told of GPUs, so that theirs can be tested without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import ray
import torch

from raynas.cluster.autoscaled import launchable
from raynas.cluster.resources import Resources
from raynas.config import RaySettings
from raynas.errors import RunError

EXAMPLE = Path(__file__).resolve().parents[2] / "experiments" / "quickstart.yaml"


WITH_A_GPU = """
import sys
import ray
import raynas
from raynas.errors import RunError
ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
settings = {"ray.gpus_per_trial": 1, "out": sys.argv[2], "wandb.mode": "disabled"}
try:
    raynas.run(sys.argv[1], **settings)
except RunError as error:
    print(error)
"""


def test_what_ray_is_asked_for() -> None:
    resources = Resources.of(RaySettings(cpus_per_trial=2, gpus_per_trial=0.5))
    assert resources.options == {"num_cpus": 2, "num_gpus": 0.5}
    assert resources.bundle == {"CPU": 2, "GPU": 0.5}
    assert resources.device == "cuda"
    assert Resources(1).bundle == {"CPU": 1}
    assert Resources(1).device == "cpu"


def test_slots_and_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as CPUs and GPUs allow."""
    one_gpu = [{"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: one_gpu)
    assert Resources(1).slots() == 2
    assert Resources(2).slots() == 1
    assert Resources(1, 0.5).slots() == 2
    assert Resources(1, 1).slots() == 1
    Resources(2, 1).check_fit()
    with pytest.raises(RunError, match=r"ray\.gpus_per_trial is 2, the largest node of this Ray has 1 GPUs"):
        Resources(1, 2).check_fit()
    with pytest.raises(RunError, match=r"ray\.cpus_per_trial is 3, the largest node of this Ray has 2 CPUs"):
        Resources(3).check_fit()


@pytest.mark.parametrize(
    ("resources", "nodes", "slots"),
    [
        (Resources(3), [{"CPU": 4.0}] * 3, 3),  # an actor lies on one node
        (Resources(1, 0.4), [{"CPU": 16.0, "GPU": 2.0}], 4),  # and its part of a GPU on one GPU
        (Resources(1, 0.6), [{"CPU": 16.0, "GPU": 2.0}], 2),
        (Resources(1, 0.1), [{"CPU": 16.0, "GPU": 1.0}], 10),
        (Resources(1, 1), [{"CPU": 1.0, "GPU": 4.0}, {"CPU": 64.0}], 1),
        (Resources(1, 2), [{"CPU": 16.0, "GPU": 3.0}, {"CPU": 16.0, "GPU": 1.0}], 1),
    ],
)
def test_slots_of_nodes(
    resources: Resources, nodes: list[dict[str, float]], slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    assert resources.slots() == slots


def test_a_cluster_without_a_worker_yet_is_not_too_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The head of a cluster holds nothing; what its autoscaler can start counts."""
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"node:head": 1.0}}])
    file = tmp_path / "ray_bootstrap_config.yaml"
    assert launchable(file) == []
    cluster = (EXAMPLE.parents[1] / "cluster.yaml").read_text()
    file.write_text(cluster)
    to_come = launchable(file)
    assert to_come == [{"CPU": 8, "GPU": 1}]  # the spot workers; of those on demand there are to be none
    Resources(8, 0.5).check_fit(to_come)
    with pytest.raises(RunError, match=r"ray\.cpus_per_trial is 9, the largest node of this Ray has 8 CPUs"):
        Resources(9).check_fit(to_come)
    with pytest.raises(RunError, match="has 0 CPUs"):
        Resources(8).check_fit()


@pytest.mark.ray
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_run_on_a_gpu_that_torch_cannot_use_is_refused(tmp_path: Path) -> None:
    """The actor says what is wrong; in a process of its own, for this one's Ray has no GPU."""
    command = [sys.executable, "-c", WITH_A_GPU, str(EXAMPLE), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "ray.gpus_per_trial asks for a GPU, but this torch is built for CPUs only" in done.stdout
