"""Relaxed networks against their discrete paths, and against the formulas written out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import raynas
from raynas.errors import ConfigError
from raynas.networks import Supernet
from raynas.networks.darts import Cell as DartsCell
from raynas.networks.darts import DartsSupernet, FactorizedReduce, darts_operation
from raynas.networks.mixed_edge import run_narrow, shuffle_channels
from raynas.networks.mixture import Mixture, by_falling_product, one_hot
from raynas.networks.nasbench201 import Nasbench201Supernet
from raynas.networks.nasbench201_cell import Cell
from raynas.networks.nasbench201_mixture import mixed_cell
from raynas.networks.operations import nasbench201_operation
from raynas.spaces import Architecture
from raynas.spaces.darts import NODES

NB201 = raynas.space("nasbench201")
DARTS = raynas.space("darts")
FEW_SHOT = NB201.subspace({"1<-0": ["skip_connect"], "3<-0": ["nor_conv_3x3", "none"]})
NARROWED = DARTS.subspace(
    {"normal.node4.inputs": ["0,1", "2,3"], "normal.node4.op1": ["max_pool_3x3"], "reduce.node2.op2": ["skip_connect"]}
)


def build(space: object, **options: object) -> Supernet:
    small = {"channels": 2, "cells": 1} if space in (NB201, FEW_SHOT) else {"channels": 2, "cells": 3}
    return raynas.supernet(space, input_shape=(1, 8, 8), seed=0, **{**small, **options})


def images(size: int = 8) -> Tensor:
    return torch.randn(4, 1, size, size, generator=torch.Generator().manual_seed(1))


def random_mixture(network: Supernet, *, nothing: bool = False, **keys: object) -> Mixture:
    generator = torch.Generator().manual_seed(2)
    return Mixture(
        [torch.rand(len(e.options) + nothing, generator=generator).requires_grad_() for e in network.mixed_edges],
        **keys,
    )


@pytest.mark.parametrize("space", [NB201, FEW_SHOT, DARTS, NARROWED], ids=["nb201", "few-shot", "darts", "narrowed"])
@pytest.mark.parametrize("affine", [False, True])
def test_one_hot_is_the_path(space: raynas.spaces.base.Space, affine: bool) -> None:
    network, rng = build(space, affine=affine).double(), np.random.default_rng(0)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    for _ in range(8):
        architecture = space.sample(rng)
        mixture = one_hot(network.mixed_edges, network.edge_places(architecture))
        everything = replace(mixture, ran=None)  # all operations run, and all but the path's weigh nothing
        x = images().double()
        expected = network(x, architecture)
        torch.testing.assert_close(network(x, mixture), expected, atol=1e-9, rtol=1e-9)
        if not affine:  # which lets an edge add its shift where nothing arrives
            torch.testing.assert_close(network(x, everything), expected, atol=1e-6, rtol=1e-6)
        assert network.most_likely(mixture) == architecture


def test_edges() -> None:
    network = build(NB201)
    assert [edge.name for edge in network.mixed_edges] == ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
    assert [edge.node for edge in network.mixed_edges] == ["1", "2", "2", "3", "3", "3"]
    assert network.mixed_cells == 3
    relaxed = build(DARTS).mixed_edges
    assert len(relaxed) == 28
    assert relaxed[2].name == "normal 3<-0"
    assert {len(edge.options) for edge in relaxed} == {7}
    assert [len(edge.options) for edge in build(FEW_SHOT).mixed_edges] == [1, 5, 5, 2, 5, 5]
    assert {e.name: e.options for e in build(NARROWED).mixed_edges}["normal 4<-0"] == ("max_pool_3x3",)
    assert not raynas.supernet("nasbench_macro").mixed_edges


def reference_cell(cell: Cell, x: Tensor, mixture: Mixture) -> Tensor:
    """Every node the sum over its edges of the weighted sum of all operations, one by one."""
    nodes = [x]
    place = 0
    for node in range(1, 4):
        total = torch.zeros_like(x)
        for source in range(node):
            edge = sum(
                weight * operation(nodes[source])
                for weight, operation in zip(mixture.weights[place], cell.edges[place].candidates.values(), strict=True)
            )
            beta = 1.0 if mixture.edge_weights is None else mixture.edge_weights[node - 1][source]
            total, place = total + beta * edge, place + 1
        nodes.append(total)
    return nodes[3]


def test_nasbench201_cells_are_weighted_sums() -> None:
    network = build(NB201)
    assert isinstance(network, Nasbench201Supernet)
    edge_weights = [torch.rand(n, generator=torch.Generator().manual_seed(n)) for n in (1, 2, 3)]
    for mixture in (random_mixture(network), random_mixture(network, edge_weights=edge_weights)):
        x = network.stem(images())
        for block in network.blocks:
            x = reference_cell(block, x, mixture) if isinstance(block, Cell) else block(x)
        expected = network.classifier(network.head(x))
        found = network(images(), mixture)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        target = torch.arange(4)
        ours = torch.autograd.grad(functional.cross_entropy(found, target), mixture.weights)
        theirs = torch.autograd.grad(functional.cross_entropy(expected, target), mixture.weights)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [8, 7])
def test_darts_cells_are_weighted_sums(size: int) -> None:
    """An eighth weight, of carrying nothing, takes part in no sum."""
    network = raynas.supernet(DARTS, input_shape=(1, size, size), channels=2, cells=3, seed=0)
    assert isinstance(network, DartsSupernet)
    mixture = random_mixture(network, nothing=True)
    names = [edge.name for edge in network.mixed_edges]
    earlier = previous = network.stem(images(size))
    for cell in network.cells:
        assert isinstance(cell, DartsCell)
        states = [cell.earlier(earlier), cell.previous(previous)]
        for node in NODES:
            total = torch.zeros(())
            for source in range(node):
                weights = mixture.weights[names.index(f"{cell.kind} {node}<-{source}")]
                operations = cell.edges[f"node{node}_from{source}"].candidates.values()
                for weight, operation in zip(weights[:7], operations, strict=True):
                    total = total + weight * operation(states[source])
            states.append(total)
        earlier, previous = previous, torch.cat(states[2:], 1)
    torch.testing.assert_close(network(images(size), mixture), network.head(previous), atol=1e-5, rtol=1e-4)


def test_operations_that_do_not_run_cost_nothing_and_add_a_number() -> None:
    network = build(NB201)
    assert isinstance(network, Nasbench201Supernet)
    called = []
    for cell in network.blocks:
        if isinstance(cell, Cell):
            for choice in cell.edges:
                for name, operation in choice.candidates.items():
                    operation.register_forward_hook(lambda *_, at=(choice.decision, name): called.append(at))
    weights = [torch.zeros(5, requires_grad=True) for _ in range(6)]
    with torch.no_grad():
        for weight in weights:
            weight[3] = 1.0
    network(images(), Mixture(weights, ran=[(3,)] * 6))
    assert set(called) == {(edge.name, "nor_conv_3x3") for edge in network.mixed_edges}
    assert len(called) == 3 * 6
    (cell,) = (block for block in network.blocks[:1] if isinstance(block, Cell))
    called.clear()
    x = network.stem(images()).detach()
    out = mixed_cell(cell, x, Mixture(weights, ran=[(3,)] * 6))
    gradients = torch.autograd.grad(out.square().sum(), weights[5])
    conv = cell.by_edges(x, ("nor_conv_3x3",) * 6)
    torch.testing.assert_close(out, conv)
    assert torch.equal(gradients[0][[0, 1, 2, 4]], (2 * out.detach()).sum().expand(4))


def test_where_nothing_arrives() -> None:
    """All edges carry nothing: zeros of the right size, and a number for each operation that does not run."""
    for space, nothing in ((NB201, 0), (DARTS, 7)):
        network = build(space)
        weights = [torch.zeros(max(len(e.options), nothing + 1), requires_grad=True) for e in network.mixed_edges]
        with torch.no_grad():
            for weight in weights:
                weight[nothing] = 1.0
        dead = Mixture(weights, ran=[(nothing,)] * len(weights))
        out = network(images(), dead)
        torch.testing.assert_close(out, out[:1].expand_as(out))
        gradients = torch.autograd.grad(out.square().sum(), weights, materialize_grads=True)
        assert not any(gradient[nothing] for gradient in gradients)
        still = [weight.detach() for weight in weights]
        torch.testing.assert_close(network(images(), replace(dead, weights=still)), out)
    assert build(NB201).carries([1] * 6)
    assert not build(NB201).carries([1, 1, 1, 0, 0, 0])


def test_a_mixture_for_each_cell() -> None:
    network = build(NB201)
    rng = np.random.default_rng(3)
    paths = [NB201.sample(rng) for _ in range(3)]
    mixtures = [one_hot(network.mixed_edges, network.edge_places(path)) for path in paths]
    assert isinstance(network, Nasbench201Supernet)
    x, cells = network.stem(images()), iter(paths)
    for block in network.blocks:
        x = block.by_edges(x, next(cells).options) if isinstance(block, Cell) else block(x)
    found = network(images(), replace(mixtures[0], others=mixtures[1:]))
    torch.testing.assert_close(found, network.classifier(network.head(x)), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="mixes in 3 cells, got mixtures for 2"):
        network(images(), replace(mixtures[0], others=mixtures[1:2]))


def test_mixtures_that_do_not_fit() -> None:
    network = build(NB201)
    good = random_mixture(network)
    with pytest.raises(ValueError, match="has weights for 6 edges, got 5"):
        network(images(), Mixture(good.weights[:5]))
    with pytest.raises(ValueError, match=r"edge 3<-2 has 5 operations .*or \(6,\) with one .* got \(4,\)"):
        network(images(), Mixture([*good.weights[:5], torch.ones(4)]))
    with pytest.raises(ValueError, match="images must be"):
        network(torch.zeros(2, 3, 8, 8), good)
    with pytest.raises(NotImplementedError, match="cannot be relaxed"):
        raynas.supernet("nasbench_macro", input_shape=(1, 8, 8))(images(), good)


def test_shuffled_channels() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert shuffle_channels(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    laid_out = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    last = laid_out.to(memory_format=torch.channels_last)
    assert torch.equal(shuffle_channels(last, 2), laid_out.view(2, 2, 4, 3, 3).transpose(1, 2).reshape(2, 8, 3, 3))


def operation_of_fewer_channels(wide: torch.nn.Module, make: Callable[[int], torch.nn.Module]) -> torch.nn.Module:
    """The operation made for half the channels, with the first of the weights."""
    narrow = make(4)
    with torch.no_grad():
        for (name, small), (_, large) in zip(narrow.named_parameters(), wide.named_parameters(), strict=True):
            small.copy_(large[tuple(slice(0, n) for n in small.shape)])
            assert small.shape != large.shape, name
    return narrow


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", raynas.spaces.darts.OPERATIONS)
def test_operations_on_the_first_channels(name: str, stride: int) -> None:
    def make(channels: int) -> torch.nn.Module:
        return darts_operation(name, channels, stride, pool_norm=True, affine=True, track=False)

    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    wide = make(8)
    torch.testing.assert_close(run_narrow(wide, x), operation_of_fewer_channels(wide, make)(x))


@pytest.mark.parametrize("name", raynas.spaces.nasbench201.OPERATIONS)
def test_nasbench201_operations_on_the_first_channels(name: str) -> None:
    def make(channels: int) -> torch.nn.Module:
        return nasbench201_operation(name, channels, affine=False, track=False)

    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    wide = make(8)
    torch.testing.assert_close(run_narrow(wide, x), operation_of_fewer_channels(wide, make)(x))


def test_partial_channels() -> None:
    """A reduction cell of PC-DARTS: mixed first quarter, the rest pooled past, shuffled, edges weighed."""
    network = raynas.supernet(DARTS, input_shape=(1, 8, 8), channels=8, cells=3, seed=0)
    assert isinstance(network, DartsSupernet)
    betas = [torch.rand(n, generator=torch.Generator().manual_seed(n)) for n in (2, 3, 4, 5)] * 2
    mixture = random_mixture(network, partial=4, edge_weights=betas)
    names = [edge.name for edge in network.mixed_edges]
    earlier = previous = network.stem(images())
    for cell in network.cells:
        assert isinstance(cell, DartsCell)
        states = [cell.earlier(earlier), cell.previous(previous)]
        quarter = states[0].shape[1] // 4
        for node in NODES:
            total = torch.zeros(())
            for source in range(node):
                weights = mixture.weights[names.index(f"{cell.kind} {node}<-{source}")]
                operations = cell.edges[f"node{node}_from{source}"].candidates.values()
                mixed = sum(
                    w * run_narrow(op, states[source][:, :quarter]) for w, op in zip(weights, operations, strict=True)
                )
                rest = states[source][:, quarter:]
                if cell.kind == "reduce" and source < 2:
                    rest = functional.max_pool2d(rest, 2)
                whole = torch.cat([mixed, rest], 1)
                dealt = torch.cat([whole[:, first::quarter] for first in range(quarter)], 1)
                total = total + betas[node - 2][source] * dealt
            states.append(total)
        earlier, previous = previous, torch.cat(states[2:], 1)
    torch.testing.assert_close(network(images(), mixture), network.head(previous), atol=1e-4, rtol=1e-4)


def test_partial_channels_must_divide() -> None:
    network = build(NB201)
    with pytest.raises(
        ConfigError, match=r"the mixture on 1<-0:\n.*one of every 4 channels .* 2 channels are no multi"
    ):
        network(images(), random_mixture(network, partial=4))
    carrying_nothing = [torch.tensor([1.0, 0, 0, 0, 0])] * 6
    assert network(images(), Mixture(carrying_nothing, ran=[(0,)] * 6, partial=2)).shape == (4, 10)


def test_factorized_reduction_of_an_odd_size() -> None:
    layer = FactorizedReduce(8, 8, affine=False, track=False)
    assert layer.narrow(torch.zeros(2, 4, 7, 7)).shape == (2, 4, 4, 4)


def test_most_likely_nasbench201() -> None:
    connected = raynas.space("nasbench201", connected=True)
    free, restricted = build(NB201), raynas.supernet(connected, channels=2, cells=1)
    for seed in range(3):
        rows = np.random.default_rng(seed).dirichlet([0.3] * 5, 6)
        rows[:, 0] += 1  # so that the likeliest cell is not connected
        mixture = Mixture([torch.tensor(row, dtype=torch.float64) for row in rows])
        assert free.most_likely(mixture).options == ("none",) * 6

        def weight(architecture: Architecture, rows: np.ndarray = rows) -> float:
            places = free.edge_places(architecture)
            return math.prod(row[place] for row, place in zip(rows, places, strict=True))

        assert weight(restricted.most_likely(mixture)) == pytest.approx(max(map(weight, connected.enumerate())))


def test_falling_products() -> None:
    rows = [[0.2, 0.5, 0.3], [0.9, 0.1], [0.0, 1.0], [1.0]]
    order = list(by_falling_product(rows))
    assert sorted(order) == list(itertools.product(range(3), range(2), range(2), range(1)))
    products = [math.prod(row[place] for row, place in zip(rows, places, strict=True)) for places in order]
    assert products == sorted(products, reverse=True)
    assert next(by_falling_product([[0.5, 0.5], [0.1, 0.2]])) == (0, 1)


def reference_genotype(weights: dict[tuple[str, int, int], list[float]], operations: tuple[str, ...]) -> list[str]:
    """DARTS' `genotype`: the two sources of the largest weights that are not none, and their operations."""
    options = []
    for kind in ("normal", "reduce"):
        for node in NODES:
            top = sorted(range(node), key=lambda s, k=kind, n=node: -max(weights[k, n, s][:7]))[:2]
            first, second = sorted(top)
            picked = [operations[int(np.argmax(weights[kind, node, s][:7]))] for s in (first, second)]
            options += [f"{first},{second}", *picked]
    return options


