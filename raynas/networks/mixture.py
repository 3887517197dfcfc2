"""`Mixture`: a relaxed architecture, every edge a weighted sum of its operations (DARTS and its kin)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class MixedEdge:
    """An edge of the relaxed network.

    Args:
        name: Unique in the network (``1<-0``, ``normal 3<-1``).
        node: The node it leads to (``1``, ``normal 3``); the edges of a node follow each other.
        options: The operations that are mixed, in order.
    """

    name: str
    node: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Mixture:
    """The weights with which a supernet's `mixed_edges` mix their operations.

    Operations that do not run (`ran`) cost nothing. Their weights must be 0; those that want gradients are added to the
    edge as numbers, so that they get one (GDAS).

    Args:
        weights: One tensor (O,) an edge, for its O operations; they may want gradients. A further weight at the end is
            that of carrying nothing (DARTS' operation ``none``, which is no option of its space).
        ran: One tuple an edge: the places of the operations that run; None for all of them.
        partial: k: the first of every k channels is mixed, the others pass by (PC-DARTS); 1 for all.
        edge_weights: One tensor (E,) a node with the weights of its edges (PC-DARTS), in order of `mixed_edges`; None
            where edges are summed as they are.
        others: Mixtures of the second, third, ... of the network's `mixed_cells`, where each has one of its own.
    """

    weights: Sequence[Tensor]
    ran: Sequence[tuple[int, ...] | None] | None = None
    partial: int = 1
    edge_weights: Sequence[Tensor] | None = None
    others: Sequence[Mixture] = ()

    def of_cell(self, place: int) -> Mixture:
        """Return the mixture of one of the network's `mixed_cells`."""
        return self.others[place - 1] if place and self.others else self

    def to(self, device: torch.device) -> Mixture:
        """Return the same mixture with its weights on a device; what is there already stays as it is."""
        if all(weight.device == device for weight in self.weights):
            return self
        every = [*self.weights, *(self.edge_weights or ())]
        moved = torch.split(torch.cat(every).to(device), [len(weight) for weight in every])  # all at once
        return replace(
            self,
            weights=moved[: len(self.weights)],
            edge_weights=None if self.edge_weights is None else moved[len(self.weights) :],
            others=[other.to(device) for other in self.others],
        )


def one_hot(edges: Sequence[MixedEdge], places: Sequence[int | None]) -> Mixture:
    """Return the mixture that is a discrete path.

    Args:
        edges: The network's `mixed_edges`.
        places: Of each, the place of the only operation that runs; None for no operation (`Supernet.edge_places`).
    """
    weights = [torch.zeros(len(edge.options)) for edge in edges]
    for weight, place in zip(weights, places, strict=True):
        if place is not None:
            weight[place] = 1.0
    return Mixture(weights, ran=[() if place is None else (place,) for place in places])


def by_falling_product(weights: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Yield every choice of one place a row, in order of the falling product of the weights chosen.

    The first is that of the largest weight in each row; of equal weights the one that comes first.

    Args:
        weights: Rows of weights, none negative.
    """
    orders = [sorted(range(len(row)), key=lambda place, row=row: -row[place]) for row in weights]  # type: ignore[misc]
    logs = [
        [math.log(row[place]) if row[place] > 0 else -math.inf for place in order]
        for row, order in zip(weights, orders, strict=True)
    ]

    def entry(ranks: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return -sum(row[rank] for row, rank in zip(logs, ranks, strict=True)), ranks

    first = (0,) * len(orders)
    waiting, seen = [entry(first)], {first}
    while waiting:
        _, ranks = heapq.heappop(waiting)
        yield tuple(order[rank] for order, rank in zip(orders, ranks, strict=True))
        for row in range(len(orders)):
            following = (*ranks[:row], ranks[row] + 1, *ranks[row + 1 :])
            if following[row] < len(orders[row]) and following not in seen:
                seen.add(following)
                heapq.heappush(waiting, entry(following))
