"""Whole runs whose sub-supernets form a tree, are chosen by gradients, or are no partition at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import raynas
from raynas.cluster.plan import make_plan, split_supernet
from raynas.config import load_config
from raynas.errors import ConfigError
from raynas.methods import Calibration, Line
from raynas.methods.partition_calibration import yardstick
from raynas.search import CandidatePool
from raynas.streams import stream
from raynas.training.checkpoint import load_state
from raynas.training.probe import TrainedProbe
from raynas.training.scoring import score_architectures
from raynas.training.worker import SupernetWorker

pytestmark = pytest.mark.ray

TINY: dict[str, Any] = {
    "space": "nasbench201",
    "network": {"channels": 2, "cells": 1},
    "data": "digits",
    "truth": "digits201",
    "train": {"batch_size": 64, "round_images": 128, "root_rounds": 1, "partition_rounds": 4},
    "score": {"images": 64, "architectures": 24},
    "scheduler": "uniform",
    "search": {
        "name": "random",
        "budget": 8,
        "pool": {"candidates": 4},
        "verify": {"top": 0},
    },
    "wandb": {"mode": "disabled"},
}
HALVES = [["none", "skip_connect"], ["nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]]
FIVE = {
    **TINY,
    "method": {"partition": {"decisions": ["1<-0"]}},
    "train": {**TINY["train"], "partition_rounds": 5},
}
TREE = {"decisions": [[{"1<-0": HALVES}], [{"2<-1": HALVES}]], "calibration": "scale", "calibration_architectures": 6}


def run(out: Path, partition: Any, **changes: Any) -> tuple[raynas.Run, str]:
    """Run a tiny search with this partition; return it and what it printed."""
    console = Console(width=160)
    with console.capture() as captured:
        done = raynas.run({**TINY, **changes, "method": {"partition": partition}, "out": str(out)}, console=console)
    return done, captured.get()


def without_times(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("seconds")} for row in rows]


@pytest.fixture(scope="module")
def tree(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[raynas.Run, str]:
    return run(tmp_path_factory.mktemp("tree") / "run", TREE, train={**TINY["train"], "level_rounds": 2})


def values(done: raynas.Run, label: str, architectures: list[str]) -> list[float]:
    """Return the scores that a supernet's checkpoint gives to architectures now."""
    protocol = make_plan(done.config).root.protocol
    parsed = [done.space.parse(text) for text in architectures]
    found = score_architectures(done.supernet(label), raynas.data("digits"), parsed, protocol)
    return [-score.loss for score in found]


def test_levels_train_one_after_another(tree: tuple[raynas.Run, str]) -> None:
    done, printed = tree
    parts = {part["label"]: part for part in done.partitions}
    assert [part["parent"] for part in done.partitions] == ["root"] * 2 + list(parts)[:1] * 2 + list(parts)[1:2] * 2
    assert [part["size"] for part in done.partitions] == [6250, 9375, 2500, 3750, 3750, 5625]
    assert done.metrics["trial"].tolist() == ["root", *parts]
    assert done.summary["survivors"] == list(parts)[2:]
    assert done.summary["split"] == list(parts)[:2]
    assert all(part["survived"] for part in done.partitions)
    assert done.ledger["images_trained"] == 7 * 128
    assert "2, then 4 partitions of 1<-0, then 2<-1" in printed
    table = printed[printed.index("ranking against") :].splitlines()
    fates = [line.split()[-1] for line in table if line.strip().startswith("1<-0=none/skip_connect")]
    assert fates == ["split", "survived", "survived"]
    assert (done.path / "tune-1").exists()
    assert (done.path / "tune-2").exists()
    assert (done.path / "report.html").read_text().count("<svg") == 4
    assert set(done.searched["scorer"]) <= set(done.summary["survivors"])


