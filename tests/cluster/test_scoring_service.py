"""Scores on Ray: the same as anywhere else, with weights that are put once and copied never."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from raynas.cluster import scoring_service
from raynas.cluster.plan import Plan, make_plan
from raynas.cluster.resources import Resources
from raynas.cluster.scoring_actor import ScoringActor
from raynas.cluster.scoring_service import ScoringService
from raynas.config import load_config
from raynas.training.ledger import Ledger
from raynas.training.scoring import score_architectures
from raynas.training.weights import Version, Weights
from raynas.training.worker import SupernetWorker
from tests.cluster.test_run import TINY

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(load_config(TINY))


@pytest.fixture(scope="module")
def workers(plan: Plan) -> dict[str, SupernetWorker]:
    """Two supernets whose weights have moved from where they began."""
    labels = ["root", next(iter(plan.jobs))]
    found = {label: SupernetWorker(plan.supernets[label], plan.data) for label in labels}
    for worker in found.values():
        worker.trainer.train(2)
    return found


def state(worker: SupernetWorker) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = worker.trainer.state_dict()["supernet"]
    return found


def start(plan: Plan, ledger: Ledger | None = None, slots: int = 2) -> ScoringService:
    return ScoringService(
        plan.supernets, plan.data, ray.put(plan.data), slots=slots, resources=Resources(1), ledger=ledger or Ledger()
    )


class Counted:
    """Counts what is put into the object store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.puts = 0
        put = ray.put

        def counting(value: Any) -> Any:
            self.puts += 1
            return put(value)

        monkeypatch.setattr(ray, "put", counting)


def test_scores_are_those_of_a_worker_bit_for_bit(
    local_ray: None, plan: Plan, workers: dict[str, SupernetWorker]
) -> None:
    ledger = Ledger()
    service = start(plan, ledger)
    rng = np.random.default_rng(0)
    wanted, expected = [], []
    for label, worker in workers.items():
        version = Version(label, 128)
        service.publish(version, state(worker))
        drawn = [worker.job.space.sample(rng) for _ in range(9)]
        wanted += [(version, architecture) for architecture in drawn]
        expected += worker.score(drawn)
    order = rng.permutation(len(wanted))
    assert service.score_all([wanted[i] for i in order]) == [expected[i] for i in order]
    assert service.score(wanted[0][0], []) == []
    assert ledger.images_scored == sum(worker.images_scored for worker in workers.values())
    service.close()


