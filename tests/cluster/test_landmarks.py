"""Landmarks in whole runs: no ranking is measured on one, also on those that are added while the root trains."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from rich.console import Console

import raynas
from raynas.cluster.landmarks import LandmarkSurvey, landmark_part
from raynas.cluster.plan import Plan, make_plan
from raynas.cluster.resources import Resources
from raynas.cluster.supernet_actor import SupernetActor
from raynas.config import load_config
from raynas.errors import ConfigError
from raynas.methods import Landmark
from raynas.report.folder import RunFolder
from raynas.search import CandidatePool
from raynas.tracking.jsonl import finite
from raynas.training.ledger import Ledger
from raynas.training.standalone import StandaloneRecipe, train_standalone
from raynas.training.worker import SupernetWorker
from tests.cluster.test_run import TINY, without_times

SPACE = raynas.space("nasbench201")
TABLE = raynas.truth("digits201")
LANDMARK = {
    "name": "landmark", "count": 7, "iterations": 3, "warmup": 0.25, "feedback_budget": 12, "norms_every": 1,
    "schedule": "constant", "pairs": 2,
}  # fmt: skip
CONFIG: dict[str, Any] = {
    **TINY,
    "method": {**TINY["method"], "regularizer": LANDMARK},
    "train": {
        **TINY["train"],
        "batch_size": 32,
        "round_images": 192,
        "root_rounds": 4,
        "partition_rounds": 5,
        "scoring_cost": 0.03,
    },
    "scheduler": "uniform",
    "search": {"name": "random", "budget": 8, "pool": {"capacity": 20, "candidates": 4}, "verify": {"top": 0}},
    "wandb": {"mode": "disabled"},
}
RECIPE = {"network": {"channels": 2, "cells": 1}, "epochs": 1}


def configured(**options: Any) -> dict[str, Any]:
    """Return the configuration with other options of the regularizer."""
    return {**CONFIG, "method": {**CONFIG["method"], "regularizer": {**LANDMARK, **options}}}


def function(architecture: Any) -> str:
    return SPACE.canonical(SPACE.parse(str(architecture))).text


def functions(architectures: Any) -> set[str]:
    return set(map(function, architectures))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(load_config(CONFIG))


# ---------------------------------------------------------------- the plan


def test_no_ranking_is_measured_on_a_landmark(plan: Plan) -> None:
    landmarks = functions(one.architecture for one in plan.landmarks)
    assert len(landmarks) == 3  # of 7 in three lots
    for job in plan.supernets.values():
        assert len(job.ranking.architectures) == 40
        assert not functions(job.ranking.architectures) & landmarks
        assert job.landmarks == tuple(one for one in plan.landmarks if one.architecture in job.space)
    assert plan.root.landmarks == plan.landmarks
    for one in plan.landmarks:
        assert one.quality == TABLE.query(one.architecture, "valid_accuracy")


def test_later_landmarks_leave_the_roots_ranking_set_as_it_was(plan: Plan) -> None:
    own = functions(plan.root.ranking.architectures)
    part = next(iter(plan.jobs.values()))
    others = [a for a in part.ranking.architectures if function(a) not in own]
    grown = plan.with_landmarks([*plan.landmarks, *(Landmark(a, 90.0) for a in others[:4])])
    assert grown.root.ranking == plan.root.ranking
    now = grown.jobs[part.label].ranking.architectures
    assert not functions(now) & functions(others[:4])
    assert len(now) == 40
    assert [one.architecture for one in grown.jobs[part.label].landmarks][-4:] == others[:4]


def test_at_a_coefficient_of_zero_the_plan_is_that_of_spos() -> None:
    ours = make_plan(load_config(configured(coefficient=0)))
    spos = make_plan(load_config({**CONFIG, "method": TINY["method"]}))
    assert landmark_part(ours.config) is None
    assert ours.landmarks == ()
    assert [job.ranking for job in ours.supernets.values()] == [job.ranking for job in spos.supernets.values()]
    assert ours.root.split(ours.data.train)[1] is None


def test_landmarks_that_are_trained_are_set_aside_before_their_quality_is_known() -> None:
    drafted = make_plan(load_config(configured(truth="train", recipe=RECIPE)))
    assert len(drafted.landmarks) == 3
    assert all(np.isnan(one.quality) for one in drafted.landmarks)
    assert drafted.root.landmarks == ()
    assert not functions(drafted.root.ranking.architectures) & functions(a.architecture for a in drafted.landmarks)


@pytest.mark.parametrize(
    ("options", "score", "words"),
    [
        ({"count": 1199, "iterations": 1}, 40, "1199 landmarks leave 1 of the architectures that digits201 knows"),
        ({}, 1196, r"4 landmarks are to be added .* first 3 and the 1196 .* it knows 1; lower score\.architectures"),
        ({"count": 1300, "iterations": 1}, 40, "'method.regularizer': 1300 landmarks are wanted, but digits201 knows"),
        ({"select": "hamming", "tau": 6}, 40, "'method.regularizer': tau=6 asks for .* the largest possible tau is 5"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_begins(options: dict[str, Any], score: int, words: str) -> None:
    config = configured(**options)
    with pytest.raises(ConfigError, match=words):
        make_plan(load_config({**config, "score": {**TINY["score"], "architectures": score}}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {**CONFIG["train"], "root_rounds": 3}}, r"'method\.regularizer': iterations=3 needs as many rounds"),
        ({"train": {**CONFIG["train"], "heldout": 0}}, r"'train\.heldout': landmarks are compared on held-out images"),
        ({"truth": None}, "landmarks take their quality from the run's truth, and there is none"),
        (
            {"truth": {"train": {"architectures": 20, "recipe": {}}}},
            r"'truth\.train\.architectures': 20 are too few for 7 landmarks and the 40 others .* train at least 47",
        ),
        ({**configured(truth="train", recipe={"epohcs": 1})}, r"'method\.regularizer\.recipe\.epohcs', did you mean"),
        ({**configured(truth="train"), "truth": None}, r"'method\.regularizer\.recipe': landmarks are to be trained"),
        (
            {**configured(truth="train", recipe={"network": {"chanels": 1}})},
            r"'method\.regularizer\.recipe\.network\.chanels', did you mean 'channels'",
        ),
    ],
)
def test_configurations_that_cannot_work_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config({**CONFIG, **changes})


def test_a_table_without_validation_accuracy_is_refused(tmp_path: Path) -> None:
    columns = {name: values for name, values in TABLE.columns.items() if name != "valid_accuracy"}
    replace(TABLE, columns=columns).save(tmp_path / "test_only.npz")
    words = r"ordered by valid_accuracy, which digits201 does not hold; .* set method\.regularizer\.truth=train"
    with pytest.raises(ConfigError, match=words):
        load_config({**CONFIG, "truth": str(tmp_path / "test_only.npz")})
    load_config({**configured(official=True), "truth": str(tmp_path / "test_only.npz")})


def test_a_recipe_without_a_network_takes_the_runs_own() -> None:
    config = load_config(configured(truth="train", recipe={"epochs": 1}))
    assert config.method.regularizer is not None
    assert config.method.regularizer.options["recipe"] == {"epochs": 1, "network": {"channels": 2, "cells": 1}}


def test_an_idle_actor_trains_as_a_task_does(plan: Plan, tmp_path: Path) -> None:
    actor = SupernetActor(plan.root, plan.data, Resources(1), tmp_path)
    architecture, recipe = plan.landmarks[0].architecture, StandaloneRecipe(**RECIPE)
    results, span = actor.train_alone(plan.space, architecture, recipe, (3,))
    assert results == [train_standalone(plan.space, architecture, plan.data, recipe, 3)]
    assert span.phase == "standalone"


def test_landmarks_that_are_never_added_are_told(plan: Plan, tmp_path: Path) -> None:
    """A sampler that asks to stop ends the training before later landmarks are due."""
    text = io.StringIO()
    console = Console(file=text, width=200)
    survey = LandmarkSurvey(plan, None, RunFolder(tmp_path), Ledger(0.0), console)  # type: ignore[arg-type]
    survey.stopped(4)
    assert text.getvalue() == ""
    survey.stopped(3)
    survey.stopped(1)
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert lines == [
        "landmarks 2 are not added: they were due after round 3, and the sampler ended the training after round 3",
        "landmarks 4 are not added: they were due after round 2, 3, and the sampler ended the training after round 1",
    ]


@pytest.mark.parametrize(("cost", "told"), [(0.03, ""), (0.2, "a search for more of them costs up to 154 images")])
def test_searches_that_leave_nothing_to_train_on_are_told(cost: float, told: str, tmp_path: Path) -> None:
    plan = make_plan(load_config({**CONFIG, "train": {**CONFIG["train"], "scoring_cost": cost}}))
    text = io.StringIO()
    survey = LandmarkSurvey(plan, None, RunFolder(tmp_path), Ledger(0.0), Console(file=text, width=200))  # type: ignore[arg-type]
    survey.begin()
    lines = [line for line in text.getvalue().splitlines() if "costs" in line]
    assert len(lines) == bool(told)
    assert told in "".join(lines)
    assert ("there are 192: lower" in "".join(lines)) == bool(told)  # three of four rounds, divided by three


# ---------------------------------------------------------------- runs


class InProcess:
    """Stands for the root's actor, with a worker of this process."""

    def __init__(self, worker: SupernetWorker) -> None:
        self._worker = worker

    def call(self, method: str, *args: Any) -> Any:
        kept = {"landmarks_after": lambda done: None, "keep_landmarks": lambda done, landmarks: None}
        return ray.put(kept.get(method, self._worker.score_to_train)(*args))


