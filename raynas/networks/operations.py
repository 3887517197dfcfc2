"""The candidate operations of cell spaces, as weight-shared modules. Shapes: (B, C, H, W) to (B, C', H', W')."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from raynas.networks.batchnorm import BatchNorm, several_groups
from raynas.networks.kernels import average_pool, average_pool_backward, convolution
from raynas.networks.program import CONVOLVE, HALVE, INPUT, RECTIFY, SUM, Layer, Part, Program, run, takes_gradients
from raynas.networks.shared import SharedLayer, copy_weights


class Zero(nn.Module):
    """The operation ``none``: the edge carries nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros shaped like x."""
        return torch.zeros_like(x)


class _AveragePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        del ctx
        return average_pool(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        del ctx
        # Pooling is linear, so that its gradient can be differentiated by pooling the other way.
        return _AveragePoolBackward.apply(grad)  # type: ignore[no-any-return, no-untyped-call]


class _AveragePoolBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor) -> Tensor:
        del ctx
        return average_pool_backward(grad)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        del ctx
        return _AveragePool.apply(grad)  # type: ignore[no-any-return, no-untyped-call]


class AveragePool(SharedLayer):
    """Average pooling of 3x3, stride 1, that keeps the size and leaves the padding out of the mean."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _AveragePool.apply(x)  # type: ignore[no-any-return, no-untyped-call]
        return average_pool(x)

    def plain(self, channels: int) -> nn.Module:  # type: ignore[override]
        """Return torch's pooling."""
        del channels
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


class PointwiseConv2d(SharedLayer):
    """A 1x1 convolution, stride 1, without bias; scored as a matrix product where that is faster.

    Args:
        in_channels: C.
        out_channels: C'.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Conv2d(in_channels, out_channels, 1, bias=False).weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return torch.conv2d(x, self.weight) if torch.is_grad_enabled() else convolution(x, self.weight)

    def plain(self, channels: int) -> nn.Module:  # type: ignore[override]
        """Return torch's convolution."""
        layer = skip_init(nn.Conv2d, channels, len(self.weight), 1, bias=False, device=self.weight.device)  # type: ignore[no-untyped-call]
        return copy_weights(layer, weight=self.weight)


class ReluConvBn(nn.Sequential):
    """ReLU, convolution without bias, batch norm: the pre-activation block of NAS-Bench-201."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, affine: bool, track: bool):
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        norm = BatchNorm(channels_out, affine=affine, track=track)
        super().__init__(nn.ReLU(), conv, norm)

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution."""
        return self[1]  # type: ignore[return-value]

    @property
    def norm(self) -> BatchNorm:
        """The batch norm."""
        return self[2]  # type: ignore[return-value]


_REDUCTION = Program(
    (
        (RECTIFY, 1, (INPUT,), False),
        (CONVOLVE, 2, (1,), 0),
        (RECTIFY, 3, (2,), True),
        (CONVOLVE, 4, (3,), 1),
        (HALVE, 5, (INPUT,), None),
        (CONVOLVE, 6, (5,), 2),
        (SUM, 7, (4, 6), True),
    ),
    slots=8,
    output=7,
)
"""A `ReductionBlock`."""


class ReductionBlock(nn.Module):
    """The residual block between stages: half the size, other channels (two ReLU-conv-BN beside pool and 1x1)."""

    def __init__(self, channels_in: int, channels_out: int, *, affine: bool, track: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReluConvBn(channels_in, channels_out, 3, stride=2, affine=affine, track=track),
            ReluConvBn(channels_out, channels_out, 3, affine=affine, track=track),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels_in, channels_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        stand_in = not isinstance(x, Tensor)
        if stand_in or several_groups() or (torch.is_grad_enabled() and not takes_gradients([self.part()])):
            return self.by_modules(x)
        return run([self.part()], x)

    def part(self) -> Part:
        """Return the program with its layers."""
        first, second = self.body
        layers: list[Layer] = [(first.conv, first.norm), (second.conv, second.norm), (self.shortcut[1], None)]  # type: ignore[list-item]
        return _REDUCTION, layers

    def by_modules(self, x: Tensor) -> Tensor:
        """Run module by module: what `forward` computes, as torch's own operations, for any kind of gradient."""
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


def nasbench201_operation(name: str, channels: int, *, affine: bool, track: bool) -> nn.Module:
    """Return one of NAS-Bench-201's five operations for a cell of so many channels."""
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return AveragePool()
    kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name]
    return ReluConvBn(channels, channels, kernel, affine=affine, track=track)
