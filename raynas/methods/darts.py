"""DARTS (Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019).

Every edge mixes its operations by softmax(alpha) (equation 2). The step on alpha descends the held-out loss: at the
present weights (first order), or after a virtual step of the weights on the training batch (second order, equation 7):

    grad_alpha L_val(w', alpha) - xi * grad^2_{alpha, w} L_train(w, alpha) grad_w' L_val(w', alpha),
    w' = w - xi * grad_w L_train(w, alpha)

where xi is the weights' learning rate and the product with the second derivatives is a finite difference (equation 8).

Differences from the released code: the virtual step is the paper's plain gradient step; the code adds momentum and
weight decay. The weights are put back from a copy, bit for bit, where the code adds and subtracts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

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
from raynas.methods.view import TrainingView
from raynas.networks.mixture import Mixture
from raynas.spaces import Space

Order = Annotated[Literal[1, 2], Field(description="2 looks one step of the weights ahead, and costs two and a half")]


@SAMPLERS.register("darts")
class DartsSampler(DifferentiableSampler):
    """Every edge mixes its operations by softmax(alpha) (DARTS).

    Args:
        space: The (sub)space that the supernet holds.
        order: 1 takes the gradient of alpha at the present weights (two images trained for every one of a plain step);
            2 looks a step of the weights ahead (five).
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
        order: Order = 1,
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
        self.order = order

    def mixture(self, rng: np.random.Generator) -> Mixture:
        """Return the mixture by softmax(alpha)."""
        del rng
        return Mixture([logs.exp() for logs in self.alphas.operations()])

    def gradient(self, view: TrainingView, rng: np.random.Generator) -> Tensor:
        """Return the gradient (N,) of alpha; of second order it takes the training batch thrice."""
        if self.order == 1:
            return super().gradient(view, rng)
        heldout = view.heldout_batch("alpha")

        def loss(batch: tuple[Tensor, Tensor], *, trained: bool) -> Tensor:
            view.count(trained=len(batch[0]))
            return view.loss(self.mixture(rng).to(self._device), *batch, trained=trained)

        weights = list(self.supernet.parameters())
        return unrolled_gradient(
            lambda: loss(view.batch, trained=True),
            lambda: loss(heldout, trained=False),
            weights,
            self.alphas.values,
            xi=view.lr,
        )


def unrolled_gradient(
    train_loss: Callable[[], Tensor],
    heldout_loss: Callable[[], Tensor],
    weights: Sequence[Tensor],
    alpha: Tensor,
    *,
    xi: float,
    step: float = 0.01,
) -> Tensor:
    """Return DARTS' second-order gradient of alpha (equations 7 and 8); the weights are left as they were.

    Args:
        train_loss: Computes the training loss, of weights and alpha as they stand when it is called.
        heldout_loss: The same for the held-out loss.
        weights: Tensors that are changed in place, and put back. Those that the losses do not depend on take no part.
        alpha: The parameters of the mixture (N,).
        xi: The length of the virtual step.
        step: The finite difference is so long, in units of the weights.
    """
    before = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def move(direction: Sequence[Tensor], length: float | Tensor) -> None:
        for weight, old, part in zip(weights, before, direction, strict=True):
            weight.copy_(old + length * part)

    try:
        move(torch.autograd.grad(train_loss(), weights, materialize_grads=True), -xi)
        gradient, *ahead = torch.autograd.grad(heldout_loss(), [alpha, *weights], materialize_grads=True)
        epsilon = step / torch.stack([part.norm() for part in ahead]).norm().clamp(min=1e-12)
        move(ahead, epsilon)
        (above,) = torch.autograd.grad(train_loss(), [alpha], materialize_grads=True)
        move(ahead, -epsilon)
        (below,) = torch.autograd.grad(train_loss(), [alpha], materialize_grads=True)
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
    product: Tensor = (above - below) / (2 * epsilon.to(alpha.device))
    return gradient - xi * product
