"""NAS-Bench-201's supernet with weights in blocks (CLOSE; Zhou et al., ECCV 2022).

Every cell has K blocks, each with one set of weights an operation; which block an edge uses is decided once an
architecture and holds in all cells. The stem, the reduction blocks and the classifier are as ever. The GATE has the
released code's sizes (aw_nas, ``NasBench201FlowArchEmbedder``): node vectors of 48, five layers of 128 behind one of
96, of which only the cell's input keeps itself. It sees all six edges, those that carry nothing or lead nowhere too.

A cell runs as a `Program` whose layers are numbered by block: what uses the same operation of the same block on the
same value is computed once, except where the GATE learns: there each edge is credited with what it alone adds, and has
a layer of its own. With six blocks, and each edge its own (``positions``), it is the plain supernet; with one block,
all edges share their weights.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from raynas.networks.cell_program import cell_program
from raynas.networks.gate import Gate, Graph, GraphEmbedder
from raynas.networks.gate_router import Draw, GlowSettings, Router, all_blocks, gated
from raynas.networks.glow import GLOWS, RoutedGlow
from raynas.networks.nasbench201 import Nasbench201Supernet
from raynas.networks.nasbench201_cell import Cell, EdgeUse, edge_uses
from raynas.networks.operations import nasbench201_operation
from raynas.networks.program import Gates
from raynas.networks.steps import Step
from raynas.networks.supernet import Choice, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench201 import EDGES, OPERATIONS, OUTPUT_NODE, live_edges, node_values

CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")


class GlowCell(Cell):
    """A cell whose edges take their operations from blocks.

    Args:
        space: The (sub)space; a block has the operations that any edge of it can choose.
        channels: C.
        blocks: K.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(self, space: Space, channels: int, blocks: int, *, affine: bool, track: bool) -> None:
        nn.Module.__init__(self)
        allowed = {option for decision in space.decisions for option in decision.options}
        self.banks = nn.ModuleList()
        for number in range(blocks):
            candidates = {
                name: nasbench201_operation(name, channels, affine=affine, track=track)
                for name in OPERATIONS
                if name in allowed
            }
            self.banks.append(Choice(f"block {number}", candidates))

    def choice(self, number: int) -> Choice:
        """Return a block."""
        return self.banks[number]  # type: ignore[return-value]

    def with_gates(self, x: Tensor, options: tuple[str, ...], draw: Draw) -> Tensor:
        """Run the cell edge by edge with what carries the GATE's gradient: see `Draw`."""
        route, gates = draw

        def on_edge(edge: int, source: Tensor) -> Tensor:
            option = options[edge]

            def run(number: int) -> Tensor:
                out: Tensor = self.choice(number)(source, option)
                return out

            def weights(number: int) -> Iterator[nn.Parameter]:
                return self.choice(number).candidates[option].parameters()

            if gates is None or option not in CONVOLUTIONS:
                return run(route[edge])
            if gates.ndim == 1:
                return gated(run(route[edge]), gates[edge])
            return all_blocks(run, weights, gates[edge], route[edge])

        return self.over_edges(x, options, on_edge)


