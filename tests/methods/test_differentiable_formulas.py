"""The formulas of DARTS, SNAS, GDAS and PC-DARTS against themselves written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.data import TensorSplit
from raynas.errors import RunError
from raynas.methods import SAMPLERS, TrainingView
from raynas.methods.darts import unrolled_gradient
from raynas.methods.differentiable import DifferentiableSampler
from raynas.methods.gdas import GdasSampler, straight_through
from raynas.methods.snas import SnasSampler
from raynas.networks.mixture import Mixture
from raynas.networks.nasbench201 import Nasbench201Supernet
from raynas.networks.nasbench201_cell import Cell
from raynas.training.settings import OptimizerSettings
from raynas.training.view import View

NB201 = raynas.space("nasbench201")
DARTS = raynas.space("darts")


def make_view(space: raynas.spaces.base.Space = NB201, **options: object) -> View:
    small = {"channels": 4, "cells": 3} if space is DARTS else {"channels": 2, "cells": 1}
    network = raynas.supernet(space, input_shape=(1, 8, 8), seed=0, **{**small, **options})
    digits = raynas.data("digits").train.first(64)
    assert isinstance(digits, TensorSplit)
    view = View(
        network,
        digits,
        digits.first(32),
        OptimizerSettings(batch_size=16),
        total=1000,
        seed=0,
        name="root",
        task="classification",
        augmentation=None,
        restart=lambda: None,
    )
    view.batch, view.lr = digits.take(torch.arange(32, 48)), 0.05
    network.train()
    return view


def started(name: str, view: TrainingView, spread: float = 1.0, **options: object) -> DifferentiableSampler:
    """A sampler with an alpha that is not all but even."""
    sampler = SAMPLERS.make(name, view.supernet.space, **options)
    assert isinstance(sampler, DifferentiableSampler)
    sampler.start(view.supernet, 0)
    with torch.no_grad():
        values = sampler.alphas.values
        values.copy_(spread * torch.randn(values.shape, generator=torch.Generator().manual_seed(5)))
    return sampler


def heldout(view: View) -> tuple[Tensor, Tensor]:
    """The next held-out batch, which will come again."""
    state = view.state_dict()
    batch = view.heldout_batch("alpha")
    view.load_state_dict(state)
    return batch


def test_darts_first_order() -> None:
    view = make_view()
    sampler = started("darts", view)
    images, targets = heldout(view)
    alpha = sampler.alphas.values.detach().clone().requires_grad_()
    loss = view.loss(Mixture(list(alpha.view(6, 5).softmax(1))), images, targets)
    (expected,) = torch.autograd.grad(loss, [alpha])
    torch.testing.assert_close(sampler.gradient(view, np.random.default_rng(0)), expected)
    assert view.images_trained == 16


def test_snas_is_a_softmax_of_noisy_logits() -> None:
    view = make_view()
    sampler = started("snas", view, temperature=(0.5, 0.5))
    noise = torch.from_numpy(np.random.default_rng(7).gumbel(size=30)).float()
    alpha = sampler.alphas.values.detach().clone().requires_grad_()
    rows = ((alpha.view(6, 5).softmax(1).log() + noise.view(6, 5)) / 0.5).softmax(1)
    mixture = sampler.mixture(np.random.default_rng(7))
    torch.testing.assert_close(torch.stack(list(mixture.weights)), rows)
    images, targets = heldout(view)
    (expected,) = torch.autograd.grad(view.loss(Mixture(list(rows)), images, targets), [alpha])
    found = sampler.gradient(view, np.random.default_rng(7))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_snas_samples() -> None:
    """The largest weight of a sample falls on an operation as often as softmax(alpha) says, at any temperature."""
    view = make_view()
    for temperature in (0.1, 3.0):
        sampler = started("snas", view, temperature=(temperature, temperature))
        assert isinstance(sampler, SnasSampler)
        rng = np.random.default_rng(0)
        with torch.no_grad():
            samples = torch.stack([torch.stack(list(sampler.mixture(rng).weights)) for _ in range(2000)])
        assert torch.allclose(samples.sum(2), torch.ones(2000, 6), atol=1e-5)
        counts = torch.nn.functional.one_hot(samples.argmax(2), 5).float().mean(0)
        probabilities = sampler.alphas.values.detach().view(6, 5).softmax(1)
        deviation = (probabilities * (1 - probabilities) / 2000).sqrt()
        assert ((counts - probabilities).abs() < 4 * deviation + 1e-3).all()
        assert (samples.max(2).values.mean() > 0.9) == (temperature < 1)


def gdas_cell(cell: Cell, x: Tensor, hard: Tensor) -> Tensor:
    """AutoDL-Projects' edge: the drawn operation times its weight, plus the others' weights as numbers."""
    nodes, place = [x], 0
    for node in range(1, 4):
        total = torch.zeros_like(x)
        for source in range(node):
            weights, chosen = hard[place], int(hard[place].argmax())
            for number, operation in enumerate(cell.edges[place].candidates.values()):
                total = total + (weights[number] * operation(nodes[source]) if number == chosen else weights[number])
            place += 1
        nodes.append(total)
    return nodes[3]


@pytest.mark.parametrize("official", [False, True])
def test_gdas_gradient(official: bool) -> None:
    for seed in range(6):
        view = make_view()
        network = view.supernet
        assert isinstance(network, Nasbench201Supernet)
        sampler = started("gdas", view, 0.5, temperature=(2.0, 2.0), official=official)
        images, targets = heldout(view)
        alpha = sampler.alphas.values.detach().clone().requires_grad_()
        rng, x = np.random.default_rng(seed), network.stem(images)
        hard = None
        for block in network.blocks:
            if not isinstance(block, Cell):
                x = block(x)
                continue
            while hard is None or official:
                noise = torch.from_numpy(rng.gumbel(size=30)).float().view(6, 5)
                soft = ((alpha.view(6, 5).log_softmax(1) + noise) / 2.0).softmax(1)
                hard = torch.nn.functional.one_hot(soft.argmax(1), 5) - soft.detach() + soft
                if network.carries(soft.argmax(1).tolist()):
                    break
                hard = None
            x = gdas_cell(block, x, hard)
        loss = torch.nn.functional.cross_entropy(network.classifier(network.head(x)), targets)
        (expected,) = torch.autograd.grad(loss, [alpha])
        found = sampler.gradient(view, np.random.default_rng(seed))
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-3)
        assert expected.abs().max() > 1e-4


def test_gdas_weights_are_one_hot_exactly() -> None:
    soft = torch.tensor([0.3, 0.1, 0.6], requires_grad=True)
    hard = straight_through(soft.softmax(0), 2)
    assert hard.tolist() == [0.0, 0.0, 1.0]
    (ours,) = torch.autograd.grad(hard @ torch.tensor([1.0, 2.0, 4.0]), [soft])
    (theirs,) = torch.autograd.grad(soft.softmax(0) @ torch.tensor([1.0, 2.0, 4.0]), [soft])
    assert torch.equal(ours, theirs)


def test_gdas_draws_follow_alpha_and_connect() -> None:
    view = make_view()
    sampler = started("gdas", view, 0.0)
    rng, counts = np.random.default_rng(0), np.zeros(5)
    for _ in range(600):
        mixture = sampler.mixture(rng)
        assert mixture.ran is not None
        places = [place for (place,) in mixture.ran]  # type: ignore[misc]
        assert view.supernet.carries(places)
        counts += np.bincount(places, minlength=5)
    # uniform but for the 341 cells of 15,625 that connect nothing, which hold more of `none`
    cells = [a for a in NB201.enumerate() if any(NB201.active(a.options))]
    expected = np.array([sum(a.options.count(name) for a in cells) for name in NB201.decisions[0].options]) / len(cells)
    assert np.allclose(counts / 600, expected, atol=4 * np.sqrt(6 * 0.16 / 600))


def test_gdas_gives_up_on_draws() -> None:
    view = make_view()
    sampler = started("gdas", view)
    with torch.no_grad():
        sampler.alphas.values.view(6, 5)[:, 0] = 50.0  # nothing else will be drawn
    mixture = sampler.mixture(np.random.default_rng(0))
    assert mixture.ran == [(0,)] * 6
    view.loss(mixture, *view.batch).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        sampler.alphas.values[4] = float("nan")
    with pytest.raises(RunError, match=r"not finite any more .*lower method\.sampler\.alpha_lr"):
        sampler.mixture(np.random.default_rng(0))


def test_official_gdas_draws_in_every_cell() -> None:
    view = make_view(cells=2)
    sampler = started("gdas", view, 0.0, official=True)
    mixture = sampler.mixture(np.random.default_rng(0))
    assert len(mixture.others) == 5
    assert len({tuple(map(tuple, one.ran)) for one in (mixture, *mixture.others)}) > 1  # type: ignore[arg-type]
    assert isinstance(sampler, GdasSampler)
    sampler.official = False
    assert not sampler.mixture(np.random.default_rng(0)).others


def test_pc_darts_weighs_edges() -> None:
    view = make_view(DARTS)
    sampler = started("pc_darts", view, with_none=False)
    mixture = sampler.mixture(np.random.default_rng(0))
    assert mixture.partial == 4
    logits, betas = sampler.alphas.values.detach().split([28 * 7, 28])
    torch.testing.assert_close(torch.stack(list(mixture.weights)), logits.view(28, 7).softmax(1))
    expected = [part.softmax(0) for part in betas.split([2, 3, 4, 5] * 2)]
    assert mixture.edge_weights is not None
    for found, weights in zip(mixture.edge_weights, expected, strict=True):
        torch.testing.assert_close(found, weights)
    gradient = sampler.gradient(view, np.random.default_rng(0))
    assert (gradient[28 * 7 :] != 0).all()
    on_cells = started("pc_darts", make_view(channels=4))
    weights = on_cells.mixture(np.random.default_rng(0)).edge_weights
    assert weights is not None
    assert [len(each) for each in weights] == [1, 2, 3]
    assert weights[0].tolist() == [1.0]
    assert len(on_cells.alphas.values) == 30 + 5


def test_second_order_against_second_derivatives() -> None:
    """On a small function of tensors of several shapes, in double precision."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(n, m, generator=generator, dtype=torch.float64) for n, m in ((3, 4), (2, 3))]
    for weight in weights:
        weight.requires_grad_()
    unused = torch.ones(2, dtype=torch.float64, requires_grad=True)
    alpha = torch.randn(3, generator=generator, dtype=torch.float64).requires_grad_()
    data = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    xi = 0.05

    def loss(which: int, first: Tensor, second: Tensor) -> Tensor:
        hidden = torch.tanh(data[which] @ first.T) * alpha.softmax(0)
        return (hidden @ second.T).square().mean() + 0.1 * alpha.square().sum()

    inner = torch.autograd.grad(loss(0, *weights), weights, create_graph=True)
    ahead = [weight - xi * gradient for weight, gradient in zip(weights, inner, strict=True)]
    (exact,) = torch.autograd.grad(loss(1, *ahead), [alpha])
    kept = [weight.detach().clone() for weight in weights]
    found = unrolled_gradient(lambda: loss(0, *weights), lambda: loss(1, *weights), [*weights, unused], alpha, xi=xi)
    torch.testing.assert_close(found, exact, atol=1e-6, rtol=1e-4)
    assert all(torch.equal(weight, old) for weight, old in zip(weights, kept, strict=True))
    (first_order,) = torch.autograd.grad(loss(1, *weights), [alpha])
    assert (first_order - exact).abs().max() > 1e-3  # which the test would otherwise not tell apart


