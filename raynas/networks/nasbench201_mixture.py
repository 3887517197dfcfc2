"""The relaxed NAS-Bench-201 network: a cell whose six edges are weighted sums of their operations.

On a single path `Cell` runs a `Program`; here the modules on the edges are called, with the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from raynas.errors import ArchitectureError
from raynas.networks.mixed_edge import EdgeInput, mixed_node
from raynas.networks.mixture import MixedEdge, Mixture, by_falling_product
from raynas.networks.nasbench201_cell import Cell
from raynas.networks.supernet import Choice
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench201 import OUTPUT_NODE, live_edges


def mixed_edges(space: Space) -> list[MixedEdge]:
    """Return the six edges with the options of a (sub)space, in order of the decisions."""
    return [MixedEdge(d.name, d.name.partition("<-")[0], d.options) for d in space.decisions]


def run_blocks(blocks: nn.ModuleList, x: Tensor, mixture: Mixture) -> Tensor:
    """Run the cells and reduction blocks, (B, C, H, W) -> (B, 4C, H/4, W/4)."""
    place = 0
    for block in blocks:
        if isinstance(block, Cell):
            x = mixed_cell(block, x, mixture.of_cell(place))
            place += 1
        else:
            x = block(x)
    return x


def mixed_cell(cell: Cell, x: Tensor, mixture: Mixture) -> Tensor:
    """Run a relaxed cell, (B, C, H, W) -> (B, C, H, W); zeros where nothing reaches the output."""
    nodes: list[Tensor | None] = [x]
    edges: list[Choice] = list(cell.edges)  # type: ignore[arg-type]
    first = 0
    for target in range(1, OUTPUT_NODE + 1):
        inputs = [EdgeInput(edges[first + source], nodes[source]) for source in range(target)]
        nodes.append(mixed_node(inputs, mixture, first, target - 1, x))
        first += target
    output = nodes[OUTPUT_NODE]
    return x.new_zeros(x.shape) if output is None else output


def edge_places(edges: Sequence[MixedEdge], architecture: Architecture) -> tuple[int, ...]:
    """Return the place of an architecture's operation on every edge."""
    return tuple(edge.options.index(option) for edge, option in zip(edges, architecture.options, strict=True))


def carries(edges: Sequence[MixedEdge], places: Sequence[int]) -> bool:
    """Say whether operations at these places connect input and output."""
    options = (edge.options[place] for edge, place in zip(edges, places, strict=True))
    return any(live_edges(tuple(options)))


def most_likely(space: Space, mixture: Mixture) -> Architecture:
    """Return the operation of the largest weight on every edge.

    Where the space refuses that cell, the one of the largest product of weights among those it does not.

    Raises:
        ArchitectureError: The space has no architecture.
    """
    rows = [w.tolist()[: len(d.options)] for w, d in zip(mixture.weights, space.decisions, strict=True)]
    for places in by_falling_product(rows):
        options = tuple(d.options[place] for d, place in zip(space.decisions, places, strict=True))
        if space.is_valid(options):
            return space.make(options)
    raise ArchitectureError(f"{space.name} ({space.label}) has no valid architecture")
