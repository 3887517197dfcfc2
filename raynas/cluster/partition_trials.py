"""Running the partitions as trials of Ray Tune."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from raynas.cluster.hooks import Hooks
from raynas.cluster.plan import Plan
from raynas.cluster.schedulers import TurnScheduler
from raynas.cluster.trainable import CHECKPOINT_FILE, PartitionTrial, Shared
from raynas.cluster.tune_callback import ReportCallback
from raynas.errors import RunError
from raynas.report.folder import RunFolder
from raynas.search import PartitionRule
from raynas.training.worker import PoolLike


def run_partition_trials(
    plan: Plan,
    rule: PartitionRule,
    folder: RunFolder,
    *,
    parent_state: Mapping[str, Any],
    pool: PoolLike,
    hooks: Hooks,
) -> tuple[str, ...]:
    """Train the partitions as a rule decides, and keep each one's last checkpoint in the run folder.

    Args:
        plan: The run's plan.
        rule: Decides which partitions train.
        folder: The run folder.
        parent_state: The root's weights.
        pool: The candidate pool.
        hooks: Told of every turn and report.

    Returns:
        The labels of the partitions that survived to the end.

    Raises:
        RunError: No surviving partition could be trained.
    """
    shared = Shared(plan.jobs, plan.data, parent_state, pool, plan.config.ray.cpus_per_trial)
    trainable = tune.with_parameters(
        PartitionTrial, **{f.name: getattr(shared, f.name) for f in dataclasses.fields(shared)}
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": plan.config.ray.cpus_per_trial}),
        param_space={"partition": tune.grid_search(list(plan.partitions))},
        tune_config=tune.TuneConfig(scheduler=TurnScheduler(rule, hooks), reuse_actors=True),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder.path.absolute()),
            callbacks=[ReportCallback(hooks)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_frequency=1),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )
    results = tuner.fit()
    trained = []
    for result in (results[i] for i in range(len(results))):
        label = str((result.config or {})["partition"])
        if result.checkpoint is not None and result.error is None:
            with result.checkpoint.as_directory() as directory:
                shutil.copy(Path(directory) / CHECKPOINT_FILE, folder.checkpoint(label))
            trained.append(label)
    survivors = tuple(label for label in rule.alive if label in trained)
    if not survivors:
        errors = "; ".join(str(error) for error in results.errors) or "no checkpoint was written"
        raise RunError(f"no partition survived: {errors} (details in {folder.path / 'tune'})")
    return survivors
