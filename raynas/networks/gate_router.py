"""`Router`: which block of weights each edge of an architecture uses, in training and when it is scored.

CLOSE's selection: logits z of the L blocks in reach, Gumbel noise g, and the block of the largest z + g, which is a
draw from softmax(z); y = softmax((z + g) / T) carries the gradient (straight-through), so that T, 5, does not
change what is drawn but only how strongly the GATE learns.

Two estimators of the GATE's gradient. With s_i = <dLoss/dOutput, output of block i>, what the loss changes by if an
edge's output grows by that of block i:

* ``all``, as released: the edge computes all reachable blocks, its output is the sum of onehot - stop(y) + y times
  them, and dLoss/dz_j = sum_i s_i y_i (1[i=j] - y_j) / T. It costs L times the edge; blocks that were not drawn get
  zero gradients, and so momentum and weight decay.
* ``chosen``, ours: only the block drawn, c, is run. With p = softmax(z) and a baseline b,
  dLoss/dz_j = (s_c - b) (1[c=j] - p_j) / T, which is REINFORCE on the first-order change of the loss. As c is drawn
  with probability p_c, its mean over draws is, whatever b is, sum_i s_i p_i (1[i=j] - p_j) / T: that of ``all`` with p
  for y, and with s_i taken where block i is the one that runs. Leaving the terms of the other blocks out of ``all``
  instead would favour what is drawn often; weighing the one that is left by y_c / p_c would keep y, and blow up where
  p_c is small. Without b the common part of all s_i, which cancels in ``all``, would be noise: b is a running mean for
  each edge and operation.

What has no weights (skip, pooling, nothing) has equal outputs for all blocks: its terms cancel in ``all``, and are left
out of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from raynas.networks.gate import Gate, Graph
from raynas.streams import stream_seed

Route = tuple[int, ...]
"""The block of each edge."""
GateKind = Literal["node", "random", "fixed", "positions", "longest"]
"""How blocks are assigned to edges:

* ``node``: the GATE.
* ``random``: uniformly, anew in every step; to score an architecture, a draw of its own.
* ``fixed``: once for all, at random. With every level, each edge moves to the new block with probability 1 / L.
* ``positions``: edge e uses block e modulo the level. With as many blocks as edges nothing is shared: SPOS. In the
  design spaces (NDS) neighbouring positions share a block, by an `IntervalMap` whose leftmost interval is halved next.
* ``longest``: the same, the longest interval being halved next (NDS only).
"""
Estimator = Literal["chosen", "all"]
ScoreBy = Literal["argmax", "sample"]
"""How the GATE routes an architecture that is scored: the largest logits, or a draw that is the architecture's own."""

CHUNK = 32
"""Graphs that the GATE sees at once when scoring: always so many, so that rounding cannot depend on the company."""
REMEMBERED = 65_536
"""Routes that are remembered at most."""
BASELINE_RATE = 0.05
"""The weight of a new s_c in the running mean."""


@dataclass(frozen=True)
class GlowSettings:
    """How blocks are shared and how the GATE learns.

    Args:
        blocks: K, the most blocks.
        gate: How blocks are assigned to edges.
        estimator: Of the GATE's gradient.
        temperature: T.
        score: How architectures are routed when they are scored.
        released: The GATE decays, in the first level too, where the released code gives it a gradient of zeros.
    """

    blocks: int
    gate: str = "node"
    estimator: Estimator = "chosen"
    temperature: float = 5.0
    score: ScoreBy = "argmax"
    released: bool = False


class Draw(NamedTuple):
    """What a pass of training runs.

    Args:
        route: The block of each edge.
        gates: Carry the gradient to the GATE: (E,) ones that the edges' outputs are multiplied with (``chosen``), or
            (E, L) one-hot rows that the outputs of all reachable blocks are (``all``); None where nothing learns.
    """

    route: Route
    gates: Tensor | None


