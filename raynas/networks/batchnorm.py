"""Batch norm for shared weights, with the statistics that a score uses as an explicit policy.

Three policies, the most argued question of the field:

* ``batch``: the statistics of the batch being scored. Independent of what was trained before, dependent on the batch.
* ``recalibrate``: for each architecture anew, the mean of the batch statistics over some training images.
* ``running``: the running averages of training, which in a supernet mix all paths.

No policy changes a buffer: scoring leaves the supernet as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from raynas.networks.shared import SharedLayer, copy_weights

BatchNormPolicy = Literal["batch", "recalibrate", "running"]
Statistics = tuple[Tensor, Tensor]


_GROUPS: ContextVar[int] = ContextVar("groups", default=1)


@contextmanager
def grouped(groups: int) -> Iterator[None]:
    """Let every `BatchNorm` called inside take its batch for so many equal parts, each with statistics of its own.

    So several networks with the same weights, or with some in common, run as one batch.
    """
    token = _GROUPS.set(groups)
    try:
        yield
    finally:
        _GROUPS.reset(token)


def several_groups() -> bool:
    """Say whether batches are taken for several now."""
    return _GROUPS.get() > 1


def normalise_groups(x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise each group of a batch by its own statistics, in a few passes over all of it.

    Args:
        x: (G * B, C, ...), group after group.
        groups: G.
        weight: The scale (C,), if any.
        bias: The shift (C,), if any.
        eps: Added to the variance.
    """
    apart = x.view(groups, -1, *x.shape[1:]).float()  # statistics, and what is made of them, are never bfloat16
    over = [1, *range(3, apart.ndim)]
    variance, mean = torch.var_mean(apart, over, correction=0, keepdim=True)
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight.view(-1, *[1] * (x.ndim - 2))
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias.view(-1, *[1] * (x.ndim - 2))
    return torch.addcmul(shift, apart, scale).flatten(0, 1).to(x.dtype)


