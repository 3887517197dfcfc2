"""NAS-Bench-101's network with weight-shared cells (Ying et al., ICML 2019; widths by the rules of the benchmark).

Stem 3x3 convolution, BN, ReLU; three stacks of N cells, with a 2x2 max-pool and twice the channels from one to the
next; global average pooling; linear classifier. Only what is on a path from input to output is run (the pruned cell).

Weight sharing, which the benchmark does not have: a cell holds, for each vertex and operation, weights for its largest
width, and an architecture uses the first channels of them. Slots belong to a vertex's number in the unpruned encoding
of seven vertices, so two encodings of the same graph can run through different shared weights (see `Space.canonical`).
The released code's batch norm has momentum 0.003 (in torch's sense), and its convolutions start from variance scaling;
here both are torch's defaults.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Set
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.shared import ElasticConv2d
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench101 import EDGES, VERTICES, surviving_edges

INPUT, OUTPUT = 0, VERTICES - 1
KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}
"""Kernel sizes of the operations that are convolutions; the other one is a pool."""
STACKS = 3


class Vertex(NamedTuple):
    """What one vertex does: sum what arrives, in its own width, and apply its operation.

    Args:
        number: Its number in the unpruned encoding.
        operation: Its operation.
        channels: Its width; its input has as many channels as its output.
        sources: The vertices, other than the input, whose first channels it sums.
        from_input: Whether a projection of the cell's input is added.
    """

    number: int
    operation: str
    channels: int
    sources: tuple[int, ...]
    from_input: bool


class Plan(NamedTuple):
    """What a cell of one architecture does.

    Args:
        vertices: Its vertices, without input and output.
        feeders: The vertices whose outputs are concatenated; none where the input alone is connected to the output.
        from_input: Whether a projection of the cell's input is added to the output.
    """

    vertices: tuple[Vertex, ...]
    feeders: tuple[int, ...]
    from_input: bool


def live_edges(edges: tuple[str, ...]) -> frozenset[tuple[int, int]]:
    """Return the (source, target) of the edges that survive pruning.

    Args:
        edges: ``"0"`` or ``"1"`` for each of the 21 edges.
    """
    return frozenset(edge for edge, lives in zip(EDGES, surviving_edges(edges), strict=True) if lives)


def vertex_channels(edges: Set[tuple[int, int]], channels: int) -> dict[int, int]:
    """Return the width of every vertex between input and output.

    The vertices that feed the output share its channels, the first ones getting one more where they do not divide;
    the others are as wide as the widest vertex they feed.

    Args:
        edges: (source, target) of the pruned cell.
        channels: Channels of the cell's output.
    """
    feeders = [vertex for vertex in range(1, OUTPUT) if (vertex, OUTPUT) in edges]
    widths = {}
    for place, vertex in enumerate(feeders):
        each, left = divmod(channels, len(feeders))
        widths[vertex] = each + (place < left)
    for source, target in reversed(EDGES):
        if (source, target) in edges and source != INPUT and source not in feeders:
            widths[source] = max(widths.get(source, 0), widths[target])
    return widths


@functools.lru_cache(maxsize=2**16)
def cell_plan(options: tuple[str, ...], channels: int) -> Plan:
    """Return what a cell with so many output channels does for these options."""
    edges = live_edges(options[: len(EDGES)])
    widths = vertex_channels(edges, channels)
    vertices = (
        Vertex(
            vertex,
            options[len(EDGES) + vertex - 1],
            widths[vertex],
            tuple(source for source in range(1, vertex) if (source, vertex) in edges),
            (INPUT, vertex) in edges,
        )
        for vertex in sorted(widths)
    )
    feeders = tuple(vertex for vertex in sorted(widths) if (vertex, OUTPUT) in edges)
    return Plan(tuple(vertices), feeders, (INPUT, OUTPUT) in edges)


class ConvBnRelu(nn.Module):
    """Convolution, batch norm, ReLU, of which the first channels are used.

    Args:
        channels_in: The most input channels.
        channels_out: The most output channels.
        kernel: The kernel size.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, affine: bool, track: bool) -> None:
        super().__init__()
        self.kernel = kernel
        self.conv = ElasticConv2d(channels_in, channels_out, (kernel,))
        self.norm = BatchNorm(channels_out, affine=affine, track=track)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor, channels: int) -> Tensor:
        """(B, C, H, W) -> (B, channels, H, W)."""
        out: Tensor = self.relu(self.norm(self.conv(x, channels, self.kernel)))
        return out


