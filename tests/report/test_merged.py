"""The whole run's ranking: each architecture by the sub-supernet that owns it, as far down as one was trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import raynas
from raynas.cluster.plan import Plan, make_plan
from raynas.config import load_config
from raynas.report.folder import RunFolder
from raynas.report.tables import RunTables, Tree
from raynas.training.scoring import Score
from raynas.training.worker import RoundReport

CONFIG = {
    "space": "nasbench201",
    "data": "digits",
    "truth": "digits201",
    "method": {"partition": {"decisions": ["1<-0"]}},
    "score": {"architectures": 40},
    "search": {"verify": {"top": 0}},
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(load_config(CONFIG))


def report(plan: Plan, label: str, number: int, offset: float, **line: float) -> RoundReport:
    """Return a report in which the loss of each architecture is minus its truth, plus an offset."""
    ranking = plan.supernets[label].ranking
    scores = [Score(offset - truth, 50.0) for truth in ranking.truth]
    measured = raynas.rank([-score.loss for score in scores], ranking.truth, ceiling=ranking.ceiling).to_dict()
    metrics = {"trial": label, "round": number, "kendall_tau_inherited": None, "budget": 64.0, **measured, **line}
    return RoundReport(metrics, scores, [], [], 0, 0)


def test_rejected_and_failed_parts_count_too(plan: Plan, tmp_path: Path) -> None:
    """One part was rejected after a round, one never reported: its architectures keep the root's scores."""
    tables = RunTables(RunFolder(tmp_path), plan.truth, "test_accuracy")
    labels = list(plan.partitions)
    offsets = {"root": 0.0, **{label: 10.0 * place for place, label in enumerate(labels[:-1], 1)}}
    for label, offset in offsets.items():
        for number in (1,) if label == labels[0] else (1, 2):
            tables.add_ranking(report(plan, label, number, offset * number), plan.supernets[label])
    tree = Tree(plan.partitions, plan.parents, tuple(labels[1:-1]))
    tables.write(tree, [], [], [], 0.0)
    ranking = pd.read_parquet(tmp_path / "ranking.parquet")
    whole = ranking[ranking["trial"] == "run"]
    for row in whole.itertuples():
        owner = plan.owner(plan.space.parse(row.architecture), tuple(labels))
        expected = "root" if owner == labels[-1] else owner
        assert row.scorer == expected
        rounds = 1 if owner == labels[0] else 2
        assert row.score == pytest.approx(row.truth - offsets[expected] * rounds)
    told = json.loads((tmp_path / "summary.json").read_text())["ranking"]["run"]
    assert told["kendall_tau"] == raynas.rank(whole["score"], whole["truth"]).kendall_tau < 1.0
    assert "kendall_tau_raw" not in told
    fates = {part["label"]: part["survived"] for part in json.loads((tmp_path / "partitions.json").read_text())}
    assert list(fates.values()) == [False, True, True, True, False]


def test_calibration_repairs_what_offsets_broke(plan: Plan, tmp_path: Path) -> None:
    tables = RunTables(RunFolder(tmp_path), plan.truth, "test_accuracy")
    tables.add_ranking(report(plan, "root", 1, 0.0), plan.root)
    for place, label in enumerate(plan.partitions, 1):
        line = {"calibration_slope": 1.0, "calibration_intercept": 10.0 * place}
        tables.add_ranking(report(plan, label, 1, 10.0 * place, **line), plan.jobs[label])
    tables.write(Tree(plan.partitions, plan.parents, tuple(plan.partitions)), [], [], [], 0.0)
    told = tables.summary["ranking"]["run"]
    assert told["kendall_tau"] == pytest.approx(1.0)
    assert told["kendall_tau_raw"] < 0.9
    assert told["kendall_tau_ci_low_raw"] <= told["kendall_tau_raw"] <= told["kendall_tau_ci_high_raw"]


def test_parts_of_parts_score_before_their_parents(plan: Plan, tmp_path: Path) -> None:
    first = list(plan.partitions)[-1]
    deeper = plan.grown({first: plan.partitions[first].partition(["2<-0"])})
    tables = RunTables(RunFolder(tmp_path), plan.truth, "test_accuracy")
    for label in ("root", *deeper.partitions):
        job = deeper.supernets[label]
        tables.add_ranking(report(deeper, label, 1, 0.0), replace(job, label=label))
    tables.write(Tree(deeper.partitions, deeper.parents, (*deeper.levels[0][:-1], *deeper.levels[1])), [], [], [], 0.0)
    ranking = pd.read_parquet(tmp_path / "ranking.parquet")
    scorers = ranking[ranking["trial"] == "run"]["scorer"]
    assert first not in set(scorers)
    assert {scorer for scorer in scorers if scorer.startswith(f"{first},")}
    assert tables.summary["split"] == [first]
    assert tables.summary["ranking"]["run"]["kendall_tau"] == pytest.approx(1.0)
