"""A run in one process: the numbers of the run on Ray, exact when it is taken up again, and from a warm start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import raynas
from raynas.cluster.local_run import LocalRun, local_objections
from raynas.cluster.plan import draft_plan, with_truth
from raynas.config import load_config
from raynas.errors import ConfigError
from raynas.training.checkpoint import load_state, save_state
from tests.cluster.test_run import TINY

ONE: dict[str, Any] = {
    **{key: value for key, value in TINY.items() if key != "method"},
    "train": {"batch_size": 64, "round_images": 256, "root_rounds": 4, "heldout": 0.4},
    "search": {**TINY["search"], "verify": {"top": 0}},
}
PARTS: dict[str, Any] = {
    **TINY,
    "train": {"batch_size": 64, "round_images": 256, "root_rounds": 1, "partition_rounds": 10},
    "search": {**TINY["search"], "verify": {"top": 0}},
}
LEARNED: dict[str, Any] = {
    **PARTS,
    "method": {"partition": {"name": "gradient_matching", "levels": 2, "repeats": 1, "calibration": "shift"}},
    "train": {**PARTS["train"], "level_rounds": 2, "partition_rounds": 4},
    "scheduler": "uniform",
}
LANDMARK = {"name": "landmark", "count": 6, "warmup": 0.5, "schedule": "constant"}


def made(config: dict[str, Any], *warm: Any) -> LocalRun:
    return LocalRun(with_truth(draft_plan(load_config(config))), *warm)


def steps(run: LocalRun, count: int = 100) -> list[dict[str, Any]]:
    rows = []
    while not run.finished and len(rows) < count:
        rows.append({key: value for key, value in run.step().items() if not key.startswith("seconds")})
    return rows


def snapshot(run: LocalRun, path: Path) -> dict[str, Any]:
    """Return a state that does not change with the run."""
    save_state(run.state_dict(), path)
    return load_state(path)


@pytest.mark.parametrize("config", [ONE, PARTS, LEARNED], ids=["one", "partitions", "learned tree"])
def test_taken_up_anywhere_it_goes_on_exactly(config: dict[str, Any], tmp_path: Path) -> None:
    run, states, rows = made(config), [], []
    while not run.finished:
        states.append(snapshot(run, tmp_path / "state.pt"))
        rows += steps(run, 1)
    assert len(rows) >= 3
    for done, state in list(enumerate(states))[1:]:
        again = made(config)
        again.load_state_dict(state)
        assert repr(steps(again)) == repr(rows[done:])
        assert again.ranking() == run.ranking()


CALIBRATED: dict[str, Any] = {
    **PARTS,
    "method": {"partition": {**PARTS["method"]["partition"], "calibration": "scale", "calibration_architectures": 5}},
    "search": {"name": "random", "budget": 1, "pool": TINY["search"]["pool"], "verify": {"top": 0}},
}


@pytest.mark.ray
def test_it_is_the_run_on_ray(local_ray: None, tmp_path: Path) -> None:
    on_ray = raynas.run({**CALIBRATED, "wandb": {"mode": "disabled"}, "out": str(tmp_path / "run")})
    run = made(CALIBRATED)
    rows = steps(run)
    metrics = on_ray.metrics
    root = metrics[metrics["trial"] == "root"].iloc[-1]
    assert rows[0]["kendall_tau"] == root["kendall_tau"]
    assert rows[-1]["kendall_tau"] == on_ray.summary["ranking"]["run"]["kendall_tau"]
    assert rows[-1]["images_trained"] == on_ray.ledger["images_trained"]
    one = on_ray.config.score.images  # a single architecture is scored in the search
    assert rows[-1]["images_scored"] + one == on_ray.ledger["images_scored"]
    merged = on_ray.ranking[on_ray.ranking["trial"] == "run"]
    found = run.ranking()
    assert found["score"] == merged["score"].tolist()
    assert found["scorer"] == merged["scorer"].tolist()


def test_a_warm_start_is_as_if_trained_from_the_beginning(tmp_path: Path) -> None:
    """A term that sets in after it makes no difference to when it was switched on."""
    landmark = {**ONE, "method": {"regularizer": LANDMARK}}
    whole = made(landmark)
    begun = steps(whole)
    neutral = made(ONE)
    steps(neutral, 2)
    warm = snapshot(neutral, tmp_path / "warm.pt")
    run = made(landmark, warm, ("sampler", "sharing", "curriculum"))
    found = steps(run)
    ranked = ("kendall_tau", "loss", "spearman", "images_trained", "images_scored", "landmark_lambda", "round")
    assert [[row[key] for key in ranked] for row in found] == [[row[key] for key in ranked] for row in begun[2:]]
    without = steps(neutral)
    assert [row["loss"] for row in without] != [row["loss"] for row in found]  # the term does set in


def test_a_warm_start_leaves_the_optimizer_its_own_settings(tmp_path: Path) -> None:
    warm = made(ONE)
    steps(warm, 1)
    state, losses = snapshot(warm, tmp_path / "warm.pt"), {}
    for name, train in {
        "same": {},
        "decay": {"weight_decay": 0.5},
        "no momentum": {"momentum": 0.0},
        "plateau": {"schedule": "plateau"},
    }.items():
        run = made({**ONE, "train": {**ONE["train"], **train}}, state, ("sampler", "sharing"))
        losses[name] = steps(run)[-1]["loss"]
    assert len(set(losses.values())) == 4
    assert losses["same"] == steps(warm)[-1]["loss"]


def test_a_root_whose_sampler_ends_early_stays_ended(tmp_path: Path) -> None:
    sampler = {"name": "greedy", "m": 2, "k": 1, "images": 20, "stop_change": 0.99, "check_every": 1}
    run = made({**ONE, "method": {"sampler": sampler}, "train": {**ONE["train"], "root_rounds": 9}})
    rows = steps(run)
    assert len(rows) < 9
    again = made(run.plan.config.model_dump(mode="json"))
    again.load_state_dict(snapshot(run, tmp_path / "state.pt"))
    assert again.finished


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scheduler": {"name": "asha"}}, "'scheduler': asha needs trials of Ray Tune"),
        ({"scheduler": "evolution"}, "'scheduler': evolution"),
        ({"method": {"regularizer": {**LANDMARK, "iterations": 2, "count": 8}}}, "iterations=1"),
    ],
)
def test_what_needs_more_than_a_process_is_refused(change: dict[str, Any], words: str) -> None:
    config = {**PARTS, "train": {**PARTS["train"], "partition_rounds": 30, "root_rounds": 4}, **change}
    assert any(words in problem for problem in local_objections(draft_plan(load_config(config))))
    with pytest.raises(ConfigError, match=words):
        made(config)
