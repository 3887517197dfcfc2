"""GreedyNAS on Ray, its pool in an actor, against the same supernets driven one after another with a pool at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import raynas
from raynas.cluster.plan import make_plan
from raynas.config import load_config
from raynas.search import CandidatePool
from raynas.tracking.jsonl import finite
from raynas.training.worker import SupernetWorker
from tests.cluster.test_run import TINY, without_times

pytestmark = pytest.mark.ray

SAMPLER = {"name": "greedy", "m": 4, "k": 2, "images": 40, "epsilon_start": 0.5, "max_age": 300}
CONFIG: dict[str, Any] = {
    **TINY,
    "method": {**TINY["method"], "sampler": SAMPLER},
    "train": {**TINY["train"], "batch_size": 32, "root_rounds": 2, "partition_rounds": 10},
    "scheduler": "uniform",
    "search": {"name": "random", "budget": 8, "pool": {"capacity": 20, "candidates": 4}, "verify": {"top": 0}},
    "wandb": {"mode": "disabled"},
}


def by_hand() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all reports and the pool's rows: the root's rounds, then two turns of all partitions."""
    plan = make_plan(load_config(CONFIG))
    pool = CandidatePool(20)
    reports = []
    root = SupernetWorker(plan.root, plan.data)
    for _ in range(2):
        report = root.run_round(pool)
        pool.commit({"root": report.entries})
        reports.append(report.metrics)
    parts = {label: SupernetWorker(job, plan.data, root.supernet.state_dict()) for label, job in plan.jobs.items()}
    for _ in range(2):
        turn = {label: worker.run_round(pool) for label, worker in parts.items()}
        pool.commit({label: report.entries for label, report in turn.items()})
        reports += [report.metrics for report in turn.values()]
    return reports, pool.rows()


def test_the_pool_in_an_actor_gives_what_a_pool_at_hand_gives(local_ray: None, tmp_path: Path) -> None:
    done = raynas.run({**CONFIG, "out": str(tmp_path / "greedy")})
    reports, rows = by_hand()
    told = {(row["trial"], row["round"]): row for row in without_times(done.folder.metrics)}
    assert len(told) == len(reports) == 2 + 2 * 5
    for row in reports:
        ours = told[row["trial"], row["round"]]
        assert ours == {key: value for key, value in finite(row).items() if not key.startswith("seconds")}
        assert ours["greedy_pool"] > 0
    assert done.pool.to_dict("records") == rows
    protocols = done.pool.groupby("protocol")["score"]
    assert sorted(protocols.groups) == ["loss/batch/float32", "loss/batch/float32/40 held out"]
    assert protocols.size().tolist() == [20, 20]
    assert all(scores.is_monotonic_decreasing for _, scores in protocols)
    assert done.summary["pool"]["entries"] == 40
