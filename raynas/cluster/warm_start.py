"""The supernets from which all trials of a sweep go on: one a seed, trained once, in parallel."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.cluster.local_run import LocalRun
from raynas.cluster.plan import draft_plan, with_truth
from raynas.cluster.resources import Resources
from raynas.cluster.sweep_plan import SweepPlan
from raynas.config import Config
from raynas.data import ImageData
from raynas.training.checkpoint import load_state, save_state
from raynas.training.ledger import Ledger, Span
from raynas.training.process import prepare_process

if TYPE_CHECKING:
    from ray import ObjectRef

WARM = "warm"
"""What these trainings are called among the trials."""


def warm_states(
    plan: SweepPlan, folder: Path, data: ObjectRef[ImageData], ledger: Ledger
) -> tuple[dict[int, dict[str, Any]], list[dict[str, Any]]]:
    """Return each seed's state, of a run after its first rounds, and all metrics; nothing where each begins anew.

    Args:
        plan: The sweep.
        folder: Where they are kept (``warm-SEED.pt``); those that are there are read.
        data: A reference to the images in the object store.
        ledger: Where time is booked.
    """
    import ray

    warm = plan.sweep.warm_start
    if warm is None:
        return {}, []
    resources = Resources.of(plan.config.ray)
    task = ray.remote(**resources.options, max_retries=3)(_train)
    waiting = {
        seed: task.remote(plan.config_of(warm.values, seed), warm.rounds, data, resources.cpus)
        for seed in plan.sweep.seeds
        if not _file(folder, seed).is_file()
    }
    for seed, answer in waiting.items():
        kept, span = ray.get(answer)
        ledger.add([span])
        save_state(kept, _file(folder, seed))
    found = {seed: load_state(_file(folder, seed)) for seed in plan.sweep.seeds}
    rows = [{"trial": WARM, "partition": WARM, "seed": seed, **row} for seed in found for row in found[seed]["rows"]]
    return found, rows


def _train(config: Config, rounds: int, data: ImageData, threads: int) -> tuple[dict[str, Any], Span]:
    prepare_process(threads)
    start = time.time()
    run = LocalRun(with_truth(draft_plan(config, data)))
    rows: list[dict[str, Any]] = []
    while len(rows) < rounds and not run.finished:
        rows.append(run.step())
    return {**run.state_dict(), "rows": rows}, Span("train", start, time.time())


def _file(folder: Path, seed: int) -> Path:
    return folder / f"{WARM}-{seed}.pt"
