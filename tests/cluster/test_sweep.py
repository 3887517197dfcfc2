"""Whole sweeps on a local Ray: what is tried, what is stopped, what is told; and killed in the middle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

import raynas
from raynas.cli import app
from raynas.cluster.local_run import LocalRun
from raynas.cluster.plan import draft_plan, with_truth
from raynas.cluster.sweep_plan import setting_config
from raynas.report.sweep_result import SweepResult
from tests.cluster.killing import killed, reports, without_times
from tests.cluster.wandb_files import read_runs

pytestmark = pytest.mark.ray

SMALL: dict[str, Any] = {
    "space": {"name": "nasbench201", "connected": True},
    "network": {"channels": 2, "cells": 1},
    "data": "digits",
    "truth": "digits201",
    "method": {"regularizer": {"name": "landmark", "count": 6, "warmup": 0.2}},
    "train": {"batch_size": 64, "round_images": 192, "root_rounds": 5, "heldout": 0.4},
    "score": {"images": 32, "architectures": 30},
    "search": {"pool": {"capacity": 10, "candidates": 2, "rescore": 0}},
    "sweep": {
        "keys": {
            "method.regularizer.coefficient": [1, 100],
            "method.regularizer.schedule": ["constant", "cosine_increase"],
        },
        "controls": {"spos": {"method.regularizer": None}},
        "seeds": [0, 1],
        "stop": {"name": "halving", "grace": 1, "reduction": 2},
        "warm_start": {"rounds": 1, "values": {"method.regularizer": None}},
    },
}


EARLY = {"name": "greedy", "m": 2, "k": 1, "images": 20, "stop_change": 0.99, "check_every": 1}
"""A sampler that soon asks to end."""


def changed(**sweep: Any) -> dict[str, Any]:
    return {**SMALL, "sweep": {**SMALL["sweep"], **sweep}, "wandb": {"mode": "disabled"}}


@pytest.fixture(scope="module")
def result(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    out = tmp_path_factory.mktemp("sweeps") / "small"
    return raynas.sweep({**SMALL, "wandb": {"mode": "offline"}, "out": str(out)})


def test_every_setting_is_tried_with_every_seed(result: SweepResult) -> None:
    metrics = result.metrics
    assert list(dict.fromkeys(metrics["trial"])) == ["warm", "spos", "t000", "t001", "t002", "t003"]
    for trial, mine in metrics.groupby("trial"):
        first = 1 if trial == "warm" else 2
        for _, one in mine.groupby("seed"):
            assert one["round"].tolist() == list(range(first, first + len(one)))
        assert sorted(mine["seed"].unique()) == [0, 1]
    spos = metrics[metrics["trial"] == "spos"]
    assert spos["round"].max() == 5
    table = raynas.truth("digits201")
    for (trial, seed), mine in result.ranking.groupby(["trial", "seed"]):
        last = result.at(trial).set_index("seed").loc[seed]
        assert raynas.rank(mine["score"], mine["truth"]).kendall_tau == pytest.approx(last["kendall_tau"])
        assert table.query(mine["architecture"].iloc[0]) == mine["truth"].iloc[0]


def test_the_weak_are_stopped_when_all_have_reported(result: SweepResult) -> None:
    """Rungs after 1, 2 and 4 steps of 4: four settings, of which two, then one go on."""
    means = result.metrics.groupby(["trial", "round"])["kendall_tau"].mean()
    states = {one["trial"]: (one["state"], one["steps"]) for one in result.settings}
    names = ["t000", "t001", "t002", "t003"]
    second = sorted(names, key=lambda name: -means[name, 2])[:2]
    third = max(second, key=lambda name: means[name, 3])
    assert states == {
        name: ("finished", 4) if name == third else ("stopped", 2) if name in second else ("stopped", 1)
        for name in names
    } | {"spos": ("finished", 4)}
    assert result.best()["trial"] == third
    assert result.dataframe().set_index("trial").loc[third, "kendall_tau"] == pytest.approx(means[third, 5])


def test_a_trial_is_a_local_run_from_the_warm_start(result: SweepResult) -> None:
    best = result.best()
    config = setting_config(result.config, best["values"], 1)
    run = LocalRun(with_truth(draft_plan(config)))
    rows = [run.step() for _ in range(5)]  # without a warm start: its warm-up ends where the term sets in
    assert rows[-1]["kendall_tau"] == result.at(best["trial"]).set_index("seed").loc[1, "kendall_tau"]


def test_comparisons_are_paired_over_seeds(result: SweepResult) -> None:
    best, found = result.best()["trial"], result.compare("spos").set_index("trial")
    mine, theirs = (result.at(name).set_index("seed")["kendall_tau"] for name in (best, "spos"))
    differences = (mine - theirs).to_numpy()
    test = stats.ttest_1samp(differences, 0.0)
    interval = test.confidence_interval(0.95)
    row = found.loc[best]
    assert (row["round"], row["pairs"]) == (5, 2)
    assert row["difference"] == pytest.approx(differences.mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
    assert row["probability"] == pytest.approx(stats.ttest_1samp(differences, 0.0, alternative="less").pvalue)
    stopped = found[found["state"] == "stopped"]
    assert set(stopped["round"]) == {2, 3}
    with pytest.raises(raynas.errors.RunError, match="no setting 'spso', did you mean 'spos'"):
        result.compare("spso")


def test_importance_and_page(result: SweepResult) -> None:
    shares = result.importance()
    assert set(shares) == {"coefficient", "schedule"}
    assert sum(shares.values()) == pytest.approx(1.0)
    page = result.folder.report.read_text()
    assert page.count("<svg") == 3
    assert "src=" not in page.replace('src="data:', "")
    assert "cosine_increase" in page
    assert result.plot().get_axes()
    assert str(result.best()["setting"]) in repr(result)


def test_a_sweeps_folder_is_not_searched_and_gives_its_figures(result: SweepResult, tmp_path: Path) -> None:
    with pytest.raises(raynas.errors.RunError, match="folder of a sweep"):
        raynas.load(result.path).search("random", budget=5)
    done = CliRunner().invoke(app, ["report", str(result.path), "--figures", str(tmp_path / "svg")])
    assert done.exit_code == 0
    assert {path.stem for path in (tmp_path / "svg").glob("*.svg")} == {"curves", "heat", "importance"}


def test_what_is_spent_counts_the_warm_start_once(result: SweepResult) -> None:
    metrics, ledger = result.metrics, result.ledger
    last = metrics.groupby(["trial", "seed"])["images_trained"].max()
    warm = last["warm"].sum()
    own = sum(int(value) - int(last["warm", seed]) for (trial, seed), value in last.items() if trial != "warm")
    assert ledger["images_trained"] == own + warm
    assert result.summary["finished"] == 2


def test_every_trial_is_a_wandb_run(result: SweepResult) -> None:
    runs = {run.name.partition("/")[2]: run for run in read_runs(result.path)}
    assert set(runs) == {"sweep", "spos", *(f"{one['trial']} {one['setting']}" for one in result.settings[1:])}
    best = result.best()
    run = runs[f"{best['trial']} {best['setting']}"]
    means = result.metrics[result.metrics["trial"] == best["trial"]].groupby("round")["kendall_tau"].mean()
    assert {int(row["round"]): row["kendall_tau"] for row in run.rows if "kendall_tau" in row} == pytest.approx(
        means.to_dict()
    )
    assert run.config["setting"]["coefficient"] == best["coefficient"]
    assert len(run.table("ranking")["score"]) == 30
    assert runs["sweep"].table("settings")["setting"][0] == result.dataframe()["setting"][0]


def test_killed_and_resumed_it_gives_the_same(local_ray: None, tmp_path: Path) -> None:
    config = changed()
    whole = raynas.sweep({**config, "out": str(tmp_path / "whole")})
    out = tmp_path / "broken"
    killed("sweep", {**config, "out": str(out)}, lambda: reports(out / "metrics.jsonl") >= 9)
    assert not (out / "summary.json").exists()
    done = raynas.resume(out)
    assert isinstance(done, SweepResult)
    assert without_times(whole.folder.metrics) == without_times(done.folder.metrics)
    assert whole.settings == done.settings
    pd.testing.assert_frame_equal(whole.ranking, done.ranking)
    assert whole.summary == done.summary


def test_tpe_finds_the_same_again(local_ray: None, tmp_path: Path) -> None:
    keys = {
        "method.regularizer.coefficient": {"loguniform": [0.1, 100]},
        "method.regularizer.schedule": ["constant", "cosine_increase"],
    }
    more = {"search": {"name": "tpe", "batch": 2, "startup": 2}, "trials": 5, "stop": None, "seeds": [0]}
    config = changed(keys=keys, **more)
    first, again = (raynas.sweep({**config, "out": str(tmp_path / name)}) for name in ("a", "b"))
    values = [one["values"] for one in first.settings]
    assert values == [one["values"] for one in again.settings]
    assert len({json.dumps(one) for one in values}) == 6
    assert (tmp_path / "a" / "study.log").exists()
    coefficients = [one["method.regularizer.coefficient"] for one in values[1:]]
    assert all(0.1 <= value <= 100 for value in coefficients)


def test_bohb_on_hyperband(local_ray: None, tmp_path: Path) -> None:
    config = changed(
        keys={"method.regularizer.coefficient": {"loguniform": [0.1, 100]}},
        search={"name": "bohb", "startup": 2},
        stop={"name": "hyperband", "reduction": 2},
        trials=6,
        seeds=[0],
    )
    found = raynas.sweep({**config, "out": str(tmp_path / "bohb")})
    assert len(found.settings) == 7
    assert all(one["state"] in ("finished", "stopped") for one in found.settings)
    assert found.settings[0]["state"] == "finished"
    ended = [one["state"] for one in found.settings[1:]].count("finished")
    assert ended == 5  # a bracket of three that all train to the end, and one of three, of whom two go on


def test_asha_and_several_objectives(local_ray: None, tmp_path: Path) -> None:
    found = raynas.sweep({**changed(stop={"name": "asha", "grace": 1, "reduction": 2}), "out": str(tmp_path / "asha")})
    assert all(one["state"] in ("finished", "stopped") for one in found.settings)
    assert next(one for one in found.settings if one["trial"] == "spos")["state"] == "finished"
    several = changed(stop=None, objectives=["kendall_tau", "seconds_train"], seeds=[0])
    front = raynas.sweep({**several, "out": str(tmp_path / "several")}).pareto()
    assert len(front) >= 1
    assert np.all(np.diff(front["kendall_tau"]) <= 0)
    assert np.all(np.diff(front["seconds_train"]) <= 0)


def test_the_folder_explains_itself(result: SweepResult) -> None:
    names = {path.name for path in result.path.iterdir()}
    assert {"config.yaml", "env.json", "metrics.jsonl", "settings.json", "ledger.json", "ranking.parquet",
            "summary.json", "report.html", "journal.jsonl"} <= names  # fmt: skip
    config = yaml.safe_load(result.folder.config.read_text())
    assert config["sweep"]["keys"] == SMALL["sweep"]["keys"]
    again = raynas.load_sweep(result.path)
    assert again.dataframe().equals(result.dataframe())


def test_trainings_of_unequal_length_do_not_wait_for_each_other(local_ray: None, tmp_path: Path) -> None:
    """One setting ends before the rung; a sampler that ends early does so at another round with another seed."""
    config = changed(
        keys={"train.root_rounds": [1, 3, 4]},
        controls={"greedy": {"method.sampler": EARLY, "method.regularizer": None, "train.root_rounds": 6}},
        stop={"name": "halving", "grace": 2, "reduction": 2},
        warm_start=None,
    )
    found = raynas.sweep({**config, "out": str(tmp_path / "unequal")})
    states = {one["trial"]: (one["state"], one["steps"]) for one in found.settings}
    assert states["t000"] == ("finished", 1)
    assert sorted(states[name][0] for name in ("t001", "t002")) == ["finished", "stopped"]
    rows = found.metrics
    assert not rows.duplicated(["trial", "seed", "round"]).any()
    assert rows[rows["trial"] == "greedy"]["round"].max() < 6
    longest = found.dataframe()
    assert longest["kendall_tau"].iloc[0] == longest[longest["state"] == "finished"]["kendall_tau"].max()


@pytest.mark.parametrize("name", ["pbt", "pb2"])
def test_values_change_while_trials_train(local_ray: None, tmp_path: Path, name: str) -> None:
    config = changed(
        keys={"method.regularizer.coefficient": {"loguniform": [0.1, 100]}},
        search="random",
        trials=4,
        stop={"name": name, "every": 1, "quantile": 0.5},
        seeds=[0],
    )
    found = raynas.sweep({**config, "out": str(tmp_path / name)})
    searched = found.metrics[found.metrics["trial"].str.startswith("t0")]
    assert (searched.groupby("trial")["coefficient"].nunique() > 1).any()
    assert searched["coefficient"].between(0.1, 100).all()
    last = searched.sort_values("round").groupby("trial").tail(1).set_index("trial")["coefficient"]
    for one in found.settings[1:]:
        assert one["values"]["method.regularizer.coefficient"] == last[one["trial"]]
    assert all(one["state"] == "finished" for one in found.settings)
    assert not found.metrics.duplicated(["trial", "seed", "round"]).any()
    for one in found.settings[1:]:
        mine = searched[searched["trial"] == one["trial"]].sort_values("round")["coefficient"]
        assert one["changes"] == (mine.diff().iloc[1:] != 0).sum()
        assert ("values" in one["setting"]) == bool(one["changes"])
    longest = found.metrics.groupby("trial")["round"].max()
    assert set(longest) == {1, 5}  # the warm start, and all others


def test_values_that_change_are_gone_on_with(local_ray: None, tmp_path: Path) -> None:
    out = tmp_path / "pbt"
    config = changed(
        keys={"method.regularizer.coefficient": {"loguniform": [0.1, 100]}},
        search="random",
        trials=3,
        stop={"name": "pbt", "every": 1, "quantile": 0.5},
        seeds=[0],
        warm_start=None,
    )
    killed("sweep", {**config, "out": str(out)}, lambda: reports(out / "metrics.jsonl") >= 10)
    before = {path.parent.name: int(path.stem.partition("-")[2]) for path in out.glob("trials/*/state-*.pt")}
    assert set(before) == {"spos", "t000", "t001", "t002"}
    done = raynas.resume(out)
    assert isinstance(done, SweepResult)
    assert [(one["state"], one["steps"]) for one in done.settings] == [("finished", 5)] * 4
    spos = done.metrics[done.metrics["trial"] == "spos"]
    assert spos["round"].tolist() == [1, 2, 3, 4, 5]
    assert done.summary["images_trained"] >= 192 * (5 + sum(before.values()) - before["spos"])
