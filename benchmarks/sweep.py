"""What a sweep costs beside its trainings: seconds a trial, and the driver's memory, with trials that do nothing.

python benchmarks/sweep.py [--quick] [--out FILE]

The same number of bare trials of Ray Tune, which do nothing either, run in the same process before and after.
"""

from __future__ import annotations

import logging
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer
from ray import tune

import raynas
from benchmarks.report import Out, Quick, Report
from raynas.cluster import sweep as sweeping
from raynas.cluster.session import ray_session
from raynas.cluster.setting_trial import SettingTrial
from raynas.config import RaySettings

TRIALS = 200
CPUS = 2
CONFIG: dict[str, Any] = {
    "space": {"name": "nasbench201", "connected": True},
    "network": {"channels": 2, "cells": 1},
    "data": "digits",
    "truth": "digits201",
    "train": {"batch_size": 64, "round_images": 64, "root_rounds": 1},
    "score": {"images": 16, "architectures": 10},
    "sweep": {"keys": {"train.lr": {"loguniform": [0.001, 0.1]}}, "seeds": [0], "search": "random"},
    "wandb": {"mode": "disabled"},
    "ray": {"cpus": CPUS},
}


class Nothing:
    """A run that is over after one step in which nothing is trained."""

    finished = False

    def step(self) -> dict[str, Any]:
        """Return metrics as a run does."""
        self.finished = True
        measures = ("kendall_tau", "spearman", "p_at_top5", "kendall_tau_sparse", "kendall_tau_top10")
        costs = ("budget", "images_trained", "images_scored", "seconds_train", "seconds_score")
        return {"round": 1, "n_architectures": 10, **dict.fromkeys(measures, 0.0), **dict.fromkeys(costs, 0)}

    def ranking(self) -> dict[str, list[Any]]:
        """Return an empty ranking."""
        return {"architecture": [], "score": [], "truth": [], "scorer": []}

    def state_dict(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}


class NothingTrial(SettingTrial):
    """A trial of a sweep whose runs do nothing."""

    def _made(self, seed: int) -> Any:
        return Nothing()


class BareTrial(tune.Trainable):
    """A trial of Tune that does nothing: what it costs at least."""

    def step(self) -> dict[str, Any]:
        """End at once."""
        return {"done": True, "kendall_tau": 0.0}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write a byte, as a trial has something to keep."""
        (Path(checkpoint_dir) / "state").write_text("0")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Read nothing."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial."""
        del new_config
        return True


def of_the_sweep(trials: int) -> float:
    """Return the seconds of a sweep of trials that do nothing, in a Ray that stands."""
    with tempfile.TemporaryDirectory() as folder:
        config = {**CONFIG, "sweep": {**CONFIG["sweep"], "trials": trials}, "out": f"{folder}/sweep"}
        began = time.perf_counter()
        raynas.sweep(config)
        return time.perf_counter() - began


def bare(trials: int) -> float:
    """Return the seconds of as many bare trials."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tune.Tuner(
            tune.with_resources(BareTrial, {"CPU": 1}),
            param_space={"number": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(name="bare", storage_path=folder, verbose=0),
        ).fit()
        return time.perf_counter() - began


def main(quick: Quick = False, out: Out = None) -> None:
    """Measure what a sweep costs beside its trainings."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    report = Report("sweep", quick=quick, threads=1, keeps_memory=False)
    trials = 20 if quick else TRIALS
    sweeping.SettingTrial = NothingTrial  # type: ignore[misc]
    with ray_session(RaySettings(cpus=CPUS), raynas.data("digits")):
        of_the_sweep(2)  # starts the workers, and imports
        before = _megabytes()
        lower = bare(trials)
        seconds = of_the_sweep(trials)
        grown = _megabytes() - before
        lower = float(np.mean([lower, bare(trials)]))
    report.figure(f"seconds a trial, {trials} trials that do nothing", seconds / trials)
    report.figure("seconds a trial, bare trials of Ray Tune", lower / trials)
    report.figure("megabytes that the driver grew to at most by them", grown)
    report.figure("megabytes of the driver at most", _megabytes())
    report.counted("trial of a sweep / bare trial of Ray Tune", round(1000 * seconds), round(1000 * lower))
    report.close(out)


def _megabytes() -> float:
    """Return the largest resident size that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
