"""`Alphas`: the parameters of a relaxed architecture (DARTS' alpha, PC-DARTS' beta)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raynas.networks.mixture import MixedEdge

SCALE = 1e-3
"""Initial values are so many times a standard normal number: the relaxation begins all but uniform."""


class Alphas:
    """Logits of the operations of every mixed edge and, if wanted, of the edges into every node.

    An edge with one option (of a partition that has chosen it) is no choice and has no logit; nor has a single edge
    into a node. All logits are one vector, on the CPU whatever the network is on: what is drawn from them decides what
    runs, and is known without waiting for a GPU.

    Args:
        edges: The network's `mixed_edges`.
        seed: Of the initial values.
        nothing: Whether an edge that has a choice can also carry nothing.
        weigh_edges: Whether the edges into a node are weighed too.
    """

    def __init__(self, edges: Sequence[MixedEdge], *, seed: int, nothing: bool, weigh_edges: bool) -> None:
        self._names = [_names(edge, nothing) for edge in edges]
        self._operations = [len(names) for names in self._names]
        nodes = [[edge.name for edge in group] for _, group in itertools.groupby(edges, lambda edge: edge.node)]
        self._into = nodes if weigh_edges else []
        self._incoming = [len(names) for names in self._into]
        self._sizes = [count for count in (*self._operations, *self._incoming) if count > 1]
        start = torch.randn(sum(self._sizes), generator=torch.Generator().manual_seed(seed))
        self.values = (SCALE * start).requires_grad_()
        """All logits (N,), those of operations first."""

    @property
    def places(self) -> list[str]:
        """What each of the logits (N,) belongs to: the edge and the operation, or the edge among those of its node."""
        operations = [name for names in self._names if len(names) > 1 for name in names]
        return [*operations, *(f"into {name}" for names in self._into if len(names) > 1 for name in names)]

    def take_over(self, values: Tensor, places: Sequence[str]) -> None:
        """Take the logits of what is here, too, from those of a larger space; what was not there begins as it is.

        Logits count up to a constant an edge, so that of the operations left none gains on another.

        Args:
            values: The other's logits (M,).
            places: What they belong to: the other's `places`.
        """
        known = dict(zip(places, values.tolist(), strict=True))
        with torch.no_grad():
            for number, place in enumerate(self.places):
                if place in known:
                    self.values[number] = known[place]

    def operations(self) -> list[Tensor]:
        """Return log softmax of the logits of every edge's operations, (O,) each; with the graph to `values`."""
        return self._log_softmax(self._operations, torch.split(self.values, self._sizes))

    def edge_weights(self) -> list[Tensor] | None:
        """Return softmax of the logits of the edges into every node, (E,) each; None where edges are not weighed."""
        if not self._incoming:
            return None
        choices = sum(count > 1 for count in self._operations)
        logits = torch.split(self.values, self._sizes)[choices:]
        return [logs.exp() for logs in self._log_softmax(self._incoming, logits)]

    def gumbel(self, rng: np.random.Generator, count: int) -> list[Tensor]:
        """Return so many independent standard Gumbel numbers for every operation of every edge, (count, O) each."""
        free = [size for size in self._operations if size > 1]
        noise = torch.from_numpy(rng.gumbel(size=(count, sum(free)))).float()
        return _filled(self._operations, torch.split(noise, free, 1), torch.zeros(count, 1))

    def entropies(self) -> Tensor:
        """Return the entropy in nats of the operations of every edge that has a choice (E,)."""
        return torch.stack(
            [-(logs.exp() * logs).sum() for logs in self.operations() if len(logs) > 1] or [torch.zeros(())]
        )

    @staticmethod
    def _log_softmax(counts: Sequence[int], logits: Sequence[Tensor]) -> list[Tensor]:
        return _filled(counts, [part.log_softmax(0) for part in logits[: sum(c > 1 for c in counts)]], torch.zeros(1))


def _names(edge: MixedEdge, nothing: bool) -> list[str]:
    """Return a name for each operation of an edge, unique in the network."""
    options = [f"{edge.name} {option}" for option in edge.options]
    return [*options, f"{edge.name} nothing at all"] if nothing and len(options) > 1 else options


def _filled(counts: Sequence[int], parts: Sequence[Tensor], single: Tensor) -> list[Tensor]:
    """Return the parts, which are those of counts above one, with a single value put in where the count is one."""
    rest = iter(parts)
    return [next(rest) if count > 1 else single for count in counts]
