"""CLOSE: how much is shared falls in the course of the training (Zhou et al., ECCV 2022).

"CLOSE: Curriculum Learning On the Sharing Extent Towards Better One-shot NAS". The supernet's weights lie in blocks
with no position attached (sharing ``glow``, `raynas.networks.glow`); training begins with one block for all positions,
which is quick to train, and gets one block more at a time (curriculum ``close``), which makes architectures easier to
tell apart. A new block begins with the weights of the one before (WIT, weight inheritance), the GATE's row for it with
the sum of both rows, and the learning rate's schedule begins anew at given moments (SRT, schedule restart).

Where the released code (aw_nas, commit e9bfee6) differs from what the paper means, ``official: true`` of the sharing
and of the curriculum does what the code does:

* a new block is the sum of its own initial weights and the inherited ones, normalisation's included, not a copy;
* the GATE's last layer becomes a new parameter with every level, which the optimizer does not know until it is rebuilt:
  it does not learn from there to the next restart of the schedule;
* the GATE decays with the weights, also while there is one block, when its gradients are zeros: after 200 epochs its
  parameters are a few ten-thousandths of what they were;
* all reachable blocks run in every step, and one Gumbel draw an architecture decides which of them is scored.

Not part of ``official``: the schedule (there a plateau rule on the training loss, ``train.schedule: plateau``, which a
restart leaves the best loss of before it, so that the rate falls at once; ours forgets it), momentum (``train.nesterov:
false`` there), and the sampler. That is `uniform` with ``over: classes`` there, and rejects cells without a convolution
between input and output besides: 140 of the 6,461 connected classes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from raynas.errors import ConfigError
from raynas.methods.curriculum import CURRICULA, Curriculum
from raynas.methods.part import Stack
from raynas.methods.sharing import SHARINGS, Sharing
from raynas.methods.view import TrainingView
from raynas.networks import Supernet
from raynas.networks.gate_router import Estimator, GateKind, GlowSettings, ScoreBy
from raynas.networks.glow import GLOWS, GlowSupernet, glow_class, glow_supernet
from raynas.spaces import Architecture, Space

Inheritance = Literal["copy", "sum", "off"]
Share = Annotated[float, Field(ge=0, le=1)]
LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8)
"""When the level rises: the released schedule, epochs 1, 201, 401, 601 and 801 of 1,000."""


@SHARINGS.register("glow")
class GlowSharing(Sharing):
    """Weights in blocks, any of which any position can use (CLOSE); without a curriculum all blocks from the start.

    Args:
        blocks: K, the most blocks.
        gate: How a position gets its block: by the GATE (``node``), at ``random`` in every step, ``fixed`` at random,
            or by its number (``positions``); None for the first that the space's network has.
        estimator: Whether only the block ``chosen`` runs, or ``all`` of them, as released; None for ``chosen``, with
            `official` for ``all``.
        temperature: T of the GATE's softmax in training: it scales the GATE's gradient.
        score: How the GATE routes architectures that are scored: by its largest logits (``argmax``) or by a draw for
            each (``sample``), as released; None for ``argmax``, with `official` for ``sample``.
        official: Do as the released code does: see the module's docstring.
    """

    def __init__(
        self,
        *,
        blocks: Annotated[int, Field(ge=1)] = 4,
        gate: GateKind | None = None,
        estimator: Estimator | None = None,
        temperature: Annotated[float, Field(gt=0)] = 5.0,
        score: ScoreBy | None = None,
        official: bool = False,
    ) -> None:
        self._gate = gate
        self._settings = GlowSettings(
            blocks,
            estimator=estimator or ("all" if official else "chosen"),
            temperature=temperature,
            score=score or ("sample" if official else "argmax"),
            released=official,
        )

    def objections(self, stack: Stack) -> list[str]:
        """Refuse spaces without such a network, blocks or gates that it cannot have, and splits by its gradients."""
        if stack.partition == "gradient_matching":
            return [
                "the partition gradient_matching compares the gradients of modules that belong to one decision, and "
                "with sharing 'glow' all decisions use the same; set method.sharing to positions, or split by "
                "decisions (method.partition.name=given)"
            ]
        if stack.space.name not in GLOWS:
            return [f"there are no blocks for the space {stack.space.name} (there are for: {', '.join(GLOWS)})"]
        return glow_class(stack.space).refusals(stack.space, self._settings_for(stack.space))

    def supernet(
        self, space: Space, *, input_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> Supernet:
        """Return the space's network with blocks."""
        settings = self._settings_for(space)
        return glow_supernet(space, settings, input_shape=input_shape, classes=classes, seed=seed, **options)

    def shared_form(self, space: Space, architecture: Architecture) -> Hashable:
        """Return the architecture itself where it says which blocks it uses: no two are then surely equal."""
        fixed = self._settings_for(space).gate not in ("node", "random")
        return space.shared_form(architecture) if fixed else architecture.options

    def _settings_for(self, space: Space) -> GlowSettings:
        """Return the settings, with the space's own gate where none was given."""
        return replace(self._settings, gate=self._gate or glow_class(space).gates[0])


