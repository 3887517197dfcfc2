"""Layers whose weights serve several architectures at once: `SharedLayer`, `ElasticConv2d`, `ElasticLinear`.

An elastic layer holds weights for its largest width and kernel; a smaller one uses a part of them. What it computes for
one architecture is a plain torch layer, which `plain` returns with copied weights: that is how networks are derived.
A part of a larger layer keeps the scale of the larger one's initial weights; `start_anew_where_cut` mends that in a
network that starts untrained.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init


class SharedLayer(nn.Module, ABC):
    """A layer that is called as ``layer(x, *choices)`` and becomes a plain torch layer once the choices are made."""

    @abstractmethod
    def plain(self, channels: int, *choices: int) -> nn.Module:
        """Return the torch layer that does the same for these choices, with copies of the weights.

        Args:
            channels: Channels of the input.
            choices: What follows the input in a call.
        """


def copy_weights(layer: nn.Module, **tensors: Tensor | None) -> nn.Module:
    """Return the layer with its parameters and buffers set to copies of these tensors (None where it has none)."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            if tensor is not None:
                getattr(layer, name).copy_(tensor.detach())
    return layer


def start_anew_where_cut(layer: nn.Module, shared: SharedLayer) -> None:
    """Initialise a layer as torch does one of its size if its weights are only a part of the shared ones.

    Args:
        layer: What `shared.plain` returned.
        shared: The layer it is from.
    """
    own, whole = (getattr(one, "weight", None) for one in (layer, shared))
    if own is not None and whole is not None and own.numel() < whole.numel():
        layer.reset_parameters()  # type: ignore[operator]


def _blank(kind: type[nn.Module], *sizes: int, **options: Any) -> nn.Module:
    """Return a layer whose weights hold anything yet: none are drawn, so that torch's generator is left alone."""
    layer: nn.Module = skip_init(kind, *sizes, **options)  # type: ignore[no-untyped-call]
    return layer


class ElasticConv2d(SharedLayer):
    """A convolution without bias whose width, kernel and groups are chosen call by call.

    Widths take the first channels (ordinal slicing; Once-for-all sorts them by importance first). A smaller kernel is
    the centre of the next larger one, through a learned linear map of its k*k entries that starts as the identity
    (Once-for-all, ICLR 2020, section 3.2). With g groups the weights are the diagonal blocks of the dense kernel.

    Args:
        in_channels: The most input channels.
        out_channels: The most output channels.
        kernels: Kernel sizes that can be chosen.
        stride: The stride.
        depthwise: One filter a channel; the input has as many channels as the output then.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernels: tuple[int, ...], *, stride: int = 1, depthwise: bool = False
    ) -> None:
        super().__init__()
        self.kernels, self.stride, self.depthwise = tuple(sorted(kernels, reverse=True)), stride, depthwise
        largest = self.kernels[0]
        like = nn.Conv2d(in_channels, out_channels, largest, groups=in_channels if depthwise else 1, bias=False)
        self.weight = like.weight
        self.transforms = nn.ParameterDict({str(k): nn.Parameter(torch.eye(k * k)) for k in self.kernels[1:]})

    def weights(self, channels: int, out_channels: int, kernel: int, groups: int) -> Tensor:
        """Return the part of the weights that these choices use, (out, channels / groups, k, k)."""
        if self.depthwise:
            weight = self.weight[:channels]
        elif groups == 1:
            weight = self.weight[:out_channels, :channels]
        else:
            rows, columns = out_channels // groups, channels // groups
            weight = torch.cat(
                [self.weight[i * rows : (i + 1) * rows, i * columns : (i + 1) * columns] for i in range(groups)]
            )
        for size in self.kernels[1:]:
            if size < kernel:
                break
            cut = (weight.shape[-1] - size) // 2
            centre = weight[:, :, cut : cut + size, cut : cut + size].flatten(2)
            weight = (centre @ self.transforms[str(size)]).unflatten(2, (size, size))
        return weight

    def forward(self, x: Tensor, out_channels: int, kernel: int, groups: int = 1) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H', W')."""
        channels = x.shape[1]
        weight = self.weights(channels, out_channels, kernel, groups)
        return functional.conv2d(
            x, weight, None, self.stride, kernel // 2, groups=channels if self.depthwise else groups
        )

    def plain(self, channels: int, out_channels: int, kernel: int, groups: int = 1) -> nn.Module:  # type: ignore[override]
        """Return the convolution of these choices."""
        groups = channels if self.depthwise else groups
        sizes = channels, out_channels, kernel, self.stride, kernel // 2
        layer = _blank(nn.Conv2d, *sizes, groups=groups, bias=False, device=self.weight.device)
        return copy_weights(layer, weight=self.weights(channels, out_channels, kernel, groups))


class ElasticLinear(SharedLayer):
    """A linear layer, or a 1x1 convolution with bias, whose input and output widths are chosen call by call.

    Args:
        in_features: The most input features.
        out_features: The most output features.
        spatial: Whether it acts on the channels of (B, C, H, W) instead of (B, C).
    """

    def __init__(self, in_features: int, out_features: int, *, spatial: bool = False) -> None:
        super().__init__()
        self.spatial = spatial
        like = nn.Linear(in_features, out_features)
        self.weight, self.bias = like.weight, like.bias

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """(B, C) -> (B, out_features), or (B, C, H, W) -> (B, out_features, H, W)."""
        weight, bias = self.weight[:out_features, : x.shape[1]], self.bias[:out_features]
        if self.spatial:
            return functional.conv2d(x, weight[:, :, None, None], bias)
        return functional.linear(x, weight, bias)

    def plain(self, channels: int, out_features: int) -> nn.Module:  # type: ignore[override]
        """Return the layer of these choices."""
        weight, bias = self.weight[:out_features, :channels], self.bias[:out_features]
        if self.spatial:
            layer = _blank(nn.Conv2d, channels, out_features, 1, device=self.weight.device)
            return copy_weights(layer, weight=weight[:, :, None, None], bias=bias)
        layer = _blank(nn.Linear, channels, out_features, device=self.weight.device)
        return copy_weights(layer, weight=weight, bias=bias)
