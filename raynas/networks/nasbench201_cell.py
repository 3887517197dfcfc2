"""NAS-Bench-201's cell with weight-shared operations, run by itself or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from raynas.networks.batchnorm import grouped
from raynas.networks.cell_program import cell_program
from raynas.networks.operations import ReluConvBn, nasbench201_operation
from raynas.networks.program import Layer, Part, run, takes_gradients
from raynas.networks.supernet import Choice
from raynas.spaces import Space
from raynas.spaces.nasbench201 import EDGES, OUTPUT_NODE, OWN_WEIGHTS, live_edges


class Cell(nn.Module):
    """One cell: a `Choice` on each of the six edges.

    `forward` on a tensor runs the cell as a `Program`; what traces or measures the network walks the edges.
    The modules on the edges are not called then, and hooks on them not run; `by_edges` calls them.
    """

    def __init__(self, space: Space, channels: int, *, affine: bool, track: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList()
        for decision in space.decisions:
            candidates = {
                name: nasbench201_operation(name, channels, affine=affine, track=track) for name in decision.options
            }
            self.edges.append(Choice(decision.name, candidates))

    def forward(self, x: Tensor, options: tuple[str, ...], weights: tuple[int, ...] = OWN_WEIGHTS) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); zeros where no edge connects input and output.

        Args:
            x: The cell's input.
            options: The operation of each edge.
            weights: Which `choice` each edge uses.
        """
        if not isinstance(x, Tensor):
            return self.by_edges(x, options, weights)  # type: ignore[unreachable]  # a stand-in: traces or measures
        part = self.part(options, weights)
        if part is None:
            return torch.zeros_like(x)
        if torch.is_grad_enabled() and not takes_gradients([part]):
            return self.by_edges(x, options, weights)
        return run([part], x)

    def choice(self, number: int) -> Choice:
        """Return a set of weights, by its number: that of the edge here."""
        return self.edges[number]  # type: ignore[return-value]

    def part(
        self, options: tuple[str, ...], weights: tuple[int, ...] = OWN_WEIGHTS, *, apart: bool = False
    ) -> Part | None:
        """Return the program of these options with its layers; None if nothing connects input and output.

        Args:
            options: The operation of each edge.
            weights: Which `choice` each edge uses.
            apart: Give each edge a layer of its own, where several with the same weights compute the same as well.
        """
        cell = cell_program(options) if apart else cell_program(options, weights)
        if cell is None:
            return None
        places = ((weights[number] if apart else number, operation) for number, operation in cell.convolutions)
        return cell.program, [self._layer(*place) for place in places]

    def _layer(self, number: int, operation: str) -> Layer:
        block: ReluConvBn = self.choice(number).candidates[operation]  # type: ignore[assignment]
        return block.conv, block.norm

    def by_edges(self, x: Tensor, options: tuple[str, ...], weights: tuple[int, ...] = OWN_WEIGHTS) -> Tensor:
        """Run the cell edge by edge: what `forward` computes, as torch's own operations, for any kind of gradient."""
        return self.over_edges(x, options, lambda edge, source: self.choice(weights[edge])(source, options[edge]))

    def over_edges(self, x: Tensor, options: tuple[str, ...], on_edge: Callable[[int, Any], Tensor]) -> Tensor:
        """Run the cell edge by edge, as said.

        Args:
            x: The cell's input.
            options: The operation of each edge.
            on_edge: Gives, for a live edge and the value of its source, the edge's output.
        """
        nodes: list[Tensor | None] = [x, *[None] * OUTPUT_NODE]
        for edge, ((target, source), live) in enumerate(zip(EDGES, live_edges(options), strict=True)):
            if live:
                out, summed = on_edge(edge, nodes[source]), nodes[target]
                nodes[target] = out if summed is None else summed + out
        output = nodes[OUTPUT_NODE]
        return torch.zeros_like(x) if output is None else output

    def of_several(self, x: Tensor, plan: Sequence[EdgeUse]) -> Tensor:
        """Run several cells at once: what they have on the same edge in one call, with statistics for each.

        Args:
            x: (A * B, C, H, W), each cell's input.
            plan: Their `edge_uses`, for A cells.

        Returns:
            (A * B, C, H, W).
        """
        batch, channels, height, width = x.shape
        if not plan:
            return torch.zeros_like(x)
        count = plan[0].of

        def rows(images: Tensor, cells: int) -> Tensor:
            """Return a cell's images as a row, channels last: rows are taken out and summed whole."""
            return images.permute(0, 2, 3, 1).reshape(cells, -1)

        nodes = [rows(x, count), *[x.new_zeros(0)] * OUTPUT_NODE]
        for use in plan:
            target, source = EDGES[use.edge]
            inputs = nodes[source] if use.cells is None else nodes[source].index_select(0, use.cells)
            with grouped(len(inputs)):
                out = self.choice(use.weights)(
                    inputs.view(-1, height, width, channels).permute(0, 3, 1, 2), use.operation
                )
            out = rows(out, len(inputs))
            if not len(nodes[target]):
                nodes[target] = out.new_zeros(count, out.shape[1])
            if use.cells is None:
                nodes[target] = nodes[target] + out
            else:
                nodes[target].index_add_(0, use.cells, out)
        return nodes[OUTPUT_NODE].view(batch, height, width, channels).permute(0, 3, 1, 2)


class EdgeUse(NamedTuple):
    """Which of several cells have an operation on an edge.

    Args:
        edge: The place of the edge in `EDGES`.
        operation: The operation.
        weights: The number of the weights it uses.
        cells: The places of the cells (N,) int64; None for all.
        of: How many cells there are.
    """

    of: int
    edge: int
    operation: str
    weights: int
    cells: Tensor | None


def edge_uses(
    cells: Sequence[tuple[str, ...]], device: torch.device, weights: Sequence[tuple[int, ...]] | None = None
) -> list[EdgeUse]:
    """Return who uses what on the live edges of several cells, in the order of the edges.

    Args:
        cells: Their options.
        device: Where the cells run.
        weights: The numbers of the weights that the edges of each cell use; None for those of the edges.
    """
    users: dict[tuple[int, str, int], list[int]] = {}
    for place, options in enumerate(cells):
        numbers = OWN_WEIGHTS if weights is None else weights[place]
        for edge, (operation, live) in enumerate(zip(options, live_edges(options), strict=True)):
            if live:
                users.setdefault((edge, operation, numbers[edge]), []).append(place)
    count = len(cells)
    return [
        EdgeUse(count, *use, None if len(places) == count else torch.tensor(places, device=device))
        for use, places in sorted(users.items())
    ]
