"""The relaxed DARTS network (Liu et al., ICLR 2019, section 2.2): every node sums mixed edges from all earlier nodes.

There are 14 edges in a normal and as many in a reduction cell, all cells of a kind mixing alike. The operation ``none``
of the paper's relaxed network carries nothing and so is no module: it is a further weight at the end of an edge's.
Batch norm is that of the discrete paths; the released code's relaxed network has it after pooling too, as ours does
where it is not affine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raynas.networks.mixed_edge import EdgeInput, mixed_node
from raynas.networks.mixture import MixedEdge, Mixture
from raynas.networks.supernet import Choice
from raynas.spaces import Architecture, Space
from raynas.spaces.darts import CELLS, NODES
from raynas.spaces.darts import cells as cells_of

if TYPE_CHECKING:
    from raynas.networks.darts import Cell


def run_cells(cells: Sequence[Cell], x: Tensor, mixture: Mixture, edges: Sequence[MixedEdge]) -> Tensor:
    """Run all cells one after another on the stem's output, (B, C, H, W) -> (B, C', H', W').

    Args:
        cells: The cells.
        x: The stem's output.
        mixture: The weights.
        edges: The network's `mixed_edges`.
    """
    earlier = previous = x
    for cell in cells:
        earlier, previous = previous, mixed_cell(cell, earlier, previous, mixture, edges)
    return previous


def mixed_cell(cell: Cell, earlier: Tensor, previous: Tensor, mixture: Mixture, edges: Sequence[MixedEdge]) -> Tensor:
    """Run a relaxed cell on the outputs of the two cells before it -> (B, 4C, H', W').

    Args:
        cell: The cell.
        earlier: Output of the cell before the previous one, (B, C1, H1, W1).
        previous: Output of the previous cell, (B, C2, H, W).
        mixture: The weights.
        edges: The network's `mixed_edges`.
    """
    states: list[Tensor | None] = [cell.earlier(earlier), cell.previous(previous)]
    step = 2 if cell.kind == "reduce" else 1
    like = states[0][:, :, ::step, ::step]  # type: ignore[index]
    choices: dict[str, Choice] = {choice.decision: choice for choice in cell.edges.values()}  # type: ignore[misc]
    nodes = list(dict.fromkeys(edge.node for edge in edges))
    for node in NODES:
        name = f"{cell.kind} {node}"
        mine = [place for place, edge in enumerate(edges) if edge.node == name]
        inputs = []
        for place in mine:
            source = int(edges[place].name.rpartition("<-")[2])
            stride = step if source < NODES[0] else 1
            inputs.append(EdgeInput(choices[edges[place].name], states[source], stride))
        states.append(mixed_node(inputs, mixture, mine[0], nodes.index(name), like))
    return torch.cat([torch.zeros_like(like) if state is None else state for state in states[NODES[0] :]], 1)


def edge_places(edges: Sequence[MixedEdge], architecture: Architecture) -> tuple[int | None, ...]:
    """Return the place of an architecture's operation on every edge; None on those it does not have."""
    chosen = {
        f"{kind} {node}<-{source}": operation
        for kind, nodes in zip(CELLS, cells_of(architecture.options), strict=True)
        for node, pair in zip(NODES, nodes, strict=True)
        for operation, source in pair
    }
    return tuple(edge.options.index(chosen[edge.name]) if edge.name in chosen else None for edge in edges)


def most_likely(space: Space, edges: Sequence[MixedEdge], mixture: Mixture) -> Architecture:
    """Return the two strongest edges of every node, each with its strongest operation (DARTS, section 2.4).

    An edge is as strong as its strongest operation, times the edge's own weight where it has one (PC-DARTS). Carrying
    nothing is no operation. In a subspace it is the strongest of the pairs of edges, and operations, that it allows.
    """
    scales = [1.0] * len(edges) if mixture.edge_weights is None else torch.cat(list(mixture.edge_weights)).tolist()
    strength = {
        edge.name: {option: scale * weight for option, weight in zip(edge.options, weights.tolist(), strict=False)}
        for edge, weights, scale in zip(edges, mixture.weights, scales, strict=True)
    }
    options: list[str] = []
    for kind in CELLS:
        for node in NODES:
            best: tuple[float, tuple[str, str, str]] | None = None
            for pair in space.decision(f"{kind}.node{node}.inputs").options:
                total, chosen = 0.0, []
                for slot, source in zip(("op1", "op2"), pair.split(","), strict=True):
                    on_edge = strength[f"{kind} {node}<-{source}"]
                    operation = max(space.decision(f"{kind}.node{node}.{slot}").options, key=on_edge.__getitem__)
                    total += on_edge[operation]
                    chosen.append(operation)
                if best is None or total > best[0]:
                    best = total, (pair, chosen[0], chosen[1])
            assert best is not None
            options += best[1]
    return space.make(options)
