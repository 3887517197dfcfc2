"""The candidate operations of cell spaces, as weight-shared modules. Shapes: (B, C, H, W) to (B, C', H', W')."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raynas.networks.batchnorm import BatchNorm


class Zero(nn.Module):
    """The operation ``none``: the edge carries nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros shaped like x."""
        return torch.zeros_like(x)


class ReluConvBn(nn.Sequential):
    """ReLU, convolution without bias, batch norm: the pre-activation block of NAS-Bench-201."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, affine: bool, track: bool):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            BatchNorm(channels_out, affine=affine, track=track),
        )


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
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


def nasbench201_operation(name: str, channels: int, *, affine: bool, track: bool) -> nn.Module:
    """Return one of NAS-Bench-201's five operations for a cell of so many channels."""
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name]
    return ReluConvBn(channels, channels, kernel, affine=affine, track=track)
