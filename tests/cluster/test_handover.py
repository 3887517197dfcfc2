"""The turn scheduler on Ray when a process dies while Tune hands it from one trial to another."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from raynas.cluster.hooks import Hooks
from raynas.cluster.schedulers import TurnScheduler
from raynas.cluster.trainable import PAYLOAD
from raynas.search import SCHEDULERS, Turn
from raynas.training.worker import RoundReport

pytestmark = pytest.mark.ray


class Counter(tune.Trainable):
    """Counts its rounds; the first process that is handed over dies of it."""

    def setup(self, config: dict[str, Any], marker: str) -> None:
        self._marker, self._round = Path(marker), 0

    def step(self) -> dict[str, Any]:
        self._round += 1
        measures = {"standing": 0.0, "standing_error": 0.0, "pool_gain": 0.0, "best_candidate": ""}
        metrics = {**measures, "finished": False, "round": self._round}
        return {"round": self._round, PAYLOAD: RoundReport(metrics, [], [], [], 0, 0)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "round").write_text(str(self._round))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self._round = int((Path(checkpoint) / "round").read_text())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self._round = 0
        return True


def test_a_process_that_dies_while_it_is_handed_over_loses_no_partition(local_ray: None, tmp_path: Path) -> None:
    turns: list[Turn] = []
    given_up: list[str] = []
    hooks = Hooks(turns.append, lambda *_: 0, given_up.append, lambda *_: None)
    scheduler = TurnScheduler(SCHEDULERS.make("uniform", ("a", "b"), 6), hooks)
    trainable = tune.with_parameters(Counter, marker=str(tmp_path / "died"))
    results = tune.Tuner(
        tune.with_resources(trainable, {"CPU": 2}),  # one at a time, so that the process goes from hand to hand
        param_space={"partition": tune.grid_search(["a", "b"])},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    ).fit()
    assert (tmp_path / "died").exists()
    assert given_up == []
    assert [turn.train for turn in turns] == [("a", "b")] * 3
    assert [(result.metrics or {})["round"] for result in results] == [3, 3]