class Router(nn.Module):
    """Assigns blocks to edges; what it needs to do so again elsewhere is in its ``state_dict()``.

    Args:
        settings: How.
        edges: E.
        operations: O: operations that carry something.
        gate: With ``node``: the GATE.
        seed: Of what is drawn.
        label: Of the (sub)space: what is drawn in training is another in each, also with an inherited state.
    """

    seed: Tensor
    draws: Tensor
    baseline: Tensor

    def __init__(
        self, settings: GlowSettings, *, edges: int, operations: int, gate: Gate | None, seed: int, label: str
    ) -> None:
        super().__init__()
        self.settings, self.edges, self.gate, self.label = settings, edges, gate, label
        self.register_buffer("seed", torch.tensor(stream_seed(seed, "router")))
        self.register_buffer("draws", torch.tensor(0))
        self.register_buffer("baseline", torch.zeros(edges, operations + 1))
        self._pinned: Route | None = None
        self._known: dict[tuple[str, ...], Route] = {}
        self._versions: list[int] = []  # what the routes that are known were made by: see `_forget_if_changed`
        self._tensors: list[Tensor] = []
        self._values: list[Tensor] = []
        self._square, self._learned = 0.0, 0

    def draw(self, graph: Graph, level: int, learns: Sequence[int]) -> Draw:
        """Return what a pass of training runs; a draw is counted, so that the next one is another.

        Args:
            graph: The architecture.
            level: L.
            learns: The edges whose output depends on the block.
        """
        kind = self.settings.gate
        if kind in ("fixed", "positions"):
            return Draw(self._fixed(level), None)
        if not learns or (level == 1 and (self.gate is None or not self.settings.released)):
            return Draw((0,) * self.edges, None)
        generator = self._generator("draw", self.label, int(self.draws))
        self.draws += 1
        if self.gate is None:
            return Draw(tuple(torch.randint(level, (self.edges,), generator=generator).tolist()), None)
        logits = self.gate([graph], generator)[0, :, :level]
        noisy = logits.detach() + _gumbel(logits, generator)
        choice = noisy.argmax(1)
        route = tuple(choice.tolist())
        if not logits.requires_grad:
            return Draw(route, None)
        logits.register_hook(self._note)
        if self.settings.estimator == "all":
            soft = torch.softmax((logits + (noisy - logits.detach())) / self.settings.temperature, 1)
            hard = torch.nn.functional.one_hot(choice, level).to(soft)
            return Draw(route, hard - soft.detach() + soft)
        return Draw(route, self._chosen(logits, choice, graph, learns))

    def routes(self, graphs: Sequence[Graph], level: int) -> list[Route]:
        """Return the blocks of architectures that are scored: for the same state always the same."""
        if self._pinned is not None:
            return [self._pinned] * len(graphs)
        if level == 1:
            return [(0,) * self.edges] * len(graphs)
        if self.settings.gate in ("fixed", "positions"):
            return [self._fixed(level)] * len(graphs)
        if self.gate is None:
            return [
                tuple(torch.randint(level, (self.edges,), generator=self._generator("score", *graph.name)).tolist())
                for graph in graphs
            ]
        self._forget_if_changed(level)
        missing = list({graph.name: graph for graph in graphs if graph.name not in self._known}.values())
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            self._known.update(zip((graph.name for graph in chunk), self._decide(chunk, level), strict=True))
        return [self._known[graph.name] for graph in graphs]

    @contextmanager
    def pinned(self, route: Route) -> Iterator[None]:
        """Let `routes` say nothing but this while a path is traced, in which the GATE would become a part of it."""
        self._pinned = route
        try:
            yield
        finally:
            self._pinned = None

    def probabilities(self, graphs: Sequence[Graph], level: int) -> Tensor:
        """Return with which probability training assigns each block, (N, E, L) on the CPU; without dropout."""
        shape = len(graphs), self.edges, level
        if self.gate is not None:
            with torch.no_grad():
                return torch.softmax(self.gate(graphs)[..., :level].float(), -1).cpu()
        if self.settings.gate == "random":
            return torch.full(shape, 1 / level)
        return torch.nn.functional.one_hot(torch.tensor(self._fixed(level)), level).float().expand(shape)

    def gradient_norm(self) -> float:
        """Return the root mean square, over the passes since it was last asked, of the logits' gradient (L2 norm)."""
        passes, total = self._learned, float(self._square)
        self._square, self._learned = 0.0, 0
        return (total / passes) ** 0.5 if passes else 0.0

    def _chosen(self, logits: Tensor, choice: Tensor, graph: Graph, learns: Sequence[int]) -> Tensor:
        """Return ones (E,) whose gradients s become those of ``chosen`` on their way to the logits."""
        rows = torch.arange(self.edges, device=logits.device)
        likelihood = torch.log_softmax(logits, 1)[rows, choice] / self.settings.temperature
        edges = torch.tensor(learns, device=logits.device)
        operations = graph.operations.to(edges.device)[edges]
        found: Tensor = _Credit.apply(likelihood, self.baseline, edges, operations)  # type: ignore[no-untyped-call]
        return found

    def _fixed(self, level: int) -> Route:
        if self.settings.gate == "positions":
            return tuple(edge % level for edge in range(self.edges))
        drawn = torch.rand(self.edges, self.settings.blocks, generator=self._generator("fixed"), dtype=torch.float64)
        moves = drawn[:, :level] * torch.arange(1, level + 1) < 1  # to block j with probability 1 / (j + 1), and on
        return tuple(max(block for block in range(level) if row[block]) for row in moves.tolist())

    def _decide(self, graphs: Sequence[Graph], level: int) -> list[Route]:
        assert self.gate is not None
        with torch.inference_mode():
            filled = [*graphs, *[graphs[0]] * (CHUNK - len(graphs))]
            logits = self.gate(filled)[: len(graphs), :, :level]
            if self.settings.score == "sample":
                noise = [_gumbel(logits[0], self._generator("score", *graph.name)) for graph in graphs]
                logits = logits + torch.stack(noise)
            return [tuple(row) for row in logits.argmax(2).tolist()]

    def _forget_if_changed(self, level: int) -> None:
        """Forget all routes if the GATE's weights, or the level, are not what they were.

        Where they may be trained, the weights themselves are compared: a fused optimizer's step leaves no other trace.
        """
        assert self.gate is not None
        tensors = [*self.gate.parameters(), self.seed]
        versions = [level, *(tensor._version for tensor in tensors)]
        same = versions == self._versions and all(a is b for a, b in zip(tensors, self._tensors, strict=True))
        if same and any(tensor.requires_grad for tensor in tensors):
            same = all(torch.equal(a, b) for a, b in zip(tensors, self._values, strict=True))
        if not same:
            self._versions, self._tensors = versions, tensors
            self._values = [tensor.detach().clone() for tensor in tensors]
        if not same or len(self._known) > REMEMBERED:
            self._known.clear()

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(stream_seed(int(self.seed), *purpose))

    def _note(self, gradient: Tensor) -> None:
        self._square = self._square + gradient.pow(2).sum()  # type: ignore[assignment]
        self._learned += 1


