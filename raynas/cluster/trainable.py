"""The Tune trial: one sub-supernet of the partition."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune

from raynas.cluster import PROCESS_BEGAN
from raynas.data import ImageData
from raynas.report.folder import file_name
from raynas.training.checkpoint import load_state
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.process import prepare_process
from raynas.training.record import Record
from raynas.training.weights import Weights
from raynas.training.worker import PoolLike, RoundReport, SupernetWorker

CHECKPOINT_FILE, PLACE_FILE = "worker.pt", "place.json"
PAYLOAD = "payload"
"""Key of a result that carries the whole `RoundReport` (spans, scores) beside the flat metrics."""

_process_started_work = False


@dataclass(frozen=True, repr=False)
class Carried:
    """The job of a partition that was born while trials ran, in its trial's config; short where that is printed.

    Args:
        job: The job.
    """

    job: SupernetJob

    def __deepcopy__(self, memo: dict[int, Any]) -> Carried:
        return self

    def __repr__(self) -> str:
        return f"<job of {self.job.label}>"


@dataclass(frozen=True)
class Shared:
    """What all partition trials have in common.

    Args:
        jobs: Each partition's job, by label.
        data: The images.
        parents: The weights of the supernet that each inherits from, by its own label; fresh ones where it has none.
        parent_parts: The states of that supernet's method parts, likewise.
        pool: The candidate pool.
        records: The folder of the partitions' records.
        threads: Torch threads a trial.
    """

    jobs: Mapping[str, SupernetJob]
    data: ImageData
    parents: Mapping[str, Weights]
    parent_parts: Mapping[str, Mapping[str, Any]]
    pool: PoolLike
    records: Path
    threads: int


class PartitionTrial(tune.Trainable):
    """Trains one partition a round a step; its config is ``{"partition": label}``, the rest comes shared.

    The config of a partition that was born later has its job with it, as ``job`` (`Carried`); an ``lr_factor``
    multiplies the learning rate. An actor that Tune hands from one trial to another builds its worker anew, so nothing
    leaks between partitions. Rounds that the partition's record has are reported again, and not trained again.
    """

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        """Build the worker with its parent's weights; `shared` are the fields of `Shared`, from the object store."""
        global _process_started_work
        self._shared = Shared(**shared)
        prepare_process(self._shared.threads)
        self._build(config)
        self._startup = [] if _process_started_work else [Span("startup", PROCESS_BEGAN, time.time())]
        _process_started_work = True

    def _build(self, config: dict[str, Any]) -> None:
        shared, label = self._shared, config["partition"]
        carried: Carried | None = config.get("job")
        self._lr_factor = config.get("lr_factor")
        self._job = self._with_own_lr(shared.jobs[label] if carried is None else carried.job)
        self._record = Record(shared.records / file_name(label))
        self._at = 0  # rounds reported
        self._worker: SupernetWorker | None = None
        self._parent: dict[str, Any] | None = None  # the state of the partition beside which this one begins

    def _loaded(self) -> SupernetWorker:
        """Return the worker, made when it is first needed: as its record has it, or else as it begins."""
        if self._worker is None:
            shared, label = self._shared, self._job.label
            parent = shared.parents.get(label)
            if self._parent is not None and not self._record.done:
                self._worker = SupernetWorker.child(self._job, shared.data, self._parent)
            else:
                inherited = None if parent is None else parent.tensors()
                self._worker = SupernetWorker(self._job, shared.data, inherited, shared.parent_parts.get(label))
            if self._record.done:
                self._worker.load_state_dict(self._record.state())
            self._parent = None
        return self._worker

    def _with_own_lr(self, job: SupernetJob) -> SupernetJob:
        if self._lr_factor is None:
            return job
        return replace(job, optimizer=job.optimizer.model_copy(update={"lr": job.optimizer.lr * self._lr_factor}))

    def step(self) -> dict[str, Any]:
        """Run one round, or report one that was run before."""
        self._at += 1
        report: RoundReport | None = self._record.step(self._at)
        if report is None:
            worker = self._loaded()
            report = worker.run_round(self._shared.pool)
            startup, self._startup = self._startup, []
            report.spans.extend(startup)
            if self._lr_factor is not None:
                report.metrics["lr_factor"] = self._lr_factor
            self._record.keep(self._at, report, worker.state_dict())
        return {**report.metrics, PAYLOAD: report}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save where the partition is, and its whole state, from which a child may begin.

        The record has the latest state alone: of a round that is only reported again, it is not there.
        """
        (Path(checkpoint_dir) / PLACE_FILE).write_text(json.dumps({"label": self._job.label, "round": self._at}))
        if self._record.done == self._at and self._at:
            self._record.link_state(Path(checkpoint_dir) / CHECKPOINT_FILE)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Continue from a saved state: the argument is the folder that `save_checkpoint` wrote to.

        The state of another partition is that of the parent, beside which this one begins.
        """
        folder = Path(checkpoint)
        place = folder / PLACE_FILE
        note: dict[str, Any] = json.loads(place.read_text()) if place.is_file() else {"label": None}
        self._worker = None
        if note["label"] == self._job.label:
            self._at = int(note["round"])
        elif not self._record.done:
            self._at, self._parent = 0, load_state(folder / CHECKPOINT_FILE)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another partition's trial."""
        self._build(new_config)
        return True