def test_second_order_of_a_supernet() -> None:
    """Against the held-out loss after the virtual step as a function of alpha, differentiated numerically.

    In a network this small the second derivatives jump within the paper's finite difference: a shorter one is taken.
    """
    view = make_view()
    view.supernet.double()
    images, targets = view.train.take(torch.arange(48))
    train, held = (images[32:].double(), targets[32:]), (images[:16].double(), targets[:16])
    alpha = torch.randn(30, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    parameters = dict(view.supernet.named_parameters())
    before = [weight.detach().clone() for weight in parameters.values()]

    def mixture(values: Tensor) -> Mixture:
        return Mixture(list(values.view(6, 5).softmax(1)))

    def ahead(values: Tensor) -> float:
        gradients = torch.autograd.grad(view.loss(mixture(values), *train), list(parameters.values()))
        stepped = {name: p - 0.05 * g for (name, p), g in zip(parameters.items(), gradients, strict=True)}
        out = torch.func.functional_call(view.supernet, stepped, (held[0], mixture(values)))
        return torch.nn.functional.cross_entropy(out, held[1]).item()

    found = unrolled_gradient(
        lambda: view.loss(mixture(alpha), *train),
        lambda: view.loss(mixture(alpha), *held),
        list(parameters.values()),
        alpha,
        xi=0.05,
        step=1e-6,
    )
    assert all(torch.equal(weight, old) for weight, old in zip(parameters.values(), before, strict=True))
    (first,) = torch.autograd.grad(view.loss(mixture(alpha), *held), [alpha])
    for place in (1, 8, 17, 28):
        nudge = torch.zeros(30, dtype=torch.float64)
        nudge[place] = 1e-6
        expected = (ahead(alpha.detach() + nudge) - ahead(alpha.detach() - nudge)) / 2e-6
        assert float(found[place]) == pytest.approx(expected, rel=1e-4)
        assert float(first[place]) != pytest.approx(expected, rel=0.1)


def test_second_order_takes_the_training_batch_and_rate() -> None:
    view = make_view()
    sampler = started("darts", view, order=2)
    alpha, held = sampler.alphas.values.detach().clone().requires_grad_(), heldout(view)

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        return view.loss(Mixture(list(alpha.view(6, 5).softmax(1))), *batch)

    weights = list(view.supernet.parameters())
    expected = unrolled_gradient(lambda: loss(view.batch), lambda: loss(held), weights, alpha, xi=0.05)
    torch.testing.assert_close(sampler.gradient(view, np.random.default_rng(0)), expected)
    assert view.images_trained == 4 * 16
    view.lr = 0.0
    again = heldout(view)
    (first_order,) = torch.autograd.grad(loss(again), [alpha])
    torch.testing.assert_close(sampler.gradient(view, np.random.default_rng(0)), first_order)
