"""A supernet worker without Ray: what a round reports, and that it continues exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import raynas
from raynas.methods import MethodPlan
from raynas.ranking import rank
from raynas.search import CandidatePool
from raynas.spaces import Architecture
from raynas.training.checkpoint import load_state, save_state
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.scoring import ScoreProtocol
from raynas.training.settings import OptimizerSettings
from raynas.training.worker import RoundReport, SupernetWorker

SPACE = raynas.space("nasbench201", connected=True)
DATA = raynas.data("digits")


def make_job() -> SupernetJob:
    rng = np.random.default_rng(0)
    architectures = tuple(SPACE.sample(rng) for _ in range(12))
    return SupernetJob(
        label="root",
        space=SPACE,
        network={"channels": 2, "cells": 1},
        method=MethodPlan(),
        optimizer=OptimizerSettings(batch_size=32),
        round_steps=4,
        total_rounds=3,
        protocol=ScoreProtocol(images=64),
        ranking=RankingSet(architectures, tuple(rng.normal(90, 2, 12))),
        candidates=6,
        rescore=2,
        seed=0,
    )


def without_times(metrics: dict[str, object]) -> dict[str, str]:
    """Return the report without its times, as text so that NaN equals NaN."""
    return {key: repr(value) for key, value in metrics.items() if not key.startswith("seconds")}


def test_report_is_measured_not_made_up() -> None:
    job, pool = make_job(), CandidatePool(10)
    worker = SupernetWorker(job, DATA)
    report = worker.run_round(pool)
    metrics = report.metrics
    scores = worker.score(job.ranking.architectures)
    assert scores == report.scores
    expected = rank([-score.loss for score in scores], job.ranking.truth)
    assert metrics["kendall_tau"] == expected.kendall_tau
    assert metrics["spearman"] == expected.spearman
    assert metrics["n_architectures"] == 12
    assert metrics["images_trained"] == 4 * 32 == report.images_trained
    evaluated = {SPACE.shared_form(a) for a in (*job.ranking.architectures, *(e.architecture for e in report.entries))}
    assert len(evaluated) < 12 + 6
    assert metrics["images_scored"] == len(evaluated) * 64 == report.images_scored
    assert metrics["kendall_tau_inherited"] is None
    assert "derived" not in metrics
    pool.commit({"root": report.entries})
    best = pool.entries()[0]
    assert best.architecture.text == metrics["best_candidate"]
    assert best.score == metrics["best_candidate_score"]
    assert best.version == 4 * 32
    assert len(pool.entries()) == 6
    assert metrics["standing"] == pytest.approx(np.mean(sorted(e.score for e in report.entries)[-5:]))


def test_what_learned_weights_stand_for_is_reported() -> None:
    plan = MethodPlan(sampler=("darts", {}))
    worker = SupernetWorker(replace(make_job(), method=plan), DATA)
    metrics = worker.run_round(CandidatePool(10)).metrics
    derived = worker.parts.sampler.derived
    assert derived is not None
    assert metrics["derived"] == derived.text


def test_pool_entries_are_scored_anew() -> None:
    job, pool = make_job(), CandidatePool(10)
    worker = SupernetWorker(job, DATA)
    pool.commit({"root": worker.run_round(pool).entries})
    first = {entry.architecture: entry.version for entry in pool.entries()}
    pool.commit({"root": worker.run_round(pool).entries})
    renewed = [e for e in pool.entries() if e.architecture in first and e.version > first[e.architecture]]
    assert len(renewed) == job.rescore


def test_broken_and_continued_is_unbroken(tmp_path: Path) -> None:
    pools = [CandidatePool(10) for _ in range(2)]
    whole, broken = (SupernetWorker(make_job(), DATA) for _ in range(2))
    for worker, pool in zip((whole, broken), pools, strict=True):
        pool.commit({"root": worker.run_round(pool).entries})
    save_state(broken.state_dict(), tmp_path / "worker.pt")
    continued = SupernetWorker(make_job(), DATA)
    continued.load_state_dict(load_state(tmp_path / "worker.pt"))
    a, b = whole.run_round(pools[0]).metrics, continued.run_round(pools[1]).metrics
    assert without_times(a) == without_times(b)


def test_inherited_ranking_is_the_parents() -> None:
    job, pool = make_job(), CandidatePool(10)
    root = SupernetWorker(job, DATA)
    root.run_round(pool)
    part = SPACE.partition(["3<-0"])[3]
    architectures = tuple(part.sample(np.random.default_rng(i)) for i in range(10))
    child_job = replace(
        job, label=part.label, space=part, ranking=RankingSet(architectures, tuple(float(i) for i in range(10)))
    )
    child = SupernetWorker(child_job, DATA, root.supernet.state_dict())
    report = child.run_round(pool)
    parents = rank([-score.loss for score in root.score(architectures)], child_job.ranking.truth)
    assert report.metrics["kendall_tau_inherited"] == pytest.approx(parents.kendall_tau)
    assert report.images_scored == (10 + 10 + 6) * 64
    assert [span.phase for span in report.spans] == ["score", "train", "score"]


def test_what_is_scored_to_decide_what_is_trained_is_charged() -> None:
    job, pool = make_job(), CandidatePool(10)
    ours, other = SupernetWorker(job, DATA), SupernetWorker(job, DATA)
    some = job.ranking.architectures[:3]
    images = 64 * len({SPACE.shared_form(a) for a in some})
    for worker in (ours, other):
        worker.run_round(pool)
    counted, spent = ours.images_scored, ours.trainer.view.spent
    assert ours.score_to_train(some) == other.score(some)
    assert ours.images_scored == other.images_scored == counted + images
    assert ours.trainer.view.spent == spent + job.optimizer.scoring_cost * images
    assert other.trainer.view.spent == spent
    a, b = ours.run_round(pool), other.run_round(pool)
    steps = 4 - int(job.optimizer.scoring_cost * images // 32)
    assert (a.images_trained, b.images_trained) == (32 * steps, 32 * 4)
    assert steps < 4
    assert 0 <= a.metrics["budget"] - 2 * 4 * 32 < 32
    assert a.images_scored == images + 64 * len({SPACE.shared_form(a) for a in of(job, a)})


def of(job: SupernetJob, report: RoundReport) -> list[Architecture]:
    """Return what a round's report has scores of."""
    return [*job.ranking.architectures, *(entry.architecture for entry in report.entries)]


