"""Running the partitions as trials of Ray Tune."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ray import ObjectRef, tune

from raynas.cluster.births import inherited_states, keep_state
from raynas.cluster.hooks import Hooks
from raynas.cluster.plan import Plan
from raynas.cluster.resources import Resources
from raynas.cluster.schedulers import TurnScheduler
from raynas.cluster.trainable import PartitionTrial
from raynas.cluster.tune_callback import ReportCallback
from raynas.cluster.tune_schedulers import tune_scheduler
from raynas.data import ImageData
from raynas.errors import RunError
from raynas.report.folder import RunFolder
from raynas.search import PartitionRule
from raynas.search.tune_rules import TuneRule
from raynas.training.weights import Weights
from raynas.training.worker import PoolLike


def run_partition_trials(
    plan: Plan,
    rule: PartitionRule,
    folder: RunFolder,
    *,
    data: ObjectRef[ImageData],
    parents: Mapping[str, Mapping[str, Any]],
    pool: PoolLike,
    hooks: Hooks,
) -> tuple[str, ...]:
    """Train the partitions of a level as a rule decides, and keep each one's last checkpoint in the run folder.

    Args:
        plan: The run's plan; its last level is trained.
        rule: Decides which partitions train.
        folder: The run folder.
        data: A reference to the images in the object store.
        parents: The states of trainers, by label, from whose supernets and method parts their children inherit; fresh
            weights where a parent is missing.
        pool: The candidate pool.
        hooks: Told of every turn and report.

    Returns:
        The labels of the partitions that survived to the end.

    Raises:
        RunError: No surviving partition could be trained.
    """
    labels, experiment = plan.levels[-1], "tune" if plan.depth == 1 else f"tune-{len(plan.levels)}"
    tunes = rule if isinstance(rule, TuneRule) else None
    _clear(folder, experiment, None if tunes is None else labels)
    scheduler = TurnScheduler(rule, hooks, folder) if tunes is None else tune_scheduler(tunes, hooks, folder)
    copies = tunes is not None and tunes.copies
    kept = 4 + tunes.every if tunes is not None and tunes.copies else 2  # what a copy begins from may be that old
    trainable = _trainable(plan, folder, data=data, parents=parents, pool=pool)
    tuner = tune.Tuner(
        tune.with_resources(trainable, Resources.of(plan.config.ray).bundle),
        param_space={"partition": tune.grid_search(list(labels)), **({"lr_factor": 1.0} if copies else {})},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
        run_config=tune.RunConfig(
            name=experiment,
            storage_path=str(folder.path.absolute()),
            callbacks=[ReportCallback(hooks)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=kept, checkpoint_frequency=1),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )
    results = tuner.fit()
    trained = []
    for result in (results[i] for i in range(len(results))):
        label = str((result.config or {})["partition"])
        if result.checkpoint is not None and result.error is None:
            keep_state(folder, label)
            trained.append(label)
    shutil.rmtree(inherited_states(folder), ignore_errors=True)
    survivors = tuple(label for label in rule.alive if label in trained)
    if not survivors:
        errors = "; ".join(str(error) for error in results.errors) or "no checkpoint was written"
        raise RunError(f"no partition survived: {errors} (details in {folder.path / 'tune'}*)")
    return survivors


def _clear(folder: RunFolder, experiment: str, labels: Sequence[str] | None) -> None:
    """Take away what a process that was killed has left with Tune, and the records of partitions that begin anew.

    These are those that Tune's own schedulers train: what was decided by which report came first is not decided again.
    """
    shutil.rmtree(folder.path / experiment, ignore_errors=True)
    if labels is not None:
        records = [folder.record(label) for label in labels]
        for place in (*records, *folder.records.glob("*~*"), inherited_states(folder)):
            shutil.rmtree(place, ignore_errors=True)


def _trainable(
    plan: Plan,
    folder: RunFolder,
    *,
    data: ObjectRef[ImageData],
    parents: Mapping[str, Mapping[str, Any]],
    pool: PoolLike,
) -> Any:
    """Return what Tune trains, with the fields of `Shared`; the images are in the object store already."""
    labels = plan.levels[-1]
    weights = {label: Weights.of(state["supernet"]) for label, state in parents.items()}
    children = {label: plan.parents[label] for label in labels if plan.parents[label] in parents}
    return tune.with_parameters(
        PartitionTrial,
        jobs={label: plan.jobs[label] for label in labels},
        data=data,
        parents={label: weights[parent] for label, parent in children.items()},
        parent_parts={label: parents[parent]["parts"] for label, parent in children.items()},
        pool=pool,
        records=folder.records.absolute(),
        threads=plan.config.ray.cpus_per_trial,
    )
