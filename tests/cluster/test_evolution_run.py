"""`evolution` on Ray: children are born and inherit, processes die, slots are few; against the same driven by hand."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import ray

import raynas
from raynas.cluster.plan import Plan, make_plan
from raynas.config import load_config
from raynas.search import Birth, CandidatePool, PartitionTree
from raynas.streams import stream
from raynas.tracking.jsonl import finite
from raynas.training.worker import SupernetWorker
from tests.cluster.test_run import TINY, without_times

pytestmark = pytest.mark.ray

CONFIG: dict[str, Any] = {
    **TINY,
    "train": {**TINY["train"], "round_images": 128, "partition_rounds": 15},
    "score": {"images": 64, "architectures": 20},
    "scheduler": {"name": "evolution", "every": 1, "confidence": 0.5},
    # few enough to be scored by one actor: in a test there is only one slot
    "search": {"name": "random", "budget": 7, "pool": {"capacity": 20, "candidates": 6}, "verify": {"top": 0}},
    "wandb": {"mode": "disabled"},
}


@pytest.fixture(scope="module")
def evolved(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> raynas.Run:
    return raynas.run({**CONFIG, "out": str(tmp_path_factory.mktemp("runs") / "evolved")})


@pytest.fixture(scope="module")
def by_hand() -> tuple[Plan, list[dict[str, Any]], list[Birth]]:
    """The grown plan, all reports turn by turn, and who was born, where one worker after another does it all."""
    plan = make_plan(load_config(CONFIG))
    pool, reports = CandidatePool(20), []
    born: list[Birth] = []
    root = SupernetWorker(plan.root, plan.data)
    report = root.run_round(pool)
    pool.commit({"root": report.entries})
    reports.append(report.metrics)
    trainer = root.state_dict()["trainer"]
    workers = {
        label: SupernetWorker(job, plan.data, trainer["supernet"], trainer["parts"]) for label, job in plan.jobs.items()
    }
    rule, tree, halves = plan.rule, PartitionTree(plan.partitions), stream(plan.config.seed, "breed", 1)
    assert rule is not None
    rule.seeded(stream(plan.config.seed, "scheduler", 1))
    rule.breed = lambda parent, keep: tree.breed(parent, keep, halves)
    turn = rule.first()
    while turn.train:
        for birth in turn.born:
            plan = plan.with_child(birth, tree.spaces[birth.child], rule.rounds[birth.child])
            parent = workers[birth.parent].state_dict()
            workers[birth.child] = SupernetWorker.child(plan.jobs[birth.child], plan.data, parent)
        done = {label: workers[label].run_round(pool) for label in turn.train}
        pool.commit({label: report.entries for label, report in done.items()})
        reports += [report.metrics for report in done.values()]
        born += turn.born
        turn = rule.next({label: report.standing for label, report in done.items()})
    return plan, reports, born


ByHand = tuple[Plan, list[dict[str, Any]], list[Birth]]


def test_a_run_is_what_the_same_workers_give_one_after_another(evolved: raynas.Run, by_hand: ByHand) -> None:
    plan, reports, born = by_hand
    assert len(born) == 2
    told = without_times(evolved.folder.metrics)
    assert len(told) == len(reports) == 1 + 15
    for ours, row in zip(told, reports, strict=True):
        assert ours == {key: value for key, value in finite(row).items() if not key.startswith("seconds")}
    first = {row["trial"]: row for row in told if row["round"] == 1}
    assert [first[birth.child]["kendall_tau_inherited"] is not None for birth in born] == [True, True]
    assert [plan.jobs[birth.child].rounds_before for birth in born] == [1, 2]
    assert {part["label"]: part["parent"] for part in evolved.partitions} == plan.parents


def test_what_became_of_whom(evolved: raynas.Run, by_hand: ByHand) -> None:
    survivors, replaced = evolved.summary["survivors"], {birth.place for birth in by_hand[2]}
    assert len(survivors) == 5
    assert evolved.summary["split"] == []  # a parent goes on beside its child
    assert {part["label"] for part in evolved.partitions if not part["survived"]} == replaced
    for part in evolved.partitions:
        assert evolved.folder.checkpoint(part["label"]).is_file()  # the last of those replaced, too
        assert evolved.space_of(part["label"]).label == part["label"]
    assert not (evolved.folder.checkpoints / "inherited").exists()
    spaces = [(label, evolved.space_of(label)) for label in reversed(survivors)]
    for row in evolved.searched.itertuples():
        architecture = evolved.space.parse(str(row.architecture))
        assert row.scorer == next(label for label, space in spaces if architecture in space)


class SlotTaken:
    """Holds a CPU of Ray."""

    def ready(self) -> bool:
        return True


def test_one_slot_gives_what_two_give(evolved: raynas.Run, tmp_path: Path) -> None:
    """Every partition is paused after every round then, and continued in the process of another."""
    blocker = ray.remote(num_cpus=1)(SlotTaken).remote()
    ray.get(blocker.ready.remote())
    try:
        again = raynas.run({**CONFIG, "out": str(tmp_path / "one")})
    finally:
        ray.kill(blocker)
    assert without_times(again.folder.metrics) == without_times(evolved.folder.metrics)
    assert again.pool.equals(evolved.pool)
    assert again.searched.equals(evolved.searched)
    assert again.partitions == evolved.partitions


def test_a_killed_trial_changes_nothing(evolved: raynas.Run, tmp_path: Path) -> None:
    killed: list[int] = []
    out = tmp_path / "killed"

    def kill_when_a_child_is_there() -> None:
        for _ in range(6_000):
            if any((out / "checkpoints" / "inherited").glob("*")):
                break
            time.sleep(0.01)
        for _ in range(3_000):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    title = (process / "cmdline").read_bytes()
                except OSError:
                    continue
                # of all actors only a Tune trial has train(); a supernet's has train_alone()
                if title.startswith(b"ray::") and b".train" in title and b".train_alone" not in title:
                    os.kill(int(process.name), signal.SIGKILL)
                    killed.append(int(process.name))
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_when_a_child_is_there)
    killer.start()
    again = raynas.run({**CONFIG, "out": str(out)})
    killer.join()
    assert len(killed) == 1
    assert without_times(again.folder.metrics) == without_times(evolved.folder.metrics)
    assert again.searched.equals(evolved.searched)
