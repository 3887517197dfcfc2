"""GDAS (Dong & Yang, "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR 2019).

In every forward pass each edge runs one operation, the one drawn from softmax(alpha): the largest of
(log p + G) / tau, with p = softmax(alpha) and G independent standard Gumbel numbers (section 3.2). Gradients reach
alpha as though the weights were softmax((log p + G) / tau), the others' weights, 0 in value, being added to the edge as
numbers, as the released code (AutoDL-Projects) has it. tau goes from 10 to 0.1, linear in the budget; there it changes
from epoch to epoch, and the step on alpha follows that on the weights.

One draw serves all cells of a kind; weights and alpha each get a fresh one. A draw that is not finite, or that connects
nothing to the output, is repeated, at most ten times.

`official` is what the released code of landmark regularization (Yu et al., CVPR 2021) does on NAS-Bench-201: a draw of
its own in every cell. Its temperature, which turns negative, is not repeated; ours is never beyond its two ends.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from raynas.errors import RunError
from raynas.methods.differentiable import (
    AlphaBetas,
    AlphaDecay,
    AlphaLr,
    Delta,
    DifferentiableSampler,
    Entropy,
    Temperature,
    Warmup,
    WarmupBy,
    WithNone,
    linear,
)
from raynas.methods.part import Stack
from raynas.methods.sampler import SAMPLERS
from raynas.networks.mixture import Mixture
from raynas.spaces import Architecture, Space

ATTEMPTS = 10
DRAWS = 1000
"""Architectures drawn to find the most frequent ones."""

Official = Annotated[bool, Field(description="a draw of its own in every cell, as the code of landmark regularization")]


@SAMPLERS.register("gdas")
class GdasSampler(DifferentiableSampler):
    """Every edge runs one operation, drawn from softmax(alpha) with a gradient (GDAS).

    Args:
        space: The (sub)space that the supernet holds.
        temperature: tau at the beginning and the end of the part of the budget in which alpha is learned.
        official: A draw of its own in every cell; on NAS-Bench-201.
        alpha_lr: See `DifferentiableSampler`, as for all that follow.
        alpha_betas: Adam's decay rates for alpha.
        alpha_weight_decay: L2 penalty on alpha.
        warmup: The share of the budget before alpha is learned.
        warmup_by: What trains the weights meanwhile.
        soft_delta: What sets a soft one-shot mixture's path off.
        entropy: Weight of the entropy in the loss of alpha.
        with_none: Relaxed edges can carry nothing, in spaces without that option.
    """

    def __init__(
        self,
        space: Space,
        *,
        temperature: Temperature = (10.0, 0.1),
        official: Official = False,
        alpha_lr: AlphaLr = 3e-4,
        alpha_betas: AlphaBetas = (0.5, 0.999),
        alpha_weight_decay: AlphaDecay = 1e-3,
        warmup: Warmup = 0.0,
        warmup_by: WarmupBy = "paths",
        soft_delta: Delta = 0.01,
        entropy: Entropy = 0.0,
        with_none: WithNone = True,
    ) -> None:
        super().__init__(
            space,
            alpha_lr=alpha_lr,
            alpha_betas=alpha_betas,
            alpha_weight_decay=alpha_weight_decay,
            warmup=warmup,
            warmup_by=warmup_by,
            soft_delta=soft_delta,
            entropy=entropy,
            with_none=with_none,
        )
        self._temperatures = (temperature[0], temperature[1])
        self.official = official

    @property
    def temperature(self) -> float:
        """The tau of the present step."""
        return linear(self._temperatures, self.policy_progress)

    def objections(self, stack: Stack) -> list[str]:
        """Object to `official` where no released code draws cell by cell."""
        found = super().objections(stack)
        if self.official and stack.space.name != "nasbench201":
            found.append(
                f"official draws anew in every cell, as is done on nasbench201 only, and the space is "
                f"{stack.space.name}; set method.sampler.official to false"
            )
        return found

    def mixture(self, rng: np.random.Generator) -> Mixture:
        """Return a mixture in which one drawn operation runs on every edge."""
        cells = self.supernet.mixed_cells if self.official else 1
        first, *others = (self._draw(rng) for _ in range(cells))
        return replace(first, others=others)

    def _draw(self, rng: np.random.Generator) -> Mixture:
        logs = self.alphas.operations()
        for _ in range(ATTEMPTS):
            noise = self.alphas.gumbel(rng, 1)
            soft = [
                ((edge + gumbel[0]) / self.temperature).softmax(0) for edge, gumbel in zip(logs, noise, strict=True)
            ]
            finite = all(bool(weights.isfinite().all()) for weights in soft)
            places = [int(weights.argmax()) for weights in soft]
            if finite and self.supernet.carries(places):
                break
        if not finite:
            raise RunError(
                f"GDAS' alpha is not finite any more ({ATTEMPTS} draws): training has diverged; "
                "lower method.sampler.alpha_lr or train.lr"
            )
        hard = [straight_through(weights, place) for weights, place in zip(soft, places, strict=True)]
        return Mixture(hard, ran=[(place,) for place in places])

    def candidates(self, rng: np.random.Generator, count: int) -> list[Architecture]:
        """Return the architecture that alpha stands for, and the most frequent of 1000 drawn from softmax(alpha)."""
        first = self.derived
        if first is None:
            return super().candidates(rng, count)
        drawn = Counter(architecture for architecture in self.draws(rng, DRAWS) if architecture != first)
        return [first, *(architecture for architecture, _ in drawn.most_common(count - 1))]

    def diagnostics(self) -> dict[str, float]:
        """Return the temperature too."""
        return {**super().diagnostics(), "temperature": self.temperature}


def straight_through(weights: Tensor, place: int) -> Tensor:
    """Return 1 at one place and 0 elsewhere, exactly, with the gradient of the weights (O,)."""
    one_hot = functional.one_hot(torch.tensor(place), len(weights)).to(weights.dtype)
    return one_hot + (weights - weights.detach())