def test_each_inherits_from_its_parent(tree: tuple[raynas.Run, str]) -> None:
    done, _ = tree
    metrics = done.metrics.set_index("trial")
    for part in done.partitions:
        own = done.ranking[done.ranking["trial"] == part["label"]]
        before = values(done, part["parent"], own["architecture"].tolist())
        inherited = raynas.rank(before, own["truth"].to_numpy()).kendall_tau
        assert metrics.loc[part["label"], "kendall_tau_inherited"] == pytest.approx(inherited)
        assert values(done, part["label"], own["architecture"].tolist()) == pytest.approx(own["score"].tolist())


def test_the_runs_ranking_is_by_the_owners(tree: tuple[raynas.Run, str]) -> None:
    done, printed = tree
    root, whole = (done.ranking[done.ranking["trial"] == trial] for trial in ("root", "run"))
    assert whole["architecture"].tolist() == root["architecture"].tolist()
    assert whole["truth"].tolist() == root["truth"].tolist()
    leaves = {label: done.supernet(label).space for label in done.summary["survivors"]}
    raw = []
    for row in whole.itertuples():
        (owner,) = (label for label, space in leaves.items() if done.space.parse(row.architecture) in space)
        assert row.scorer == owner
        last = done.ranking[(done.ranking["trial"] == owner) & (done.ranking["architecture"] == row.architecture)]
        raw.append(last["score"].iloc[-1])
        line = Line.of(done.metrics.set_index("trial").loc[owner])
        assert row.score == line(raw[-1])
        assert line != Line()
    told = done.summary["ranking"]["run"]
    report, uncalibrated = (raynas.rank(scores, whole["truth"].to_numpy()) for scores in (whole["score"], raw))
    assert told["kendall_tau"] == report.kendall_tau
    assert (told["kendall_tau_ci_low"], told["kendall_tau_ci_high"]) == report.kendall_tau_ci
    assert told["kendall_tau_raw"] == uncalibrated.kendall_tau
    assert told["n_architectures"] == 24
    assert f"{told['kendall_tau']:.3f}" in next(
        line for line in printed.splitlines() if line.rstrip().endswith("merged")
    )
    assert f"run tau {told['kendall_tau']:.2f}" in repr(done)


def test_calibration_brings_leaves_to_the_roots_scores(tree: tuple[raynas.Run, str]) -> None:
    done, _ = tree
    for label in done.summary["survivors"]:
        drawn = [a.text for a in yardstick(done.supernet(label).space, stream(0, "calibration", label), 6)]
        line = Line.of(done.metrics.set_index("trial").loc[label])
        mine = [line(score) for score in values(done, label, drawn)]
        roots = values(done, "root", drawn)
        assert np.mean(mine) == pytest.approx(np.mean(roots), rel=1e-5)
        assert np.std(mine) == pytest.approx(np.std(roots), rel=1e-5)
        entries = [e for e in done.pool.itertuples() if e.scorer == label]
        pooled = [line(score) for score in values(done, label, [entry.architecture for entry in entries])]
        assert [entry.score for entry in entries] == pytest.approx(pooled)
    for row in done.searched.itertuples():
        line = Line.of(done.metrics.set_index("trial").loc[row.scorer])
        assert row.score == pytest.approx(line(-row.loss))


