"""The landmark term: its gradients, what it counts, when it runs, and that a training with it continues exactly."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.data import TensorSplit
from raynas.errors import ConfigError
from raynas.methods import REGULARIZERS, SAMPLERS, Landmark, MethodPlan, Stack
from raynas.methods.landmark import LandmarkRegularizer
from raynas.networks import Supernet
from raynas.networks.gate_router import GlowSettings
from raynas.networks.glow import glow_supernet
from raynas.networks.nasbench201_glow import Nasbench201Glow
from raynas.search import CandidatePool
from raynas.spaces import Architecture
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer
from raynas.training.worker import SupernetWorker
from tests.training.test_worker import make_job

SPACE = raynas.space("nasbench201", connected=True)
DIGITS = raynas.data("digits")
SETTINGS = OptimizerSettings(batch_size=16, lr=0.05)


def landmarks(count: int, seed: int = 0) -> list[Landmark]:
    rng = np.random.default_rng(seed)
    return [Landmark(SPACE.sample(rng), 80.0 + place) for place in range(count)]


def make_supernet(seed: int = 0) -> Supernet:
    return raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=seed).double()


class View:
    """A supernet in double precision, one batch, and what was counted."""

    def __init__(self, progress: float = 1.0, supernet: Supernet | None = None) -> None:
        self.supernet = supernet or make_supernet()
        self.step_progress = progress
        self.trained = self.scored = self.batches = 0
        self.lr = 0.1

    def loss(self, path: Architecture, images: Tensor, targets: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(self.supernet(images, path), targets)

    def heldout_batch(self, purpose: str) -> tuple[Tensor, Tensor]:
        self.batches += 1
        split = DIGITS.train.first(24)
        assert isinstance(split, TensorSplit)
        return split.images.double(), split.targets

    def count(self, *, trained: int = 0, scored: int = 0) -> None:
        self.trained += trained
        self.scored += scored


def make(known: Sequence[Landmark], **options: Any) -> LandmarkRegularizer:
    part = REGULARIZERS.make("landmark", known, **{"warmup": 0.0, **options})
    assert isinstance(part, LandmarkRegularizer)
    return part


def gradients(known: Sequence[Landmark], view: View | None = None, seed: int = 0, **options: Any) -> list[Tensor]:
    """Return what the term adds to gradients of zero."""
    view = view or View()
    part = make(known, **options)
    part.start(view.supernet, 0)
    view.supernet.zero_grad()
    part.add_gradients(view, np.random.default_rng(seed))
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in view.supernet.parameters()]


def norm(parts: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float((part**2).sum()) for part in parts))


def pair_in_order() -> tuple[Landmark, Landmark]:
    """Return two landmarks of which the better has the smaller loss."""
    view = View()
    images, targets = view.heldout_batch("landmarks")
    one, other = (landmark.architecture for landmark in landmarks(2))
    losses = [view.loss(a, images, targets).item() for a in (one, other)]
    better, worse = (one, other) if losses[0] < losses[1] else (other, one)
    return Landmark(worse, 80.0), Landmark(better, 90.0)


# ---------------------------------------------------------------- gradients


def test_a_pair_in_order_has_no_gradient_at_all() -> None:
    view = View()
    part = make(pair_in_order())
    part.start(view.supernet, 0)
    part.add_gradients(view, np.random.default_rng(0))
    assert all(parameter.grad is None for parameter in view.supernet.parameters())
    assert (view.trained, view.scored) == (0, 2 * 24)
    assert part.diagnostics()["landmark_violations"] == 0


def glow(gate: str) -> Nasbench201Glow:
    settings = GlowSettings(3, gate=gate)
    net = glow_supernet(SPACE, settings, input_shape=(1, 8, 8), classes=10, channels=2, cells=1)
    assert isinstance(net, Nasbench201Glow)
    if net.gate is not None:
        with torch.no_grad():
            net.gate.head.weight.mul_(50.0)  # edges and architectures tell apart
    return net.double()


@pytest.mark.parametrize("gate", ["node", "random"])
def test_where_blocks_are_drawn_the_term_is_of_what_is_scored(gate: str) -> None:
    """The order is that of the scores, again and again, and the router learns and draws nothing."""
    supernet = glow(gate)
    before = {name: tensor.clone() for name, tensor in supernet.router.state_dict().items()}
    view = View(supernet=supernet)
    images, targets = view.heldout_batch("landmarks")
    for seed in range(4):
        worse, better = (landmark.architecture for landmark in landmarks(2, seed))
        with torch.no_grad():
            scored = [view.loss(architecture, images, targets).item() for architecture in (worse, better)]
        if scored[0] > scored[1]:
            worse, better = better, worse
        in_order, violated = ([Landmark(a, 80.0), Landmark(b, 90.0)] for a, b in ((better, worse), (worse, better)))
        assert norm(gradients(in_order, view)) == 0
        found = gradients(violated, view)
        assert norm(found) > 0
        assert all(map(torch.equal, found, gradients(violated, view)))
        (first, second) = supernet.routes([worse, better])
        names = [name for name, p in supernet.named_parameters() if p.grad is not None]
        assert {int(name.split(".banks.")[1][0]) for name in names if ".banks." in name} <= {*first, *second}
        assert not [name for name in names if name.startswith("router.")]
    after = supernet.router.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_violated_pair_pulls_the_better_and_pushes_the_worse() -> None:
    worse, better = pair_in_order()
    swapped = [Landmark(better.architecture, 80.0), Landmark(worse.architecture, 90.0)]
    view = View()
    found = gradients(swapped, view, coefficient=3.0)
    images, targets = view.heldout_batch("landmarks")
    term = 3.0 * (view.loss(worse.architecture, images, targets) - view.loss(better.architecture, images, targets))
    expected = torch.autograd.grad(term, list(view.supernet.parameters()), allow_unused=True)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if theirs is None else theirs)
    assert norm(found) > 0.01
    assert (view.trained, view.scored) == (2 * 24, 0)


def test_swapping_a_pair_mirrors_the_gradient() -> None:
    worse, better = pair_in_order()
    swapped = [Landmark(better.architecture, worse.quality), Landmark(worse.architecture, better.quality)]
    # tanh without a hinge is odd: the same pair the other way round has the opposite gradient
    there, back = (gradients(pair, loss="tanh_infinite") for pair in ([worse, better], swapped))
    for one, other in zip(there, back, strict=True):
        torch.testing.assert_close(one, -other)
    assert norm(there) > 0.01


@pytest.mark.parametrize("loss", ["mae_relu", "mae_softplus"])
def test_pairs_of_a_step_are_the_sum_of_single_ones_on_one_batch(loss: str) -> None:
    known, view = landmarks(6), View()
    together = gradients(known, view, pairs=8, loss=loss)
    assert view.batches == 1
    drawn = make(known)._known.draw(8, np.random.default_rng(0))
    summed = [torch.zeros_like(part) for part in together]
    for pair in drawn:
        summed = [a + b for a, b in zip(summed, gradients(pair, loss=loss), strict=True)]
    for ours, theirs in zip(together, summed, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert norm(together) > 0.01
    assert view.trained + view.scored == 8 * 2 * 24


def test_embedding_weighs_by_the_gap_scaled_over_the_landmarks() -> None:
    known = [Landmark(one.architecture, quality) for one, quality in zip(landmarks(3), (80, 82, 90), strict=True)]
    (worse, better) = make(known)._known.draw(1, np.random.default_rng(0))[0]
    plain, weighed = (gradients(known, loss="mae_softplus", embed=embed) for embed in (False, True))
    share = (better.quality - worse.quality) / 10
    for one, other in zip(plain, weighed, strict=True):
        torch.testing.assert_close(share * one, other)


def test_norms_are_those_of_the_task_and_of_the_term() -> None:
    view = View()
    images, targets = view.heldout_batch("landmarks")
    path = SPACE.sample(np.random.default_rng(9))
    view.loss(path, images, targets).backward()
    task = [parameter.grad.clone() for parameter in view.supernet.parameters() if parameter.grad is not None]
    part = make(landmarks(4), loss="mae_softplus", pairs=3, norms_every=1)
    part.start(view.supernet, 0)
    part.add_gradients(view, np.random.default_rng(0))
    term = gradients(landmarks(4), loss="mae_softplus", pairs=3)
    told = part.diagnostics()
    assert told["landmark_task_norm"] == pytest.approx(norm(task))
    assert told["landmark_term_norm"] == pytest.approx(norm(term))
    assert told["landmark_lambda"] == 10
    assert math.isnan(part.diagnostics()["landmark_task_norm"])


def test_norms_are_measured_in_one_of_so_many_violated_steps() -> None:
    view = View()
    part = make(landmarks(4), loss="mae_softplus", norms_every=3)
    for _ in range(7):
        part.add_gradients(view, np.random.default_rng(0))
    assert len(part._norms) == 3
    never = make(landmarks(4), loss="mae_softplus", norms_every=0)
    never.add_gradients(view, np.random.default_rng(0))
    assert never._norms == []


# ---------------------------------------------------------------- when it runs


@pytest.mark.parametrize(
    ("options", "progress"),
    [({"coefficient": 0.0}, 1.0), ({"warmup": 0.5}, 0.499), ({"warmup": 0.5}, 0.5), ({"min_gap": 50}, 1.0)],
)
def test_nothing_runs_and_no_stream_moves(options: dict[str, Any], progress: float) -> None:
    view, rng = View(progress), np.random.default_rng(0)
    part = make(landmarks(5), **options)
    part.add_gradients(view, rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
    assert (view.trained, view.scored, view.batches) == (0, 0, 0)
    assert all(parameter.grad is None for parameter in view.supernet.parameters())


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_landmarks_are_no_term_and_it_is_told(count: int) -> None:
    view = View()
    part = make(landmarks(count))
    part.add_gradients(view, np.random.default_rng(0))
    told = part.diagnostics()
    assert (told["landmark_count"], told["landmark_pairs"]) == (count, 0)
    assert math.isnan(told["landmark_violations"])
    assert view.batches == 0


def test_half_is_held_out_unless_the_coefficient_is_zero() -> None:
    assert make([]).heldout_images(101) == 50
    assert make([], coefficient=0.0).heldout_images(101) == 0


def test_inherited_weights_need_no_warmup() -> None:
    part = make(landmarks(3), warmup=0.6)
    assert part.weight(0.5) == 0
    part.inherits()
    assert [part.weight(spent) for spent in (0.0, 0.5, 1.0)] == [10, 10, 10]  # where the parent's training ended


def test_inherited_weights_go_on_with_what_the_released_schedule_ends_at() -> None:
    parent, child = (make(landmarks(3), warmup=0.5, official=True) for _ in range(2))
    child.inherits()
    assert child.weight(0.0) == child.weight(1.0) == parent.weight(1.0) < 7


def test_a_state_holds_what_inheriting_changed() -> None:
    child, again = (make(landmarks(3), warmup=0.5) for _ in range(2))
    child.inherits()
    again.start(make_supernet(), 0)
    assert again.weight(0.25) == 0
    again.load_state_dict(child.state_dict())
    assert again.weight(0.25) == child.weight(0.25) == 10


def test_lambda_is_that_of_the_beginning_of_a_step() -> None:
    net, split = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1), DIGITS.train.first(64)
    part = make(landmarks(3), warmup=0.5, schedule="constant")
    settings = OptimizerSettings(batch_size=16)
    sampler = SAMPLERS.make("uniform", SPACE)
    trainer = Trainer(net, split, sampler, settings, total_steps=4, seed=0, name="t", heldout=split, regularizer=part)
    found = []
    while trainer.view.progress < 1:
        began = trainer.view.progress
        trainer.train(1)
        found.append((began >= 0.5, part.diagnostics()["landmark_lambda"] > 0))
    assert {began for began, _ in found} == {False, True}
    assert all(began == pulls for began, pulls in found)


@pytest.mark.parametrize("official", [False, True])
def test_inherited_weights_go_on_with_lambda(official: bool) -> None:
    rising = make(landmarks(3), warmup=0.6, schedule="linear_step_increase", official=official)
    falling = make(landmarks(3), warmup=0.1, ramp=0.3, schedule="cosine_decrease", official=official)
    for part in (rising, falling):
        part.inherits()
    assert {rising.weight(spent) for spent in (0.0, 0.3, 0.99)} == {10}
    assert falling.weight(0.0) == pytest.approx(10, rel=1e-3)
    assert falling.weight(0.5) == pytest.approx(5, rel=0.02)


def test_a_run_without_truth_is_refused_unless_landmarks_are_trained() -> None:
    stack = Stack(SPACE, truth=False)
    assert "truth=train" in make([]).objections(stack)[0]
    assert make([], truth="train").objections(stack) == []
    assert make([], coefficient=0.0).objections(stack) == []
    assert make([]).objections(Stack(SPACE)) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ramp": 0.5}, "cosine_increase increases by itself"),
        ({"schedule": "constant", "warmup": 0.5, "ramp": 0.5}, r"ramp must be below 0\.5, got 0\.5"),
    ],
)
def test_contradicting_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make([], **options)


# ---------------------------------------------------------------- trainings


def make_trainer(regularizer: LandmarkRegularizer | None = None, seed: int = 0) -> Trainer:
    """Return a trainer of 12 steps of 16 images; what is held out is beside the images it trains on."""
    digits = DIGITS.train
    return Trainer(
        raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=seed),
        digits.first(100),
        SAMPLERS.make("uniform", SPACE),
        SETTINGS,
        total_steps=12,
        seed=seed,
        name="root",
        heldout=digits.select(torch.arange(100, 200)),
        regularizer=regularizer,
    )


@pytest.mark.parametrize("options", [{"coefficient": 0.0}, {"warmup": 0.999}])
def test_without_its_weight_it_is_spos_bit_for_bit(options: dict[str, Any]) -> None:
    plain, ours = make_trainer(), make_trainer(make(landmarks(5), **options))
    for trainer in (plain, ours):
        trainer.train(11)
    for a, b in zip(plain.supernet.parameters(), ours.supernet.parameters(), strict=True):
        assert torch.equal(a, b)
    state, other = plain.state_dict(), ours.state_dict()
    assert state["streams"] == other["streams"]
    assert str(state["view"]) == str(other["view"])


def test_broken_and_continued_is_unbroken_also_with_landmarks_that_came_later() -> None:
    options: dict[str, Any] = {"pairs": 2, "norms_every": 1, "warmup": 0.1}
    whole = make_trainer(make(landmarks(3), **options))
    whole.train(3)
    assert whole.regularizer is not None
    whole.regularizer.landmarks_changed([*landmarks(3), *landmarks(2, seed=1)])
    whole.train(2)
    stored = io.BytesIO()
    torch.save(whole.state_dict(), stored)
    stored.seek(0)
    continued = make_trainer(make(landmarks(3), **options))
    continued.train(1)  # whatever it did before is overwritten
    continued.load_state_dict(torch.load(stored, weights_only=True))
    assert whole.train(2).loss == continued.train(2).loss
    for a, b in zip(whole.supernet.parameters(), continued.supernet.parameters(), strict=True):
        assert torch.equal(a, b)
    told = whole.diagnostics()
    assert told == continued.diagnostics()
    assert told["landmark_count"] == 5
    assert 0 < told["landmark_violations"] <= 1


def test_what_it_looks_at_is_charged_to_the_budget() -> None:
    trainer = make_trainer(make(landmarks(4), pairs=2, schedule="constant"))
    report = trainer.spend(12)
    extra = report.images_trained - 16 * report.steps
    assert extra + report.images_scored == 2 * 2 * 16 * report.steps
    assert trainer.view.spent == report.images_trained + SETTINGS.scoring_cost * report.images_scored
    assert report.steps < 12


def test_it_teaches_the_order_of_the_landmarks() -> None:
    """The order is the opposite of the one that the untaught supernet has in the end."""
    architectures = [one.architecture for one in landmarks(4, seed=3)]
    images, targets = DIGITS.train.select(torch.arange(100, 200)).take(torch.arange(100))

    def losses(regularizer: LandmarkRegularizer | None) -> list[float]:
        trainer = make_trainer(regularizer)
        trainer.train(12)
        with torch.no_grad():
            return [trainer.view.loss(architecture, images, targets).item() for architecture in architectures]

    untaught = losses(None)
    known = [Landmark(a, 80.0 + loss) for a, loss in zip(architectures, untaught, strict=True)]
    taught = losses(make(known, pairs=6, schedule="constant"))
    assert raynas.rank(taught, untaught).kendall_tau < 0


def test_in_a_subspace_stacked_with_uniform_paths() -> None:
    """A worker with inherited weights trains on the landmarks of its job from its first step."""
    part = SPACE.partition(["3<-0"])[3]
    mine = tuple(Landmark(part.sample(np.random.default_rng(i)), 80.0 + i) for i in range(4))
    method = MethodPlan(regularizer=("landmark", {"schedule": "constant", "warmup": 0.9, "norms_every": 1}))
    job = replace(make_job(), label=part.label, space=part, method=method, landmarks=mine)
    architectures = tuple(part.sample(np.random.default_rng(9 + i)) for i in range(12))
    job = replace(job, ranking=replace(job.ranking, architectures=architectures))
    root = SupernetWorker(make_job(), DIGITS)
    child, pool = SupernetWorker(job, DIGITS, root.supernet.state_dict()), CandidatePool(10)
    metrics = child.run_round(pool).metrics
    assert metrics["landmark_lambda"] == 10
    assert metrics["landmark_pairs"] == 6
    more = [*mine, Landmark(part.sample(np.random.default_rng(20)), 70.0)]
    assert child.run_round(pool, more).metrics["landmark_pairs"] == 10
    fresh = SupernetWorker(job, DIGITS)
    assert fresh.run_round(pool).metrics["landmark_lambda"] == 0  # without inherited weights it has its warm-up
