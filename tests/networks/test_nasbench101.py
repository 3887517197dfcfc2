"""The NAS-Bench-101 supernet against its definition, and against the benchmark's parameter counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import raynas
from raynas.errors import ArchitectureError
from raynas.networks.cost import costs, plain_cost
from raynas.networks.derive import derive
from raynas.networks.inherit import inherit
from raynas.networks.nasbench101 import Cell, ConvBnRelu, live_edges, vertex_channels
from raynas.spaces import Architecture
from raynas.spaces.nasbench101 import EDGES, OPERATIONS, VERTICES, Nasbench101
from tests.conftest import shared_file

SPACE = Nasbench101()
SMALL = {"input_shape": (2, 8, 8), "channels": 7, "cells": 1, "classes": 3}


def reference_conv(block: ConvBnRelu, x: Tensor, channels: int) -> Tensor:
    weight = block.conv.weight[:channels, : x.shape[1]]
    out = functional.conv2d(x, weight, padding=weight.shape[-1] // 2)
    mean, var = out.mean((0, 2, 3), keepdim=True), out.var((0, 2, 3), correction=0, keepdim=True)
    scale, shift = (t[None, :channels, None, None] for t in (block.norm.weight, block.norm.bias))
    return torch.clamp((out - mean) / torch.sqrt(var + 1e-5) * scale + shift, min=0)


def reference_cell(cell: Cell, x: Tensor, options: tuple[str, ...]) -> Tensor:
    """The benchmark's module, vertex by vertex, on a matrix pruned by reachability."""
    there = np.zeros((VERTICES, VERTICES), int)
    for edge, option in zip(EDGES, options[: len(EDGES)], strict=True):
        there[edge] = option == "1"
    reach = np.linalg.matrix_power(np.eye(VERTICES, dtype=int) + there, VERTICES) > 0
    alive = reach[0] & reach[:, -1]
    there *= np.outer(alive, alive)
    feeders = [v for v in range(1, 6) if there[v, 6]]

    def width(vertex: int) -> int:
        if vertex in feeders:
            each, left = divmod(cell.channels, len(feeders))
            return each + 1 if feeders.index(vertex) < left else each
        return max(width(target) for target in range(1, 6) if there[vertex, target])

    outputs: dict[int, Tensor] = {}
    for vertex in (v for v in range(1, 6) if alive[v]):
        total: Tensor | float = 0.0
        for source in (s for s in range(1, vertex) if there[s, vertex]):
            total = total + outputs[source][:, : width(vertex)]
        if there[0, vertex]:
            total = total + reference_conv(cell.projections[str(vertex)], x, width(vertex))
        operation = options[len(EDGES) + vertex - 1]
        outputs[vertex] = (
            functional.max_pool2d(total, 3, 1, 1)
            if operation == "maxpool3x3"
            else reference_conv(cell.vertices[str(vertex)][operation], total, width(vertex))
        )
    projected = reference_conv(cell.projections["6"], x, cell.channels) if there[0, 6] else 0.0
    return torch.cat([outputs[v] for v in feeders], 1) + projected if feeders else projected


def chain(*edges: str, **operations: str) -> Architecture:
    """The cell of these edges ("04" goes from 0 to 4) and operations (1x1 where none is given)."""
    there = ["1" if f"{source}{target}" in edges else "0" for source, target in EDGES]
    return SPACE.make([*there, *(operations.get(f"v{v}", "conv1x1-bn-relu") for v in range(1, 6))])


def test_cell_is_the_benchmarks_module() -> None:
    net = raynas.supernet(SPACE, affine=True, **SMALL)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    cell = [block for block in net.blocks if isinstance(block, Cell)][1]
    x = torch.randn(3, 7, 8, 8, generator=generator)
    rng = np.random.default_rng(0)
    listed = [SPACE.sample(rng) for _ in range(60)] + [chain("06"), chain("01", "16"), chain("01", "16", "06")]
    for architecture in listed:
        ours = cell(x, architecture.options)
        assert ours.shape == (3, 14, 8, 8)
        torch.testing.assert_close(ours, reference_cell(cell, x, architecture.options), atol=2e-5, rtol=1e-5)