@CURRICULA.register("close")
class CloseCurriculum(Curriculum):
    """The number of blocks in reach rises, each new one with inherited weights; the schedule begins anew (CLOSE).

    Where a supernet has its weights from one that was trained before it, its level is not lowered.

    Args:
        levels: Shares of the budget at which there are more blocks, from 0 on; as far as the supernet has any.
        first: Blocks at the start.
        step: Blocks more at each of the following levels.
        wit: What a new block begins with: a ``copy`` of an earlier one, the ``sum`` of both, or its own initial weights
            (``off``); None for ``copy``, with `official` for ``sum``. A copy takes normalisation as it is, and adds
            `wit_noise` times the new block's own initial weights, without which two blocks would be one to the GATE.
        wit_noise: See there.
        wit_from: Which block is inherited from: the one that the new one follows (``previous``), or a ``random`` one.
        inherit_gate: Whether the GATE's row for the new block is its own plus that of the block inherited from.
        restarts: Shares of the budget at which the learning rate's schedule begins anew (SRT).
        official: Do as the released code does: see the module's docstring.

    Raises:
        ConfigError: The levels are not growing shares from 0 on.
    """

    def __init__(
        self,
        *,
        levels: Annotated[tuple[Share, ...], Field(min_length=1)] = LEVELS,
        first: Annotated[int, Field(ge=1)] = 1,
        step: Annotated[int, Field(ge=1)] = 1,
        wit: Inheritance | None = None,
        wit_noise: Annotated[float, Field(ge=0)] = 0.1,
        wit_from: Literal["previous", "random"] = "previous",
        inherit_gate: bool = True,
        restarts: tuple[Share, ...] = (0.4,),
        official: bool = False,
    ) -> None:
        if levels[0] != 0 or list(levels) != sorted(set(levels)):
            raise ConfigError([f"'levels': must be growing shares of the budget that begin with 0, got {list(levels)}"])
        self.levels, self.first, self.step = tuple(levels), first, step
        self.wit: Inheritance = wit or ("sum" if official else "copy")
        self.wit_noise, self.wit_from, self.inherit_gate = wit_noise, wit_from, inherit_gate
        self.restarts, self.official = tuple(restarts), official
        self._restarted = 0

    def objections(self, stack: Stack) -> list[str]:
        """Refuse a sharing without levels, or with too few blocks for them to rise."""
        if stack.sharing != "glow":
            return [f"sharing '{stack.sharing}' has no levels that could rise; set method.sharing to glow"]
        if stack.blocks == 1:
            return [
                "it makes more and more blocks reachable, and there is 1; set method.sharing.blocks to 2 or more, or "
                "leave method.curriculum out"
            ]
        if stack.blocks is not None and self.first > stack.blocks:
            return [
                f"it begins with {self.first} blocks, and there are {stack.blocks}; set method.sharing.blocks to "
                f"{self.first} or more, or method.curriculum.first to {stack.blocks} or less"
            ]
        return []

    def start(self, supernet: Supernet, seed: int) -> None:
        """Begin with the first blocks in reach, unless the weights are of a supernet that had its levels.

        Nothing is trained yet that they could inherit; only with ``sum``, as released, do they follow one another.

        Raises:
            ConfigError: The supernet has no blocks.
        """
        del seed
        if not isinstance(supernet, GlowSupernet):
            raise ConfigError([f"'method.curriculum': a {type(supernet).__name__} has no levels that could rise"])
        if supernet.gate is not None:
            supernet.gate.head_learns.fill_(True)  # a new optimizer knows all of it, also where the parent's did not
        if not supernet.begun:
            supernet.set_level(1 if self.wit == "sum" else min(self.first, supernet.settings.blocks))

    def before_step(self, view: TrainingView, rng: np.random.Generator) -> None:
        """Raise the level as far as is due, then restart the schedule if that is due."""
        supernet, progress = view.supernet, view.progress
        assert isinstance(supernet, GlowSupernet)
        while supernet.level < self._due(progress, supernet.settings.blocks):
            self._raise(supernet, rng)
        restarts = sum(share <= progress for share in self.restarts)
        if restarts > self._restarted:
            self._restarted = restarts
            view.restart()
            if supernet.gate is not None:
                supernet.gate.head_learns.fill_(True)

    def state_dict(self) -> dict[str, Any]:
        """Return how many restarts there were; the level is in the supernet's state."""
        return {"restarted": self._restarted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._restarted = state["restarted"]

    def _due(self, progress: float, blocks: int) -> int:
        passed = sum(share <= progress for share in self.levels)
        return min(blocks, self.first + self.step * (passed - 1))

    def _raise(self, supernet: GlowSupernet, rng: np.random.Generator) -> None:
        """Give the next block its first weights, and let it be reached."""
        new = supernet.level
        source = supernet.source(new) if self.wit_from == "previous" else int(rng.integers(new))
        for mine, other in zip(supernet.bank(new), supernet.bank(source), strict=True):
            _inherit(mine, other, self.wit, self.wit_noise)
        if supernet.gate is not None and self.inherit_gate:
            supernet.gate.inherit(new, source)
            if self.official:
                supernet.gate.head_learns.fill_(False)
        supernet.set_level(new + 1)


def _inherit(mine: nn.Module, other: nn.Module, wit: Inheritance, noise: float) -> None:
    """Change the weights and buffers of a new block's module in place.

    Args:
        mine: The new block's module, with its initial weights.
        other: The same of the block that is inherited from; without weights where a subspace does not need that block.
        wit: See `CloseCurriculum`.
        noise: See `CloseCurriculum`.
    """
    theirs: dict[str, Tensor] = other.state_dict()
    with torch.no_grad():
        for name, tensor in mine.state_dict().items():
            if name not in theirs:
                continue
            if wit == "sum":
                tensor += theirs[name]
            elif wit == "copy" and tensor.ndim > 1:
                tensor.mul_(noise).add_(theirs[name])
            elif wit == "copy":
                tensor.copy_(theirs[name])
