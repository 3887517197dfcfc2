"""Whole runs on a local Ray."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import raynas
from raynas.errors import RunError
from tests.cluster.wandb_files import history

pytestmark = pytest.mark.ray

TINY: dict[str, Any] = {
    "space": {"name": "nasbench201", "connected": True},
    "network": {"channels": 2, "cells": 1},
    "data": "digits",
    "truth": "digits201",
    "method": {"partition": {"decisions": ["3<-0"]}},
    "train": {"batch_size": 64, "round_images": 256, "root_rounds": 1, "partition_rounds": 10},
    "score": {"images": 64, "architectures": 40},
    "scheduler": {"name": "greedy", "every": 1, "keep": 0.5, "confidence": 0.5},
    "search": {
        "name": "evolution",
        "budget": 30,
        "population": 10,
        "pool": {"capacity": 20, "candidates": 8},
        "verify": {"top": 3, "seeds": 2, "recipe": {"network": {"channels": 2, "cells": 1}, "epochs": 1}},
    },
}


@pytest.fixture(scope="module")
def tiny(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> raynas.Run:
    return raynas.run({**TINY, "out": str(tmp_path_factory.mktemp("runs") / "tiny")})


def without_times(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("seconds")} for row in rows]


def test_every_trial_reports_its_ranking(tiny: raynas.Run) -> None:
    metrics = tiny.metrics
    turns = [["root"], list(dict.fromkeys(metrics["trial"]))[1:]]
    assert metrics["trial"].tolist()[:6] == turns[0] + turns[1]
    assert len(turns[1]) == 5
    assert np.isfinite(metrics[["kendall_tau", "spearman", "p_at_top5", "loss"]]).all().all()
    assert (metrics["n_architectures"] == 40).all()
    assert metrics["kendall_tau_inherited"].notna().tolist() == (metrics["trial"] != "root").tolist()
    for _, mine in metrics.groupby("trial"):
        assert mine["round"].tolist() == list(range(1, len(mine) + 1))
        assert mine["images_trained"].tolist() == [256 * n for n in range(1, len(mine) + 1)]


def test_budget_follows_the_rule(tiny: raynas.Run) -> None:
    # 5 partitions, then the better 3, then 2: 5 + 3 + 2 = 10 rounds
    assert sorted(part["rounds"] for part in tiny.partitions) == [1, 1, 2, 3, 3]
    assert [part["label"] for part in tiny.partitions if part["rounds"] == 3] == tiny.summary["survivors"]
    first = tiny.metrics[(tiny.metrics["round"] == 1) & (tiny.metrics["trial"] != "root")]
    rejected = [part["label"] for part in tiny.partitions if part["rounds"] == 1]
    assert set(first.nsmallest(2, "standing")["trial"]) == set(rejected)


def test_ranking_table_gives_the_reported_taus(tiny: raynas.Run) -> None:
    table = raynas.truth("digits201")
    of_reports = tiny.ranking[tiny.ranking["trial"] != "run"]
    for (trial, number), mine in of_reports.groupby(["trial", "round"]):
        row = tiny.metrics[(tiny.metrics["trial"] == trial) & (tiny.metrics["round"] == number)].iloc[0]
        assert raynas.rank(mine["score"], mine["truth"]).kendall_tau == pytest.approx(row["kendall_tau"])
        for text, truth in zip(mine["architecture"].iloc[:5], mine["truth"].iloc[:5], strict=True):
            assert table.query(text) == truth
            assert trial == "root" or trial.split("=")[1] == raynas.space("nasbench201").parse(text).options[3]


def test_search_begins_at_the_pool_and_stays_with_the_survivors(tiny: raynas.Run) -> None:
    search, survivors = tiny.searched, tiny.summary["survivors"]
    assert len(search) == 30
    assert set(search["scorer"]) <= set(survivors)
    space = raynas.space("nasbench201")
    options = [space.parse(text).options[3] for text in search["architecture"]]
    assert [f"3<-0={option}" for option in options] == search["scorer"].tolist()
    assert len({space.canonical(space.parse(text)) for text in search["architecture"]}) == 30
    pool = [row.architecture for row in tiny.pool.itertuples() if row.scorer in survivors or _owner(row) in survivors]
    assert set(search["architecture"].iloc[: min(3, len(pool))]) <= set(tiny.pool["architecture"])


def _owner(row: Any) -> str:
    return f"3<-0={raynas.space('nasbench201').parse(row.architecture).options[3]}"


def test_best_was_trained_stand_alone(tiny: raynas.Run) -> None:
    best = tiny.summary["best"]
    ordered = tiny.searched.sort_values(["score", "architecture"], ascending=[False, True])["architecture"]
    first = {tiny.space.shared_form(tiny.space.parse(text)): text for text in reversed(ordered.tolist())}
    tops = [text for text in ordered if text in first.values()][:3]  # equal networks are trained once
    assert [row["architecture"] for row in tiny.summary["verified"]] == tops
    by_validation = tiny.verified.groupby("architecture")["valid_accuracy"].mean()
    assert by_validation[tiny.best] == by_validation.max()
    assert best["architecture"] == tiny.best
    mine = tiny.verified[tiny.verified["architecture"] == tiny.best]
    assert best["test_accuracy"] == pytest.approx(mine["test_accuracy"].mean())
    assert mine["seed"].tolist() == [1000, 1001]  # not the truth table's own seeds


def test_folder_explains_itself(tiny: raynas.Run) -> None:
    names = {path.name for path in tiny.path.iterdir()}
    assert {"config.yaml", "env.json", "metrics.jsonl", "ledger.json", "pool.parquet", "ranking.parquet",
            "search.parquet", "verified.parquet", "partitions.json", "summary.json", "report.html",
            "checkpoints"} <= names  # fmt: skip
    assert yaml.safe_load((tiny.path / "config.yaml").read_text())["scheduler"]["survivors"] == 2
    assert tiny.env["versions"]["ray"]
    assert {path.stem for path in (tiny.path / "checkpoints").glob("*.pt")} == {
        "root", *(f"3-0={option}" for option in raynas.space("nasbench201").decisions[3].options)
    }  # fmt: skip
    ledger = tiny.ledger
    assert ledger["images_trained"] == 11 * 256
    searched = ledger["images_scored"] - tiny.metrics.groupby("trial")["images_scored"].max().sum()
    assert 20 * 64 <= searched <= 30 * 64  # of what a generation asks for, the equal under shared weights count once
    assert searched % 64 == 0
    assert ledger["images_standalone"] == 3 * 2 * 576
    assert 0 < ledger["overhead_percent"] < 100
    assert tiny.summary["pool"]["entries"] == len(tiny.pool) == 20
    assert "best" in repr(tiny)


def test_page_is_self_contained_and_shows_the_figures(tiny: raynas.Run) -> None:
    class Page(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: dict[str, int] = {}
            self.links: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags[tag] = self.tags.get(tag, 0) + 1
            self.links += [value or "" for key, value in attrs if key in ("src", "href") and tag != "use"]

    page = Page()
    text = (tiny.path / "report.html").read_text()
    page.feed(text)
    assert page.tags["svg"] == 4
    assert [link for link in page.links if not link.startswith("#")] == []
    assert str(tiny.best).replace("|", "&#124;") in text or str(tiny.best) in text
    before = text
    assert tiny.write_report().read_text() == before  # made of the folder's tables alone


def test_wandb_files_hold_every_trials_tau(tiny: raynas.Run) -> None:
    files = sorted((tiny.path / "wandb").glob("offline-run-*/run-*.wandb"))
    logged = {}
    for file in files:
        name, config, rows = history(file)
        logged[config["trial"]] = [row["kendall_tau"] for row in rows if "kendall_tau" in row]
        assert name == f"tiny/{config['trial']}"
        assert config["train"]["round_images"] == 256
        assert [row["round"] for row in rows if "round" in row] == list(range(1, len(logged[config["trial"]]) + 1))
    expected = {trial: mine["kendall_tau"].tolist() for trial, mine in tiny.metrics.groupby("trial")}
    assert logged == {trial: pytest.approx(taus) for trial, taus in expected.items()}


def test_same_seed_same_run(tiny: raynas.Run, tmp_path: Path) -> None:
    again = raynas.run({**TINY, "wandb": {"mode": "disabled"}, "out": str(tmp_path / "again")})
    assert not (again.path / "wandb").exists()
    assert without_times(again.folder.metrics) == without_times(tiny.folder.metrics)
    assert again.pool.equals(tiny.pool)
    assert again.searched.equals(tiny.searched)
    assert again.verified.equals(tiny.verified)


def test_a_killed_trial_changes_nothing(tiny: raynas.Run, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        for _ in range(3_000):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    title = (process / "cmdline").read_bytes()
                except OSError:
                    continue
                # of all actors only a Tune trial has train(); a supernet's has train_alone()
                if title.startswith(b"ray::") and b".train" in title and b".train_alone" not in title:
                    os.kill(int(process.name), signal.SIGKILL)
                    killed.append(int(process.name))
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    again = raynas.run({**TINY, "wandb": {"mode": "disabled"}, "out": str(tmp_path / "killed")})
    killer.join()
    assert len(killed) == 1
    assert without_times(again.folder.metrics) == without_times(tiny.folder.metrics)
    assert again.searched.equals(tiny.searched)


def test_more_survivors_than_slots(local_ray: None, tmp_path: Path) -> None:
    search = {"name": "random", "budget": 12, "batch": 12, "pool": {"candidates": 4}, "verify": {"top": 0}}
    train = {**TINY["train"], "partition_rounds": 5}
    changes = {"scheduler": "uniform", "search": search, "train": train, "wandb": {"mode": "disabled"}}
    run = raynas.run({**TINY, **changes, "out": str(tmp_path / "uniform")})
    assert len(run.summary["survivors"]) == 5
    assert len(set(run.searched["scorer"])) >= 3
    assert run.best == run.searched.nlargest(1, "score")["architecture"].iloc[0]
    assert run.summary["verified"] == []
    assert (run.path / "report.html").exists()


def test_a_diverged_run_comes_to_its_end_and_says_so(local_ray: None, tmp_path: Path) -> None:
    train = {**TINY["train"], "partition_rounds": 5, "lr": 1e30, "grad_clip": None}
    search = {**TINY["search"], "verify": {"top": 0}}
    changes = {"train": train, "search": search, "scheduler": "uniform", "wandb": {"mode": "disabled"}}
    run = raynas.run({**TINY, **changes, "out": str(tmp_path / "diverged")})

    def no_nan(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    for name in ("summary.json", "partitions.json", "ledger.json"):
        json.loads((run.path / name).read_text(), parse_constant=no_nan)
    rows = [json.loads(line, parse_constant=no_nan) for line in run.folder.metrics.read_text().splitlines()]
    assert [row["kendall_tau"] for row in rows] == [None] * 6
    assert run.metrics["kendall_tau"].isna().all()
    assert run.summary["ranking"]["root"]["kendall_tau"] is None
    assert len(run.pool) == 0
    assert "tau nan" in (run.path / "report.html").read_text()
    assert "root tau -" in repr(run)


def test_an_existing_folder_is_never_overwritten(tiny: raynas.Run) -> None:
    before = (tiny.path / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match="exists and is not overwritten"):
        raynas.run({**TINY, "out": str(tiny.path)})
    assert (tiny.path / "metrics.jsonl").read_bytes() == before