def test_parts_are_chosen_by_gradients_of_trained_weights(local_ray: None, tmp_path: Path) -> None:
    partition = {"name": "gradient_matching", "repeats": 1, "restart": "final"}
    done, printed = run(tmp_path / "gm", partition, train={**TINY["train"], "level_rounds": 2})
    plan = make_plan(done.config)
    assert plan.partition is not None
    assert "2, then 4 partitions chosen by gradients" in printed
    parts = {part["label"]: part for part in done.partitions}
    inner = [label for label, part in parts.items() if part["parent"] == "root"]
    assert list(done.summary["splits"]) == ["root", *inner]
    jobs = {"root": plan.root, **{p: replace(plan.root, label=p, space=done.supernet(p).space) for p in inner}}
    spent = 0
    for level, label in ((0, "root"), (1, inner[0]), (1, inner[1])):
        state = load_state(done.folder.checkpoint(label))["trainer"]["supernet"]
        probe = TrainedProbe(jobs[label], plan.data, state)
        split = split_supernet(plan.partition, jobs[label], level, probe)  # here as on Ray
        told = done.summary["splits"][label]
        assert told == {**split.why, "images_trained": probe.images_trained, "images_scored": 0}
        assert [part.label for part in split.parts] == [p for p, part in parts.items() if part["parent"] == label]
        assert all(part in printed for part in [told["decision"], *(part.label for part in split.parts)])
        spent += probe.images_trained
    assert 0 < spent <= 3 * 6 * 5 * 64
    assert done.ledger["images_trained"] == 7 * 128 + spent
    inherited = done.metrics.set_index("trial")["kendall_tau_inherited"]
    assert inherited[inner].notna().all()
    assert inherited[done.summary["survivors"]].isna().all()  # begun anew
    assert done.summary["ranking"]["run"]["n_architectures"] == 24


def test_parts_by_nonlinear_functions_and_what_is_given_up(local_ray: None, tmp_path: Path) -> None:
    partition = {"name": "nonlinear", "groups": [[0, 1], [2], [3]], "calibration": "shift"}
    scheduler = {"name": "greedy", "every": 1, "survivors": 1, "keep": 0.3, "confidence": 0.5}
    done, _ = run(tmp_path / "enn", partition, scheduler=scheduler)
    assert [part["size"] for part in done.partitions] == [9105, 5520, 1000]
    assert [part["options"] for part in done.partitions] == [done.partitions[0]["options"]] * 3
    (survivor,) = done.summary["survivors"]
    assert sorted(part["rounds"] for part in done.partitions) == [1, 1, 2]
    owner = {str(count): part["label"] for part in done.partitions for count in part["counted"]["nonlinear_functions"]}
    for row in done.ranking[done.ranking["trial"] == "run"].itertuples():
        count = done.space.nonlinear_functions(done.space.parse(row.architecture))
        assert row.scorer == owner[str(count)]  # what was given up keeps its last scores
    space = done.supernet(survivor).space
    assert all(done.space.parse(text) in space for text in done.searched["architecture"])


def test_one_subspace_is_no_partition(local_ray: None, tmp_path: Path) -> None:
    """It is SPOS, bit for bit: one part that holds the whole space has nothing to inherit and nothing to choose."""
    every = [[option for group in HALVES for option in group]]
    spos, _ = run(tmp_path / "spos", None)
    one, printed = run(tmp_path / "one", {"decisions": [{"1<-0": every}, {"2<-0": every}]})
    assert without_times(one.folder.metrics) == without_times(spos.folder.metrics)
    assert one.searched.equals(spos.searched)
    assert one.pool.equals(spos.pool)
    assert one.ranking.equals(spos.ranking)
    assert one.summary == spos.summary
    assert one.partitions == []
    assert "all in one partition" in printed
    ranking = spos.summary["ranking"]
    assert all(ranking["run"][key] == value for key, value in ranking["root"].items() if key != "round")
    whole = spos.ranking[spos.ranking["trial"] == "run"]
    assert whole["score"].tolist() == spos.ranking[spos.ranking["trial"] == "root"]["score"].tolist()
    assert set(whole["scorer"]) == {"root"}


def test_a_part_that_holds_the_whole_space_trains_as_the_root_does() -> None:
    """From fresh weights, as the scheduler's trial would: same streams, same steps, same scores."""
    plan = make_plan(load_config({**TINY, "train": {**TINY["train"], "root_rounds": 2}}))
    every = {decision.name: decision.options for decision in plan.space.decisions}
    whole = plan.space.subspace(every)
    assert whole.label == "root"
    workers = [
        SupernetWorker(replace(plan.root, label=whole.label, space=part), plan.data) for part in (plan.space, whole)
    ]
    reports = []
    for worker in workers:
        pool = CandidatePool(100)
        for _ in range(2):
            report = worker.run_round(pool)
            pool.commit({"root": report.entries})
            reports.append({key: value for key, value in report.metrics.items() if not key.startswith("seconds")})
    assert reports[:2] == reports[2:]


