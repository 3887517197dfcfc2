"""`Mixture`: a relaxed architecture, every edge a weighted sum of its operations (DARTS and its kin)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MixedEdge:
    """An edge of the relaxed network.

    Args:
        name: Unique in the network (``1<-0``, ``normal 3<-1``).
        options: The operations that are mixed, in order.
    """

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Mixture:
    """The weights with which a supernet's `mixed_edges` mix their operations.

    Operations that do not run (`ran`) cost nothing; their weights add their value as a number (GDAS).

    Args:
        weights: One tensor (O,) an edge, for its O operations; they may want gradients.
        ran: One tuple an edge: the places of the operations that run; None for all of them.
        partial: k: one channel of every k is mixed, the others pass by (PC-DARTS); 1 for all.
        edge_weights: One tensor (E,) a node with the weights of its edges (PC-DARTS), in order of `mixed_edges`; None
            where edges are summed as they are.
    """

    weights: Sequence[Tensor]
    ran: Sequence[tuple[int, ...] | None] | None = None
    partial: int = 1
    edge_weights: Sequence[Tensor] | None = None
