"""`raynas check`: what would fail late is found early, by doing it; and nothing is started or written."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from rich.console import Console

from raynas.cluster.check import CheckReport, check
from raynas.cluster.check_costs import Processes
from raynas.cluster.check_done import Rehearsal
from raynas.cluster.check_parts import rehearse
from raynas.cluster.check_text import print_check
from raynas.cluster.plan import make_plan
from raynas.config import load_config
from raynas.errors import ConfigError, RunError
from raynas.methods import SAMPLERS
from raynas.methods.close import CloseCurriculum
from raynas.methods.differentiable import DifferentiableSampler
from raynas.methods.landmark import LandmarkRegularizer
from raynas.networks import Supernet
from tests.cluster.test_run import TINY
from tests.cluster.test_sweep import SMALL as SWEPT

ROOT = Path(__file__).resolve().parents[2]
STACK: dict[str, Any] = {
    "sharing": {"name": "glow", "blocks": 3},
    "curriculum": "close",
    "regularizer": {"name": "landmark", "count": 4, "warmup": 0.9},
}


def config(**method: Any) -> dict[str, Any]:
    changed = copy.deepcopy(TINY)
    changed["method"] |= method
    changed["network"] = {"channels": 4, "cells": 1}
    changed["wandb"] = {"mode": "offline"}
    return changed


def rehearsed(given: dict[str, Any]) -> Rehearsal:
    return rehearse(make_plan(load_config(given)))


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", never)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def report() -> CheckReport:
    return check(config(**STACK), ["ray.cpus=4"])


def test_the_lines_of_a_run(report: CheckReport) -> None:
    assert [key for key, _ in report.lines] == ["space", "data", "truth", "method"]
    assert "glow sharing, landmark, close" in dict(report.lines)["method"]


def test_every_part_did_its_work(report: CheckReport) -> None:
    """The regularizer in a warm-up of nine tenths too, and the curriculum whose levels rise later."""
    found = {done.kind: done for done in report.rehearsal.parts}
    assert list(found) == ["sampler", "sharing", "regularizer", "curriculum", "scoring", "partition", "stand-alone"]
    assert all(done.worked for done in found.values())
    assert found["regularizer"].trained >= 2 * 64  # a pair of landmarks, a batch each
    assert found["curriculum"].changed >= 2  # two blocks more
    assert report.warnings == ()


def test_what_will_run_and_where(report: CheckReport) -> None:
    rows = {row.what: (row.count, dict(row.bundle)) for row in report.processes}
    one = {"CPU": 1}
    assert rows == {
        "candidate pool": (1, {}),
        "root supernet": (1, one),
        "partition trials": (5, one),
        "search: scoring actors": (7, one),
        "verify: stand-alone trainings": (3, one),
    }
    fitting = report.machines.fitting(one)
    assert fitting is not None
    assert [(fit.node_type.name, fit.each) for fit in fitting.fits] == [("this machine", 4)]
    assert (report.wandb, report.wandb_runs) == ("offline", 6)


def test_images_by_phase(report: CheckReport) -> None:
    phases = {phase.name: phase for phase in report.phases}
    assert phases["root"].budget == 256
    assert phases["root"].scored == 64 * (40 + 8 + 8)
    assert phases["partitions"].budget == 10 * 256
    assert phases["partitions"].scored == 64 * (10 * (40 + 8 + 8) + 5 * 40)
    assert phases["search"].scored == 64 * 30
    assert phases["verify"].alone == 3 * 2 * (599 // 64) * 64


def test_hours_follow_from_what_was_measured(report: CheckReport) -> None:
    took = report.rehearsal
    assert min(took.train, took.score, took.alone or 0) > 0
    seconds = {phase.name: report.seconds(phase) for phase in report.phases}
    assert seconds["search"] == pytest.approx(64 * 30 * took.score)
    assert seconds["root"] == pytest.approx(256 * took.train + 64 * 56 * took.score)
    assert report.process_hours == pytest.approx(sum(seconds.values()) / 3600)
    shared = seconds["root"] + seconds["partitions"] / 4 + seconds["search"] / 4 + seconds["verify"] / 3
    assert report.hours == pytest.approx(shared / 3600)


def test_a_sweep_is_counted_by_its_settings() -> None:
    report = check(SWEPT)
    assert [process.count for process in report.processes] == [2, 5]  # a warm start a seed; four settings and a control
    warm, settings = report.phases
    assert (warm.budget, settings.budget) == (2 * 192, 5 * 2 * 4 * 192)
    assert {done.kind for done in report.rehearsal.parts} >= {"sampler", "regularizer"}


def test_each_setting_of_a_sweep_counts_for_itself() -> None:
    base = {**SWEPT["sweep"], "stop": None, "warm_start": None, "controls": {}}
    budgets = {}
    for name, keys in {"up": [1, 6], "down": [6, 1], "searched": {"int": [1, 6]}}.items():
        more = {"search": "random", "trials": 3} if name == "searched" else {}
        report = check({**SWEPT, "sweep": {**base, "keys": {"train.root_rounds": keys}, **more}})
        budgets[name] = report.phases[0].budget / 192
    assert budgets["up"] == budgets["down"] == 2 * (1 + 6)
    assert 2 * 3 * 1 <= budgets["searched"] <= 2 * 3 * 6
    tpe = check({**SWEPT, "sweep": {**base, "keys": {"train.root_rounds": {"int": [1, 6]}}, "trials": 3}})
    assert tpe.phases[0].budget == 2 * 3 * 6 * 192  # found as it goes: at most


def test_it_is_printed(report: CheckReport) -> None:
    console = Console(width=150, record=True, file=io.StringIO())
    print_check(console, report)
    text = console.export_text()
    for words in (
        "nasbench201",
        "landmark",
        "partition trials",
        "4: this machine 4 each",
        "offline, 6 runs",
        "estimate",
    ):
        assert words in text


def test_nothing_is_written_and_no_stream_is_moved(tmp_path: Path) -> None:
    torch.manual_seed(3)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    check(config(), ["ray.cpus_per_trial=1"])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_every_sampler_can_be_tried(name: str) -> None:
    done = rehearsed(config(sampler={"name": name})).part("sampler")
    assert done is not None
    assert done.name == name
    assert done.worked
    assert done.times >= 2


@pytest.mark.parametrize("name", ["gdas", "pc_darts"])
def test_alpha_is_learned_though_a_warm_up_would_come_first(name: str) -> None:
    """Which costs images of its own: more than the paths of the steps alone."""
    done = rehearsed(config(sampler={"name": name, "warmup": 0.5})).part("sampler")
    assert done is not None
    assert done.trained > done.times * 64


def test_a_split_by_gradients_and_a_child() -> None:
    given = config(partition={"name": "gradient_matching", "levels": 1, "calibration": "scale"})
    done = rehearsed(given).part("partition")
    assert done is not None
    assert done.trained > 64
    assert done.scored > 0
    assert "inherited and took a step" in done.note


def test_what_begins_anew_inherits_nothing() -> None:
    done = rehearsed(config(partition={"decisions": ["3<-0"], "restart": "final"})).part("partition")
    assert done is not None
    assert "began anew" in done.note


def test_a_coefficient_of_zero_is_told() -> None:
    found = check(config(regularizer={"name": "landmark", "coefficient": 0}))
    assert found.warnings == (
        "'method.regularizer' (landmark) did nothing in 5 steps, from the first to almost the last: its coefficient "
        "is 0, it does nothing",
    )


@pytest.mark.parametrize(
    ("broken", "method", "words"),
    [
        ((LandmarkRegularizer, "_term"), STACK, r"'method\.regularizer' \(landmark\) fails on a batch: RuntimeError"),
        ((CloseCurriculum, "_raise"), STACK, r"'method\.curriculum' \(close\) fails on a batch"),
        (
            (DifferentiableSampler, "gradient"),
            {"sampler": {"name": "gdas", "warmup": 0.9}},
            r"'method\.sampler' \(gdas\) fails on a batch",
        ),
        ((Supernet, "outputs"), {}, r"'score' fails on a batch"),
    ],
)
def test_what_would_fail_late_is_told(
    broken: tuple[type, str], method: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("late in the run")

    monkeypatch.setattr(*broken, fail)
    with pytest.raises(ConfigError, match=words) as told:
        check(config(**method))
    assert len(told.value.problems) == 1


def test_runs_without_partition_and_truth_and_with_a_truth_to_be_trained() -> None:
    alone = check({**config(), "method": {}, "truth": None, "search": {"verify": {"top": 0}}})
    assert [row.what for row in alone.processes] == ["candidate pool", "root supernet", "search: scoring actors"]
    assert [phase.name for phase in alone.phases] == ["root", "search"]
    assert alone.wandb_runs == 1
    truth = {"train": {"architectures": 6, "seeds": 2, "recipe": {"epochs": 3}}}
    trained = check({**config(**STACK), "truth": truth})
    assert trained.phases[0].alone == 6 * 2 * 3 * (599 // 64) * 64
    assert trained.processes[1] == Processes("truth: stand-alone trainings", 6, {"CPU": 1})
    regularizer = trained.rehearsal.part("regularizer")
    assert regularizer is not None
    assert regularizer.trained > 0  # though no landmark's quality is known yet


def test_a_part_of_a_gpu_fits_on_a_cluster_and_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # file_mounts of cluster.yaml
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    quarter = ["ray.gpus_per_trial=0.25", "ray.address=auto", "out=/shared/runs/new"]
    found = check(config(), quarter, cluster="cluster.yaml")
    fitting = found.machines.fitting({"CPU": 1, "GPU": 0.25})
    assert fitting is not None
    assert [(fit.node_type.name, fit.each, fit.at_once) for fit in fitting.fits] == [("gpu_spot", 4, 32)]
    assert len(found.warnings) == 4  # of lines to be edited
    assert check(config(), quarter).machines.node_types is None
    with pytest.raises(ConfigError, match=r"0\.25 GPU fits nowhere: the largest node \(this machine\) has 0 GPUs"):
        check(config(), quarter[:1])
    with pytest.raises(ConfigError, match=r"the largest node \(gpu_spot\) has 1 GPU; lower") as told:
        check(config(), ["ray.gpus_per_trial=2"], cluster="cluster.yaml")
    assert len(told.value.problems) == 1  # once, with all that need it
    assert "root supernet, partition trials" in told.value.problems[0]


def test_what_is_missing_for_a_cluster_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    warnings = check(config(), cluster="cluster.yaml").warnings
    assert [text for text in warnings if "submit the run with ray.address=auto" in text]
    assert [text for text in warnings if "such as out=/shared/runs/NAME" in text]


def test_a_folder_that_exists_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists and is not overwritten"):
        check(config(), [f"out={tmp_path}"])
    with pytest.raises(RunError, match="is a URL"):
        check(config(), ["out=s3://bucket/run"])


def raynas(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raynas", "check", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_the_command() -> None:
    done = raynas("experiments/quickstart.yaml", "network.channels=2", "ray.address=auto", "--cluster", "cluster.yaml")
    assert done.returncode == 0, done.stderr
    for words in ("15,284 architectures", "partition trials", "64: gpu_spot 8 each", "nothing was started"):
        assert words in done.stdout


def test_mistakes_of_the_command() -> None:
    done = raynas("experiments/quickstart.yaml", "train.lr=fast", "sead=1", "--cluster", "clusters.yaml")
    assert done.returncode == 2
    assert "2 problems in experiments/quickstart.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    done = raynas("experiments/quickstart.yaml", "--cluster", "clusters.yaml")
    assert done.returncode == 2
    assert "no cluster file at clusters.yaml, did you mean 'cluster.yaml'" in done.stderr
