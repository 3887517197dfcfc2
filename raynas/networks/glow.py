"""`GlowSupernet`: a supernet whose operations take their weights from blocks, and not by where they stand.

A GLOW block of CLOSE (Zhou et al., ECCV 2022) is a full set of candidate operations with no position attached. How many
blocks are in reach is the supernet's level: with one, all positions share their weights; with as many as positions,
and each its own, they share nothing. Every layer (cell) has blocks of its own; which block an edge uses is decided once
an architecture, and holds in all layers.

To add a space, register its network with `GLOWS`: it is built as the space's supernet is, with two arguments more.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from raynas.errors import ConfigError
from raynas.networks.gate import Gate, Graph
from raynas.networks.gate_router import GlowSettings, Route, Router
from raynas.networks.mixture import Mixture
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.registry import Registry
from raynas.spaces import Architecture, Space

WATCHED = 64
"""Architectures that diagnostics look at."""


class GlowSupernet(Supernet):
    """What a curriculum needs of a supernet with blocks; call `set_up` when it is built.

    Unreachable blocks are in no graph, get no gradient and keep their initial weights. How scoring assigns blocks must
    be a function of the state in ``state_dict()`` and of the architecture alone.
    """

    gates: ClassVar[tuple[str, ...]] = ("node", "random", "fixed", "positions")
    """What the sharing's `gate` can be here; the first is meant where it is not given."""

    reuses_layers = True
    settings: GlowSettings
    reached: Tensor

    def set_up(self, settings: GlowSettings) -> None:
        """Take in the settings and begin with all blocks in reach, until a curriculum says otherwise."""
        self.settings = settings
        self.register_buffer("reached", torch.tensor(0))

    @property
    def begun(self) -> bool:
        """Whether a curriculum has set the level, of this supernet or of the one that it has its weights from."""
        return bool(self.reached)

    @property
    def level(self) -> int:
        """L: blocks 0 to L - 1 can be reached."""
        return int(self.reached) or self.settings.blocks

    def set_level(self, level: int) -> None:
        """Let so many blocks be reached, 1 to K; weights are left as they are."""
        if not 1 <= level <= self.settings.blocks:
            raise ValueError(f"the level must be 1 to {self.settings.blocks}, got {level}")
        self.reached.fill_(level)

    @classmethod
    def refusals(cls, space: Space, settings: GlowSettings) -> list[str]:
        """Return why there cannot be such a supernet, each with what is allowed; nothing where there can."""
        del space
        if settings.gate in cls.gates:
            return []
        return [f"'gate': {cls.__name__} has no '{settings.gate}' (allowed: {', '.join(cls.gates)})"]

    @abstractmethod
    def bank(self, number: int) -> Sequence[nn.Module]:
        """Return what holds a block's weights, a module a layer; those of all blocks are built alike.

        Where no architecture of a subspace can use a block in a layer, it is a module without weights.
        """

    def source(self, number: int) -> int:
        """Return the block that a block follows, whose weights it begins with: the one before, unless overridden."""
        return number - 1

    @property
    def gate(self) -> Gate | None:
        """The GATE, if there is one that learns."""
        return None

    def undecayed(self) -> Sequence[nn.Parameter]:
        """Return the GATE's parameters, but where it decays as released."""
        if self.gate is None or self.settings.released:
            return ()
        return list(self.gate.parameters())

    def routing(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor] | None:
        """Return how blocks are assigned in random architectures; None where that is not drawn.

        Args:
            rng: Draws them.
            count: How many.

        Returns:
            The operation of each of their E edges, (N, E) int64 with 0 for none, and the probability of each block in
            reach, (N, E, L).
        """
        del rng, count
        return None

    def diagnostics(self) -> dict[str, float]:
        """Return the level and, of the edges that carry something, how they are assigned to blocks, in nats.

        ``blocks_run``: how many blocks an edge with weights runs in a training step, which the budget does not count.
        ``gate_entropy``: of an edge's block, mean over edges: the logarithm of the level where it is uniform.
        ``gate_information``: of the block about the operation: 0 where the GATE does not look at it.
        """
        runs_all = self.settings.estimator == "all" and self.gate is not None
        found = {"level": float(self.level), "blocks_run": float(self.level if runs_all else 1)}
        drawn = self.routing(np.random.default_rng(0), WATCHED)
        if drawn is not None:
            operations, probabilities = (tensor.flatten(0, 1) for tensor in drawn)
            carries = operations > 0
            if carries.any():
                entropy, information = _entropy_and_information(operations[carries], probabilities[carries].double())
                found |= {"gate_entropy": entropy, "gate_information": information}
        return found


