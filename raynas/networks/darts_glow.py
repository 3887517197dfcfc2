"""The DARTS network with weights in blocks (CLOSE; Zhou et al., ECCV 2022), as the paper uses it on NAS-Bench-301.

A normal cell has K blocks, each with one set of weights an operation; a reduction cell has 2K: the edges from its two
inputs, which halve the size, use the blocks of stride 2 and the others those of stride 1, by the same numbers. Which
block an edge uses is decided once for an architecture and kind of cell, and holds in all cells of that kind.

The GATE has the released code's sizes (aw_nas, ``GCNFlowArchEmbedder``): node vectors of 32 that learn, both inputs'
of each kind of cell and one for its other nodes; operations' of 32, common to both kinds; four layers of 64, averaged
over a node's two edges; an MLP of three hidden layers of 200. It sees eight edges a cell, node by node.

Two ways to assign blocks that do without it go by an edge's place in the whole graph of 14 edges a cell: ``positions``,
with which 14 blocks are the plain supernet, and ``fixed``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from raynas.networks.darts import Cell, DartsSupernet, allowed_operations, darts_operation, next_pair
from raynas.networks.gate import Gate, Graph, GraphEmbedder
from raynas.networks.gate_router import Draw, GlowSettings, Route, Router, gated
from raynas.networks.glow import GLOWS, RoutedGlow
from raynas.networks.steps import Step
from raynas.networks.supernet import Choice, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.darts import CELLS, NODES, OPERATIONS, Edge
from raynas.spaces.darts import cells as cells_of

EDGES = 2 * len(NODES)
"""Edges of a cell that an architecture has."""
PLACES = {edge: place for place, edge in enumerate((node, source) for node in NODES for source in range(node))}
"""The number of each edge (node, source) of the whole graph of a cell."""
NODE_SIZE, LAYERS = 32, (64,) * 4
"""Sizes of the GATE's embedder."""


class GlowCell(Cell):
    """A cell whose edges take their operations from blocks; arguments as of `Cell`.

    Args:
        blocks: K.
    """

    def __init__(self, *given: Any, blocks: int, **options: Any) -> None:
        self.blocks = blocks  # what `add_operations` builds by, in super().__init__
        super().__init__(*given, **options)

    def add_operations(self, space: Space, channels: int, **norm: bool) -> None:
        """Add the blocks; one has the operations that the (sub)space allows on any edge of its stride."""
        allowed: dict[int, set[str]] = {1: set(), 2: set()}
        for node in NODES:
            for source, names in allowed_operations(space, self.kind, node).items():
                allowed[self.stride(source)].update(names)
        self.banks, self.halving = nn.ModuleList(), nn.ModuleList()
        for stride, banks in ((1, self.banks), (2, self.halving)):
            names = [name for name in OPERATIONS if name in allowed[stride]]
            for number in range(self.blocks if names else 0):
                candidates = {name: darts_operation(name, channels, stride, **norm) for name in names}
                banks.append(Choice(f"{self.kind} block {number} of stride {stride}", candidates))

    def bank(self, number: int) -> nn.ModuleList:
        """Return a block, of both strides where there are two."""
        return nn.ModuleList(banks[number] for banks in (self.banks, self.halving) if len(banks))

    def forward(
        self, earlier: Tensor, previous: Tensor, nodes: tuple[tuple[Edge, Edge], ...], route: Route | None = None
    ) -> Tensor:
        """Run the cell, (B, C1, H1, W1) and (B, C2, H, W) -> (B, 4C, H', W').

        Args:
            earlier: As for `Cell`.
            previous: As for `Cell`.
            nodes: The two edges of each node.
            route: The block of each edge, node by node.
        """
        assert route is not None
        return self.with_gates(earlier, previous, nodes, Draw(route, None))

    def with_gates(self, earlier: Tensor, previous: Tensor, nodes: tuple[tuple[Edge, Edge], ...], draw: Draw) -> Tensor:
        """Run the cell with what carries the GATE's gradient: see `Draw`, of whose edges this cell's are given."""
        route, gates = draw

        def on_edge(place: int, edge: Edge, x: Tensor) -> Tensor:
            operation, source = edge
            banks = self.banks if self.stride(source) == 1 else self.halving
            if gates is None or not self.learns(edge):
                return banks[route[place]](x, operation)  # type: ignore[no-any-return]
            if gates.ndim == 1:
                return gated(banks[route[place]](x, operation), gates[place])
            outputs = torch.stack([banks[number](x, operation) for number in range(gates.shape[1])])
            return torch.einsum("lbchw,l->bchw", outputs, gates[place].to(outputs.dtype))

        return self.over_edges(earlier, previous, nodes, on_edge)

    def learns(self, edge: Edge) -> bool:
        """Say whether an edge's output depends on its block: whether its operation has weights."""
        return has_weights(edge[0], self.stride(edge[1]))