def gated(output: Tensor, gate: Tensor) -> Tensor:
    """Return an edge's output; the gate gets the gradient that it would as a factor of one.

    Args:
        output: Of any shape.
        gate: A scalar.
    """
    found: Tensor = _Gated.apply(output, gate)  # type: ignore[no-untyped-call]
    return found


def all_blocks(
    run: Callable[[int], Tensor], weights: Callable[[int], Iterable[Tensor]], gates: Tensor, chosen: int
) -> Tensor:
    """Return an edge's output as ``all`` has it: that of the chosen block, while all blocks run.

    Forward and backward it is the sum of gates and outputs. As the gate of every block but the chosen one is zero,
    these are run without gradients, and their weights get the zeros that they would.

    Args:
        run: Runs a block, by its number.
        weights: Gives a block's parameters that `run` uses.
        gates: (L,), see `Draw`.
        chosen: The number of the chosen block.
    """
    others = [number for number in range(len(gates)) if number != chosen]
    with torch.no_grad():
        outputs = {number: run(number) for number in others}
    outputs[chosen] = run(chosen)
    idle = [weight for number in others for weight in weights(number)]
    ordered = [outputs[number] for number in range(len(gates))]
    found: Tensor = _AllBlocks.apply(chosen, gates, *ordered, *idle)  # type: ignore[no-untyped-call]
    return found


class _AllBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chosen: int, gates: Tensor, *tensors: Tensor) -> Tensor:
        ctx.chosen, ctx.gates, ctx.idle = chosen, gates, tensors[len(gates) :]
        ctx.save_for_backward(*tensors[: len(gates)])
        return tensors[chosen].view_as(tensors[chosen])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        credit = torch.stack([(grad * output).sum() for output in ctx.saved_tensors]).to(ctx.gates)
        of_outputs = [grad if number == ctx.chosen else None for number in range(len(credit))]
        return (None, credit, *of_outputs, *(torch.zeros_like(weight) for weight in ctx.idle))


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(output)
        ctx.dtype = gate.dtype
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        (output,) = ctx.saved_tensors
        return grad, (grad * output).sum().to(ctx.dtype)


class _Credit(torch.autograd.Function):
    """Ones; the gradients of those at `edges`, minus the baseline, go to the logarithms; the baseline learns."""

    @staticmethod
    def forward(ctx: Any, likelihood: Tensor, baseline: Tensor, edges: Tensor, operations: Tensor) -> Tensor:
        ctx.save_for_backward(edges, operations)
        ctx.baseline = baseline
        return torch.ones_like(likelihood)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        edges, operations = ctx.saved_tensors
        surprise = torch.zeros_like(grad)
        surprise[edges] = grad[edges] - ctx.baseline[edges, operations]
        ctx.baseline[edges, operations] += BASELINE_RATE * surprise[edges]
        return surprise, None, None, None


def _gumbel(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return Gumbel noise of this shape."""
    uniform = torch.rand(like.shape, generator=generator, dtype=torch.float64).clamp_(min=1e-20)
    return -(-uniform.log()).log().to(like)