def test_widths() -> None:
    wide = chain("01", "02", "03", "16", "26", "36")
    assert vertex_channels(live_edges(wide.options[:21]), 128) == {1: 43, 2: 43, 3: 42}
    deep = chain("01", "13", "02", "25", "34", "35", "46", "56")
    assert vertex_channels(live_edges(deep.options[:21]), 9) == {1: 5, 2: 4, 3: 5, 4: 5, 5: 4}


def test_parameters_are_the_benchmarks() -> None:
    """Of all cells whose parameters are published: channels 128, three cells a stack, CIFAR-10."""
    with np.load(shared_file("other_spaces/nasbench101_cells_energy.npz"), allow_pickle=False) as stored:
        names = stored["op_names"].tolist()
        published = stored["params"]
        cells = [
            SPACE.from_matrix(matrix[:count, :count], [names[op] for op in ops[:count]])
            for matrix, ops, count in zip(
                stored["adjacency"], stored["ops"], (stored["ops"] > 0).sum(axis=1).tolist(), strict=True
            )
        ]
    ours = np.rint(costs(SPACE, cells, input_shape=(3, 32, 32), classes=10)[:, 0] * 1e6)
    np.testing.assert_array_equal(ours, published)


def test_costs_are_those_of_the_derived_network() -> None:
    rng = np.random.default_rng(1)
    for architecture in (chain("06"), *(SPACE.sample(rng) for _ in range(4))):
        alone = derive(SPACE, architecture, **SMALL)
        found = costs(SPACE, [architecture], **SMALL)[0] * 1e6
        assert np.rint(found).tolist() == list(plain_cost(alone, SMALL["input_shape"]))


def test_a_subspace_has_the_slots_it_can_use() -> None:
    part = SPACE.subspace({"0->6": ["0"], "vertex2": ["maxpool3x3"], **{f"{v}->5": ["0"] for v in range(5)}})
    net = raynas.supernet(part, **SMALL)
    cell = net.blocks[0]
    assert set(cell.projections) == {"1", "2", "3", "4"}
    assert set(cell.vertices) == {"1", "2", "3", "4"}
    assert set(cell.vertices["1"]) == set(OPERATIONS)
    assert set(cell.vertices["2"]) == {"maxpool3x3"}


def test_one_architecture_has_no_idle_weights() -> None:
    """With inherited weights, and of a cell without vertices too."""
    rng = np.random.default_rng(2)
    for architecture in [chain("06"), *(SPACE.sample(rng) for _ in range(6))]:
        alone = raynas.supernet(SPACE.only(architecture), affine=True, **SMALL)
        inherit(alone, raynas.supernet(SPACE, affine=True, **SMALL).state_dict())
        alone(torch.randn(2, 2, 8, 8), architecture).square().mean().backward()
        assert not [name for name, p in alone.named_parameters() if p.grad is None]


def test_equal_cells_can_run_through_different_weights() -> None:
    first, second = chain("01", "16"), chain("03", "36")
    assert SPACE.canonical(first) == SPACE.canonical(second)
    net, x = raynas.supernet(SPACE, **SMALL), torch.randn(2, 2, 8, 8)
    assert not torch.allclose(net(x, first), net(x, second))
    assert np.ptp(costs(SPACE, [first, second], **SMALL), axis=0).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("matrix", "ops", "words"),
    [
        (5, ["input", "output"], r"square matrix of 2 to 7 vertices .* got a matrix of shape \(\) and 2 ops"),
        ([[0, 1], [0, 0]], 5, "ops must be a list of names, from 'input' to 'output', got 5"),
        ([[0, 1], [0, 0]], [1, 2], r"ops must be a list of names, .* got \[1, 2\]"),
    ],
)
def test_what_is_no_cell_is_explained(matrix: Any, ops: Any, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        SPACE.from_matrix(matrix, ops)