class Cell(nn.Module):
    """One cell: for every vertex the operations it may have, and a projection of the input where it may use it.

    Args:
        space: The (sub)space; vertices and operations that none of its architectures can use are left out.
        channels_in: Channels of the cell's input.
        channels: Channels C of its output, which is also the most that a vertex can have.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(self, space: Space, channels_in: int, channels: int, *, affine: bool, track: bool) -> None:
        super().__init__()
        self.channels = channels
        edges, operations = space.decisions[: len(EDGES)], space.decisions[len(EDGES) :]
        possible = live_edges(tuple("1" if "1" in edge.options else "0" for edge in edges))
        targets = sorted({target for _, target in possible})
        self.projections = nn.ModuleDict(
            {
                str(target): ConvBnRelu(channels_in, channels, 1, affine=affine, track=track)
                for target in targets
                if (INPUT, target) in possible
            }
        )
        self.vertices = nn.ModuleDict(
            {
                str(vertex): nn.ModuleDict(
                    {
                        name: ConvBnRelu(channels, channels, KERNELS[name], affine=affine, track=track)
                        if name in KERNELS
                        else nn.MaxPool2d(3, stride=1, padding=1)
                        for name in operations[vertex - 1].options
                    }
                )
                for vertex in targets
                if vertex != OUTPUT
            }
        )

    def forward(self, x: Tensor, options: tuple[str, ...]) -> Tensor:
        """(B, C', H, W) -> (B, C, H, W)."""
        plan = cell_plan(options, self.channels)
        outputs: dict[int, Tensor] = {}
        widths = {vertex.number: vertex.channels for vertex in plan.vertices}
        for vertex in plan.vertices:
            # A slice only where something is cut: most sums are of equal widths.
            terms = [
                outputs[source] if widths[source] == vertex.channels else outputs[source][:, : vertex.channels]
                for source in vertex.sources
            ]
            if vertex.from_input:
                terms.append(self.projections[str(vertex.number)](x, vertex.channels))
            total = functools.reduce(operator.add, terms)
            candidates = self.vertices[str(vertex.number)]
            assert isinstance(candidates, nn.ModuleDict)
            operation = candidates[vertex.operation]
            outputs[vertex.number] = (
                operation(total, vertex.channels) if vertex.operation in KERNELS else operation(total)
            )
        joined = [outputs[feeder] for feeder in plan.feeders]
        terms = [joined[0] if len(joined) == 1 else torch.cat(joined, 1)] if joined else []
        if plan.from_input:
            terms.append(self.projections[str(OUTPUT)](x, self.channels))
        return functools.reduce(operator.add, terms)


@NETWORKS.register("nasbench101")
class Nasbench101Supernet(Supernet):
    """The weight-shared NAS-Bench-101 network.

    Args:
        space: The (sub)space; slots are built for the vertices and operations it can use.
        input_shape: (C, H, W) of the images; height and width of at least four.
        classes: The number of classes.
        channels: Channels of the stem and the first stack (128 in the benchmark); four at least, as up to four vertices
            share them.
        cells: Cells a stack, N (3 in the benchmark).
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Annotated[int, Field(ge=4)] = 128,
        cells: Annotated[int, Field(ge=1)] = 3,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False),
            BatchNorm(channels, affine=affine, track=track),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        width = channels
        for stack in range(STACKS):
            if stack:
                blocks.append(nn.MaxPool2d(2, 2))
            for _ in range(cells):
                blocks.append(Cell(space, width, channels * 2**stack, affine=affine, track=track))
                width = channels * 2**stack
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the stem, each cell, the poolings between the stacks, and the head."""
        form = self.space.shared_form(architecture)
        blocks = [
            Step(form, block, (architecture.options,)) if isinstance(block, Cell) else Step("pool", block)
            for block in self.blocks
        ]
        return [Step("stem", self.stem), *blocks, Step("head", self.head)]
