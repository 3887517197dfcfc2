"""What differentiable methods have in common: a relaxed supernet whose mixing weights are learned on held-out images.

The space is relaxed to a network in which every edge is a weighted sum of its operations (`Mixture`); the weights are
functions of parameters alpha. Each training step takes one step on alpha, by Adam, on a batch of the held-out half of
the images and with the weights as they are, and then one on the weights, by the trainer, on a training batch and with
alpha as it is (Liu et al., "DARTS", ICLR 2019, algorithm 1). What goes forward and backward for alpha is charged to the
budget as images trained, so that a step costs at least twice a plain one.

During `warmup` alpha stays as it is and the weights are trained by uniform single paths, or by the "soft one-shot"
mixtures of Yu et al., "Landmark Regularization" (CVPR 2021, released code): on every edge the operation of a uniform
path gets 1/n + delta and the n - 1 others 1/n - delta/(n - 1); edges that the path lacks carry nothing with the larger
weight, or mix evenly where that is none of their operations; with weighed edges (PC-DARTS) the m of n into a node that
the path has get 1/n + delta each. With delta = 0 that is the relaxed network with an alpha of zero, which is PC-DARTS'
own warm-up.

A supernet that inherits trained weights, as a partition's does, has no warm-up, and begins with its parent's alpha for
the operations that it keeps (GM-NAS, Hu et al., ICLR 2022: children inherit alpha). Adam's moments and temperatures
begin anew.

Scores are always of discrete architectures, and so are the forward passes of a regularizer: it asks for an order of
those scores, and no gradient reaches alpha from it. (The released code of landmark regularization does that for GDAS,
and passes landmarks through soft one-shot mixtures for DARTS and PC-DARTS, where it evaluates in that form too.)
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from raynas.methods.alphas import Alphas
from raynas.methods.part import Stack
from raynas.methods.sampler import Sampler
from raynas.methods.soft_one_shot import soft_one_shot
from raynas.methods.view import Path, TrainingView
from raynas.networks import NETWORKS, Supernet
from raynas.networks.mixture import Mixture
from raynas.spaces import Architecture, Space

AlphaLr = Annotated[float, Field(gt=0, description="Adam's learning rate of alpha")]
AlphaBetas = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
    Field(description="Adam's decay rates for alpha"),
]
AlphaDecay = Annotated[float, Field(ge=0, description="L2 penalty on alpha")]
Warmup = Annotated[float, Field(ge=0, le=1, description="share of the budget before alpha is learned")]
WarmupBy = Annotated[Literal["paths", "soft"], Field(description="single paths, or soft one-shot mixtures")]
Delta = Annotated[float, Field(ge=0, le=0.15, description="what sets a soft one-shot mixture's path off")]
Entropy = Annotated[float, Field(description="times the sum of the edges' entropies, added to the loss of alpha")]
WithNone = Annotated[bool, Field(description="relaxed edges can carry nothing, in spaces without that option")]
Positive = Annotated[float, Field(gt=0)]
Temperature = Annotated[tuple[Positive, Positive], Field(description="at the beginning and the end, linear between")]


def can_be_relaxed(space: str) -> bool:
    """Say whether the network of a space, by its name, runs mixtures."""
    network = NETWORKS.get(space)
    return getattr(network, "forward_mixture", Supernet.forward_mixture) is not Supernet.forward_mixture


class DifferentiableSampler(Sampler):
    """Trains the weights of a mixture, and the mixture.

    Args:
        space: The (sub)space that the supernet holds.
        alpha_lr: Learning rate of alpha.
        alpha_betas: Adam's decay rates for alpha.
        alpha_weight_decay: L2 penalty on alpha, as Adam has it.
        warmup: The share of the budget in which alpha stays as it is; at 1 it is never learned, nothing is held out,
            and by single paths this is the uniform sampler.
        warmup_by: What trains the weights meanwhile: uniform single paths, or soft one-shot mixtures.
        soft_delta: What sets a soft one-shot mixture's path off from the others.
        entropy: Times the sum over edges of the entropy (nats) of their operations, added to the loss of alpha: above 0
            pulls towards a decision (0.01 in aw_nas' DARTS and SNAS), below 0 keeps it open.
        with_none: Relaxed edges can also carry nothing where that is no option of the space (DARTS); it takes part in
            the mixture, and no architecture has it.
    """

    weighs_edges = False
    """Whether the edges into a node are weighed too."""
    partial = 1
    """One of every so many channels is mixed."""

    def __init__(
        self,
        space: Space,
        *,
        alpha_lr: AlphaLr,
        alpha_betas: AlphaBetas,
        alpha_weight_decay: AlphaDecay,
        warmup: Warmup,
        warmup_by: WarmupBy,
        soft_delta: Delta,
        entropy: Entropy,
        with_none: WithNone,
    ) -> None:
        super().__init__(space)
        self.alpha_lr, self.alpha_weight_decay = alpha_lr, alpha_weight_decay
        self.alpha_betas = (alpha_betas[0], alpha_betas[1])
        self.warmup, self.warmup_by, self.soft_delta, self.entropy = warmup, warmup_by, soft_delta, entropy
        self._nothing = with_none and not any("none" in decision.options for decision in space.root.decisions)
        self._progress = 0.0
        self._parent: Mapping[str, Any] | None = None

    @abstractmethod
    def mixture(self, rng: np.random.Generator) -> Mixture:
        """Return the mixture of one forward pass, its weights with their graph to alpha."""

    def objections(self, stack: Stack) -> list[str]:
        """Object to networks that cannot be relaxed, and to weights that are not by position."""
        found = []
        if not can_be_relaxed(stack.space.name):
            able = ", ".join(name for name in NETWORKS if can_be_relaxed(name))
            found.append(
                f"{stack.sampler} trains a relaxed network, and that of {stack.space.name} cannot be relaxed (those "
                f"that can: {able}); choose one of these, or a sampler of discrete paths (uniform)"
            )
        if stack.sharing != "positions":
            found.append(
                f"{stack.sampler} mixes the operations of fixed positions, and sharing '{stack.sharing}' chooses "
                "weights by the discrete architecture; set method.sharing to positions"
            )
        return found

    def heldout_images(self, count: int) -> int:
        """Return half of the images, on which alpha is learned."""
        return 0 if self.warmup == 1 else count // 2

    def inherits(self, state: Mapping[str, Any] | None = None) -> None:
        """Do without a warm-up, as the weights have had it, and begin with the parent's alpha if there is one."""
        if self.warmup < 1:
            self.warmup, self._parent = 0.0, state

    def start(self, supernet: Supernet, seed: int) -> None:
        """Initialise alpha."""
        self.supernet = supernet
        self._device = next(supernet.parameters()).device
        self.alphas = Alphas(supernet.mixed_edges, seed=seed, nothing=self._nothing, weigh_edges=self.weighs_edges)
        if self._parent is not None:
            self.alphas.take_over(self._parent["alpha"], self._parent["places"])
            self._parent = None
        self._optimizer = torch.optim.Adam(
            [self.alphas.values], lr=self.alpha_lr, betas=self.alpha_betas, weight_decay=self.alpha_weight_decay
        )

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> Sequence[Path]:
        """Take a step on alpha, and return the mixture that the weights are to be trained with."""
        self._progress = view.progress
        if self.warmup == 1 or self._progress < self.warmup:
            architecture = self.space.sample(rng)
            return [architecture if self.warmup_by == "paths" else self.soft_one_shot(architecture)]
        values = self.alphas.values
        values.grad = self.gradient(view, rng)
        if self.entropy:
            (pull,) = torch.autograd.grad(self.alphas.entropies().sum(), [values], materialize_grads=True)
            values.grad += self.entropy * pull
        self._optimizer.step()
        with torch.no_grad():
            return [self.mixture(rng).to(self._device)]

    def gradient(self, view: TrainingView, rng: np.random.Generator) -> Tensor:
        """Return the gradient (N,) of alpha, and charge what it took; of the held-out loss at the present weights."""
        images, targets = view.heldout_batch("alpha")
        loss = view.loss(self.mixture(rng).to(self._device), images, targets)
        view.count(trained=len(images))
        (gradient,) = torch.autograd.grad(loss, [self.alphas.values], materialize_grads=True)
        return gradient

    @property
    def policy_progress(self) -> float:
        """How much of the part of the budget in which alpha is learned was spent when the last step began, 0 to 1."""
        if self.warmup == 1:
            return 0.0
        return min(max((self._progress - self.warmup) / (1 - self.warmup), 0.0), 1.0)

    def soft_one_shot(self, architecture: Architecture) -> Mixture:
        """Return the mixture that prefers an architecture a little: see the module."""
        edges, places = self.supernet.mixed_edges, self.supernet.edge_places(architecture)
        soft = soft_one_shot(
            edges, places, self.soft_delta, nothing=self._nothing, weigh_edges=self.weighs_edges, partial=self.partial
        )
        return soft.to(self._device)

    @property
    def derived(self) -> Architecture | None:
        """The architecture that alpha stands for by now; None if it is not to be learned."""
        return None if self.warmup == 1 else self.most_likely()

    def most_likely(self) -> Architecture:
        """Return the architecture of the largest weights."""
        with torch.no_grad():
            weights = [logs.exp() for logs in self.alphas.operations()]
            return self.supernet.most_likely(Mixture(weights, edge_weights=self.alphas.edge_weights()))

    def draws(self, rng: np.random.Generator, count: int) -> list[Architecture]:
        """Return architectures drawn from softmax(alpha).

        Operations are drawn by adding Gumbel noise to their logits and taking the largest. Where a network takes only
        some edges (DARTS), those that come out strongest with the same noise are taken.
        """
        with torch.no_grad():
            noisy = [
                (logs + noise).softmax(1).unbind()
                for logs, noise in zip(self.alphas.operations(), self.alphas.gumbel(rng, count), strict=True)
            ]
            edge_weights = self.alphas.edge_weights()
        mixtures = (Mixture(list(weights), edge_weights=edge_weights) for weights in zip(*noisy, strict=True))
        return [self.supernet.most_likely(mixture) for mixture in mixtures]

    def candidates(self, rng: np.random.Generator, count: int) -> list[Architecture]:
        """Return the architecture that alpha stands for, and others drawn from softmax(alpha)."""
        derived = self.derived
        if derived is None:
            return super().candidates(rng, count)
        return [derived, *self.draws(rng, count - 1)]

    def diagnostics(self) -> dict[str, float]:
        """Return the mean entropy (nats) of edges that have a choice, and how likely the likeliest operations are.

        The latter is the product over edges of the largest probability.
        """
        with torch.no_grad():
            likeliest = torch.stack([logs.max() for logs in self.alphas.operations()]).sum().exp()
            entropy = self.alphas.entropies().mean()
        return {"alpha_entropy": entropy.item(), "likeliest_probability": likeliest.item()}

    def state_dict(self) -> dict[str, Any]:
        """Return alpha and what it belongs to, its optimizer's state, and how far the training was."""
        return {
            "alpha": self.alphas.values.detach(),
            "places": self.alphas.places,
            "optimizer": self._optimizer.state_dict(),
            "progress": self._progress,
            "warmup": self.warmup,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        with torch.no_grad():
            self.alphas.values.copy_(state["alpha"])
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # which would share its tensors
        self._progress, self.warmup = state["progress"], state["warmup"]


def linear(ends: tuple[float, float], progress: float) -> float:
    """Return the value after a share of a linear change, 0 to 1, both ends included; never beyond them."""
    share = min(max(progress, 0.0), 1.0)
    return ends[0] * (1 - share) + ends[1] * share
