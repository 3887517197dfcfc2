"""SNAS (Xie et al., "SNAS: Stochastic Neural Architecture Search", ICLR 2019).

Every edge mixes its operations by a sample of the concrete distribution, softmax((log p + G) / lambda), with
p = softmax(alpha) and G independent standard Gumbel numbers, drawn anew for every forward pass and shared by the images
of a batch and the cells of a kind. Gradients reach alpha through the sample.

Differences: there is no penalty on resources. The paper anneals the temperature; aw_nas leaves it at 1, which is
the default (`temperature: [1.0, 0.03]` anneals). aw_nas also adds 0.01 times the entropy of alpha (`entropy: 0.01`).
"""

from __future__ import annotations

import numpy as np

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
from raynas.methods.sampler import SAMPLERS
from raynas.networks.mixture import Mixture
from raynas.spaces import Space


@SAMPLERS.register("snas")
class SnasSampler(DifferentiableSampler):
    """Every edge mixes its operations by a soft sample from softmax(alpha) (SNAS).

    Args:
        space: The (sub)space that the supernet holds.
        temperature: Of the sample, at the beginning and the end of the part of the budget in which alpha is learned.
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
        temperature: Temperature = (1.0, 1.0),
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

    @property
    def temperature(self) -> float:
        """The temperature of the present step."""
        return linear(self._temperatures, self.policy_progress)

    def mixture(self, rng: np.random.Generator) -> Mixture:
        """Return the mixture by a fresh sample."""
        noise = self.alphas.gumbel(rng, 1)
        drawn = zip(self.alphas.operations(), noise, strict=True)
        return Mixture([((logs + gumbel[0]) / self.temperature).softmax(0) for logs, gumbel in drawn])

    def diagnostics(self) -> dict[str, float]:
        """Return the temperature too."""
        return {**super().diagnostics(), "temperature": self.temperature}