class RoutedGlow(GlowSupernet):
    """A supernet whose blocks are assigned by a `Router`, which is there as soon as it is built."""

    router: Router
    _runs_as_scored = False

    @abstractmethod
    def graph(self, architecture: Architecture) -> Graph:
        """Return an architecture as the router sees it."""

    @property
    def gate(self) -> Gate | None:
        """The GATE, with ``gate: node``."""
        return self.router.gate

    @property
    def draws_routes(self) -> bool:
        """Whether a pass with gradients runs what `Router.draw` says, and not what is scored."""
        return self.training and not self._runs_as_scored

    @contextmanager
    def as_scored(self) -> Iterator[None]:
        """Run, inside, the blocks that `routes` says: none are drawn, and the GATE and its baseline learn nothing."""
        before, self._runs_as_scored = self._runs_as_scored, True
        try:
            yield
        finally:
            self._runs_as_scored = before

    def routes(self, architectures: Sequence[Architecture]) -> list[Route]:
        """Return the block of each edge, where architectures are not trained."""
        return self.router.routes([self.graph(architecture) for architecture in architectures], self.level)

    def counts_its_calls(self) -> bool:
        """Say that it does where training draws blocks."""
        draws = self.draws_routes and self.level > 1 and self.settings.gate in ("node", "random")
        return draws or super().counts_its_calls()

    def plain(self, architecture: Architecture, *, fresh: bool = False) -> nn.Module:
        """Return the stand-alone network of an architecture, with copies of the weights of the blocks it is scored by.

        See `Supernet.plain`. Edges that share a block become layers with weights of their own.
        """
        (route,) = self.router.routes([self.graph(architecture)], self.level)
        with self.router.pinned(route):
            return super().plain(architecture, fresh=fresh)

    def forward_mixture(self, images: Tensor, mixture: Mixture) -> Tensor:
        """Refuse: which block an edge uses is a function of a discrete architecture."""
        raise NotImplementedError(f"{type(self).__name__} cannot be relaxed")

    def routing(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Return how blocks are assigned in random architectures."""
        graphs = [self.graph(self.space.sample(rng)) for _ in range(count)]
        operations = torch.stack([graph.operations for graph in graphs])
        return operations, self.probabilities(graphs)

    def probabilities(self, graphs: Sequence[Graph]) -> Tensor:
        """Return with which probability training assigns each block to the graphs' edges, (N, E, L) on the CPU."""
        return self.router.probabilities(graphs, self.level)

    def diagnostics(self) -> dict[str, float]:
        """Return how blocks are assigned, and the norm of the gradient that the GATE's logits got."""
        learned = {"gate_gradient": self.router.gradient_norm()} if self.gate is not None else {}
        return {**super().diagnostics(), **learned}


def _entropy_and_information(operations: Tensor, probabilities: Tensor) -> tuple[float, float]:
    """Return the mean entropy of rows (N, L), and the mutual information of block and operation (N,)."""
    entropy = float(torch.special.entr(probabilities).sum(1).mean())
    joint = torch.zeros(int(operations.max()) + 1, probabilities.shape[1], dtype=probabilities.dtype)
    joint.index_add_(0, operations, probabilities / len(operations))
    apart = torch.special.entr(joint.sum(0)).sum() + torch.special.entr(joint.sum(1)).sum()
    return entropy, max(0.0, float(apart - torch.special.entr(joint).sum()))


GLOWS: Registry[GlowSupernet] = Registry("GLOW network")
"""Builders of supernets with blocks, by the name of the space they are for; called as those of `NETWORKS` are, with two
keyword arguments more: ``settings``, a `GlowSettings`, and ``seed``, of what they draw."""


def glow_class(space: Space) -> type[GlowSupernet]:
    """Return the class of a space's supernet with blocks.

    Raises:
        UnknownNameError: There is none.
    """
    return cast("type[GlowSupernet]", GLOWS.get(space.name))


def glow_supernet(
    space: Space,
    settings: GlowSettings,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    seed: int = 0,
    **options: Any,
) -> GlowSupernet:
    """Build the supernet of a (sub)space with blocks.

    Args:
        space: The architectures it shall run.
        settings: How blocks are shared.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        seed: Seed of the initial weights and of what is drawn; torch's global generator is left alone.
        options: Keyword arguments of the space's network.

    Raises:
        ConfigError: An option is unknown or not allowed, the space has no such network, or it cannot be had so.
    """
    problems = glow_class(space).refusals(space, settings)
    if problems:
        raise ConfigError(problems, "the sharing glow")
    checked = NETWORKS.checked(space.name, options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GLOWS.make(space.name, space, input_shape, classes, settings=settings, seed=seed, **checked)
