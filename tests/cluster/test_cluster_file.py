"""A cluster file is checked offline: what Ray's schema refuses, and what it lets pass."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import ResourceRequestByCount

from raynas.cluster.cluster_file import read_cluster, unedited
from raynas.cluster.node_types import Fit, NodeType, fits
from raynas.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
HEAD = NodeType("head", 0, 0, 1, is_head=True)
BIG = NodeType("big", 16, 4, 3)
SMALL = NodeType("small", 4, 1, 5)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where `ray up cluster.yaml` is called: its file_mounts start there


def written(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    changed = copy.deepcopy(SHIPPED)
    change(changed)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(changed))
    return path


def problems_of(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> list[str]:
    with pytest.raises(ConfigError) as told:
        read_cluster(written(tmp_path, change))
    return told.value.problems


def test_the_shipped_file_is_sound_and_says_what_waits_to_be_edited() -> None:
    cluster = read_cluster("cluster.yaml")
    assert cluster.node_types == (
        NodeType("head", 0, 0, 1, is_head=True),
        NodeType("gpu_spot", 8, 1, 8),
        NodeType("gpu_on_demand", 8, 1, 0),
    )
    assert len(cluster.warnings) == 4
    assert sum("ImageId" in warning for warning in cluster.warnings) == 3
    assert "file system" in cluster.warnings[-1]


def test_the_shipped_file_pins_the_versions_of_the_lock() -> None:
    lock = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split() if "==" in line)
    commands = "\n".join([*SHIPPED["head_setup_commands"], *SHIPPED["worker_setup_commands"]])
    for pin in (f"torch=={lock['torch']}", f"ray[default]=={lock['ray']}"):
        assert commands.count(pin) == 2


def launched(wanted: int, unavailable: dict[str, float]) -> dict[str, int]:
    """Return what the autoscaler of the installed Ray starts by the shipped file, one on-demand node being allowed."""
    types = {
        name: NodeTypeConfig(
            name=name,
            min_worker_nodes=kind["min_workers"],
            max_worker_nodes={"head": 1, "gpu_spot": kind["max_workers"], "gpu_on_demand": 1}[name],
            priority=kind.get("priority", 0),
            resources=kind["resources"],
            launch_config_hash="any",
        )
        for name, kind in reversed(SHIPPED["available_node_types"].items())
    }
    quarter = ResourceRequestUtil.make({"CPU": 1, "GPU": 0.25})
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=types,
        max_num_nodes=SHIPPED["max_workers"] + 2,
        resource_requests=[ResourceRequestByCount(request=quarter, count=wanted)],
        recoverable_resource_availabilities=unavailable,
    )
    reply = ResourceDemandScheduler(MagicMock()).schedule(request)
    return {launch.instance_type: launch.count for launch in reply.to_launch}


def test_spot_is_preferred_until_it_cannot_be_had() -> None:
    types = SHIPPED["available_node_types"]
    assert types["gpu_spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert launched(0, {}) == {}
    assert launched(1, {}) == {"gpu_spot": 1}
    assert launched(5, {}) == {"gpu_spot": 2}  # four trials share a GPU
    assert launched(4 * 8 + 1, {}) == {"gpu_spot": 8, "gpu_on_demand": 1}
    assert launched(4, {"gpu_spot": 0.0}) == {"gpu_on_demand": 1}


def test_an_edited_line_waits_no_longer() -> None:
    assert unedited("ImageId: ami-0123 # EDIT: yours\n") == []
    assert unedited("ImageId: ami-EDIT # EDIT: yours\n") == ["line 1 (ImageId) still waits for your value: yours"]


BREAKAGES: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda c: c["available_node_types"]["gpu_spot"].update(min_worker=1), "did you mean 'min_workers'"),
    (lambda c: c.update(idle_timeout_minute=3), "did you mean 'idle_timeout_minutes'"),
    (lambda c: c["available_node_types"]["gpu_spot"].pop("node_config"), "gpu_spot.node_config' is missing"),
    (lambda c: c.update(max_workers="many"), "'max_workers': 'many' is not of type 'integer'"),
    (lambda c: c.update(head_node_type="haed"), "head_node_type"),
    (lambda c: c.pop("available_node_types"), "'available_node_types' is missing"),
    (lambda c: c["provider"].update(type="azzure"), "Ray refuses it"),
    (lambda c: c["provider"].pop("region"), "'provider.region' is missing"),
    (lambda c: c["file_mounts"].update(data="no/such/folder"), "there is no 'no/such/folder' here"),
    (
        lambda c: c["available_node_types"]["gpu_spot"]["node_config"].update(InstanceTyp="g5.2xlarge"),
        "gpu_spot.node_config.InstanceTyp': EC2 has no such parameter of an instance, did you mean 'InstanceType'",
    ),
    (
        lambda c: c["available_node_types"]["gpu_spot"]["node_config"]["InstanceMarketOptions"].update(
            Markettype="spot"
        ),
        "InstanceMarketOptions.Markettype': no such key, did you mean 'MarketType'",
    ),
    (
        lambda c: c["available_node_types"]["head"]["node_config"]["BlockDeviceMappings"][0]["Ebs"].update(Size=1),
        "BlockDeviceMappings.0.Ebs.Size': no such key, did you mean 'VolumeSize'",
    ),
    (lambda c: c["available_node_types"]["gpu_spot"]["node_config"].update(MaxCount=3), "Ray sets it itself"),
    (
        lambda c: c["available_node_types"]["gpu_on_demand"].update(min_workers=2, max_workers=1),
        "gpu_on_demand': min_workers is 2 and max_workers is 1",
    ),
    (lambda c: c["available_node_types"]["head"].update(resources={}), 'set resources: {"CPU": 0}'),
    (lambda c: c["available_node_types"]["head"].update(resources={"CPU": 4}), "could be placed on the head"),
    (lambda c: c["available_node_types"]["gpu_spot"].update(resources={}), "CPU and GPU not stated"),
    (lambda c: c["available_node_types"]["gpu_spot"].update(resources={"CPU": 8}), "resources': GPU not stated"),
    (lambda c: c.update(setup_commands=["mkdir /shared"]), "no command of gpu_on_demand, gpu_spot, head mounts any"),
    (
        lambda c: c["available_node_types"]["gpu_spot"].update(worker_setup_commands=["true"]),
        "no command of gpu_spot mounts any",
    ),
]


@pytest.mark.parametrize(("change", "words"), BREAKAGES, ids=[words[:40] for _, words in BREAKAGES])
def test_what_is_wrong_is_told(change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path) -> None:
    problems = problems_of(tmp_path, change)
    assert [problem for problem in problems if words in problem], problems
    assert len(problems) == 1  # and nothing else is found fault with


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    def several(c: dict[str, Any]) -> None:
        c["idle_timeout_minute"] = 3
        c["provider"].pop("region")
        c["available_node_types"]["head"]["resources"] = {"CPU": 4}
        c["available_node_types"]["gpu_spot"]["node_config"]["ImagId"] = "ami-1"

    assert len(problems_of(tmp_path, several)) == 4


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in nested mappings and lists."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


@pytest.mark.parametrize("junk", [None, 5, -1, "text", [], ["x"], {}, {"x": 1}], ids=str)
def test_any_junk_is_a_problem_or_none_but_no_crash(junk: Any, tmp_path: Path) -> None:
    refused = 0
    for path in places(SHIPPED)[1:]:
        if path[0] in ("setup_commands", "head_setup_commands", "worker_setup_commands") and len(path) > 1:
            continue

        def put(c: Any, path: tuple[Any, ...] = path) -> None:
            for key in path[:-1]:
                c = c[key]
            c[path[-1]] = junk

        try:
            read_cluster(written(tmp_path, put))
        except ConfigError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    ("text", "words"), [("a: [", "it is no YAML"), ("", "it holds no keys"), ("- a", "it holds no keys")]
)
def test_files_that_are_no_cluster_file(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_cluster(tmp_path / "c.yaml")


def test_a_missing_file_and_its_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"no cluster file at clusters\.yaml, did you mean 'cluster\.yaml'"):
        read_cluster("clusters.yaml")


@pytest.mark.parametrize(
    ("bundle", "places", "at_once"),
    [
        ({"CPU": 1, "GPU": 0.25}, {"big": 16, "small": 4}, 68),
        ({"CPU": 1, "GPU": 0.4}, {"big": 8, "small": 2}, 34),  # two of 0.4 on one GPU, a rest of 0.2 is of no use
        ({"CPU": 5, "GPU": 1}, {"big": 3}, 9),
        ({"CPU": 1, "GPU": 2}, {"big": 2}, 6),
        ({"CPU": 2}, {"big": 8, "small": 2}, 34),
    ],
)
def test_where_a_bundle_fits(bundle: dict[str, float], places: dict[str, int], at_once: int) -> None:
    found = fits(bundle, [HEAD, BIG, SMALL])
    assert {fit.node_type.name: fit.each for fit in found.fits} == places
    assert found.at_once == at_once
    assert found.reason is None


def test_fewer_nodes_in_all_than_of_each_kind() -> None:
    found = fits({"CPU": 2}, [HEAD, SMALL, BIG], most_nodes=4)
    assert found.fits == (Fit(SMALL, 2), Fit(BIG, 8))
    assert found.at_once == 3 * 8 + 1 * 2


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ({"CPU": 17}, r"17 CPUs fits nowhere: the largest node \(big\) has 16 CPUs"),
        ({"CPU": 1, "GPU": 8}, r"the largest node \(big\) has 4 GPUs"),
        ({"CPU": 1, "GPU": 1.5}, "above one GPU Ray gives whole ones only"),
        ({"CPU": 1, "spot": 1}, r"has 0 spots"),
    ],
)
def test_a_bundle_that_no_node_ever_holds(bundle: dict[str, float], words: str) -> None:
    found = fits(bundle, [HEAD, BIG, SMALL])
    assert found.fits == ()
    assert found.reason is not None
    assert re.search(words, found.reason)


def test_cpus_and_gpus_that_no_node_has_together() -> None:
    found = fits({"CPU": 8, "GPU": 1}, [NodeType("cpus", 64, 0, 2), SMALL])
    assert found.reason == (
        "8 CPUs + 1 GPU fits nowhere: no node has all of it together (cpus has 64 CPUs; small has 4 CPUs + 1 GPU)"
    )
    assert fits({"CPU": 1}, [NodeType("never", 8, 0, 0)]).reason is not None