@GLOWS.register("darts")
class DartsGlow(RoutedGlow, DartsSupernet):
    """The DARTS network with weights in blocks.

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
        gate = darts_gate(settings.blocks) if settings.gate == "node" else None
        self._by_place = settings.gate in ("fixed", "positions")
        edges = len(CELLS) * (len(PLACES) if self._by_place else EDGES)
        self.router = Router(settings, edges=edges, operations=len(OPERATIONS), gate=gate, seed=seed, label=space.label)

    @classmethod
    def refusals(cls, space: Space, settings: GlowSettings) -> list[str]:
        """Refuse more blocks than a cell has edges where they go by the edge."""
        found = super().refusals(space, settings)
        if settings.gate == "positions" and settings.blocks > len(PLACES):
            found.append(f"'blocks': gate 'positions' takes at most {len(PLACES)}, one an edge, got {settings.blocks}")
        return found

    def bank(self, number: int) -> list[nn.Module]:
        """Return the block of every cell."""
        return [cell.bank(number) for cell in self._cells]

    def cell(self, *given: Any, **options: Any) -> Cell:
        """Return a new cell; arguments as of `Cell`."""
        return GlowCell(*given, blocks=self.settings.blocks, **options)

    def graph(self, architecture: Architecture) -> Graph:
        """Return both cells as the GATE sees them."""
        return darts_graph(architecture.options)

    def routes(self, architectures: Sequence[Architecture]) -> list[Route]:
        """Return the block of each edge, where architectures are not trained: the normal cell's, the reduction's."""
        found = super().routes(architectures)
        return [self._of_edges(a.options, route) for a, route in zip(architectures, found, strict=True)]

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return the plain supernet's steps, with the blocks that `routes` says."""
        (route,) = self.routes([architecture])
        how = {kind: (nodes, route[part]) for kind, nodes, part in _parts(architecture.options)}
        cells = [Step(how[cell.kind], next_pair, (cell, *how[cell.kind])) for cell in self._cells]
        return [Step("stem", self._start), *cells, Step("head", self._finish)]

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> (B, K); in training, with gradients, every call draws its blocks: but see `as_scored`."""
        if not isinstance(images, Tensor) or not torch.is_grad_enabled() or not self.draws_routes:
            return Supernet.forward_path(self, images, architecture)
        options = architecture.options
        draw = self.router.draw(darts_graph(options), self.level, learning_edges(options))
        route, gates = self._of_edges(options, draw.route), draw.gates
        of_kind = {
            kind: (nodes, Draw(route[part], None if gates is None else gates[part]))
            for kind, nodes, part in _parts(options)
        }
        pair = self._start(images)
        for cell in self._cells:
            pair = pair[1], cell.with_gates(*pair, *of_kind[cell.kind])
        return self._finish(pair)

    def probabilities(self, graphs: Sequence[Graph]) -> Tensor:
        """Return with which probability training assigns each block to the edges of both cells, (N, E, L)."""
        found = super().probabilities(graphs)
        if not self._by_place:
            return found
        places = torch.tensor([edge_places(graph.name) for graph in graphs])
        return found.gather(1, places[..., None].expand(-1, -1, self.level))

    @property
    def _cells(self) -> list[GlowCell]:
        return list(self.cells)  # type: ignore[arg-type]

    def _of_edges(self, options: tuple[str, ...], route: Route) -> Route:
        """Return the blocks of an architecture's edges of what the router says, be it of its edges or of all places."""
        return tuple(route[place] for place in edge_places(options)) if self._by_place else route


