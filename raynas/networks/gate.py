"""`Gate`: reads an architecture's graph and says which block of weights each of its edges had better use.

GATE of CLOSE (Zhou et al., "CLOSE: Curriculum Learning On the Sharing Extent Towards Better One-shot NAS", ECCV 2022):
a GATES-style encoder (Ning et al., "A Generic Graph-based Neural Architecture Encoding Scheme", ECCV 2020) gives each
node a vector, and an MLP turns the vectors of an edge's two nodes into one logit a block. Sizes are those of the
released code (aw_nas, ``NasBench201FlowArchEmbedder`` and ``GCNFlowArchEmbedder``); they are the caller's to give.

Nothing here is random but the initial weights: what training draws (dropout, Gumbel noise) is given by the caller.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = (200, 200, 200)
"""Widths of the MLP."""
DROPOUT = 0.1
"""The share of each hidden layer of the MLP that is dropped in training."""


class Graph(NamedTuple):
    """An architecture as a `Gate` sees it; tensors on the CPU.

    Args:
        name: The architecture's options: graphs of one space with equal names are equal.
        relations: (G, S, V, V) int64: for each of G cells and each of the S input slots of its V nodes, in row `to` and
            column `from` the number of the operation, 1 to O; 0 where there is no edge, or one that carries nothing.
        sources: (E,) int64: the node that each edge comes from; node v of cell g is number g * V + v.
        targets: (E,) int64: the node that it leads to.
        operations: (E,) int64: its operation, 0 to O.
    """

    name: tuple[str, ...]
    relations: Tensor
    sources: Tensor
    targets: Tensor
    operations: Tensor


class Flow(nn.Module):
    """One layer of the embedder: information flows along the edges, weighed by their operations.

    With S = H W it is H'[to] = mean over slots of the sum over edges of sigmoid(linear(operation)) * S[from], and S[to]
    itself where the node is an input of its cell.

    Args:
        size_in: Of the node vectors H.
        size: Of H'.
        operation_size: Of the operations' vectors.
    """

    def __init__(self, size_in: int, size: int, operation_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size_in, size).uniform_(-1 / math.sqrt(size), 1 / math.sqrt(size)))
        self.attention = nn.Linear(operation_size, size)

    def forward(self, nodes: Tensor, relations: Tensor, operations: Tensor) -> Tensor:
        """(N, G, V, D) -> (N, G, V, D').

        Args:
            nodes: H.
            relations: (N, G, S, V, V), 0 to O, and O + 1 for what a node keeps of itself.
            operations: (O, D"), the operations' vectors.
        """
        sent = nodes @ self.weight
        weights = torch.sigmoid(self.attention(operations))
        table = torch.cat([torch.zeros_like(weights[:1]), weights, torch.ones_like(weights[:1])])
        # (N, G, S, to, from, D') * (N, G, 1, 1, from, D')
        messages = functional.embedding(relations, table) * sent[:, :, None, None]
        return messages.sum(4).mean(2)


class GraphEmbedder(nn.Module):
    """Turns graphs into a vector a node.

    A cell's inputs begin with learned vectors of their own, its other nodes with zeros, or with one that is learned.

    Args:
        cells: G: cells of an architecture, each with beginnings of its own; all other weights are common.
        nodes: V: nodes of a cell, its inputs first.
        inputs: How many of them are inputs, which keep what they are from layer to layer.
        operations: O: operations that carry something.
        node_size: Of the beginnings.
        operation_size: Of the operations' vectors.
        hidden: Of what the first layer takes.
        layers: Sizes of the layers' outputs; ReLU between them.
        others_learn: Whether the other nodes' beginning, zeros, is learned.
    """

    keeps: Tensor
    others: Tensor

    def __init__(
        self,
        *,
        cells: int,
        nodes: int,
        inputs: int,
        operations: int,
        node_size: int,
        operation_size: int,
        hidden: int,
        layers: Sequence[int],
        others_learn: bool = False,
    ) -> None:
        super().__init__()
        self.nodes, self.size = nodes, layers[-1]
        self.inputs = nn.Parameter(torch.randn(cells, inputs, node_size))
        zeros = torch.zeros(cells, 1, node_size)
        if others_learn:
            self.others = nn.Parameter(zeros)
        else:
            self.register_buffer("others", zeros, persistent=False)
        self.operations = nn.Parameter(torch.randn(operations, operation_size))
        self.widen = nn.Linear(node_size, hidden)
        sizes = (hidden, *layers)
        self.flows = nn.ModuleList(Flow(a, b, operation_size) for a, b in itertools.pairwise(sizes))
        keeps = torch.zeros(nodes, nodes, dtype=torch.int64)
        for node in range(inputs):
            keeps[node, node] = operations + 1
        self.register_buffer("keeps", keeps, persistent=False)

    def forward(self, relations: Tensor) -> Tensor:
        """(N, G, S, V, V), see `Graph`, -> (N, G, V, D)."""
        others = self.others.expand(-1, self.nodes - self.inputs.shape[1], -1)
        x: Tensor = self.widen(torch.cat([self.inputs, others], 1)).expand(len(relations), -1, -1, -1)
        kept = relations + self.keeps
        for number, flow in enumerate(self.flows):
            x = flow(torch.relu(x) if number else x, kept, self.operations)
        return x


class Gate(nn.Module):
    """Gives every edge of an architecture a logit for each block.

    Args:
        embedder: Gives the nodes their vectors.
        blocks: K.
        hidden: Widths of the MLP.
        dropout: The share of its hidden layers that is dropped where `forward` is given what to draw by.
    """

    head_learns: Tensor

    def __init__(
        self, embedder: GraphEmbedder, blocks: int, *, hidden: Sequence[int] = HIDDEN, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.embedder, self.hidden, self.dropout = embedder, tuple(hidden), dropout
        sizes = (2 * embedder.size, *hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.head = nn.Linear(sizes[-1], blocks)
        self.register_buffer("head_learns", torch.tensor(True))

    def forward(self, graphs: Sequence[Graph], generator: torch.Generator | None = None) -> Tensor:
        """Return logits (N, E, K) of N graphs with equally many edges, in full precision under autocast too.

        Args:
            graphs: N of them.
            generator: Of the CPU: dropout's; None for none.
        """
        device = self.head.weight.device
        with torch.autocast(device.type, enabled=False):
            relations = torch.stack([graph.relations for graph in graphs]).to(device)
            nodes = self.embedder(relations).flatten(1, 2)
            ends = torch.stack([torch.stack([graph.sources, graph.targets], 1) for graph in graphs]).to(device)
            rows = torch.arange(len(graphs), device=device)[:, None, None]
            x = nodes[rows, ends].flatten(2)
            drops = None if generator is None or not self.dropout else self._drops(x.shape[:2], generator, x)
            for number, layer in enumerate(self.layers):
                x = torch.relu(layer(x))
                if drops is not None:
                    x = x * drops[number]
            if self.head_learns:
                return self.head(x)  # type: ignore[no-any-return]
            return functional.linear(x, self.head.weight.detach(), self.head.bias.detach())

    def inherit(self, block: int, source: int) -> None:
        """Add one block's row of the last layer to another's, in place: the optimizer keeps what it trains.

        In the released code the sums are new parameters, which its optimizer does not know (`reconstruct_inherit`).

        Args:
            block: Whose row is changed.
            source: Whose row is added.
        """
        with torch.no_grad():
            for tensor in (self.head.weight, self.head.bias):
                tensor[block] += tensor[source]

    def _drops(self, shape: torch.Size, generator: torch.Generator, like: Tensor) -> list[Tensor]:
        """Return what the outputs of the hidden layers are multiplied with, drawn in one go."""
        drawn = torch.rand(*shape, sum(self.hidden), generator=generator) >= self.dropout
        return list(torch.split(drawn.to(like) / (1 - self.dropout), list(self.hidden), -1))
