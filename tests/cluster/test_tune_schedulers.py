"""Ray Tune's own schedulers on partitions: whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import raynas
from raynas.training.checkpoint import load_state
from tests.cluster.test_evolution_run import CONFIG

pytestmark = pytest.mark.ray

BUDGET = 15
OPTIONS: dict[str, dict[str, Any]] = {
    "asha": {"reduction": 2.0},
    "hyperband": {},
    "median": {"least": 1},
    "pbt": {"every": 1, "quantile": 0.5, "resample": 1.0},
    "pb2": {"every": 1, "quantile": 0.5},
}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_run_keeps_its_budget_and_comes_to_its_end(name: str, local_ray: None, tmp_path: Path) -> None:
    train = {**CONFIG["train"], "partition_rounds": BUDGET}
    scheduler = {"name": name, **OPTIONS[name]}
    run = raynas.run({**CONFIG, "train": train, "scheduler": scheduler, "out": str(tmp_path / name)})
    rounds = {part["label"]: part["rounds"] for part in run.partitions}
    reports = run.metrics[run.metrics["trial"] != "root"]
    assert len(reports) == sum(rounds.values()) <= BUDGET
    assert not reports.duplicated(["trial", "round"]).any()
    assert (run.path / "report.html").exists()
    survivors = run.summary["survivors"]
    assert survivors
    assert set(run.searched["scorer"]) <= set(survivors)
    for label, count in rounds.items():
        assert count > 0
        if label in survivors:
            state = load_state(run.folder.checkpoint(label))
            assert (state["label"], state["round"]) == (label, count)
    if name in ("pbt", "pb2"):
        check_copies(run)
    else:
        assert len(rounds) == 5


def check_copies(run: raynas.Run) -> None:
    copies = [part for part in run.partitions if "~" in part["label"]]
    assert len(run.partitions) - len(copies) == 5
    assert len(run.summary["survivors"]) == 5
    for part in copies:
        assert part["label"].partition("~")[0] == part["parent"].partition("~")[0]
        assert run.space_of(part["label"]).label == run.space_of(part["parent"]).label
        mine = run.metrics[run.metrics["trial"] == part["label"]]
        assert mine["kendall_tau_inherited"].notna().all()
        assert (mine["lr_factor"] > 0).all()
    assert copies