@pytest.mark.ray
def test_the_best_of_the_search_become_landmarks(local_ray: None, plan: Plan, tmp_path: Path) -> None:
    done = raynas.run({**CONFIG, "out": str(tmp_path / "feedback")})
    rows = json.loads((done.path / "landmarks.json").read_text())
    assert [row["iteration"] for row in rows] == [1] * 3 + [2] * 2 + [3] * 2
    assert [row["chosen"] for row in rows] == ["random"] * 3 + ["search"] * 4
    landmarks = [Landmark(SPACE.parse(row["architecture"]), row["valid_accuracy"]) for row in rows]
    assert tuple(landmarks[:3]) == plan.landmarks
    assert all(one.quality == TABLE.query(one.architecture, "valid_accuracy") for one in landmarks)
    texts = functions(one.architecture for one in landmarks)
    assert len(texts) == 7
    assert not functions(done.ranking["architecture"]) & texts
    rounds = done.ranking[done.ranking["trial"] == "root"].groupby("round")["architecture"]
    assert {tuple(mine) for _, mine in rounds} == {tuple(a.text for a in plan.root.ranking.architectures)}

    # the same rounds by hand, with the searches, whose scores are charged
    worker, pool = SupernetWorker(plan.root, plan.data), CandidatePool(20)
    folder, quiet = RunFolder(tmp_path / "hand"), Console(quiet=True)
    folder.path.mkdir()
    survey = LandmarkSurvey(plan, ray.put(plan.data), folder, Ledger(0.0), quiet)
    survey.begin()
    told = [row for row in without_times(done.folder.metrics) if row["trial"] == "root"]
    view, cost, searched = worker.trainer.view, plan.root.optimizer.scoring_cost, [0]
    for number, row in enumerate(told):
        before = view.spent
        lot = survey.after_round(number, InProcess(worker), pool) if number else None
        searched.append(round((view.spent - before) / cost))
        assert (0 < searched[-1] <= 12 * TINY["score"]["images"]) == (lot is not None)
        assert lot == {2: tuple(landmarks[:5]), 3: tuple(landmarks)}.get(number)
        report = worker.run_round(pool, lot)
        pool.commit({"root": report.entries})
        mine = {key: value for key, value in finite(report.metrics).items() if not key.startswith("seconds")}
        assert row == mine
    # six batches a round, but for what the searches cost
    assert told[-1]["images_trained"] <= told[-1]["budget"] - cost * sum(searched)
    assert 0 <= told[-1]["budget"] - 4 * 192 < 5 * 32
    assert cost * sum(searched) > 32
    assert [row["landmark_count"] for row in told] == [3, 3, 5, 7]
    assert [row["landmark_lambda"] for row in told] == [0, 10, 10, 10]  # the first round is the warm-up
    assert all(row["landmark_task_norm"] for row in told if row["landmark_violations"])

    for label, mine in done.metrics[done.metrics["trial"] != "root"].groupby("trial"):
        option = label.split("=")[1]
        assert set(mine["landmark_count"]) == {sum(one.architecture.options[3] == option for one in landmarks)}
        assert (mine["landmark_lambda"] == 10).all()  # inherited weights have had their warm-up
        assert mine["landmark_violations"].isna().tolist() == (mine["landmark_pairs"] == 0).tolist()
    scored = done.metrics.groupby("trial")["images_scored"].max().sum()
    assert 0 <= done.ledger["images_scored"] - scored <= 8 * TINY["score"]["images"]


@pytest.mark.ray
def test_landmarks_are_trained_on_demand(local_ray: None, tmp_path: Path) -> None:
    """Without any truth, and on a Ray that has no room for a training beside the root."""
    options = {"truth": "train", "recipe": RECIPE, "seeds": 2, "count": 4, "iterations": 2, "feedback_budget": 6}
    config = {**configured(**options), "truth": None, "ray": {"cpus": 2, "cpus_per_trial": 2}}
    config["train"] = {**CONFIG["train"], "root_rounds": 3}
    config["method"] = {"regularizer": config["method"]["regularizer"]}
    done = raynas.run({**config, "out": str(tmp_path / "trained")})
    rows = json.loads((done.path / "landmarks.json").read_text())
    assert [row["iteration"] for row in rows] == [1, 1, 2, 2]
    assert len(functions(row["architecture"] for row in rows)) == 4
    assert done.ledger["images_standalone"] == 4 * 2 * 576
    assert done.metrics["landmark_count"].tolist() == [2, 2, 4]
    for row in rows:  # means of two accuracies on the validation images
        assert 0 < row["valid_accuracy"] < 100
    assert len({row["valid_accuracy"] for row in rows}) > 1
