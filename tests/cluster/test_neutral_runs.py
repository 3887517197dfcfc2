"""Whole runs that leave something out: the split, the truth, or a truth that is there already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import raynas
from raynas.errors import RunError
from raynas.training.scoring import ScoreProtocol, score_architectures
from raynas.truth import PER_SEED
from tests.cluster.test_run import TINY

pytestmark = pytest.mark.ray

PROTOCOL = ScoreProtocol(images=TINY["score"]["images"])
RECIPE = {"network": {"channels": 2, "cells": 1}, "epochs": 1}
SPLIT = {
    "method": TINY["method"],
    "scheduler": "uniform",
    "train": {**TINY["train"], "partition_rounds": 5},
}


def run(out: Path, **changes: Any) -> tuple[raynas.Run, str]:
    """Run a tiny search, by default without split, truth and verification; return it and what it printed."""
    search = {"name": "random", "budget": 8, "pool": {"candidates": 4}, "verify": {"top": 0}}
    plain = {key: TINY[key] for key in ("space", "network", "data", "train", "score")}
    console = Console(width=120)
    with console.capture() as captured:
        done = raynas.run(
            {**plain, "search": search, "wandb": {"mode": "disabled"}, "out": str(out), **changes}, console=console
        )
    return done, captured.get()


def test_one_supernet_for_the_whole_space(local_ray: None, tmp_path: Path) -> None:
    done, printed = run(tmp_path / "spos", truth="digits201")
    assert done.metrics["trial"].tolist() == ["root"]
    assert done.partitions == done.summary["survivors"] == []
    assert set(done.searched["scorer"]) == {"root"}
    assert len(done.searched) == 8
    assert done.summary["ranking"]["root"]["kendall_tau"] is not None
    assert not (done.path / "tune").exists()
    page = (done.path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert {path.stem for path in done.write_figures(tmp_path / "figures")} == {"scatter", "tau", "search"}
    for words in ("artition", "inherited", "survived", "root's weights"):
        assert words not in page.split("Budget ledger")[0].split("</p>", 1)[1]  # without the command of this test
        assert words not in printed
    assert "one supernet" in printed
    assert "root tau" in repr(done)
    net, found = done.supernet(), done.searched.iloc[0]
    again = score_architectures(net, raynas.data("digits"), [done.space.parse(found["architecture"])], PROTOCOL)
    assert again[0].loss == pytest.approx(found["loss"], rel=1e-4)
    with pytest.raises(RunError, match=r"kept no supernet 'rot', did you mean 'root'\?"):
        done.supernet("rot")
    assert "partitions" not in repr(done)


@pytest.mark.parametrize("split", [False, True])
def test_without_truth_no_ranking_is_measured(local_ray: None, tmp_path: Path, split: bool) -> None:
    done, printed = run(tmp_path / "plain", **(SPLIT if split else {}))
    rows = [json.loads(line) for line in done.folder.metrics.read_text().splitlines()]
    assert len(rows) == (6 if split else 1)
    for row in rows:
        assert row["n_architectures"] == 0
        assert all(row[key] is None for key in row if key.startswith(("kendall_tau", "spearman", "p_at_top5")))
    assert len(done.ranking) == 0
    assert done.summary["truth"] is None
    assert done.best == done.summary["best"]["architecture"]
    assert done.summary["best"]["true_rank"] is None
    page = (done.path / "report.html").read_text()
    assert page.count("<svg") == (2 if split else 1)
    for text in (page, printed, repr(done)):
        assert "nan" not in text.lower().replace("dominant", "")
        assert "true rank" not in text
    assert "no truth" in printed
    assert ("survived" in printed) == split


def test_truth_is_trained_first(local_ray: None, tmp_path: Path) -> None:
    truth = {"train": {"architectures": 4, "seeds": 1, "recipe": RECIPE}}
    verify = {"verify": {"top": 1, "seeds": 1}}  # with the truth's own recipe
    search = {"name": "random", "budget": 8, "pool": {"candidates": 4}, **verify}
    done, printed = run(tmp_path / "first", truth=truth, search=search, **SPLIT)
    table = raynas.truth(done.folder.truth)
    assert len(table) == 4
    assert len({table.space.canonical(a).text for a in table.architectures}) == 4
    assert all(table.columns[metric].shape == (4, 1) for metric in PER_SEED)
    assert done.ledger["images_standalone"] == (4 + 1) * 576
    assert "trained first: 4 architectures x 1 seed x 1 epoch" in printed

    root = done.ranking[done.ranking["trial"] == "root"]
    assert sorted(root["truth"]) == sorted(table.values().tolist())
    row = done.metrics.iloc[0]
    assert row["n_architectures"] == 4
    assert row["kendall_tau"] == pytest.approx(raynas.rank(root["score"], root["truth"]).kendall_tau, nan_ok=True)
    parts = done.metrics[done.metrics["trial"] != "root"]
    assert parts["n_architectures"].sum() >= 4
    assert parts[parts["n_architectures"] < 2]["kendall_tau"].isna().all()
    assert "fewer than two known" in printed
    assert not list(done.path.glob("*.partial.jsonl"))

    again, _ = run(tmp_path / "second", truth=str(done.folder.truth), **SPLIT)
    assert again.ranking.equals(done.ranking)  # measured exactly as against a table that was there