def test_a_child_goes_on_where_its_parent_is() -> None:
    settings = OptimizerSettings(batch_size=32, lr=0.2)
    job, pool = replace(make_job(), optimizer=settings, total_rounds=4), CandidatePool(10)
    parent = SupernetWorker(job, DATA)
    for _ in range(2):
        pool.commit({"root": parent.run_round(pool).entries})
    state = parent.state_dict()
    part = SPACE.subspace({"3<-0": ["none", "nor_conv_3x3"]})
    inside = tuple(a for a in job.ranking.architectures if a in part)
    ranking = RankingSet(inside, tuple(float(i) for i in range(len(inside))))
    child_job = replace(job, label="child", space=part, ranking=ranking, rounds_before=2)
    child = SupernetWorker.child(child_job, DATA, state)
    for name, tensor in child.supernet.state_dict().items():
        assert torch.equal(tensor, state["trainer"]["supernet"][name])
    inherited = rank([-score.loss for score in parent.score(inside)], ranking.truth).kendall_tau
    assert child.trainer.view.progress == 0.5
    assert not child.trainer._optimizer.state
    report = child.run_round(pool)
    assert report.metrics["kendall_tau_inherited"] == pytest.approx(inherited)
    assert (report.metrics["round"], report.metrics["images_trained"], report.metrics["budget"]) == (1, 128, 128.0)
    assert child.trainer.view.progress == 0.75
    assert child.trainer._optimizer.param_groups[0]["lr"] == settings.lr_at(2 * 128 + 3 * 32, 4 * 128)
    again = SupernetWorker(child_job, DATA)
    again.load_state_dict(child.state_dict())
    expected, found = child.run_round(pool).metrics, again.run_round(pool).metrics
    assert without_times(expected) == without_times(found)
    assert child.trainer.view.progress == 1.0


