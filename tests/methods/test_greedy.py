"""GreedyNAS: what a round keeps and costs, what the pool remembers, when training ends, and that it continues."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

import raynas
from raynas.data import ImageData, Split
from raynas.errors import ConfigError, RunError
from raynas.methods import SAMPLERS, MethodPlan
from raynas.methods.greedy import GreedySampler
from raynas.methods.greedy_stop import PoolSettled
from raynas.search import CandidatePool, Pool, PoolEntry
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.scoring import ScoreProtocol, score_architectures
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer
from raynas.training.worker import SupernetWorker

SPACE = raynas.space("nasbench201", connected=True)
LARGE = raynas.space("mobilenet")
DIGITS = raynas.data("digits")
SMALL = {"m": 4, "k": 2, "images": 20}
POOLED = {"epsilon_start": 0.5, "epsilon_end": 0.5}


def is_good(architecture: Architecture) -> bool:
    """Say of six in ten architectures that they are good, whatever they look like."""
    return hashlib.blake2b(architecture.text.encode()).digest()[0] < 0.6 * 256


class View:
    """A training that only counts, and scores by a made-up quality."""

    def __init__(self, quality: Callable[[Architecture], float], total: float = math.inf) -> None:
        self.quality, self.total = quality, total
        self.images_trained = self.images_scored = 0
        self.epoch_images = 1000
        self.asked: list[list[Architecture]] = []

    @property
    def spent(self) -> float:
        return self.images_trained + 0.3 * self.images_scored

    @property
    def progress(self) -> float:
        return min(self.spent / self.total, 1.0)

    def protocol(self, images: int = 1000) -> str:
        return f"made up/{images} held out"

    def score(self, architectures: Sequence[Architecture], images: int = 1000) -> list[float]:
        self.asked.append(list(architectures))
        self.images_scored += len(architectures) * images
        return [self.quality(architecture) for architecture in architectures]


def steps(
    sampler: GreedySampler, view: View, rng: np.random.Generator, count: int, batch: int = 100
) -> list[Architecture]:
    """Take steps and return their paths."""
    paths = []
    for _ in range(count):
        paths += sampler.next_step(view, rng)
        view.images_trained += batch
    return paths


def entry(architecture: Architecture, score: float, scorer: str = "root", version: int = 0) -> PoolEntry:
    return PoolEntry(architecture, score, View(is_good).protocol(20), scorer, version)


def forms(paths: Sequence[Architecture]) -> set[object]:
    return set(map(SPACE.shared_form, paths))


# ---------------------------------------------------------------- a round


@pytest.mark.parametrize(("epsilon", "expected"), [(0.0, 0.8338), (0.5, 0.9936)])
def test_how_often_all_that_is_kept_is_good(epsilon: float, expected: float) -> None:
    share = 0.6 + 0.4 * epsilon
    exact = sum(math.comb(10, j) * share**j * (1 - share) ** (10 - j) for j in range(5, 11))
    assert exact == pytest.approx(expected, abs=1e-4)
    sampler, view = GreedySampler(LARGE, epsilon_start=epsilon, epsilon_end=epsilon), View(is_good)
    rng = np.random.default_rng(0)
    pool = Pool(200)
    drawn = (LARGE.sample(rng) for _ in range(1000))
    pool.add(PoolEntry(a, 1.0, view.protocol(), "root", 0) for a in drawn if is_good(a))
    sampler.begin_round(pool)
    rounds = 2000
    kept = [all(map(is_good, steps(sampler, view, rng, 5))) for _ in range(rounds)]
    assert abs(np.mean(kept) - exact) < 4 * math.sqrt(exact * (1 - exact) / rounds)


def test_images_of_an_epoch_are_the_papers() -> None:
    sampler, view = GreedySampler(LARGE), View(is_good, total=100e6)
    steps(sampler, view, np.random.default_rng(0), 1200, batch=1024)  # the epochs of the warm-up reject too
    assert sampler.diagnostics()["greedy_epsilon"] == 0
    assert round(view.images_trained / 1e6, 2) == 1.23
    assert round(view.images_scored / 1e6, 2) == 2.40
    assert view.images_scored / view.images_trained == 10 * 1000 / (5 * 1024)
    assert round(46 * view.spent / 1e6) == round(89.7)


def test_each_of_the_kept_is_trained_once_in_a_step_of_its_own() -> None:
    quality = {}
    view = View(lambda a: quality.setdefault(a, float(len(quality) % 7)))
    sampler, rng = GreedySampler(SPACE, m=6, k=4, images=10), np.random.default_rng(0)
    for turn in range(20):
        paths = steps(sampler, view, rng, 4)
        assert len(view.asked) == turn + 1
        drawn = view.asked[-1]
        assert len(forms(drawn)) == 6
        assert paths == sorted(drawn, key=lambda a: (-quality[a], a.text))[:4]


def test_a_space_smaller_than_a_round_is_drawn_whole() -> None:
    part = SPACE.subspace({d.name: ("nor_conv_3x3",) for d in SPACE.decisions[:5]})
    sampler, view = GreedySampler(part, m=10, k=3), View(is_good)
    paths = steps(sampler, view, np.random.default_rng(0), 3)
    assert len(view.asked[0]) == len(set(map(part.shared_form, part.enumerate()))) < 10
    assert len(set(paths)) == 3


def test_epsilon_is_linear_between_warmup_and_the_end_of_the_ramp() -> None:
    sampler = GreedySampler(SPACE, epsilon_start=0.1, epsilon_end=0.7, warmup=0.2, ramp_end=0.5)
    shares = [0, 0.2, 0.3, 0.35, 0.5, 1]
    assert [sampler.epsilon(share) for share in shares] == pytest.approx([0.1, 0.1, 0.3, 0.4, 0.7, 0.7])
    at_once = GreedySampler(SPACE, warmup=0.3, ramp_end=0.3)
    assert [at_once.epsilon(share) for share in (0, 0.2999, 0.3, 1)] == [0, 0, 0.8, 0.8]
    assert GreedySampler(SPACE).epsilon(46 * 1203 / 150_000) == pytest.approx(0.27, abs=0.005)


def test_without_finite_scores_paths_are_trained_all_the_same() -> None:
    sampler, view = GreedySampler(SPACE, **SMALL), View(lambda a: math.nan)
    assert len(steps(sampler, view, np.random.default_rng(0), 4)) == 4
    assert sampler.pool == []
    assert [math.isnan(e.score) for e in sampler.proposals()] == [True] * 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"m": 3, "k": 5}, "k=5 paths cannot be kept of m=3"),
        ({"warmup": 0.5, "ramp_end": 0.4}, "warmup=0.5 is after ramp_end=0.4"),
        ({"official": True, "max_age": 5}, "drops no entry by its age; leave out max_age=5"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SAMPLERS.make("greedy", SPACE, **options)


# ---------------------------------------------------------------- the pool


def test_the_share_drawn_from_the_pool_is_epsilon() -> None:
    sampler, view, rng = GreedySampler(LARGE, **SMALL, **POOLED), View(is_good), np.random.default_rng(0)
    inside = [LARGE.sample(rng) for _ in range(50)]
    pool = Pool(50)
    pool.add(entry(a, 2.0) for a in inside)  # better than anything that is scored: the pool stays
    sampler.begin_round(pool)
    view.quality = lambda a: 2.0 if a in set(inside) else 0.0
    steps(sampler, view, rng, 1000)
    known = sum(a in set(inside) for drawn in view.asked for a in drawn)
    assert sampler.diagnostics()["greedy_from_pool"] == known / 2000
    assert abs(known / 2000 - 0.5) < 4 * math.sqrt(0.25 / 2000)


def test_all_scored_enter_and_a_new_score_replaces_the_old() -> None:
    sampler, rng = GreedySampler(SPACE, **SMALL, **POOLED), np.random.default_rng(0)
    view = View(lambda a: -float(view.images_trained) - 0.001 * len(a.text))
    sampler.begin_round(Pool(30))
    newest: dict[Architecture, PoolEntry] = {}
    for _ in range(15):
        sampler.begin_round(Pool(30))
        version = view.images_trained
        steps(sampler, view, rng, 2)
        found = {a: entry(a, -version - 0.001 * len(a.text), version=version) for a in view.asked[-1]}
        assert {e.architecture: e for e in sampler.proposals()} == found
        newest.update(found)
        newest = dict(sorted(newest.items(), key=lambda pair: (-pair[1].score, pair[0].text))[:30])
        assert sampler.pool == list(newest.values())
    again = [a for drawn in view.asked for a in drawn]
    assert len(again) > len(set(again))


def test_official_keeps_old_scores_beside_new_ones() -> None:
    view, rng = View(lambda a: -float(view.images_trained)), np.random.default_rng(0)
    sampler = GreedySampler(SPACE, **SMALL, **POOLED, official=True)
    sampler.begin_round(Pool(40))
    steps(sampler, view, rng, 200)
    texts = [e.architecture.text for e in sampler.pool]
    assert len(set(texts)) < len(texts) <= 40
    scored = {(a.text, -200.0 * turn) for turn, drawn in enumerate(view.asked) for a in drawn}
    assert {(e.architecture.text, e.score) for e in sampler.pool} <= scored
    assert sorted(e.score for e in sampler.pool) == sorted(score for _, score in scored)[-len(texts) :]
    assert any(len(set(drawn)) < len(drawn) for drawn in view.asked)  # with replacement


def test_old_entries_are_dropped_here_and_in_the_shared_pool() -> None:
    sampler, view, rng = GreedySampler(SPACE, **SMALL, max_age=500), View(lambda a: 0.0), np.random.default_rng(0)
    ancestor, shared = SPACE.sample(np.random.default_rng(99)), Pool(100)
    shared.add([entry(ancestor, 5.0, scorer="another", version=10**6)])
    for turn in range(8):
        local = Pool(100)
        local.add(shared.entries)
        sampler.begin_round(local)
        steps(sampler, view, rng, 2)
        shared.add(sampler.proposals())
        began = 200 * turn
        ages = [began - e.version for e in shared.entries if e.scorer == "root"]
        assert max(ages) == min(began, 400)
        assert any(e.scorer == "another" for e in shared.entries) == (began <= 500)
    assert len(shared) == 3 * 4
    kept = GreedySampler(SPACE, **SMALL)
    steps(kept, View(lambda a: 0.0), rng, 16)
    assert min(e.version for e in kept.pool) == 0


def test_diagnostics_are_counted_by_hand() -> None:
    view, rng = View(lambda a: len(a.text) - view.images_trained / 100), np.random.default_rng(0)
    sampler = GreedySampler(SPACE, **SMALL, **POOLED)
    gaps, shifts, last = [], [], {}
    for _ in range(10):
        version = view.images_trained
        steps(sampler, view, rng, 2)
        scores = {a: len(a.text) - version / 100 for a in view.asked[-1]}
        best = sorted(scores.values(), reverse=True)
        gaps.append(np.mean(best[:2]) - np.mean(best[2:]))
        shifts += [abs(scores[a] - last[a][0]) for a in scores if a in last]
        last.update({a: (score, version) for a, score in scores.items()})
    told = sampler.diagnostics()
    assert told["greedy_rejection_gap"] == pytest.approx(np.mean(gaps))
    assert told["greedy_rescore_shift"] == pytest.approx(np.mean(shifts))
    assert told["greedy_pool"] == len(last)
    assert told["greedy_pool_age"] == pytest.approx(np.mean([version - then for _, then in last.values()]))
    assert told["greedy_epsilon"] == 0.5
    assert sampler.diagnostics() == {}


# ---------------------------------------------------------------- the end


def test_a_pool_has_settled_when_little_of_it_is_new() -> None:
    stop = PoolSettled(alpha=0.25, every=100)

    def check(pool: str, images: int, capacity: int = 4, in_use: bool = True) -> float | None:
        return stop.check(list(pool), capacity, images_trained=images, epoch_images=7, in_use=in_use)

    assert check("abcd", 99) is None
    assert (check("abcd", 100), stop.settled) == (1.0, False)
    assert check("efgh", 150) is None
    assert (check("abef", 210), stop.settled) == (0.5, False)  # against the check at 100, not what was seen since
    assert (check("abeg", 310, capacity=5), stop.settled) == (0.25, False)  # not full
    assert (check("abeh", 410, in_use=False), stop.settled) == (0.25, False)
    assert (check("dbeh", 510), stop.settled) == (0.25, True)
    never = PoolSettled(alpha=None, every=1)
    for images in range(1, 4):
        change = never.check(["a"], 1, images_trained=images, epoch_images=7, in_use=True)
    assert (change, never.settled) == (0.0, False)


def test_by_default_a_check_waits_for_an_epoch_and_for_as_many_paths_as_the_pool_holds() -> None:
    stop = PoolSettled(alpha=0.5, every=None)
    found = []
    for images in range(1, 13):
        stop.scored(1)
        found.append(stop.check(["a"] * 5, 5, images_trained=images, epoch_images=3, in_use=True))
    assert [number + 1 for number, change in enumerate(found) if change is not None] == [5, 10]
    slow = PoolSettled(alpha=0.5, every=None)
    slow.scored(100)
    assert [slow.check(["a"], 1, images_trained=n, epoch_images=3, in_use=True) is None for n in (1, 2, 3)] == [1, 1, 0]


def test_training_ends_when_the_pool_has_settled_at_the_end_of_a_round() -> None:
    view, rng = View(lambda a: float(len(a.text)), total=20_000), np.random.default_rng(0)
    sampler = GreedySampler(SPACE, **SMALL, warmup=0.5, ramp_end=0.5, stop_change=0.1, check_every=1000)
    sampler.begin_round(Pool(25))
    checked, earlier, changes = 0, set(), []
    while not sampler.finished and view.progress < 1:
        steps(sampler, view, rng, 2)
        began, now = view.images_trained - 100, {e.architecture for e in sampler.pool}  # when the last step began
        if began - checked >= 1000:
            changes.append(1 - len(now & earlier) / len(now))
            assert sampler.diagnostics()["greedy_pool_change"] == pytest.approx(changes[-1])
            in_use = (began + 0.3 * view.images_scored) / 20_000 >= 0.5
            assert sampler.finished == (in_use and len(now) == 25 and changes[-1] <= 0.1)
            checked, earlier = began, now
        assert not sampler.finished or checked == began
    assert sampler.finished
    assert len(changes) > 4
    again = GreedySampler(SPACE, **SMALL)
    again.load_state_dict(sampler.state_dict())
    assert again.finished


def test_only_a_pool_that_leaves_something_out_can_settle() -> None:
    few = SPACE.subspace({d.name: d.options[-2:] for d in SPACE.decisions[:3]} | {"3<-0": ("nor_conv_1x1",)})
    few = few.subspace({"3<-1": ("nor_conv_1x1",), "3<-2": ("nor_conv_1x1",)})
    assert few.size == 8
    ended = []
    # no entry can enter or leave a pool that holds all there is
    for capacity, official in ((4, False), (500, False), (8, False), (500, True), (8, True)):
        view, rng = View(lambda a: float(len(a.text)), total=20_000), np.random.default_rng(0)
        options = {**SMALL, "warmup": 0.0, "ramp_end": 0.0, "stop_change": 0.0, "check_every": 500}
        sampler = GreedySampler(few, **options, official=official)
        sampler.begin_round(Pool(capacity))
        while not sampler.finished and view.progress < 1:
            steps(sampler, view, rng, 2)
        ended.append(sampler.finished)
    assert ended == [True, False, False, False, False]


def test_inherited_weights_need_no_warmup() -> None:
    sampler = GreedySampler(SPACE, warmup=0.5, ramp_end=1.0, epsilon_end=0.8)
    assert sampler.epsilon(0.5) == 0
    sampler.inherits()
    assert sampler.epsilon(0.5) == pytest.approx(0.4)
    again = GreedySampler(SPACE, warmup=0.5, ramp_end=1.0, epsilon_end=0.8)
    again.load_state_dict(sampler.state_dict())
    assert again.epsilon(0.5) == sampler.epsilon(0.5)


# ---------------------------------------------------------------- in training


def make_trainer(
    sampler: GreedySampler | None = None, heldout: int | None = None, data: ImageData = DIGITS, **keys: object
) -> Trainer:
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
    train, aside = data.train.first(200), None
    sampler = sampler or SAMPLERS.make("uniform", SPACE)
    wanted = sampler.scored_images(len(train)) if heldout is None else heldout
    if wanted:
        train, aside = hold_out(train, wanted)
    settings = OptimizerSettings(batch_size=16)
    return Trainer(net, train, sampler, settings, total_steps=40, seed=0, name="root", heldout=aside, **keys)


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    from raynas.data.holdout import hold_out as held_out

    return held_out(split, count, stream(0, "hold out"))


def same_weights(a: Trainer, b: Trainer) -> bool:
    pairs = zip(a.supernet.parameters(), b.supernet.parameters(), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize("heldout", [None, 40])
def test_neutral_is_uniform_to_the_bit(heldout: int | None) -> None:
    neutral = GreedySampler(SPACE, m=1, k=1, epsilon_end=0)
    ours, theirs = make_trainer(neutral, heldout), make_trainer(heldout=heldout)
    for _ in range(2):
        assert ours.spend(7) == theirs.spend(7)
    assert ours.view.images_scored == 0
    assert same_weights(ours, theirs)
    assert ours._streams["paths"].bit_generator.state == theirs._streams["paths"].bit_generator.state


def test_of_several_neutral_paths_each_has_a_step() -> None:
    ours = make_trainer(GreedySampler(SPACE, m=3, k=3, epsilon_end=0))
    report = ours.train(7)
    assert (report.images_trained, report.images_scored) == (7 * 16, 0)
    assert GreedySampler(SPACE, m=3, k=3).scored_images(10_000) == 1000  # for a pool to draw from


def test_a_class_balanced_part_of_the_training_images_is_held_out() -> None:
    sampler = GreedySampler(SPACE)
    assert [sampler.scored_images(count) for count in (100, 4000, 40_000)] == [25, 1000, 1000]
    trainer = make_trainer(GreedySampler(SPACE, m=4, k=2, images=40))
    assert trainer.view.heldout is not None
    assert len(trainer.view.heldout) == 40
    assert torch.bincount(trainer.view.heldout.targets, minlength=10).tolist() == [4] * 10
    with pytest.raises(RunError, match=r"set train\.heldout above 0"):
        make_trainer(GreedySampler(SPACE, **SMALL), heldout=0).train(1)


def test_the_budget_counts_what_is_scored() -> None:
    trainer = make_trainer(GreedySampler(SPACE, **SMALL))
    report = trainer.spend(20)
    rounds = -(-report.steps // 2)
    assert report.images_scored == rounds * 4 * 20
    assert report.images_trained == report.steps * 16
    cost = trainer.settings.scoring_cost
    assert report.images_trained + cost * report.images_scored - 20 * 16 < 16 + 4 * 20 * cost  # the last step's
    assert trainer.view.protocol(20) == "loss/batch/float32/20 held out"


def test_paths_are_rejected_by_the_loss_and_not_by_accuracy() -> None:
    trainer = make_trainer(GreedySampler(SPACE, m=8, k=4, images=50))
    view = trainer.view
    drawn: list[Architecture] = []
    score = view.score

    def watched(architectures: Sequence[Architecture], images: int = 1000) -> list[float]:
        drawn[:] = architectures
        return score(architectures, images)

    view.score = watched
    differ = 0
    for _ in range(6):
        assert view.heldout is not None
        paths = trainer.sampler.next_step(view, trainer._streams["paths"])
        kept = {*paths, *trainer.sampler._queue}
        subset = view.heldout.first(50)
        data = ImageData("held out", subset, subset, subset, 10)
        scores = score_architectures(trainer.supernet, data, drawn, ScoreProtocol())
        by_loss = sorted(range(8), key=lambda i: scores[i].loss)[:4]
        by_accuracy = sorted(range(8), key=lambda i: -scores[i].accuracy)[:4]
        assert kept == {drawn[i] for i in by_loss}
        differ += set(by_loss) != set(by_accuracy)
        trainer.sampler._queue.clear()
        trainer.train(4)
    assert differ


def test_scoring_leaves_the_supernet_alone() -> None:
    """The same paths trained without having been scored give the same weights."""
    from raynas.methods import Sampler

    greedy = make_trainer(GreedySampler(SPACE, **SMALL))
    taken: list[Architecture] = []
    next_step = greedy.sampler.next_step
    greedy.sampler.next_step = lambda view, rng: taken.extend(step := next_step(view, rng)) or step
    greedy.settings = greedy.settings.model_copy(update={"lr_min": greedy.settings.lr})
    greedy.train(9)

    class Given(Sampler):
        def next_step(self, view: object, rng: object) -> list[Architecture]:
            return [taken.pop(0)]

    plain = make_trainer(heldout=20)
    plain.sampler, plain.settings = Given(SPACE), greedy.settings
    plain.train(9)
    assert taken == []
    assert same_weights(greedy, plain)


@pytest.mark.parametrize("broken_at", [6, 7, 8])
@pytest.mark.parametrize("official", [False, True])
def test_broken_and_continued_is_unbroken(broken_at: int, official: bool) -> None:
    options = {"m": 5, "k": 3, "images": 20, **POOLED, "check_every": 40, "stop_change": 0.3, "official": official}

    def make() -> Trainer:
        trainer = make_trainer(GreedySampler(SPACE, **options))
        trainer.sampler.begin_round(Pool(8))
        return trainer

    whole, first, second = make(), make(), make()
    losses = [whole.train(broken_at).loss, whole.train(9).loss]
    assert first.train(broken_at).loss == losses[0]
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.train(2)
    second.load_state_dict(torch.load(stored, weights_only=True))
    assert second.train(9).loss == losses[1]
    assert same_weights(whole, second)
    assert whole.sampler.pool == second.sampler.pool
    assert whole.sampler.proposals() == second.sampler.proposals()
    assert whole.diagnostics() == second.diagnostics()


# ---------------------------------------------------------------- with the shared pool


def make_job(space: Space, **options: object) -> SupernetJob:
    return SupernetJob(
        label=space.label,
        space=space,
        network={"channels": 2, "cells": 1},
        method=MethodPlan(sampler=("greedy", {**SMALL, **POOLED, **options})),
        optimizer=OptimizerSettings(batch_size=32),
        round_steps=20,
        total_rounds=3,
        protocol=ScoreProtocol(images=64),
        ranking=RankingSet((), ()),
        candidates=6,
        rescore=4,
        seed=0,
        pool_capacity=12,
    )


def test_what_was_scored_on_other_images_has_a_ranking_of_its_own() -> None:
    pool, worker = CandidatePool(12), SupernetWorker(make_job(SPACE), DIGITS)
    for turn in range(3):
        report = worker.run_round(pool)
        pool.commit({"root": report.entries})
        protocols = {e.protocol for e in pool.entries()}
        assert protocols == {"loss/batch/float32", "loss/batch/float32/20 held out"}
        mine = [e for e in pool.entries() if e.protocol.endswith("held out")]
        assert mine == worker.parts.sampler.pool
        assert len(mine) == 12
        assert report.metrics["greedy_pool"] == 12
        proposed = [e for e in report.entries if e.protocol.endswith("held out")]
        assert report.metrics["images_scored"] > len(proposed) * 20
        assert {e.architecture for e in mine} <= {e.architecture for e in proposed} or turn
    validated = [e for e in report.entries if e.protocol == "loss/batch/float32"]
    again = validated[6:]
    assert len({e.architecture for e in again}) == len(again) == 4
    before = {e.architecture for e in mine}
    assert {e.architecture for e in again} & before  # the sampler's best are measured on the validation images too


def test_a_partition_draws_from_what_the_root_knew_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, root = CandidatePool(12), SupernetWorker(make_job(SPACE), DIGITS)
    pool.commit({"root": root.run_round(pool).entries})
    known = [e for e in pool.entries() if e.protocol.endswith("held out")]
    part = next(p for p in SPACE.partition(["3<-0"]) if any(e.architecture in p for e in known))
    child = SupernetWorker(make_job(part, max_age=10**6), DIGITS, root.supernet.state_dict())
    report = child.run_round(pool)
    assert {e.scorer for e in report.entries} == {part.label}
    assert all(e.architecture in part for e in report.entries)
    mine = {e.architecture for e in known if e.architecture in part}
    assert mine & {e.architecture for e in report.entries if e.protocol.endswith("held out")}
    sampler = child.parts.sampler
    own, blocks, take_in = sampler.pool, [], sampler._take_in
    pool.commit({part.label: report.entries})
    monkeypatch.setattr(sampler, "_take_in", lambda entries: (blocks.append(entries), take_in(entries)))
    expected = Pool(12)
    for entries in ([e for e in pool.entries() if e.architecture in part], own):
        expected.add(entries)
    child.run_round(pool)
    for entries in blocks:  # one after another: a worse new score of a member does not bring back who was pushed out
        expected.add(entries)
    assert len(blocks) > 1
    assert sampler.pool == expected.ranking(own[0].protocol)
