"""The sampler `nao` in training: when its pool is renewed, what it holds, what that costs, and that it continues."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

import raynas
from raynas.data import ImageData, TensorSplit
from raynas.errors import ConfigError
from raynas.methods import SAMPLERS, MethodPlan
from raynas.methods.nao import NaoSampler
from raynas.networks.cost import costs
from raynas.ranking.metrics import kendall_tau
from raynas.search import CandidatePool, Pool, PoolEntry
from raynas.spaces import Architecture, Space
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.scoring import ScoreProtocol
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer
from raynas.training.worker import SupernetWorker

SPACE = raynas.space("nasbench201", connected=True)
DIGITS = raynas.data("digits")
SMALL = {"warmup": 0.25, "every": 0.25, "seeds": 12, "generated": 4, "random": 3, "keep": 5, "images": 10, "epochs": 30}
WORTH = {"none": 0.0, "avg_pool_3x3": 0.5, "skip_connect": 1.0, "nor_conv_1x1": 2.0, "nor_conv_3x3": 3.0}


def value(architecture: Architecture) -> float:
    return sum(WORTH[option] * (place + 1) for place, option in enumerate(architecture.options))


def best_first(architecture: Architecture) -> tuple[float, str]:
    return -value(architecture), architecture.text


class View:
    """A training that scores by a made-up quality."""

    def __init__(self, space: Space) -> None:
        self.supernet = raynas.supernet(space, input_shape=(1, 8, 8), channels=2, cells=1)
        self.progress = 0.0
        self.asked: list[tuple[list[Architecture], int]] = []
        self.lost: set[Architecture] = set()
        self.images_trained = 0

    def score(self, architectures: Sequence[Architecture], images: int = 1000) -> list[float]:
        self.asked.append((list(architectures), images))
        return [math.nan if a in self.lost else value(a) for a in architectures]

    def protocol(self, images: int = 1000) -> str:
        return f"made up/{images}"


def started(space: Space = SPACE, seed: int = 0, **options: object) -> tuple[NaoSampler, View]:
    sampler, view = NaoSampler(space, **{**SMALL, **options}), View(space)
    sampler.start(view.supernet, seed)
    return sampler, view


def forms(architectures: Sequence[Architecture]) -> set[str]:
    return {SPACE.canonical(a).text for a in architectures}


def test_the_pool_is_the_best_the_written_and_random_ones() -> None:
    sampler, view = started()
    rng = np.random.default_rng(0)
    view.progress = 0.2499
    uniform = np.random.default_rng(0)
    assert [sampler.next_step(view, rng) for _ in range(5)] == [[SPACE.sample(uniform)] for _ in range(5)]
    assert sampler.pool == view.asked == []

    view.progress = 0.25
    (path,) = sampler.next_step(view, rng)
    ((seeds, images),) = view.asked
    assert images == 10
    assert len(seeds) == len(forms(seeds)) == 12
    best = sorted(seeds, key=best_first)
    assert sampler.pool[:5] == best[:5]
    written, random = sampler.pool[5:-3], sampler.pool[-3:]
    assert 0 < len(written) <= 4
    assert not forms([*written, *random]) & forms(seeds)
    assert len(forms([*written, *random])) == len(written) + 3
    assert path in sampler.pool
    first = sampler.pool

    view.progress = 0.4999
    sampler.next_step(view, rng)
    assert len(view.asked) == 1
    view.progress = 0.8  # past what was due at 0.5 and at 0.75
    sampler.next_step(view, rng)
    sampler.next_step(view, rng)
    assert [asked for asked, _ in view.asked] == [seeds, first]
    assert sampler.pool[:5] == sorted(first, key=best_first)[:5]


def test_what_it_scored_is_proposed_once() -> None:
    sampler, view = started()
    view.progress, view.images_trained = 0.3, 48
    sampler.next_step(view, np.random.default_rng(0))
    (scored, _) = view.asked[0]
    again, _ = started()
    again.load_state_dict(sampler.state_dict())
    for each in (sampler, again):
        assert each.proposals() == [PoolEntry(a, value(a), "made up/10", "root", 48) for a in scored]
        each.begin_round(Pool(3))
        assert each.proposals() == []


def test_all_of_the_pool_stays_where_it_is_to() -> None:
    sampler, view = started(keep=None)
    view.progress = 0.3
    sampler.next_step(view, np.random.default_rng(0))
    assert set(view.asked[0][0]) < set(sampler.pool)


def test_paths_are_drawn_evenly_or_by_their_parameters() -> None:
    for draw in ("uniform", "parameters"):
        sampler, view = started(draw=draw)
        view.progress, rng = 0.3, np.random.default_rng(1)
        paths = [sampler.next_step(view, rng)[0] for _ in range(4000)]
        pool = sampler.pool
        found = np.array([paths.count(a) for a in pool]) / 4000
        sizes = costs(SPACE, pool, input_shape=(1, 8, 8))[:, 0] if draw == "parameters" else np.ones(len(pool))
        assert sizes.max() > 3 * sizes.min() or draw == "uniform"
        np.testing.assert_allclose(found, sizes / sizes.sum(), atol=0.025)


def test_what_diverged_leaves_and_is_not_learned_from() -> None:
    sampler, view = started()
    rng = np.random.default_rng(0)
    seeds = sampler._new_random(12, [], np.random.default_rng(0))
    view.lost = set(seeds[:4])
    view.progress = 0.3
    sampler.next_step(view, rng)
    assert view.asked[0][0] == seeds
    assert not view.lost & set(sampler.pool)
    assert sampler.pool[0] == min(seeds[4:], key=best_first)
    told = sampler.diagnostics()
    assert told["nao_score_best"] == value(sampler.pool[0])
    assert told["nao_scored"] == 12
    assert told["nao_generated"] == len(sampler._written) > 0
    assert sampler.diagnostics() == {}

    view.lost, view.progress = set(sampler.pool), 0.6
    sampler.next_step(view, rng)
    assert len(sampler.pool) == 3  # nothing to learn from: random ones are left
    assert math.isnan(sampler.diagnostics()["nao_predictor_tau"])


def test_a_renewal_improves_the_pool() -> None:
    sampler, view = started(seeds=60, generated=30, random=5, keep=30, epochs=250)
    view.progress = 0.3
    sampler.next_step(view, np.random.default_rng(0))
    told = sampler.diagnostics()
    seeds, _ = view.asked[0]
    assert told["nao_score_mean"] == pytest.approx(np.mean([value(a) for a in seeds]))
    assert np.mean([value(a) for a in sampler._written]) > told["nao_score_mean"] + 3
    assert told["nao_predictor_tau"] > 0.4
    others = [SPACE.sample(np.random.default_rng(i)) for i in range(60)]
    assert kendall_tau(sampler._surrogate.predict(others), np.array([value(a) for a in others])) > 0.6


def test_a_space_smaller_than_the_pool() -> None:
    part = SPACE.subspace(dict.fromkeys(("2<-0", "2<-1", "3<-1", "3<-2"), ("none",)))
    sampler, view = started(part)
    view.progress = 0.3
    for step in range(3):
        view.progress += 0.3 * step
        assert sampler.next_step(view, np.random.default_rng(0))[0] in part
    assert all(architecture in part for architecture in sampler.pool)
    assert len(sampler.candidates(np.random.default_rng(0), 10)) == 10


def test_candidates_are_written_and_best_ones() -> None:
    sampler, view = started(keep=None)
    rng = np.random.default_rng(0)
    uniform = np.random.default_rng(3)
    assert sampler.candidates(np.random.default_rng(3), 4) == [SPACE.sample(uniform) for _ in range(4)]
    view.progress = 0.3
    sampler.next_step(view, rng)
    written = sampler._written
    few = sampler.candidates(rng, 4)
    assert few == [*written[:2], *sampler.pool[:2]]
    many = sampler.candidates(rng, 30)
    assert len(many) == 30
    assert set(sampler._written) | {a for a, _ in sampler._kept} <= set(many)


def test_options_that_cannot_be_are_told() -> None:
    with pytest.raises(ConfigError, match=r"'hidden': must be a multiple of 2.* got 15"):
        NaoSampler(raynas.space("darts"), hidden=15)
    with pytest.raises(ConfigError, match="'seeds'"):
        SAMPLERS.checked("nao", {"seeds": 2})


# In real trainings.


def split() -> TensorSplit:
    found = DIGITS.train.first(120)
    assert isinstance(found, TensorSplit)
    return found


def make_trainer(name: str = "nao", **options: object) -> Trainer:
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
    sampler = SAMPLERS.make(name, SPACE, **options)
    train, heldout = split().select(torch.arange(96)), split().select(torch.arange(96, 120))
    settings = OptimizerSettings(batch_size=16, lr=0.1)
    return Trainer(net, train, sampler, settings, total_steps=20, seed=0, name="root", heldout=heldout)


def test_a_warmup_without_end_is_spos() -> None:
    ours, spos = make_trainer(warmup=1.0), make_trainer("uniform")
    assert ours.spend(20) == spos.spend(20)
    for a, b in zip(ours.supernet.parameters(), spos.supernet.parameters(), strict=True):
        assert torch.equal(a, b)
    assert NaoSampler(SPACE, warmup=1.0).scored_images(1000) == 0
    assert NaoSampler(SPACE, images=256).scored_images(1000) == 256
    assert NaoSampler(SPACE, images=1000).scored_images(1000) == 500


def test_inherited_weights_need_no_warmup() -> None:
    sampler = NaoSampler(SPACE, **{**SMALL, "warmup": 0.9})
    sampler.inherits()
    train, heldout = split().select(torch.arange(96)), split().select(torch.arange(96, 120))
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
    settings = OptimizerSettings(batch_size=16)
    trainer = Trainer(net, train, sampler, settings, total_steps=20, seed=0, name="root", heldout=heldout)
    trainer.train(1)
    assert sampler.pool
    never = NaoSampler(SPACE, warmup=1.0)
    never.inherits()
    assert (never.warmup, never.scored_images(1000)) == (1.0, 0)  # who wants no renewal gets none


def test_scores_are_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(**SMALL)
    score, asked = trainer.view.score, []

    def listening(architectures: Sequence[Architecture], images: int = 1000) -> list[float]:
        asked.append(10 * len(set(map(SPACE.shared_form, architectures))))
        found = score(architectures, images)
        for part, value in zip((architectures, reversed(architectures)), (found, reversed(found)), strict=True):
            assert score(list(part), images) == list(value)  # the supernet is as it was
            trainer.view.count(scored=-asked[-1])
        return found

    monkeypatch.setattr(trainer.view, "score", listening)
    report = trainer.spend(20)
    assert len(asked) == 3
    assert report.images_scored == sum(asked)
    assert report.images_trained == 16 * report.steps
    assert trainer.view.spent == report.images_trained + trainer.settings.scoring_cost * report.images_scored


def test_broken_and_continued_is_unbroken() -> None:
    whole, first, second = (make_trainer(draw="parameters", **SMALL) for _ in range(3))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    reports = [whole.train(6), whole.train(9)]
    assert torch.equal(before, torch.get_rng_state())
    assert first.train(6) == reports[0]
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.train(7)
    second.load_state_dict(torch.load(stored, weights_only=True))
    assert second.train(9) == reports[1]
    assert second.sampler.state_dict()["written"] == whole.sampler.state_dict()["written"]
    assert whole.view.images_scored > first.view.images_scored > 0
    for a, b in zip(whole.supernet.parameters(), second.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


def test_in_a_partition() -> None:
    part = SPACE.partition(["3<-0"])[3]
    rng = np.random.default_rng(0)
    known = tuple(part.sample(rng) for _ in range(8))
    job = SupernetJob(
        label=part.label,
        space=part,
        network={"channels": 2, "cells": 1},
        method=MethodPlan(sampler=("nao", SMALL)),
        optimizer=OptimizerSettings(batch_size=16),
        round_steps=8,
        total_rounds=2,
        protocol=ScoreProtocol(images=20),
        ranking=RankingSet(known, tuple(map(value, known))),
        candidates=6,
        rescore=2,
        seed=0,
    )
    data = ImageData("digits", split(), DIGITS.valid.first(40), DIGITS.test, 10)
    worker, pool = SupernetWorker(job, data), CandidatePool(20)
    protocols = set()
    for _ in range(2):
        report = worker.run_round(pool)
        pool.commit({part.label: report.entries})
        assert "nao_generated" in report.metrics
        protocols |= {entry.protocol for entry in report.entries}
    assert protocols == {"loss/batch/float32", "loss/batch/float32/10 held out"}
    assert all(entry.architecture in part for entry in pool.entries())
    sampler = worker.parts.sampler
    assert isinstance(sampler, NaoSampler)
    assert sampler.pool
    assert all(architecture in part for architecture in sampler.pool)
