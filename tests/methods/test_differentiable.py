"""Differentiable methods: alpha's step by step, what is charged, what is stacked, and what never moves."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.data import ImageData, TensorSplit
from raynas.methods import SAMPLERS, MethodPlan, Regularizer, Stack, TrainingView
from raynas.methods.differentiable import DifferentiableSampler, can_be_relaxed, linear
from raynas.methods.gdas import GdasSampler
from raynas.methods.pc_darts import PcDartsSampler
from raynas.methods.snas import SnasSampler
from raynas.networks import Supernet
from raynas.networks.mixture import Mixture
from raynas.search import CandidatePool
from raynas.spaces import Architecture, Space
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.scoring import ScoreProtocol
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer
from raynas.training.worker import SupernetWorker

NB201 = raynas.space("nasbench201")
DARTS = raynas.space("darts")
FIXED = NB201.subspace({"1<-0": ["nor_conv_3x3"]})
SETTINGS = OptimizerSettings(batch_size=16, lr=0.1, lr_min=0.001)
METHODS: list[tuple[str, dict[str, object]]] = [
    ("darts", {}),
    ("darts", {"order": 2}),
    ("snas", {"temperature": (1.0, 0.1)}),
    ("gdas", {}),
    ("gdas", {"official": True}),
    ("pc_darts", {"partial": 2, "warmup": 0.1}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in METHODS]


def split(count: int = 100) -> TensorSplit:
    digits = raynas.data("digits").train.first(count)
    assert isinstance(digits, TensorSplit)
    return digits


def network(space: Space, **options: object) -> Supernet:
    small = {"channels": 4, "cells": 3} if space.name == "darts" else {"channels": 2, "cells": 1}
    return raynas.supernet(space, input_shape=(1, 8, 8), seed=0, **{**small, **options})


def trainer(name: str, space: Space = NB201, *, steps: int = 20, **options: object) -> Trainer:
    regularizer = options.pop("regularizer", None)
    sampler = SAMPLERS.make(name, space, **options)
    heldout = split(60).select(torch.arange(20, 60)) if sampler.heldout_images(100) else None
    return Trainer(
        network(space),
        split(),
        sampler,
        SETTINGS,
        total_steps=steps,
        seed=0,
        name="root",
        heldout=heldout,
        regularizer=regularizer,
    )


def policy(of: Trainer) -> DifferentiableSampler:
    assert isinstance(of.sampler, DifferentiableSampler)
    return of.sampler


def alpha(of: Trainer) -> Tensor:
    return policy(of).alphas.values.detach().clone()


def weights(of: Trainer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in of.supernet.parameters()]


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
@pytest.mark.parametrize("space", [NB201, DARTS], ids=["nb201", "darts"])
def test_alpha_moves_in_its_step_and_weights_in_theirs(name: str, options: dict[str, object], space: Space) -> None:
    ours = trainer(name, space, **{**options, "warmup": 0.0, "official": False} if name == "gdas" else options)
    sampler, view = policy(ours), ours.view
    sampler.warmup = 0.0
    view.batch, before = view.train.take(torch.arange(16)), (alpha(ours), weights(ours))
    paths = sampler.next_step(view, np.random.default_rng(0))
    moved = alpha(ours)
    assert not torch.equal(moved, before[0])
    assert same(weights(ours), before[1])
    assert all(parameter.grad is None for parameter in ours.supernet.parameters())
    (mixture,) = paths
    assert isinstance(mixture, Mixture)
    assert not any(weight.requires_grad for weight in [*mixture.weights, *(mixture.edge_weights or ())])
    held = sampler.alphas.values.grad
    assert held is not None
    held = held.clone()
    view.loss(mixture, *view.train.take(torch.arange(16))).backward()  # type: ignore[no-untyped-call]
    assert torch.equal(alpha(ours), moved)
    assert torch.equal(sampler.alphas.values.grad, held)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
def test_what_is_charged(name: str, options: dict[str, object]) -> None:
    ours = trainer(name, **options)
    sampler = policy(ours)
    sampler.warmup = 0.0
    report = ours.train(2)
    assert report.images_trained == 2 * 16 * (5 if options.get("order") == 2 else 2)
    assert report.images_scored == 0
    assert sampler.heldout_images(101) == 50


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
def test_broken_and_continued_is_unbroken(name: str, options: dict[str, object]) -> None:
    whole, first, second = (trainer(name, **options) for _ in range(3))
    losses = [whole.train(5).loss, whole.train(4).loss]
    assert first.train(5).loss == losses[0]
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.train(2)  # whatever it did before is overwritten
    second.load_state_dict(torch.load(stored, weights_only=True))
    assert second.diagnostics() == first.diagnostics()
    first.train(2)  # what was loaded is not shared
    assert second.train(4).loss == losses[1]
    assert same([*weights(whole), alpha(whole)], [*weights(second), alpha(second)])
    assert whole.diagnostics() == second.diagnostics()
    rng = np.random.default_rng(0), np.random.default_rng(0)
    assert policy(whole).candidates(rng[0], 5) == policy(second).candidates(rng[1], 5)


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
def test_global_generators_are_left_alone(name: str, options: dict[str, object]) -> None:
    ours = trainer(name, **options)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    ours.train(3)
    policy(ours).candidates(np.random.default_rng(0), 4)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # type: ignore[index]


@pytest.mark.parametrize("name", ["darts", "snas", "gdas", "pc_darts"])
def test_never_learning_is_the_uniform_sampler(name: str) -> None:
    ours, uniform = trainer(name, warmup=1.0), trainer_of_uniform()
    assert ours.train(25).loss == uniform.train(25).loss  # beyond the budget too
    assert same(weights(ours), weights(uniform))
    rng = np.random.default_rng(0), np.random.default_rng(0)
    assert ours.sampler.candidates(rng[0], 3) == uniform.sampler.candidates(rng[1], 3)
    assert policy(ours).heldout_images(100) == 0


def trainer_of_uniform() -> Trainer:
    return Trainer(
        network(NB201), split(), SAMPLERS.make("uniform", NB201), SETTINGS, total_steps=20, seed=0, name="root"
    )


def test_alpha_stays_in_the_warmup() -> None:
    ours = trainer("darts", warmup=0.5)
    start = alpha(ours)
    while ours.view.progress < 0.5:
        ours.train(1)
        assert torch.equal(alpha(ours), start)
    assert ours.view.images_trained == 10 * 16
    ours.train(1)
    assert not torch.equal(alpha(ours), start)
    assert ours.view.images_trained == 12 * 16


def test_alpha_begins_small_and_by_the_seed() -> None:
    sampler = SAMPLERS.make("darts", NB201)
    assert isinstance(sampler, DifferentiableSampler)
    found = []
    for seed in (1, 1, 2):
        sampler.start(network(NB201), seed)
        found.append(sampler.alphas.values.detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert found[0].shape == (30,)
    assert 5e-4 < found[0].std() < 2e-3


def test_the_step_on_alpha_is_adams() -> None:
    """The first step by hand: the L2 penalty is added to the gradient, and both means are free of their bias."""
    ours = trainer("darts", alpha_lr=0.01, alpha_weight_decay=0.1, entropy=0.3)
    sampler, view = policy(ours), ours.view
    before = alpha(ours).requires_grad_()
    state = view.state_dict()
    images, targets = view.heldout_batch("alpha")
    view.load_state_dict(state)
    rows = before.view(6, 5).softmax(1)
    loss = view.loss(Mixture(list(rows)), images, targets) - 0.3 * (rows * rows.log()).sum()
    (gradient,) = torch.autograd.grad(loss, [before])
    gradient = gradient + 0.1 * before.detach()
    sampler.next_step(view, np.random.default_rng(0))
    expected = before.detach() - 0.01 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(alpha(ours), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("ends", [(10.0, 0.1), (1.0, 1.0), (0.5, 2.0)])
def test_temperatures_stay_between_their_ends(ends: tuple[float, float]) -> None:
    for name in ("gdas", "snas"):
        for warmup in (0.0, 0.4, 1.0):
            sampler = SAMPLERS.make(name, NB201, temperature=ends, warmup=warmup)
            assert isinstance(sampler, GdasSampler | SnasSampler)
            for progress in np.linspace(-0.5, 3, 71):
                sampler._progress = float(progress)
                assert min(ends) <= sampler.temperature <= max(ends)
                assert sampler.temperature > 0
            if warmup < 1:
                for progress, value in ((warmup, ends[0]), (1.0, ends[1]), ((1 + warmup) / 2, sum(ends) / 2)):
                    sampler._progress = progress
                    assert sampler.temperature == pytest.approx(value)
    assert linear((10.0, 0.1), 1.0) == 0.1


def test_temperature_falls_over_the_budget() -> None:
    ours = trainer("gdas", steps=20)
    found = []
    for _ in range(12):  # two more than the budget has
        ours.train(1)
        found.append(ours.diagnostics()["temperature"])
    assert found[0] == 10.0
    assert found[5] == pytest.approx(10 - 9.9 * 5 / 10)
    assert found[-2:] == [0.1, 0.1]


class Ordered(Regularizer):
    """A landmark term in short: the losses of two discrete architectures."""

    def add_gradients(self, view: TrainingView, rng: np.random.Generator) -> None:
        images, targets = view.heldout_batch("alpha")
        for _ in range(2):
            path = view.supernet.space.sample(rng)
            view.loss(path, images, targets).backward()  # type: ignore[no-untyped-call]
            view.count(trained=len(images))


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
def test_no_gradient_of_a_regularizer_reaches_alpha(name: str, options: dict[str, object]) -> None:
    ours = trainer(name, **options, regularizer=Ordered())
    sampler = policy(ours)
    sampler.warmup = 0.0
    ours.train(2)
    held = sampler.alphas.values.grad.clone()  # type: ignore[union-attr]
    kept = alpha(ours)
    ours.regularizer.add_gradients(ours.view, np.random.default_rng(0))  # type: ignore[union-attr]
    assert torch.equal(sampler.alphas.values.grad, held)  # type: ignore[arg-type]
    assert torch.equal(alpha(ours), kept)


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
def test_a_partition_that_has_chosen_an_edge(name: str, options: dict[str, object]) -> None:
    ours = trainer(name, FIXED, **options)
    sampler = policy(ours)
    assert len(sampler.alphas.values) == 25 + (5 if name == "pc_darts" else 0)
    ours.train(3)
    found = sampler.candidates(np.random.default_rng(0), 6)
    assert found
    assert all(architecture in FIXED for architecture in found)
    assert np.isfinite(list(ours.diagnostics().values())).all()


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
@pytest.mark.parametrize("space", [NB201, DARTS], ids=["nb201", "darts"])
def test_children_inherit_alpha_of_what_they_keep(name: str, options: dict[str, object], space: Space) -> None:
    parent = trainer(name, space, **{**options, "warmup": 0.0})
    with torch.no_grad():
        policy(parent).alphas.values.copy_(torch.arange(len(alpha(parent))))
    one, some = space.decisions[:2]
    part = space.subspace({one.name: one.options[:1], some.name: some.options[1:3]})
    job = SupernetJob(
        label=part.label,
        space=part,
        network={"channels": 4, "cells": 3} if space is DARTS else {"channels": 2, "cells": 1},
        method=MethodPlan(sampler=(name, {**options, "warmup": 0.6})),
        optimizer=SETTINGS,
        round_steps=2,
        total_rounds=2,
        protocol=ScoreProtocol(images=20),
        ranking=RankingSet((), ()),
        candidates=2,
        rescore=1,
        seed=0,
    )
    data = ImageData("digits", split(), split(40), split(40), 10)
    state = parent.state_dict()
    worker = SupernetWorker(job, data, state["supernet"], state["parts"])
    child = worker.parts.sampler
    assert isinstance(child, DifferentiableSampler)
    places = policy(parent).alphas.places
    assert len(set(places)) == len(places) == len(alpha(parent))
    theirs = dict(zip(places, alpha(parent).tolist(), strict=True))
    mine = dict(zip(child.alphas.places, child.alphas.values.tolist(), strict=True))
    assert mine == {place: theirs[place] for place in mine}
    assert len(mine) < len(theirs)
    if space is NB201:  # edge by edge: of 5, 5 and 5 options there are 1, 2 and 5
        assert [len(logs) for logs in child.alphas.operations()] == [1, 2, 5, 5, 5, 5]
        logits = [policy(parent).alphas.values[5 * edge : 5 * edge + 5].detach() for edge in range(6)]
        own = child.alphas.operations()
        torch.testing.assert_close(own[1].detach(), logits[1][1:3].log_softmax(0))
        torch.testing.assert_close(own[2].detach(), logits[2].log_softmax(0))
    before = child.alphas.values.detach().clone()
    worker.trainer.train(1)
    assert not torch.equal(child.alphas.values.detach(), before)  # without a warm-up


def test_never_learning_is_not_learned_in_children() -> None:
    sampler = SAMPLERS.make("darts", NB201, warmup=1.0)
    sampler.inherits(None)
    assert isinstance(sampler, DifferentiableSampler)
    assert (sampler.warmup, sampler.heldout_images(100)) == (1.0, 0)


def test_a_single_architecture() -> None:
    only = NB201.only(NB201.sample(np.random.default_rng(0)))
    ours = trainer("gdas", only)
    ours.train(2)
    assert len(alpha(ours)) == 0
    assert policy(ours).candidates(np.random.default_rng(0), 3) == [only.sample(np.random.default_rng(0))]
    assert ours.diagnostics()["likeliest_probability"] == 1.0
    assert ours.diagnostics()["alpha_entropy"] == 0.0


def test_disconnected_cells_are_no_candidates() -> None:
    connected = raynas.space("nasbench201", connected=True)
    ours = trainer("snas", connected)
    with torch.no_grad():
        policy(ours).alphas.values.view(6, 5)[:, 0] = 5.0  # none
    found = policy(ours).candidates(np.random.default_rng(0), 20)
    assert len(found) == 20
    assert all(architecture in connected for architecture in found)


def test_candidates_follow_alpha() -> None:
    ours = trainer("darts")
    with torch.no_grad():
        policy(ours).alphas.values.view(6, 5).copy_(torch.tensor([0.0, 1.0, 2.0, 0.5, -1.0]).expand(6, 5))
    first, *drawn = policy(ours).candidates(np.random.default_rng(0), 1001)
    assert first.options == ("nor_conv_1x1",) * 6 == policy(ours).most_likely().options
    assert policy(ours).derived == first
    probabilities = torch.tensor([0.0, 1.0, 2.0, 0.5, -1.0]).softmax(0)
    counts = [sum(a.options.count(name) for a in drawn) / 6000 for name in NB201.decisions[0].options]
    assert np.allclose(counts, probabilities.numpy(), atol=4 * np.sqrt(0.25 / 6000))
    found = ours.diagnostics()
    assert found["likeliest_probability"] == pytest.approx(float(probabilities[2]) ** 6, rel=1e-4)
    assert found["alpha_entropy"] == pytest.approx(float(-(probabilities * probabilities.log()).sum()), rel=1e-4)


def test_gdas_candidates_are_the_most_frequent() -> None:
    ours = trainer("gdas")
    sampler = policy(ours)
    with torch.no_grad():
        sampler.alphas.values.view(6, 5)[:, 3] = 3.0
    found = sampler.candidates(np.random.default_rng(0), 8)
    assert found[0] == sampler.derived
    assert len(set(found)) == len(found) == 8
    drawn = sampler.draws(np.random.default_rng(0), 1000)
    counts = [drawn.count(architecture) for architecture in found[1:]]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= max(drawn.count(a) for a in set(drawn) - set(found))


def test_darts_has_none_only_while_relaxed() -> None:
    for name, nothing, size in (("darts", True, 28 * 8), ("darts", False, 28 * 7), ("pc_darts", True, 28 * 8 + 28)):
        ours = trainer(name, DARTS, with_none=nothing)
        assert len(alpha(ours)) == size
    assert len(alpha(trainer("darts", with_none=True))) == 30  # where it is an option already
    ours = trainer("snas", DARTS)
    assert all(a in DARTS for a in policy(ours).candidates(np.random.default_rng(0), 5))


@pytest.mark.parametrize("name", ["darts", "snas", "gdas", "pc_darts"])
def test_objections(name: str) -> None:
    def objections(space: Space, **keys: str) -> list[str]:
        return SAMPLERS.make(name, space).objections(Stack(space, sampler=name, **keys))

    assert objections(NB201) == objections(DARTS) == []
    (problem,) = objections(raynas.space("nasbench_macro"))
    assert problem.startswith(f"{name} trains a relaxed network, and that of nasbench_macro cannot be relaxed")
    assert "those that can: darts, nasbench201, nasbench301" in problem
    (problem,) = objections(NB201, sharing="glow")
    assert "sharing 'glow'" in problem
    assert "set method.sharing to positions" in problem
    assert not can_be_relaxed("module")


def test_official_gdas_is_for_nasbench201() -> None:
    stack = Stack(DARTS, sampler="gdas")
    (problem,) = SAMPLERS.make("gdas", DARTS, official=True).objections(stack)
    assert "set method.sampler.official to false" in problem
    assert not SAMPLERS.make("gdas", NB201, official=True).objections(Stack(NB201, sampler="gdas"))


def test_options_are_checked() -> None:
    model = SAMPLERS.options_model("gdas")
    assert model.model_validate({"temperature": [5, 0.2]}).model_dump()["temperature"] == (5.0, 0.2)
    for wrong in ({"temperature": [10, 0]}, {"temperature": [1, -1]}, {"warmup": 1.5}, {"alpha_lr": 0}, {"order": 2}):
        with pytest.raises(ValueError, match="validation error"):
            model.model_validate(wrong)


@pytest.mark.parametrize(("name", "options"), METHODS, ids=IDS)
def test_a_worker_runs_it(name: str, options: dict[str, object]) -> None:
    job = SupernetJob(
        label="1<-0=nor_conv_3x3",
        space=FIXED,
        network={"channels": 4, "cells": 1},
        method=MethodPlan(sampler=(name, options)),
        optimizer=SETTINGS,
        round_steps=4,
        total_rounds=2,
        protocol=ScoreProtocol(images=32),
        ranking=RankingSet((), ()),
        candidates=5,
        rescore=0,
        seed=0,
    )
    data = raynas.data("digits")
    worker = SupernetWorker(job, data)
    assert len(worker.trainer.split) == len(data.train) - len(data.train) // 2
    report = worker.run_round(CandidatePool(10))
    assert report.images_trained >= 4 * 16
    assert {"alpha_entropy", "likeliest_probability"} <= report.metrics.keys()
    assert all(entry.architecture in FIXED for entry in report.entries)


def test_soft_one_shot_warmup() -> None:
    ours = trainer("darts", warmup=0.5, warmup_by="soft", soft_delta=0.05)
    path = NB201.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|")
    mixture = policy(ours).soft_one_shot(path)
    for weight, edge, option in zip(mixture.weights, ours.supernet.mixed_edges, path.options, strict=True):
        expected = [0.2 + 0.05 if name == option else 0.2 - 0.05 / 4 for name in edge.options]
        torch.testing.assert_close(weight, torch.tensor(expected))
    (drawn,) = policy(ours).next_step(ours.view, np.random.default_rng(0))
    assert isinstance(drawn, Mixture)
    same_draw = policy(ours).soft_one_shot(NB201.sample(np.random.default_rng(0)))
    assert same(drawn.weights, same_draw.weights)
    start = alpha(ours)
    assert ours.train(3).images_trained == 3 * 16
    assert torch.equal(alpha(ours), start)


def test_soft_one_shot_of_some_edges() -> None:
    """Edges that a DARTS path lacks prefer to carry nothing; the two it has into a node are preferred."""
    ours = trainer("pc_darts", DARTS, warmup_by="soft", soft_delta=0.1)
    path: Architecture = DARTS.sample(np.random.default_rng(1))
    mixture = policy(ours).soft_one_shot(path)
    places = ours.supernet.edge_places(path)
    assert mixture.partial == 4
    assert mixture.edge_weights is not None
    betas = torch.cat(list(mixture.edge_weights)).tolist()
    for weight, place, beta, edge in zip(mixture.weights, places, betas, ours.supernet.mixed_edges, strict=True):
        chosen = 7 if place is None else place
        assert weight[chosen] == pytest.approx(1 / 8 + 0.1)
        assert weight.sum() == pytest.approx(1)
        incoming = int(edge.node.split()[1])
        if incoming == 2:
            assert beta == pytest.approx(0.5)
        else:
            raised = 1 / incoming + 0.1
            assert beta == pytest.approx(raised if place is not None else (1 - 2 * raised) / (incoming - 2))
    bare = trainer("darts", DARTS, warmup_by="soft", with_none=False, warmup=0.5)
    unused = bare.supernet.edge_places(path).index(None)
    torch.testing.assert_close(policy(bare).soft_one_shot(path).weights[unused], torch.full((7,), 1 / 7))
    assert isinstance(policy(ours), PcDartsSampler)
