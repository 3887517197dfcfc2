"""The DARTS network against its definition and its published size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import raynas
from raynas.networks.alone import NetworkAlone
from raynas.networks.darts import Cell, DartsSupernet, FactorizedReduce
from raynas.networks.derive import derive
from raynas.spaces.darts import CELLS, NODES, Edge, cells

SPACE = raynas.space("darts")
SMALL = {"input_shape": (3, 8, 8), "channels": 4, "cells": 3}
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""The cells found by second-order DARTS (Liu et al., ICLR 2019)."""

Weights = dict[str, Tensor]


def build(**options: object) -> DartsSupernet:
    network = raynas.supernet(SPACE, **{**SMALL, **options})
    assert isinstance(network, DartsSupernet)
    return network


def cell_of(network: DartsSupernet, place: int) -> Cell:
    cell = network.cells[place]
    assert isinstance(cell, Cell)
    return cell


def normalised(x: Tensor) -> Tensor:
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(var + 1e-5)


def reduced(x: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """The halves of a factorized reduction; sizes are even."""
    x = x.relu()
    left = torch.einsum("oc,bchw->bohw", even.flatten(1), x[:, :, ::2, ::2])
    right = torch.einsum("oc,bchw->bohw", odd.flatten(1), x[:, :, 1::2, 1::2])
    return normalised(torch.cat([left, right], 1))


def reference_operation(name: str, x: Tensor, stride: int, weights: Weights) -> Tensor:
    """An operation from its definition; weights in the order of the layers, batch norm by hand."""
    if name == "skip_connect":
        return x if stride == 1 else reduced(x, weights["even.weight"], weights["odd.weight"])
    if name == "max_pool_3x3":
        return normalised(functional.max_pool2d(x, 3, stride, 1))
    if name == "avg_pool_3x3":
        ones = torch.ones_like(x)
        total, count = (9 * functional.avg_pool2d(t, 3, stride, 1, count_include_pad=True) for t in (x, ones))
        return normalised(total / count)
    kind, _, size = name.split("_")
    kernel, dilation = int(size[0]), 2 if kind == "dil" else 1
    convolutions = list(weights.values())
    assert len(convolutions) == (2 if kind == "dil" else 4)
    for place in range(0, len(convolutions), 2):
        depthwise, pointwise = convolutions[place : place + 2]
        step, padding = stride if place == 0 else 1, dilation * (kernel - 1) // 2
        x = functional.conv2d(x.relu(), depthwise, None, step, padding, dilation, groups=x.shape[1])
        x = normalised(torch.einsum("oc,bchw->bohw", pointwise.flatten(1), x))
    return x


def reference_cell(cell: Cell, earlier: Tensor, previous: Tensor, nodes: tuple[tuple[Edge, Edge], ...]) -> Tensor:
    """A cell from its definition, with the weights of the supernet looked up by their names."""
    weights = cell.state_dict()
    if "earlier.even.weight" in weights:
        states = [reduced(earlier, weights["earlier.even.weight"], weights["earlier.odd.weight"])]
    else:
        states = [normalised(functional.conv2d(earlier.relu(), weights["earlier.1.weight"]))]
    states.append(normalised(functional.conv2d(previous.relu(), weights["previous.1.weight"])))
    for node, edges in zip(NODES, nodes, strict=True):
        total = torch.zeros(())
        for name, source in edges:
            prefix = f"edges.node{node}_from{source}.candidates.{name}."
            own = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
            stride = 2 if cell.kind == "reduce" and source < 2 else 1
            total = total + reference_operation(name, states[source], stride, own)
        states.append(total)
    return torch.cat(states[2:], 1)


def test_cells_are_those_of_the_definition() -> None:
    network = build(cells=6)
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    seen = set()
    with torch.no_grad():
        for _ in range(8):
            architecture = SPACE.sample(rng)
            for place in (0, 2, 3):  # normal, reduction, normal after a reduction
                cell = cell_of(network, place)
                nodes = cells(architecture.options)[CELLS.index(cell.kind)]
                seen |= {(cell.kind, name, source < 2) for node in nodes for name, source in node}
                size = 8 if place < 3 else 4
                inputs = [
                    torch.randn(3, conv.in_channels, side, side, generator=generator)
                    for conv, side in zip(first_convolutions(cell), (8, size), strict=True)
                ]
                torch.testing.assert_close(
                    cell(*inputs, nodes), reference_cell(cell, *inputs, nodes), atol=2e-4, rtol=2e-4
                )
    assert len(seen) >= 26  # of 7 operations, 2 kinds of cells, inputs or nodes


def first_convolutions(cell: Cell) -> list[nn.Conv2d]:
    return [next(m for m in part.modules() if isinstance(m, nn.Conv2d)) for part in (cell.earlier, cell.previous)]


@pytest.mark.parametrize(("count", "reductions"), [(3, [1, 2]), (5, [1, 3]), (8, [2, 5]), (20, [6, 13])])
def test_where_cells_reduce(count: int, reductions: list[int]) -> None:
    with torch.device("meta"):
        network = build(cells=count)
    kinds = [cell_of(network, place).kind for place in range(count)]
    assert [place for place, kind in enumerate(kinds) if kind == "reduce"] == reductions
    halved = [place for place in range(count) if isinstance(cell_of(network, place).earlier, FactorizedReduce)]
    assert halved == [place + 1 for place in reductions if place + 1 < count]


def test_published_parameters() -> None:
    """DARTS_V2 of 20 cells at 36 channels for CIFAR-10, without its auxiliary head."""
    for options in ({}, {"pool_norm": False}, {"pool_norm": True}):
        found = raynas.cost(SPACE, DARTS_V2, channels=36, cells=20, **options)
        assert round(found.params_m * 1e6) == 3_349_342


def test_batch_norm_after_pooling() -> None:
    """The weight-shared network has it, without scale and shift; a network trained alone has none."""

    def pools(network: nn.Module) -> list[nn.Module]:
        return [m for name, m in network.named_modules() if name.endswith("pool_3x3")]

    plain, alone = build(), NetworkAlone(SPACE, SPACE.parse(DARTS_V2), (3, 8, 8), 10, seed=0, channels=4, cells=3)
    assert {type(pool) for pool in pools(plain)} == {nn.Sequential}
    for fresh in (alone, derive(SPACE, DARTS_V2, **SMALL), build(affine=True)):
        assert pools(fresh)
        assert {type(pool) for pool in pools(fresh)} <= {nn.MaxPool2d, nn.AvgPool2d}
    asked = build(affine=True, track=True, pool_norm=True)
    assert all(pool[1].weight is None and pool[1].running_mean is not None for pool in pools(asked))
    x = torch.randn(4, 3, 8, 8)
    for network in (plain, asked):
        weights = {"affine": network is asked, "track": network is asked, "weights": network.state_dict()}
        weights |= {"pool_norm": True} if network is asked else {}
        for copied in (derive(network, DARTS_V2), derive(SPACE, DARTS_V2, **SMALL, **weights)):
            torch.testing.assert_close(copied(x), network(x, SPACE.parse(DARTS_V2)), atol=1e-5, rtol=1e-5)


def counted(options: tuple[str, ...], channels: int, count: int, size: int) -> tuple[int, int]:
    """Parameters and multiply-adds by formula; batch norm after pooling has no parameters."""
    stem = 3 * channels
    params, flops = 27 * stem + 2 * stem, 27 * stem * size**2
    before, previous = stem, stem
    for place in range(count):
        reduction = place in (count // 3, 2 * count // 3)
        channels, inner = (2 * channels, size // 2) if reduction else (channels, size)
        params += (before + previous) * channels + 4 * channels
        flops += (before + previous) * channels * size**2
        for name, source in (edge for node in cells(options)[reduction] for edge in node):
            if "conv" in name:
                one = int(name[-1]) ** 2 * channels + channels**2
                times = 2 if name.startswith("sep") else 1
                params, flops = params + times * (one + 2 * channels), flops + times * one * inner**2
            elif name == "skip_connect" and reduction and source < 2:
                params, flops = params + channels**2 + 2 * channels, flops + channels**2 * inner**2
        before, previous, size = previous, 4 * channels, inner
    return params + 10 * previous + 10, flops + 10 * previous


@pytest.mark.parametrize("count", [3, 8])
def test_cost_by_formula(count: int) -> None:
    rng = np.random.default_rng(1)
    for architecture in (SPACE.sample(rng) for _ in range(6)):
        found = raynas.cost(SPACE, architecture, channels=8, cells=count)
        expected = counted(architecture.options, 8, count, 32)
        assert (round(found.params_m * 1e6), round(found.flops_m * 1e6)) == expected


def test_architectures_share_what_they_both_use() -> None:
    """An edge and operation in common gets gradients from both; another operation on the edge gets none."""
    network = build()
    a = SPACE.parse(DARTS_V2)
    options = list(a.options)
    place = next(i for i, d in enumerate(SPACE.decisions) if d.name == "normal.node3.op1")
    options[place] = "dil_conv_5x5"
    b = SPACE.make(options)
    used = []
    for architecture in (a, b):
        network.zero_grad(set_to_none=True)
        network(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), architecture).sum().backward()
        used.append({name for name, p in network.named_parameters() if p.grad is not None})
    prefix = "cells.0.edges.node3_from0.candidates."
    assert {name.removeprefix(prefix).split(".")[0] for name in used[0] - used[1]} == {"sep_conv_3x3"}
    assert {name.removeprefix(prefix).split(".")[0] for name in used[1] - used[0]} == {"dil_conv_5x5"}
    assert "cells.0.edges.node2_from0.candidates.sep_conv_3x3.1.weight" in used[0] & used[1]


def test_a_subspace_has_only_its_own_edges_and_operations() -> None:
    part = SPACE.subspace(
        {
            "normal.node3.inputs": ["0,1", "0,2"],
            "normal.node3.op1": ["skip_connect"],
            "normal.node3.op2": ["dil_conv_3x3", "sep_conv_3x3"],
        }
    )
    edges = cell_of(raynas.supernet(part, **SMALL), 0).edges
    assert {name: list(edges[name].candidates) for name in edges if name.startswith("node3")} == {
        "node3_from0": ["skip_connect"],
        "node3_from1": ["sep_conv_3x3", "dil_conv_3x3"],
        "node3_from2": ["sep_conv_3x3", "dil_conv_3x3"],
    }
    alone = cell_of(raynas.supernet(SPACE.only(SPACE.parse(DARTS_V2)), **SMALL), 1).edges
    assert len(alone) == 8
    assert all(len(edge.candidates) == 1 for edge in alone.values())


@pytest.mark.parametrize("size", [(7, 5), (2, 2), (1, 3)])
def test_odd_and_tiny_images(size: tuple[int, int]) -> None:
    network = build(input_shape=(1, *size), pool_norm=False, affine=True)
    x = torch.randn(4, 1, *size)
    for architecture in (SPACE.parse(DARTS_V2), SPACE.sample(np.random.default_rng(0))):
        output = network(x, architecture)
        assert torch.isfinite(output).all()
        torch.testing.assert_close(derive(network, architecture)(x), output, atol=1e-5, rtol=1e-5)


def test_factorized_reduction_of_an_odd_size() -> None:
    """The pixels of odd place are followed by zeros, so that both halves have as many."""
    layer = FactorizedReduce(2, 5, affine=False, track=False).double()
    x = torch.randn(3, 2, 5, 3, dtype=torch.float64)
    padded = functional.pad(x, (0, 1, 0, 1))
    torch.testing.assert_close(layer(x), reduced(padded, layer.even.weight, layer.odd.weight))


def test_both_names_give_the_same_network() -> None:
    a, b = (raynas.supernet(name, **SMALL) for name in ("darts", "nasbench301"))
    assert isinstance(b, DartsSupernet)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
