"""NAS-Bench-201's cell with weight-shared operations, run by itself or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from raynas.networks.batchnorm import grouped
from raynas.networks.cell_program import cell_program
from raynas.networks.operations import ReluConvBn, nasbench201_operation
from raynas.networks.program import Layer, Part, run, takes_gradients
from raynas.networks.supernet import Choice
from raynas.spaces import Space
from raynas.spaces.nasbench201 import EDGES, OUTPUT_NODE, live_edges


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

    def forward(self, x: Tensor, options: tuple[str, ...]) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); zeros where no edge connects input and output."""
        if not isinstance(x, Tensor):
            return self.by_edges(x, options)  # type: ignore[unreachable]  # a stand-in that traces or measures
        part = self.part(options)
        if part is None:
            return torch.zeros_like(x)
        if torch.is_grad_enabled() and not takes_gradients([part]):
            return self.by_edges(x, options)
        return run([part], x)

    def part(self, options: tuple[str, ...]) -> Part | None:
        """Return the program of these options with its layers; None if nothing connects input and output."""
        cell = cell_program(options)
        return None if cell is None else (cell.program, [self._layer(*place) for place in cell.convolutions])

    def _layer(self, edge: int, operation: str) -> Layer:
        block: ReluConvBn = self.edges[edge].candidates[operation]  # type: ignore[assignment, index]
        return block.conv, block.norm

    def by_edges(self, x: Tensor, options: tuple[str, ...]) -> Tensor:
        """Run the cell edge by edge: what `forward` computes, as torch's own operations, for any kind of gradient."""
        nodes: list[Tensor | None] = [x, *[None] * OUTPUT_NODE]
        for choice, option, (target, source), live in zip(self.edges, options, EDGES, live_edges(options), strict=True):
            if live:
                out, summed = choice(nodes[source], option), nodes[target]
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
                out = self.edges[use.edge](inputs.view(-1, height, width, channels).permute(0, 3, 1, 2), use.operation)
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
        cells: The places of the cells (N,) int64; None for all.
        of: How many cells there are.
    """

    of: int
    edge: int
    operation: str
    cells: Tensor | None


def edge_uses(cells: Sequence[tuple[str, ...]], device: torch.device) -> list[EdgeUse]:
    """Return who uses what on the live edges of several cells, in the order of the edges.

    Args:
        cells: Their options.
        device: Where the cells run.
    """
    users: dict[tuple[int, str], list[int]] = {}
    for place, options in enumerate(cells):
        for edge, (operation, live) in enumerate(zip(options, live_edges(options), strict=True)):
            if live:
                users.setdefault((edge, operation), []).append(place)
    return [
        EdgeUse(len(cells), edge, operation, None if len(places) == len(cells) else torch.tensor(places, device=device))
        for (edge, operation), places in sorted(users.items())
    ]