@pytest.mark.parametrize("weighed", [False, True])
def test_most_likely_darts(weighed: bool) -> None:
    network = build(DARTS)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rows = rng.dirichlet([0.5] * 8, 28).astype(np.float32)
        rows[:, 7] += 1  # carrying nothing is the likeliest everywhere, and is left out
        betas = [rng.dirichlet([1.0] * node).astype(np.float32) for node in (*NODES, *NODES)]
        scale = np.concatenate(betas) if weighed else np.ones(28)
        keys = [(kind, node, source) for kind in ("normal", "reduce") for node in NODES for source in range(node)]
        weights = {key: list(row * s) for key, row, s in zip(keys, rows, scale, strict=True)}
        mixture = Mixture([torch.from_numpy(row) for row in rows])
        if weighed:
            mixture = replace(mixture, edge_weights=[torch.from_numpy(beta) for beta in betas])
        expected = reference_genotype(weights, raynas.spaces.darts.OPERATIONS)
        assert list(network.most_likely(mixture).options) == expected


def test_most_likely_of_equal_weights_is_the_first() -> None:
    network = build(DARTS)
    even = network.most_likely(Mixture([torch.full((7,), 1 / 7)] * 28))
    assert even.options == ("0,1", "max_pool_3x3", "max_pool_3x3") * 8
    narrowed = build(NARROWED)
    found = narrowed.most_likely(Mixture([torch.full((len(e.options),), 0.1) for e in narrowed.mixed_edges]))
    assert found in NARROWED


def test_bfloat16_mixtures() -> None:
    network = build(NB201)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(images(), random_mixture(network))
    assert torch.isfinite(out.float()).all()
    assert (out.float() - network(images(), random_mixture(network))).abs().max() < 0.1