def test_a_child_takes_over_a_schedule_that_was_begun_anew() -> None:
    plateau = OptimizerSettings(batch_size=32, schedule="plateau", plateau_patience=0)
    job, pool = replace(make_job(), optimizer=plateau), CandidatePool(10)
    parent = SupernetWorker(job, DATA)
    parent.run_round(pool)
    parent.trainer.view.restart()
    assert parent.trainer._plateau is not None
    parent.trainer._plateau.scale = 0.25
    child = SupernetWorker.child(replace(job, label="child", rounds_before=1), DATA, parent.state_dict())
    assert child.trainer._lr() == parent.trainer._lr() == 0.25 * plateau.lr
    assert child.trainer._began == parent.trainer._began == 128


def mixed(heldout: float | None = None, sampler: tuple[str, dict[str, object]] | None = None) -> SupernetJob:
    method = MethodPlan(
        sampler=sampler or ("greedy", {"m": 3, "k": 1, "images": 20}), regularizer=("landmark", {"warmup": 0.0})
    )
    return replace(make_job(), method=method, heldout=heldout)


@pytest.mark.parametrize(("heldout", "apart", "total"), [(None, 20, 20 + 40), (0.5, 20, 50), (0.3, 15, 30)])
def test_no_image_of_scores_is_one_of_batches(heldout: float | None, apart: int, total: int) -> None:
    data = replace(DATA, train=DATA.train.first(100))
    job = mixed(heldout)
    worker = SupernetWorker(job, data)
    view = worker.trainer.view
    assert view.heldout is not None
    assert (view.apart, len(view.heldout), len(view.train)) == (apart, total, 100 - total)
    assert view.protocol(20).endswith(f"/{apart} held out")

    def ids(images: torch.Tensor) -> set[bytes]:
        return {image.numpy().tobytes() for image in images}

    scored = ids(view.heldout.first(apart).take(torch.arange(apart))[0])
    rest = ids(view.heldout.take(torch.arange(apart, total))[0])
    drawn = set().union(*(ids(view.heldout_batch("test")[0]) for _ in range(6)))
    assert drawn <= rest
    assert len(drawn) > 0.7 * len(rest)
    assert not drawn & scored


def test_the_held_out_batches_of_a_part_do_not_depend_on_the_others() -> None:
    alone, beside = (SupernetWorker(mixed(), DATA).trainer.view for _ in range(2))
    wanted = [alone.heldout_batch("landmarks")[0] for _ in range(4)]
    others = [beside.heldout_batch("alpha")[0] for _ in range(2)]
    found = [beside.heldout_batch("landmarks")[0] for _ in range(2)]
    kept = beside.state_dict()
    others += [beside.heldout_batch("alpha")[0] for _ in range(2)]
    found += [beside.heldout_batch("landmarks")[0] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(wanted, others, strict=True))
    again = SupernetWorker(mixed(), DATA).trainer.view
    again.load_state_dict(kept)
    assert torch.equal(again.heldout_batch("landmarks")[0], wanted[2])
    assert torch.equal(again.heldout_batch("alpha")[0], others[2])


def test_one_kind_alone_shares_nothing_out() -> None:
    data = replace(DATA, train=DATA.train.first(100))
    scoring = replace(mixed(), method=replace(mixed().method, regularizer=None))
    drawing = mixed(sampler=("uniform", {}))
    for job, count in ((scoring, 20), (drawing, 50)):
        view = SupernetWorker(job, data).trainer.view
        assert view.heldout is not None
        assert (view.apart, len(view.heldout)) == (0, count)
    both = mixed(sampler=("nao", {"images": 100}))
    assert both.parts().heldout_images(100) == 50 + 25  # a half, and a half of the rest