def test_who_finds_no_place_is_not_waited_for(
    local_ray: None, plan: Plan, workers: dict[str, SupernetWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_service, "PATIENCE", 1.0)

    class Guest:
        def stays(self) -> bool:
            return True

    guest: Any = ray.remote(num_cpus=1)(Guest).remote()
    assert ray.get(guest.stays.remote())
    service = start(plan, slots=2)
    service.wait()  # of two CPUs one is taken, for good
    worker, version = workers["root"], Version("root", 128)
    service.publish(version, state(worker))
    drawn = [worker.job.space.sample(np.random.default_rng(5)) for _ in range(9)]
    assert service.score(version, drawn) == score_architectures(
        worker.supernet, worker.data, drawn, worker.job.protocol
    )
    service.close()
    ray.kill(guest)


def test_one_replica_and_two_give_the_same_answer(
    local_ray: None, plan: Plan, workers: dict[str, SupernetWorker]
) -> None:
    root, version = workers["root"], Version("root", 128)
    rng = np.random.default_rng(3)
    drawn = [root.job.space.sample(rng) for _ in range(11)]
    answers = []
    for slots in (1, 2):
        ledger = Ledger()
        service = start(plan, ledger, slots)
        service.publish(version, state(root))
        answers.append((service.score(version, [*drawn, *drawn]), ledger.images_scored))
        service.close()
    assert answers[0] == answers[1]
    assert answers[0][0][:11] == answers[0][0][11:]


def test_a_replica_that_dies_in_the_middle_costs_a_retry(
    local_ray: None,
    plan: Plan,
    workers: dict[str, SupernetWorker],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    class Mortal(ScoringActor):
        """Dies at its second call, once: when it holds the weights already, which its successor must fetch."""

        calls = 0

        def score(self, *args: Any) -> Any:
            self.calls += 1
            if self.calls == 2 and not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os._exit(1)
            return super().score(*args)

    monkeypatch.setattr(scoring_service, "ScoringActor", Mortal)
    ledger = Ledger()
    service, version, root = start(plan, ledger), Version("root", 128), workers["root"]
    service.publish(version, state(root))
    rng = np.random.default_rng(4)
    before = root.images_scored
    for _ in range(3):
        drawn = [root.job.space.sample(rng) for _ in range(8)]
        assert service.score(version, drawn) == root.score(drawn)
    assert (tmp_path / "died").exists()
    assert ledger.images_scored == root.images_scored - before
    service.close()


def test_a_short_evaluation_is_a_score_on_the_first_images(
    local_ray: None, plan: Plan, workers: dict[str, SupernetWorker]
) -> None:
    ledger, root, version = Ledger(), workers["root"], Version("root", 128)
    service = start(plan, ledger)
    service.publish(version, state(root))
    drawn = list({root.job.space.shared_form(a): a for a in root.job.space.enumerate()}.values())[:6]
    few = root.job.protocol.model_copy(update={"images": 16})
    expected = score_architectures(root.supernet, plan.data, drawn, few)
    assert service.score_all([(version, a) for a in drawn], 0.25) == expected
    assert ledger.images_scored == 6 * 16
    service.close()


def test_a_short_evaluation_calibrates_on_a_share_too(local_ray: None) -> None:
    score = {"batch_norm": "recalibrate", "recalibrate_images": 64, "images": 64}
    plan = make_plan(load_config({**TINY, "score": {**TINY.get("score", {}), **score}}))
    worker, ledger, version = SupernetWorker(plan.supernets["root"], plan.data), Ledger(), Version("root", 128)
    service = start(plan, ledger)
    service.publish(version, state(worker))
    drawn = list({worker.job.space.shared_form(a): a for a in worker.job.space.enumerate()}.values())[:4]
    few = worker.job.protocol.model_copy(update={"images": 16, "recalibrate_images": 16})
    assert service.score_all([(version, a) for a in drawn], 0.25) == score_architectures(
        worker.supernet, worker.data, drawn, few
    )
    assert ledger.images_scored == 4 * (16 + 16)
    service.close()


def test_what_a_gate_routes_apart_is_scored_apart(local_ray: None) -> None:
    """Blocks of weights: the scores of a worker, and as many evaluations as the actors made."""
    plan = make_plan(load_config({**TINY, "method": {"sharing": {"name": "glow", "blocks": 3, "gate": "random"}}}))
    worker, ledger = SupernetWorker(plan.supernets["root"], plan.data), Ledger()
    worker.trainer.train(2)
    service, version = start(plan, ledger), Version("root", 128)
    service.publish(version, state(worker))
    rng = np.random.default_rng(2)
    drawn = [worker.job.space.sample(rng) for _ in range(60)]
    alike = [*drawn, *(other for one in drawn[:5] for other in worker.job.space.neighbours(one))]
    assert service.score(version, alike) == worker.score(alike)
    evaluated = ledger.images_scored / plan.supernets["root"].protocol.images
    assert len(set(worker.supernet.shared_forms(alike))) <= evaluated <= len(set(alike))
    assert len(set(map(worker.job.space.shared_form, alike))) < evaluated
    service.close()


def test_a_version_is_put_once_and_sent_once(
    local_ray: None, plan: Plan, workers: dict[str, SupernetWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(ScoringActor):
        told = 0

        def fetch(self, stored: Any) -> Any:
            found = super().fetch(stored)
            self.told += isinstance(found, Weights)
            return found

        def times_told(self) -> int:
            return self.told

    monkeypatch.setattr(scoring_service, "ScoringActor", Counting)
    service = start(plan)
    counted = Counted(monkeypatch)
    root = workers["root"]
    rng = np.random.default_rng(1)
    drawn = [root.job.space.sample(rng) for _ in range(8)]
    for images in (128, 256):
        for _ in range(3):
            service.publish(Version("root", images), state(root))
            service.score(Version("root", images), drawn)
    assert counted.puts == 2
    assert ray.get([actor.times_told.remote() for actor in service._actors]) == [2, 2]
    with pytest.raises(KeyError):
        service.score(Version("root", 128), drawn)  # the newer one took its place
    service.close()


def test_scorers_use_the_object_stores_memory(
    local_ray: None, plan: Plan, workers: dict[str, SupernetWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Open(ScoringActor):
        def fetch(self, stored: Any) -> Any:
            found = super().fetch(stored)
            if isinstance(found, Weights):
                self.weights = found
            return found

        def look(self) -> tuple[bool, bool, bool]:
            assert self._scorer is not None
            network, block = self._scorer._networks["root"], self.weights.block
            begin = block.ctypes.data
            tensors = network.state_dict().values()
            inside = all(begin <= tensor.data_ptr() < begin + block.nbytes for tensor in tensors)
            kernels = [tensor for tensor in tensors if tensor.ndim == 4 and min(tensor.shape[:2]) > 1]
            lies_last = all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in kernels)
            return inside, bool(block.flags.writeable), lies_last

    monkeypatch.setattr(scoring_service, "ScoringActor", Open)
    service = start(plan)
    version = Version("root", 128)
    service.publish(version, state(workers["root"]))
    service.score(version, [workers["root"].job.space.sample(np.random.default_rng(s)) for s in range(4)])
    assert ray.get([actor.look.remote() for actor in service._actors]) == [(True, False, True)] * 2
    service.close()
