"""What Ray, Tune and the processes of a run cost: starting up, going from round to round, moving weights to scorers.

python benchmarks/orchestration.py [--quick] [--out FILE]

Seconds between rounds do not grow with the rounds, so they are measured on short ones and told as shares of 30 s.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import typer

from benchmarks.harness import Contender, measure
from benchmarks.machine import Usage
from benchmarks.recorded_run import Round
from benchmarks.report import Out, Quick, Report
from raynas.cluster.plan import Plan, draft_plan
from raynas.cluster.session import ray_session
from raynas.config import load_config
from raynas.data import ImageData
from raynas.training.job import SupernetJob
from raynas.training.scorer import Scorer
from raynas.training.weights import Version, Weights
from raynas.training.worker import SupernetWorker

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"
START_GOAL_S = 10.0
ROUND_S = 30.0
SCORERS = 2
PUBLISHED_SIZE = {"channels": 16, "cells": 5}
"""NAS-Bench-201's own."""


def run_recorded(*arguments: str) -> tuple[list[Round], float]:
    """Run the quick start in a process of its own; return its rounds, and when the process began."""
    with tempfile.TemporaryDirectory() as folder:
        out = ["wandb.mode=disabled", f"out={folder}/run"]
        command = [sys.executable, "-m", "benchmarks.recorded_run", str(QUICKSTART), *arguments, *out]
        began = time.time()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the run failed:\n{done.stderr[-2000:]}")
    rounds: list[Round] = json.loads(done.stdout.splitlines()[-1])["rounds"]
    return rounds, began


def start_ups(report: Report, count: int) -> None:
    """Time the quick start from its process's beginning to the root's first training step, so many times."""
    before, seconds = Usage.now(), []
    for _ in range(count):
        rounds, began = run_recorded("--first", "train.round_images=64", "score.images=8")
        seconds.append(rounds[0]["first_step"] - began)
    others = Usage.now().others_since(before)
    if others is not None:
        report.note(f"starts: this process slept; the run and others used {others:.0%} of the machine")
    report.figure(f"seconds from start to the first training step: median of {count}", float(np.median(seconds)))
    share(report, "start to the first training step", float(np.median(seconds)), START_GOAL_S)


def gaps(rounds: Sequence[Round], slots: int) -> tuple[list[float], list[float]]:
    """Return the seconds between one round's end and the next one's beginning: the root's, and the partitions'.

    A slot that waits for others to complete a turn is not told as idle: a round then follows the turn's last one. The
    first round of a slot follows nothing.
    """
    root = sorted((r for r in rounds if r["trial"] == "root"), key=lambda r: r["round"])
    parts = sorted((r for r in rounds if r["trial"] != "root"), key=lambda r: r["began"])
    ends = {n: max(r["ended"] for r in parts if r["round"] == n) for n in {r["round"] for r in parts}}
    free: list[float] = []
    found = []
    for part in parts:
        earlier = [end for end in free if end <= part["began"]]
        if earlier and len(free) == slots:
            free.remove(max(earlier))
            found.append(part["began"] - max(max(earlier), ends.get(part["round"] - 1, 0.0)))
        free.append(part["ended"])
    return [after["began"] - before["ended"] for before, after in pairwise(root)], found


class Receiver:
    """A process that holds one supernet, and takes weights for it in either way; made remote here."""

    def __init__(self, job: SupernetJob, data: ImageData) -> None:
        self.worker = SupernetWorker(job, data)
        self.scorer = Scorer({job.label: job}, data)

    def load(self, state: Mapping[str, Any]) -> None:
        """Copy a worker's whole state, the optimizer's included."""
        self.worker.load_state_dict(state)

    def hold(self, version: Version, weights: Weights) -> None:
        """Use weights where they lie."""
        self.scorer.hold(version, weights)


def movers(receivers: Sequence[Any], state: Mapping[str, Any]) -> dict[str, Contender[int]]:
    """Return both ways of giving a trained supernet to all scorers."""

    def once_a_scorer(number: int) -> Callable[[], object]:
        del number
        return lambda: ray.get([receiver.load.remote(state) for receiver in receivers])

    def once_a_version(number: int) -> Callable[[], object]:
        def move() -> object:
            weights = ray.put(Weights.of(state["trainer"]["supernet"]))
            return ray.get([receiver.hold.remote(Version("root", number), weights) for receiver in receivers])

        return move

    return {"once a scorer": once_a_scorer, "once a version": once_a_version}


def trained(plan: Plan) -> dict[str, Any]:
    """Return the state of a worker whose optimizer has momentum of every parameter, as after some rounds."""
    worker = SupernetWorker(plan.root, plan.data)
    optimizer = worker.trainer._optimizer
    for parameter in worker.supernet.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return worker.state_dict()


def weights(report: Report, versions: int) -> None:
    """Compare the ways of moving weights, in bytes and in seconds."""
    plan = draft_plan(load_config(QUICKSTART, network=PUBLISHED_SIZE))
    state = trained(plan)
    with ray_session(plan.config.ray, plan.data):
        remote: Any = ray.remote(num_cpus=0)(Receiver)
        receivers = [remote.remote(plan.root, plan.data) for _ in range(SCORERS)]
        timings = measure(movers(receivers, state), range(versions), warm_up=2)
    ratio = {"weights moved once a version / once a scorer": ("once a version", "once a scorer")}
    report.compare(f"A supernet's weights to {SCORERS} scorers", timings, ratio)
    whole, block = len(pickle.dumps(state)), Weights.of(state["trainer"]["supernet"]).nbytes
    report.counted(f"bytes moved to {SCORERS} scorers, once a version / once a scorer", block, SCORERS * whole)


def share(report: Report, name: str, seconds: float, of: float) -> None:
    """Tell seconds as a share of so many."""
    report.counted(f"{name} / {of:g} s", round(1000 * seconds), round(1000 * of))


def main(quick: Quick = False, out: Out = None) -> None:
    """Measure what orchestration costs."""
    report = Report("orchestration", quick=quick, threads=1, keeps_memory=False)
    start_ups(report, 1 if quick else 5)
    size = ("train.round_images=640", "score.architectures=40", "score.images=64") if quick else ()
    rest = ("search.budget=10", "search.verify.top=0", "ray.cpus=2")
    root, parts = gaps(run_recorded(*size, *rest)[0], slots=2)
    for name, found in (("root", root), ("partitions", parts)):
        report.figure(f"seconds between rounds, {name}: median of {len(found)}", float(np.median(found)))
        share(report, f"between rounds, {name}", float(np.mean(found)), ROUND_S)
    weights(report, 5 if quick else 20)
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