@GLOWS.register("nasbench201")
class Nasbench201Glow(RoutedGlow, Nasbench201Supernet):
    """The NAS-Bench-201 network with weights in blocks.

    Args:
        space: The (sub)space.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        settings: How blocks are shared.
        seed: Of what is drawn.
        options: Of the plain supernet.
    """

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        settings: GlowSettings,
        seed: int,
        **options: Any,
    ) -> None:
        self.settings = settings  # what the cells are built by, in super().__init__
        super().__init__(space, input_shape, classes, **options)
        self.mixed_edges = ()
        self.set_up(settings)
        gate = nasbench201_gate(settings.blocks) if settings.gate == "node" else None
        self.router = Router(
            settings, edges=len(EDGES), operations=len(OPERATIONS) - 1, gate=gate, seed=seed, label=space.label
        )

    @classmethod
    def refusals(cls, space: Space, settings: GlowSettings) -> list[str]:
        """Refuse more blocks than there are edges where they go by the edge."""
        found = super().refusals(space, settings)
        if settings.gate == "positions" and settings.blocks > len(EDGES):
            found.append(f"'blocks': gate 'positions' takes at most {len(EDGES)}, one an edge, got {settings.blocks}")
        return found

    def bank(self, number: int) -> list[nn.Module]:
        """Return the block of every cell."""
        return [cell.choice(number) for cell in self.blocks if isinstance(cell, GlowCell)]

    def cell(self, space: Space, channels: int, *, affine: bool, track: bool) -> Cell:
        """Return a new cell."""
        return GlowCell(space, channels, self.settings.blocks, affine=affine, track=track)

    def graph(self, architecture: Architecture) -> Graph:
        """Return a cell as the GATE sees it."""
        return _graph(architecture.options)

    def shared_forms(self, architectures: Sequence[Architecture]) -> list[Hashable]:
        """Return of each architecture what its cell's output node is of these blocks: see `node_values`."""
        routes = self.routes(architectures)
        return [node_values(a.options, route)[OUTPUT_NODE] for a, route in zip(architectures, routes, strict=True)]

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return the stem, the blocks and the head, as `routes` says."""
        (route,) = self.routes([architecture])
        form, how = node_values(architecture.options, route)[OUTPUT_NODE], (architecture.options, route)
        first, *others = self.blocks
        return [
            Step("stem", self.stem),
            Step(form, first, how),
            *(Step(place, block, how if isinstance(block, Cell) else ()) for place, block in enumerate(others)),
            Step("head", self.head),
            Step("classifier", self.classifier),
        ]

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> (B, K); in training, with gradients, every call draws its blocks: but see `as_scored`."""
        options = architecture.options
        if not isinstance(images, Tensor) or not torch.is_grad_enabled():
            return Supernet.forward_path(self, images, architecture)
        if not self.draws_routes:
            found = self.in_one_node(images, options, self.routes([architecture])[0])
            return Supernet.forward_path(self, images, architecture) if found is None else found
        learns = [edge for edge, live in enumerate(live_edges(options)) if live and options[edge] in CONVOLUTIONS]
        draw = self.router.draw(_graph(options), self.level, learns)
        found = None
        if draw.gates is None or draw.gates.ndim == 1:
            gates = None if draw.gates is None else Gates(draw.gates, self._gate_places(options))
            found = self.in_one_node(images, options, draw.route, gates)
        return self._by_edges(images, options, draw) if found is None else found

    def uses(self, architectures: Sequence[Architecture], device: torch.device) -> list[EdgeUse]:
        """Return who uses what on the edges of the cells of several architectures."""
        return edge_uses([architecture.options for architecture in architectures], device, self.routes(architectures))

    def _by_edges(self, images: Tensor, options: tuple[str, ...], draw: Draw) -> Tensor:
        x = self.stem(images)
        for block in self.blocks:
            x = block.with_gates(x, options, draw) if isinstance(block, GlowCell) else block(x)
        logits: Tensor = self.classifier(self.head(x))
        return logits

    def _gate_places(self, options: tuple[str, ...]) -> list[Sequence[tuple[int, ...]]]:
        in_cells = gate_places(options)
        return [in_cells if isinstance(block, Cell) else ((), (), ()) for block in self.blocks]


def nasbench201_gate(blocks: int) -> Gate:
    """Return a GATE for cells of four nodes and four operations that carry something, of the released sizes."""
    embedder = GraphEmbedder(
        cells=1,
        nodes=OUTPUT_NODE + 1,
        inputs=1,
        operations=len(OPERATIONS) - 1,
        node_size=48,
        operation_size=48,
        hidden=96,
        layers=(128,) * 5,
    )
    return Gate(embedder, blocks)


def gate_places(options: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Return, of each layer of a cell's program with a layer an edge, the gate that its output passes: its edge's."""
    cell = cell_program(options)
    return () if cell is None else tuple((edge,) for edge, _ in cell.convolutions)


@functools.lru_cache(maxsize=16_384)
def _graph(options: tuple[str, ...]) -> Graph:
    with torch.inference_mode(False):  # they are kept, and may be made while scoring and used in training
        operations = torch.tensor([OPERATIONS.index(option) for option in options])
        targets, sources = torch.tensor(EDGES).T
        relations = torch.zeros(1, 1, OUTPUT_NODE + 1, OUTPUT_NODE + 1, dtype=torch.int64)
        relations[0, 0, targets, sources] = operations
    return Graph(options, relations, sources, targets, operations)
