"""The DARTS network with weight-shared cells (Liu et al., ICLR 2019; also NAS-Bench-301, Zela et al., ICLR 2022).

Stem 3x3 convolution and batch norm; `cells` cells, of which those at a third and two thirds of the depth are reduction
cells with half the size and twice the channels; global average pooling; linear classifier. Weights are shared by cell,
edge and operation: two architectures that use the same operation on the same edge share it in every cell of that kind.

As in the released code, the search network, whose batch norm is not affine, normalises pooled maps too, and the network
that is trained alone, whose batch norm is affine, does not. `pool_norm` says otherwise; batch norm after pooling never
has scale and shift, so that it costs no parameters.

Differences from the released code. There is neither an auxiliary head nor drop path. Apart from poolings, batch norm is
the same everywhere (affine or not, tracked or not). `FactorizedReduce` takes odd sizes, for which its second half sees
a row and a column of zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from raynas.networks import darts_mixture
from raynas.networks.batchnorm import BatchNorm
from raynas.networks.mixed_edge import check_mixture
from raynas.networks.mixture import MixedEdge, Mixture
from raynas.networks.operations import ReluConvBn
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Choice, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.darts import CELLS, NODES, OPERATIONS, Edge
from raynas.spaces.darts import cells as cells_of


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 that see the even and the odd pixels, side by side; batch norm."""

    def __init__(self, channels_in: int, channels_out: int, *, affine: bool, track: bool) -> None:
        super().__init__()
        second = channels_out // 2
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(channels_in, channels_out - second, 1, stride=2, bias=False)
        # Moved by one pixel, zeros behind: the odd pixels come first, and odd sizes give as many as the even ones do.
        self.shift = nn.ZeroPad2d((-1, 1, -1, 1))
        self.odd = nn.Conv2d(channels_in, second, 1, stride=2, bias=False)
        self.norm = BatchNorm(channels_out, affine=affine, track=track)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H/2), ceil(W/2))."""
        x = self.relu(x)
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(self.shift(x))], 1))
        return out

    def narrow(self, x: Tensor) -> Tensor:
        """Run on the first c of C channels with the first of the weights, (B, c, H, W) -> (B, c, H', W')."""
        x, channels = self.relu(x), x.shape[1]
        second = channels // 2
        even = torch.conv2d(x, self.even.weight[: channels - second, :channels], stride=2)
        odd = torch.conv2d(self.shift(x), self.odd.weight[:second, :channels], stride=2)
        out: Tensor = self.norm(torch.cat([even, odd], 1))
        return out


def depthwise_separable(
    channels: int, kernel: int, *, stride: int, dilation: int = 1, affine: bool, track: bool
) -> list[nn.Module]:
    """Return ReLU, depthwise and 1x1 convolution, batch norm, which keep C and, but for the stride, the size."""
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        BatchNorm(channels, affine=affine, track=track),
    ]


def darts_operation(name: str, channels: int, stride: int, *, pool_norm: bool, affine: bool, track: bool) -> nn.Module:
    """Return one of the seven operations, (B, C, H, W) -> (B, C, H/stride, W/stride)."""
    norm = {"affine": affine, "track": track}
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, **norm)
    if name in ("max_pool_3x3", "avg_pool_3x3"):
        pool = nn.MaxPool2d(3, stride, 1) if name[:3] == "max" else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        return nn.Sequential(pool, BatchNorm(channels, affine=False, track=track)) if pool_norm else pool
    kernel = int(name[-1])
    if name.startswith("dil"):
        return nn.Sequential(*depthwise_separable(channels, kernel, stride=stride, dilation=2, **norm))
    first = depthwise_separable(channels, kernel, stride=stride, **norm)
    return nn.Sequential(*first, *depthwise_separable(channels, kernel, stride=1, **norm))


def allowed_operations(space: Space, kind: str, node: int) -> dict[int, list[str]]:
    """Return which operations a (sub)space allows on the edges into a node, by the node the edge comes from.

    Args:
        space: The (sub)space.
        kind: ``normal`` or ``reduce``.
        node: The node, 2 to 5.
    """
    first, second = (set(space.decision(f"{kind}.node{node}.{slot}").options) for slot in ("op1", "op2"))
    allowed: dict[int, set[str]] = {}
    for pair in space.decision(f"{kind}.node{node}.inputs").options:
        a, b = map(int, pair.split(","))
        allowed[a] = allowed.get(a, set()) | first
        allowed[b] = allowed.get(b, set()) | second
    return {source: [name for name in OPERATIONS if name in allowed[source]] for source in sorted(allowed)}


class Cell(nn.Module):
    """One cell: a `Choice` on every edge that the (sub)space can use; four nodes that sum two edges each.

    Args:
        space: The (sub)space.
        kind: ``normal`` or ``reduce``; a reduction cell has stride 2 on the edges from its inputs.
        channels_in: Channels of the output of the cell before the previous one, and of the previous one.
        channels: C of every node; the output has four times as many.
        after_reduction: Whether the previous cell halved the size, so that the earlier input must be halved too.
        pool_norm: Whether batch norm follows pooling.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: Space,
        kind: str,
        channels_in: tuple[int, int],
        channels: int,
        *,
        after_reduction: bool,
        pool_norm: bool,
        affine: bool,
        track: bool,
    ) -> None:
        super().__init__()
        norm = {"affine": affine, "track": track}
        self.kind = kind
        self.earlier = (
            FactorizedReduce(channels_in[0], channels, **norm)
            if after_reduction
            else ReluConvBn(channels_in[0], channels, 1, **norm)
        )
        self.previous = ReluConvBn(channels_in[1], channels, 1, **norm)
        self.add_operations(space, channels, pool_norm=pool_norm, **norm)

    def add_operations(self, space: Space, channels: int, **norm: bool) -> None:
        """Add the candidates of all edges; `norm` as for `darts_operation`."""
        self.edges = nn.ModuleDict()
        for node in NODES:
            for source, names in allowed_operations(space, self.kind, node).items():
                candidates = {name: darts_operation(name, channels, self.stride(source), **norm) for name in names}
                self.edges[_edge_name(node, source)] = Choice(f"{self.kind} {node}<-{source}", candidates)

    def stride(self, source: int) -> int:
        """Return the stride of the edges from a node."""
        return 2 if self.kind == "reduce" and source < NODES[0] else 1

    def forward(self, earlier: Tensor, previous: Tensor, nodes: tuple[tuple[Edge, Edge], ...]) -> Tensor:
        """Run the cell on the outputs of the two cells before it, (B, C1, H1, W1) and (B, C2, H, W) -> (B, 4C, H', W').

        Args:
            earlier: Output of the cell before the previous one; twice as high and wide after a reduction.
            previous: Output of the previous cell.
            nodes: The two edges of each node.
        """

        def on_edge(place: int, edge: Edge, x: Tensor) -> Tensor:
            operation, source = edge
            out: Tensor = self.edges[_edge_name(NODES[place // 2], source)](x, operation)
            return out

        return self.over_edges(earlier, previous, nodes, on_edge)

    def over_edges(
        self,
        earlier: Tensor,
        previous: Tensor,
        nodes: tuple[tuple[Edge, Edge], ...],
        on_edge: Callable[[int, Edge, Tensor], Tensor],
    ) -> Tensor:
        """Run the cell as `forward` does, with edges as said.

        Args:
            earlier: As for `forward`.
            previous: As for `forward`.
            nodes: The two edges of each node.
            on_edge: Gives, for an edge's place (0 to 7, node by node), the edge and the value of the node that it comes
                from, the edge's output.
        """
        states = [self.earlier(earlier), self.previous(previous)]
        for place, (first, second) in enumerate(nodes):
            left = on_edge(2 * place, first, states[first[1]])
            states.append(left + on_edge(2 * place + 1, second, states[second[1]]))
        return torch.cat(states[NODES[0] :], 1)


def _edge_name(node: int, source: int) -> str:
    return f"node{node}_from{source}"


@NETWORKS.register("darts")
@NETWORKS.register("nasbench301")
class DartsSupernet(Supernet):
    """The weight-shared DARTS network.

    Args:
        space: The (sub)space; edges and candidates are built for its options only.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        channels: Channels of the nodes of the first cells (16 in the search of DARTS, 32 in NAS-Bench-301, 36 in the
            networks that DARTS trains alone).
        cells: Cells in all, at least three (8 in the search and in NAS-Bench-301, 20 in the networks trained alone).
        stem_multiplier: Channels of the stem are this times `channels`.
        pool_norm: Whether batch norm, without scale and shift, follows pooling; None for where `affine` is false: it
            does in the search networks of DARTS and CLOSE, and not in the networks that DARTS and NAS-Bench-301 train
            alone (nor in `raynas.derive` from a space and `raynas.cost`, which are affine).
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Annotated[int, Field(ge=2)] = 16,
        cells: Annotated[int, Field(ge=3)] = 8,
        stem_multiplier: Annotated[int, Field(ge=1)] = 3,
        pool_norm: bool | None = None,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        pool_norm = not affine if pool_norm is None else pool_norm
        stem = stem_multiplier * channels
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], stem, 3, padding=1, bias=False), BatchNorm(stem, affine=affine, track=track)
        )
        self.cells = nn.ModuleList()
        widths, after_reduction = (stem, stem), False
        for place in range(cells):
            kind = "reduce" if place in (cells // 3, 2 * cells // 3) else "normal"
            channels *= 2 if kind == "reduce" else 1
            self.cells.append(
                self.cell(
                    space,
                    kind,
                    widths,
                    channels,
                    after_reduction=after_reduction,
                    pool_norm=pool_norm,
                    affine=affine,
                    track=track,
                )
            )
            widths, after_reduction = (widths[1], len(NODES) * channels), kind == "reduce"
        self.mixed_edges = tuple(
            MixedEdge(f"{kind} {node}<-{source}", f"{kind} {node}", tuple(names))
            for kind in CELLS
            for node in NODES
            for source, names in allowed_operations(space, kind, node).items()
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[1], classes))

    def cell(self, *given: Any, **options: Any) -> Cell:
        """Return a new cell; arguments as of `Cell`."""
        return Cell(*given, **options)

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the stem, each cell and the head; what is passed on is the last two cells' outputs."""
        nodes = dict(zip(CELLS, cells_of(architecture.options), strict=True))
        steps = [Step("stem", self._start)]
        for cell in self.cells:
            assert isinstance(cell, Cell)
            steps.append(Step(nodes[cell.kind], next_pair, (cell, nodes[cell.kind])))
        return [*steps, Step("head", self._finish)]

    def forward_mixture(self, images: Tensor, mixture: Mixture) -> Tensor:
        """(B, C, H, W) -> (B, K) of the relaxed network: see `raynas.networks.darts_mixture`."""
        check_mixture(mixture, self.mixed_edges, self.mixed_cells)
        cells: list[Cell] = list(self.cells)  # type: ignore[arg-type]
        out: Tensor = self.head(darts_mixture.run_cells(cells, self.stem(images), mixture, self.mixed_edges))
        return out

    def most_likely(self, mixture: Mixture) -> Architecture:
        """Return the two strongest edges of every node, each with its strongest operation."""
        return darts_mixture.most_likely(self.space, self.mixed_edges, mixture)

    def edge_places(self, architecture: Architecture) -> tuple[int | None, ...]:
        """Return the place of an architecture's operation on every mixed edge; None on those it does not have."""
        return darts_mixture.edge_places(self.mixed_edges, architecture)

    def _start(self, images: Tensor) -> tuple[Tensor, Tensor]:
        stem: Tensor = self.stem(images)
        return stem, stem

    def _finish(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        logits: Tensor = self.head(pair[1])
        return logits


def next_pair(pair: tuple[Tensor, Tensor], cell: Cell, *how: Any) -> tuple[Tensor, Tensor]:
    """Return the outputs of the previous cell and of this one.

    Args:
        pair: Those of the two cells before this one.
        cell: This one.
        how: What it is called with after them.
    """
    return pair[1], cell(*pair, *how)
