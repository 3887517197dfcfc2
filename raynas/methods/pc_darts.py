"""PC-DARTS (Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020).

Every edge mixes its operations by softmax(alpha) on one of every k channels; the others pass by (through 2x2 max
pooling where the operations halve the size), and the channels are shuffled (section 3.2). Every node weighs its edges
by softmax(beta) (edge normalisation, section 3.3), and beta is learned with alpha. An edge of the discrete architecture
is as strong as its strongest operation times its own weight.

Differences from the released code. Its operations have C / k channels; ours are those of the supernet, C channels wide,
and a mixture uses the first C / k by C / k of their weights. The discrete architectures that are scored use all of
them: it is the warm-up by uniform paths that trains the rest, over the share of the budget in which the released code
trains the relaxed network with its alpha fixed (15 of 50 epochs; `warmup_by: soft` with `soft_delta: 0` is that). The
scores of a supernet trained so say little; its alpha is what is learned.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from raynas.methods.differentiable import (
    AlphaBetas,
    AlphaDecay,
    AlphaLr,
    Delta,
    DifferentiableSampler,
    Entropy,
    Warmup,
    WarmupBy,
    WithNone,
)
from raynas.methods.sampler import SAMPLERS
from raynas.networks.mixture import Mixture
from raynas.spaces import Space

Partial = Annotated[int, Field(ge=1, description="k: one of every k channels is mixed; divides the network's channels")]


@SAMPLERS.register("pc_darts")
class PcDartsSampler(DifferentiableSampler):
    """Every edge mixes its operations on some of the channels, and every node its edges (PC-DARTS).

    Args:
        space: The (sub)space that the supernet holds.
        partial: k: one of every k channels is mixed.
        alpha_lr: See `DifferentiableSampler`, as for all that follow.
        alpha_betas: Adam's decay rates for alpha.
        alpha_weight_decay: L2 penalty on alpha.
        warmup: The share of the budget before alpha is learned.
        warmup_by: What trains the weights meanwhile.
        soft_delta: What sets a soft one-shot mixture's path off.
        entropy: Weight of the entropy in the loss of alpha.
        with_none: Relaxed edges can carry nothing, in spaces without that option.
    """

    weighs_edges = True

    def __init__(
        self,
        space: Space,
        *,
        partial: Partial = 4,
        alpha_lr: AlphaLr = 3e-4,
        alpha_betas: AlphaBetas = (0.5, 0.999),
        alpha_weight_decay: AlphaDecay = 1e-3,
        warmup: Warmup = 0.3,
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
        self.partial = partial

    def mixture(self, rng: np.random.Generator) -> Mixture:
        """Return the mixture by softmax(alpha), edges weighed by softmax(beta)."""
        del rng
        weights = [logs.exp() for logs in self.alphas.operations()]
        return Mixture(weights, partial=self.partial, edge_weights=self.alphas.edge_weights())
