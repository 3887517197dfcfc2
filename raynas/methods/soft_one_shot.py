"""Soft one-shot mixtures: one path stands out from the even mixture of all by a little.

Yu et al., "Landmark Regularization" (CVPR 2021), released code: how it trains DARTS and PC-DARTS before their alpha is.
See `raynas.methods.differentiable` for the formula.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from raynas.networks.mixture import MixedEdge, Mixture


def soft_one_shot(
    edges: Sequence[MixedEdge],
    places: Sequence[int | None],
    delta: float,
    *,
    nothing: bool,
    weigh_edges: bool,
    partial: int,
) -> Mixture:
    """Return the mixture that prefers a path.

    Args:
        edges: The network's `mixed_edges`.
        places: Of each, the place of the path's operation; None where the path has none.
        delta: By how much, at most 0.15.
        nothing: Whether an edge that has a choice can also carry nothing.
        weigh_edges: Whether the edges into a node are weighed too.
        partial: As in `Mixture`.
    """
    weights = []
    for edge, place in zip(edges, places, strict=True):
        count = len(edge.options)
        empty = nothing and count > 1
        preferred = [place] if place is not None else [count] if empty else []
        weights.append(_raised(count + empty, preferred, delta))
    edge_weights = None
    if weigh_edges:
        edge_weights = []
        taken = zip(edges, places, strict=True)
        for _, group in itertools.groupby(taken, lambda pair: pair[0].node):
            there = [place is not None for _, place in group]
            edge_weights.append(_raised(len(there), [n for n, has in enumerate(there) if has], delta))
    return Mixture(weights, partial=partial, edge_weights=edge_weights)


def _raised(count: int, preferred: Collection[int], delta: float) -> Tensor:
    """Return 1/n for each of n, raised by delta for those preferred and lowered for the others, to the same sum."""
    rest = count - len(preferred)
    if not preferred or not rest:
        return torch.full((count,), 1 / count)
    weights = torch.full((count,), 1 / count - delta * len(preferred) / rest)
    weights[list(preferred)] = 1 / count + delta
    return weights
