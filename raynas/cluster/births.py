"""How a partition that is born takes over the Tune trial of another: the exploit of Population Based Training.

The trial is paused, gets the child's configuration, and the parent's checkpoint as its latest: it begins from that, and
`PartitionTrial.load_checkpoint` sees that it is another's. The child was decided on after a round of the parent which
may not be saved yet, so it waits for that.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.train._internal.session import _TrainingResult
from ray.tune import Checkpoint
from ray.tune.experiment import Trial

from raynas.cluster.trainable import CHECKPOINT_FILE, Carried
from raynas.report.folder import RunFolder, file_name
from raynas.search import Birth
from raynas.training.job import SupernetJob
from raynas.training.record import Record


@dataclass
class _Expected:
    birth: Birth
    job: SupernetJob
    parents_round: int
    inherited: _TrainingResult | None = None


class Nursery:
    """The partitions that are born, until they have a trial.

    Args:
        folder: Where the states are kept that children begin from, which Tune deletes when the parents go on, and the
            last states of those replaced; None keeps none.
    """

    def __init__(self, folder: RunFolder | None = None) -> None:
        self._folder = folder
        self._expected: dict[str, _Expected] = {}

    def expect(self, birth: Birth, job: SupernetJob, parents_round: int) -> None:
        """Announce a birth.

        Args:
            birth: Who takes whose place.
            job: The child's job.
            parents_round: The parent's round whose state it inherits.
        """
        self._expected[birth.place] = _Expected(birth, job, parents_round)

    def replaces(self, label: str) -> bool:
        """Say whether a partition's trial waits to be taken over."""
        return label in self._expected

    def awaits(self, label: str) -> bool:
        """Say whether a partition's state is waited for, to be inherited."""
        return any(one.birth.parent == label and one.inherited is None for one in self._expected.values())

    def lose(self, place: str) -> str:
        """Return the child that was to take over a trial, which is lost; it is expected no more."""
        return self._expected.pop(place).birth.child

    def deliver(self, trials: Mapping[str, Any]) -> list[str]:
        """Let children take over the trials that are ready for it.

        Args:
            trials: All trials, by the labels of their partitions.

        Returns:
            The places whose children cannot be born: there is no trial any more, or nothing to inherit.
        """
        lost = []
        for place, one in list(self._expected.items()):
            parent, trial = trials[one.birth.parent], trials[place]
            if one.inherited is None:
                one.inherited = self._inheritance(parent, one)
            if trial.is_finished() or (trial.status == Trial.PAUSED and one.inherited is None and parent.is_finished()):
                lost.append(place)
            elif trial.status == Trial.PAUSED and one.inherited is not None:
                del self._expected[place]
                keep_state(self._folder, place)
                trial.set_experiment_tag(f"partition={one.birth.child}")
                trial.set_config({**trial.config, "partition": one.birth.child, "job": Carried(one.job)})
                trial.run_metadata.checkpoint_manager._latest_checkpoint_result = one.inherited
        return lost

    def _inheritance(self, parent: Any, one: _Expected) -> _TrainingResult | None:
        """Return the parent's state if it is of the round, or will never be."""
        result = parent.latest_checkpoint_result
        if result is None or (result.metrics.get("round", 0) < one.parents_round and not parent.is_finished()):
            return None
        return held(self._folder, one.birth.child, result)


def held(folder: RunFolder | None, child: str, state: Any) -> _TrainingResult:
    """Return a parent's state as one that a child begins from, and can begin from again: it stays until the end.

    It is of no round of the child.
    """
    if folder is None:
        return _TrainingResult(checkpoint=state.checkpoint, metrics={})
    place = inherited_states(folder) / file_name(child)
    place.mkdir(parents=True, exist_ok=True)
    with state.checkpoint.as_directory() as directory:
        # of a round that is only reported again there is no state: one that an earlier process held is there still
        if (Path(directory) / CHECKPOINT_FILE).is_file():
            _link(Path(directory) / CHECKPOINT_FILE, place / CHECKPOINT_FILE)
    return _TrainingResult(checkpoint=Checkpoint.from_directory(str(place.absolute())), metrics={})


def keep_state(folder: RunFolder | None, label: str) -> None:
    """Keep the last state of a partition in the run folder, if there is one."""
    if folder is not None and (record := Record(folder.record(label))).done:
        record.link_state(folder.checkpoint(label))


def inherited_states(folder: RunFolder) -> Path:
    """Return the folder of the states that children begin from, of use while trials run."""
    return folder.checkpoints / "inherited"


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, so that it stays when the first is deleted; copy it where that cannot be."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