def test_before_training_the_yardstick_has_the_roots_scores_bit_for_bit() -> None:
    plan = make_plan(load_config(FIVE))
    root = SupernetWorker(plan.root, plan.data)
    root.run_round(CandidatePool(10))
    label = plan.levels[0][3]
    drawn = yardstick(plan.partitions[label], np.random.default_rng(0), 8)
    roots = tuple(-score.loss for score in root.score(drawn))
    job = replace(plan.jobs[label], calibration=Calibration("scale", drawn, roots))
    child = SupernetWorker(job, plan.data, root.supernet.state_dict())
    assert [-score.loss for score in child.score(drawn)] == list(roots)
    raw = SupernetWorker(plan.jobs[label], plan.data, root.supernet.state_dict())
    calibrated, plain = (worker.run_round(CandidatePool(10)) for worker in (child, raw))
    assert [score.loss for score in calibrated.scores] == [score.loss for score in plain.scores]
    line = Line.of(calibrated.metrics)
    assert line != Line()
    assert [line(entry.score) for entry in plain.entries] == [entry.score for entry in calibrated.entries]
    assert "calibration_slope" not in plain.metrics


def test_a_parts_ranking_set_holds_the_roots_architectures() -> None:
    plan = make_plan(load_config(FIVE))
    roots = plan.root.ranking.architectures
    for job in plan.jobs.values():
        mine = [architecture for architecture in roots if architecture in job.space]
        assert job.ranking.architectures[: len(mine)] == tuple(mine)
        functions = {plan.space.canonical(architecture) for architecture in job.ranking.architectures}
        assert len(functions) == len(job.ranking.architectures)
    assert [len(job.ranking.architectures) for job in plan.jobs.values()] == [17, 24, 24, 24, 24]  # 17: all it knows
    fewer = make_plan(load_config(FIVE, **{"score.partition_architectures": 6}))
    assert fewer.root.ranking == plan.root.ranking
    for label, job in fewer.jobs.items():
        mine = sum(architecture in job.space for architecture in roots)
        assert job.ranking.architectures[:mine] == plan.jobs[label].ranking.architectures[:mine]
        assert len(job.ranking.architectures) == max(mine, 6)
    assert max(len(job.ranking.architectures) for job in fewer.jobs.values()) > 6
    again = make_plan(plan.config)
    assert [job.ranking for job in again.jobs.values()] == [job.ranking for job in plan.jobs.values()]
    assert plan.root.ranking == make_plan(load_config(TINY)).root.ranking


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"method": {"partition": TREE}, "train": {"level_rounds": 1}},
            "'train.level_rounds': 1 rounds are too few for 2",
        ),
        (
            {"method": {"partition": TREE}, "train": {"partition_rounds": 3}},
            "'train.partition_rounds': 3 rounds are too",
        ),
        (
            {"method": {"partition": "nonlinear"}, "space": "nasbench101", "truth": None},
            "no count of nonlinear functions",
        ),
        ({"method": {"partition": {"name": "gradient_matching", "levels": 7}}}, "7 levels need as many decisions"),
        ({"method": {"partition": "gradient_matching"}, "space": "nasbench101", "truth": None}, "modules of their own"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], words: str) -> None:
    network = {} if "space" in changes else {"network": TINY["network"]}
    plain = {key: value for key, value in TINY.items() if key != "network"}
    with pytest.raises(ConfigError) as caught:
        make_plan(load_config({**plain, **network, **changes}))
    assert words in str(caught.value)