def darts_gate(blocks: int) -> Gate:
    """Return a GATE for two cells of six nodes and seven operations, of the released sizes."""
    embedder = GraphEmbedder(
        cells=len(CELLS),
        nodes=NODES[-1] + 1,
        inputs=NODES[0],
        operations=len(OPERATIONS),
        node_size=NODE_SIZE,
        operation_size=NODE_SIZE,
        hidden=NODE_SIZE,
        layers=LAYERS,
        others_learn=True,
    )
    return Gate(embedder, blocks)


def has_weights(operation: str, stride: int) -> bool:
    """Say whether an operation has weights; those of batch norm behind pooling it never has."""
    return "conv" in operation or (operation == "skip_connect" and stride == 2)


def _parts(options: tuple[str, ...]) -> list[tuple[str, tuple[tuple[Edge, Edge], ...], slice]]:
    """Return, for each kind of cell, its nodes and where its edges are among those of both."""
    kinds = zip(CELLS, cells_of(options), strict=True)
    return [(kind, nodes, slice(EDGES * cell, EDGES * (cell + 1))) for cell, (kind, nodes) in enumerate(kinds)]


def _edges(options: tuple[str, ...]) -> list[tuple[int, int, int, Edge]]:
    """Return of each edge of both cells the number of the cell, its node, which of the node's it is, and itself."""
    return [
        (cell, node, slot, edge)
        for cell, nodes in enumerate(cells_of(options))
        for node, pair in zip(NODES, nodes, strict=True)
        for slot, edge in enumerate(pair)
    ]


@functools.lru_cache(maxsize=16_384)
def edge_places(options: tuple[str, ...]) -> tuple[int, ...]:
    """Return the place of each edge of both cells: 0 to 13 in the normal, 14 to 27 in the reduction cell."""
    return tuple(len(PLACES) * cell + PLACES[node, source] for cell, node, _, (_, source) in _edges(options))


@functools.lru_cache(maxsize=16_384)
def learning_edges(options: tuple[str, ...]) -> tuple[int, ...]:
    """Return which of the edges of both cells have weights."""
    reduces = CELLS.index("reduce")
    return tuple(
        number
        for number, (cell, _, _, (operation, source)) in enumerate(_edges(options))
        if has_weights(operation, 2 if cell == reduces and source < NODES[0] else 1)
    )


@functools.lru_cache(maxsize=16_384)
def darts_graph(options: tuple[str, ...]) -> Graph:
    """Return what the GATE sees of an architecture: both cells, a node's two edges in a slot each."""
    edges, nodes = _edges(options), NODES[-1] + 1
    with torch.inference_mode(False):  # they are kept, and may be made while scoring and used in training
        relations = torch.zeros(len(CELLS), 2, nodes, nodes, dtype=torch.int64)
        for cell, node, slot, (operation, source) in edges:
            relations[cell, slot, node, source] = 1 + OPERATIONS.index(operation)
        sources = torch.tensor([cell * nodes + source for cell, _, _, (_, source) in edges])
        targets = torch.tensor([cell * nodes + node for cell, node, _, _ in edges])
        operations = torch.tensor([1 + OPERATIONS.index(operation) for _, _, _, (operation, _) in edges])
    return Graph(options, relations, sources, targets, operations)