class BatchNorm(SharedLayer):
    """Batch normalisation over (B, C, ...).

    In training mode it uses the batch's statistics, and updates running averages if it tracks them. In evaluation mode
    it uses the running averages if it tracks them, else the batch's; `scoring_statistics` overrides that for a while.
    An input of fewer channels uses the first of them.

    Args:
        channels: The most channels C.
        affine: Whether it has a scale and a shift.
        track: Whether it keeps running averages.
        momentum: The weight of a new batch in the running averages.
        eps: Added to the variance.
        dims: Spatial dimensions of the input: 2 for (B, C, H, W).
    """

    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self, channels: int, *, affine: bool, track: bool, momentum: float = 0.1, eps: float = 1e-5, dims: int = 2
    ) -> None:
        super().__init__()
        self.channels, self.momentum, self.eps, self.dims = channels, momentum, eps, dims
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels) if track else None)
        self.register_buffer("running_var", torch.ones(channels) if track else None)
        self._batch_statistics = False
        self._collected: list[Statistics] | None = None
        self._override: Statistics | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x; see the class for which statistics are used, and `grouped` for several networks at once."""
        groups = _GROUPS.get()
        if groups > 1:
            return self.by_group(x, groups)
        mean, var, weight, bias = self._tensors(x.shape[1])
        from_batch = self.training or mean is None
        if not self.training:
            if self._collected is not None:
                over = [dim for dim in range(x.ndim) if dim != 1]
                wide = x.float() if x.dtype == torch.bfloat16 else x
                self._collected.append((wide.mean(over), wide.var(over)))
            if self._override is not None:
                mean, var = self._override
                from_batch = False
            elif self._batch_statistics:
                mean = var = None
                from_batch = True
        return functional.batch_norm(x, mean, var, weight, bias, from_batch, self.momentum, self.eps)

    def by_group(self, x: Tensor, groups: int) -> Tensor:
        """Normalise each of so many equal parts of the batch by its own statistics, where `uses_batch`.

        Args:
            x: (G * B, C, ...), group after group.
            groups: G.
        """
        if (self.training and self.running_mean is not None) or not self.uses_batch:
            raise ValueError("only statistics of the batch itself can be taken group by group")
        if x.device.type == "cpu":  # whose kernel is faster, even called for each group, than passes over all of them
            parts = x.chunk(groups)
            return torch.cat(
                [functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps) for x in parts]
            )
        return normalise_groups(x, groups, self.weight, self.bias, self.eps)

    @property
    def uses_batch(self) -> bool:
        """Whether it uses the statistics of the batch now, and nothing besides is asked of it."""
        if self.training:
            return True
        chosen = self._batch_statistics or self.running_mean is None
        return chosen and self._collected is None and self._override is None

    def by_batch(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalise x, (B, C, ...) of all its channels, below autograd, where `uses_batch`.

        Returns:
            The output, and the batch's mean and 1 / standard deviation (C,), which `by_batch_backward` needs.
        """
        mean, var = (self.running_mean, self.running_var) if self.training else (None, None)
        return torch.native_batch_norm(x, self.weight, self.bias, mean, var, True, self.momentum, self.eps)

    def by_batch_backward(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor | None,
        mean: Tensor,
        inverse_std: Tensor,
        *,
        always: bool = False,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the gradients of input, scale and shift of `by_batch`.

        Args:
            grad: That of the output.
            x: The input.
            weight: The scale as it was then.
            mean: As `by_batch` returned it.
            inverse_std: As `by_batch` returned it.
            always: Return those of a scale of one, and of a shift of zero, where it has none.
        """
        wanted = always or weight is not None
        gradients: tuple[Tensor, Tensor | None, Tensor | None] = torch.ops.aten.native_batch_norm_backward.default(
            grad, x, weight, None, None, mean, inverse_std, True, self.eps, [True, wanted, wanted]
        )
        return gradients

    def plain(self, channels: int) -> nn.Module:  # type: ignore[override]
        """Return torch's batch norm with the same scale, shift and running averages."""
        mean, var, weight, bias = self._tensors(channels)
        layer = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[self.dims](
            channels, self.eps, self.momentum, affine=weight is not None, track_running_stats=mean is not None
        )
        known = next((tensor for tensor in (weight, mean) if tensor is not None), None)
        if known is not None:
            layer = layer.to(known.device)
        return copy_weights(layer, weight=weight, bias=bias, running_mean=mean, running_var=var).train(self.training)

    def _tensors(self, channels: int) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        all_four = self.running_mean, self.running_var, self.weight, self.bias
        if channels == self.channels:
            return all_four
        mean, var, weight, bias = (None if tensor is None else tensor[:channels] for tensor in all_four)
        return mean, var, weight, bias


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """Return every `BatchNorm` of the network."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@contextmanager
def scoring_statistics(
    network: nn.Module, policy: BatchNormPolicy, recalibrate: Callable[[], object] | None = None
) -> Iterator[None]:
    """Put the network into evaluation mode under a policy, and back as it was afterwards.

    Args:
        network: A network whose normalisations are `BatchNorm`.
        policy: See the module's docstring.
        recalibrate: With ``recalibrate``, runs the network over training images once; its statistics are then used.

    Raises:
        ValueError: ``running`` on a network that tracks nothing, or ``recalibrate`` without images to run.
    """
    layers = batch_norms(network)
    if policy == "running" and any(layer.running_mean is None for layer in layers):
        raise ValueError("batch-norm policy 'running' needs a supernet built with track=True")
    was_training = network.training
    network.eval()
    try:
        for layer in layers:
            layer._batch_statistics = policy != "running"
        if policy == "recalibrate":
            if recalibrate is None:
                raise ValueError("batch-norm policy 'recalibrate' needs training images to run")
            for layer in layers:
                layer._collected = []
            with torch.no_grad():
                recalibrate()
            for layer in layers:
                if layer._collected:
                    means, variances = zip(*layer._collected, strict=True)
                    layer._override = torch.stack(means).mean(0), torch.stack(variances).mean(0)
                layer._collected = None
        yield
    finally:
        for layer in layers:
            layer._batch_statistics, layer._collected, layer._override = False, None, None
        network.train(was_training)
