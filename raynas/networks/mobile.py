"""Inverted residual blocks (MobileNetV2, CVPR 2018), with squeeze and excitation, and stages of choices among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.operations import PointwiseConv2d
from raynas.networks.steps import Step
from raynas.networks.supernet import Choice
from raynas.spaces import Decision
from raynas.spaces.mobile_blocks import mobile_block


class SqueezeExcite(nn.Module):
    """Channels weighed by a gate that sees their means: pool, 1x1, h-swish, 1x1, h-sigmoid (MobileNetV3's form).

    Args:
        channels: C.
        squeezed: Channels between the two convolutions.
        activation: The activation between them.
    """

    def __init__(self, channels: int, squeezed: int, activation: type[nn.Module] = nn.Hardswish) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            activation(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = x * self.gate(x)
        return out


@dataclass(frozen=True)
class BlockStyle:
    """What all blocks of a network have in common.

    Args:
        activation: After the expansion and the depthwise convolution.
        se_ratio: The squeeze has this share of the expanded width, rounded down.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    activation: type[nn.Module]
    affine: bool
    track: bool
    se_ratio: float = 0.25

    def norm(self, channels: int) -> BatchNorm:
        """Return a batch norm."""
        return BatchNorm(channels, affine=self.affine, track=self.track)


def conv_norm(
    style: BlockStyle, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution without bias and its batch norm."""
    if kernel == stride == groups == 1:
        return [PointwiseConv2d(channels_in, channels_out), style.norm(channels_out)]
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, style.norm(channels_out)]


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, squeeze and excitation, 1x1 projection; a shortcut where the shape is kept.

    Without expansion (1) the first convolution is left out.
    """

    def __init__(
        self,
        style: BlockStyle,
        channels_in: int,
        channels_out: int,
        *,
        expansion: int,
        kernel: int,
        stride: int,
        se: bool = False,
    ) -> None:
        super().__init__()
        width = channels_in * expansion
        expand = [*conv_norm(style, channels_in, width, 1), style.activation()] if expansion > 1 else []
        depthwise = [*conv_norm(style, width, width, kernel, stride=stride, groups=width), style.activation()]
        excite = [SqueezeExcite(width, int(style.se_ratio * width))] if se else []
        self.body = nn.Sequential(*expand, *depthwise, *excite, *conv_norm(style, width, channels_out, 1))
        self.keeps_shape = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        out: Tensor = self.body(x)
        return x + out if self.keeps_shape else out


def mobile_layer(style: BlockStyle, option: str, channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Return an option's layer: an inverted residual or an identity (a 1x1 convolution where the shape changes)."""
    block = mobile_block(option)
    if block is not None:
        return InvertedResidual(
            style,
            channels_in,
            channels_out,
            expansion=block.expansion,
            kernel=block.kernel,
            stride=stride,
            se=block.se,
        )
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return nn.Sequential(*conv_norm(style, channels_in, channels_out, 1, stride=stride))


class MobileStages(nn.Module):
    """A `Choice` a layer, in stages whose first layer changes the channels and the size.

    Args:
        decisions: One a layer.
        channels_in: Channels of the input.
        stages: (channels, layers, stride of the first layer) of each stage.
        style: What the blocks have in common.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        channels_in: int,
        stages: Sequence[tuple[int, int, int]],
        style: BlockStyle,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        waiting = iter(decisions)
        for channels, depth, stride in stages:
            for layer in range(depth):
                decision, step = next(waiting), stride if layer == 0 else 1
                candidates = {o: mobile_layer(style, o, channels_in, channels, step) for o in decision.options}
                self.layers.append(Choice(decision.name, candidates))
                channels_in = channels

    def steps(self, options: Sequence[str]) -> list[Step]:
        """Return what takes (B, C, H, W) to (B, C', H', W') for these options: a step a layer, in order."""
        return [Step(option, layer, (option,)) for layer, option in zip(self.layers, options, strict=True)]


def mobile_head(style: BlockStyle, channels: int, width: int, classes: int) -> nn.Sequential:
    """Return 1x1 convolution, BN, ReLU, global average pooling, linear classifier: (B, C, H, W) -> (B, K)."""
    pool = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    return nn.Sequential(*conv_norm(style, channels, width, 1), *pool)
