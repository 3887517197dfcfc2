"""The MobileNetV3 network of Once-for-all, weight-shared in kernel, width and depth (Cai et al., ICLR 2020).

3x3 convolution of stride 2, BN, h-swish; a fixed block without expansion; five stages of up to four elastic blocks; 1x1
convolution, BN, h-swish; global average pooling; 1x1 convolution, h-swish; linear classifier.

A smaller kernel is the centre of the larger one through a learned map, a smaller expansion the first channels, a
smaller depth the first blocks. Where this differs from the released code: there is no dropout before the classifier
(0.1 there), and where the resolution is chosen the network resizes its images itself, which the released data loader
does, so that a derived network takes images of the supernet's size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.mobile import BlockStyle, InvertedResidual, conv_norm
from raynas.networks.shared import ElasticConv2d, ElasticLinear
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import Architecture, Decision, Space
from raynas.spaces.ofa_mobilenetv3 import (
    BLOCKS,
    EXPANSIONS,
    FIRST_CHANNELS,
    HEAD_CHANNELS,
    KERNELS,
    STAGE_CHANNELS,
    STAGE_HSWISH,
    STAGE_SE,
    STAGE_STRIDES,
    OfaMobilenetV3,
    kernel_and_expansion,
)


def divisible(channels: float) -> int:
    """Return the multiple of eight next to a width, and one more where that is below 90 % of it (MobileNet's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def squeezed(channels: int) -> int:
    """Return the width between the two layers of a squeeze and excitation."""
    return divisible(channels // 4)


def by_importance(importance: Tensor, kept: Iterable[int]) -> Tensor:
    """Return the order that puts the most important channels first, (C,) -> (C,).

    Args:
        importance: One number a channel.
        kept: Widths whose first channels must stay the same set: the order changes within them and beyond them only.
    """
    bounds = [0, *sorted(set(kept) - {len(importance)}), len(importance)]
    pieces = [start + importance[start:end].argsort(descending=True) for start, end in itertools.pairwise(bounds)]
    return torch.cat(pieces)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images of another height and width, (B, C, H, W) -> (B, C, *size)."""
    return functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


class ElasticSqueezeExcite(nn.Module):
    """Channels weighed by a gate that sees their means: pool, 1x1, ReLU, 1x1, h-sigmoid; the first channels are used.

    Args:
        channels: The most channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = ElasticLinear(channels, squeezed(channels), spatial=True)
        self.relu = nn.ReLU()
        self.expand = ElasticLinear(squeezed(channels), channels, spatial=True)
        self.sigmoid = nn.Hardsigmoid()

    def forward(self, x: Tensor, channels: int) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        inner = self.relu(self.reduce(self.pool(x), squeezed(channels)))
        out: Tensor = x * self.sigmoid(self.expand(inner, channels))
        return out

    @torch.no_grad()
    def sort_channels(self, order: Tensor, kept: Sequence[int]) -> None:
        """Follow a new order of the channels (C,), and sort those between the two layers; see the network's method."""
        first, second = self.reduce, self.expand
        inner = by_importance(second.weight.abs().sum(0), [squeezed(width) for width in kept])
        first.weight.copy_(first.weight[:, order][inner])
        first.bias.copy_(first.bias[inner])
        second.weight.copy_(second.weight[order][:, inner])
        second.bias.copy_(second.bias[order])


class ElasticBlock(nn.Module):
    """An inverted residual block of elastic kernel and expansion, with a shortcut where the shape is kept.

    Input widths are multiples of eight, so that the expanded ones need no rounding.

    Args:
        style: Activation and batch norm.
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        kernels: The kernel sizes that can be chosen. The weight is that of the space's largest kernel in any case, and
            has the maps down to the smallest of these: a k3 is made of the k5, and that of the k7.
        stride: The stride.
        se: Whether it has squeeze and excitation.
    """

    def __init__(
        self, style: BlockStyle, channels_in: int, channels_out: int, kernels: Iterable[int], *, stride: int, se: bool
    ) -> None:
        super().__init__()
        least, widest = min(kernels), channels_in * max(EXPANSIONS)
        chain = tuple(kernel for kernel in KERNELS if kernel >= least)
        self.channels_in, self.channels_out = channels_in, channels_out
        self.expand, self.expand_norm = ElasticConv2d(channels_in, widest, (1,)), style.norm(widest)
        self.depthwise = ElasticConv2d(widest, widest, chain, stride=stride, depthwise=True)
        self.depthwise_norm = style.norm(widest)
        self.se = ElasticSqueezeExcite(widest) if se else None
        self.project, self.project_norm = ElasticConv2d(widest, channels_out, (1,)), style.norm(channels_out)
        self.activation = style.activation()
        self.keeps_shape = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor, kernel: int, expansion: int) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        width = self.channels_in * expansion
        inner = self.activation(self.expand_norm(self.expand(x, width, 1)))
        inner = self.activation(self.depthwise_norm(self.depthwise(inner, width, kernel)))
        if self.se is not None:
            inner = self.se(inner, width)
        out: Tensor = self.project_norm(self.project(inner, self.channels_out, 1))
        return x + out if self.keeps_shape else out

    @torch.no_grad()
    def sort_channels(self, keep: Sequence[int]) -> None:
        """Sort the expanded channels; see the network's method."""
        kept = [self.channels_in * expansion for expansion in keep]
        order = by_importance(self.project.weight.abs().sum((0, 2, 3)), kept)
        for tensor in (
            self.expand.weight,
            *_per_channel(self.expand_norm),
            self.depthwise.weight,
            *_per_channel(self.depthwise_norm),
        ):
            tensor.copy_(tensor[order])
        self.project.weight.copy_(self.project.weight[:, order])
        if self.se is not None:
            self.se.sort_channels(order, kept)


def _per_channel(norm: BatchNorm) -> list[Tensor]:
    return [t for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var) if t is not None]


@NETWORKS.register("ofa_mobilenetv3")
class OfaMobilenetV3Supernet(Supernet):
    """The once-for-all MobileNetV3.

    Args:
        space: The (sub)space; blocks and kernel maps are built where its architectures can use them.
        input_shape: (C, H, W) of the images; 224 high and wide at most in the paper. Where the space chooses a
            resolution, images are resized to it (bilinear, antialiased).
        classes: The number of classes.
        width: All channels times this, rounded to a multiple of eight.
        stem_stride: 2 in the paper; 1 for small images.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: Annotated[float, Field(gt=0)] = 1.0,
        stem_stride: Literal[1, 2] = 2,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        assert isinstance(space, OfaMobilenetV3)
        self.chooses_resolution = bool(space.resolutions)
        relu, hswish = BlockStyle(nn.ReLU, affine, track), BlockStyle(nn.Hardswish, affine, track)
        stem, channels = (divisible(width * base) for base in FIRST_CHANNELS)
        last, mixed = (divisible(width * base) for base in HEAD_CHANNELS)
        self.stem = nn.Sequential(*conv_norm(hswish, input_shape[0], stem, 3, stride=stem_stride), nn.Hardswish())
        self.first = InvertedResidual(relu, stem, channels, expansion=1, kernel=3, stride=1)
        self.stages = nn.ModuleList()
        for stage, base in enumerate(STAGE_CHANNELS):
            blocks, style = nn.ModuleList(), hswish if STAGE_HSWISH[stage] else relu
            for kernels in _kernels(space.decisions[stage * BLOCKS : (stage + 1) * BLOCKS]):
                stride = 1 if blocks else STAGE_STRIDES[stage]
                out = divisible(width * base)
                blocks.append(ElasticBlock(style, channels, out, kernels, stride=stride, se=STAGE_SE[stage]))
                channels = out
            self.stages.append(blocks)
        self.head = nn.Sequential(
            *conv_norm(hswish, channels, last, 1),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(last, mixed, 1, bias=False),
            nn.Hardswish(),
            nn.Flatten(),
            nn.Linear(mixed, classes),
        )

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the resolution where it is another, the stem, the first block, each block and the head."""
        options = architecture.options
        steps = [Step("stem", self.stem), Step("first", self.first)]
        if self.chooses_resolution:
            size = int(options[-1]), int(options[-1])
            if size != self.input_shape[1:]:
                steps.insert(0, Step(size, resized, (size,)))
        for number, blocks in enumerate(self.stages):
            assert isinstance(blocks, nn.ModuleList)
            chosen = options[number * BLOCKS : (number + 1) * BLOCKS]
            # A subspace may have fewer blocks than options; what it lacks is never chosen.
            for place, (block, option) in enumerate(zip(blocks, chosen, strict=False)):
                found = kernel_and_expansion(option)
                if found is not None:
                    steps.append(Step((number, place, option), block, found))
        return [*steps, Step("head", self.head)]

    def sort_channels(self, keep: Sequence[int] = ()) -> None:
        """Sort every block's expanded channels by the L1 norm of the projection's weights, the largest first.

        What the network computes at its largest expansion stays the same; smaller expansions take the first channels,
        and so the most important ones from now on. Call it after the network was trained at its largest expansion and
        before smaller ones are trained, and make the optimizer anew: it remembers weights by their place.

        Args:
            keep: Smaller expansions that are trained already: theirs is then a function to be kept too.
        """
        for blocks in self.stages:
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                assert isinstance(block, ElasticBlock)
                block.sort_channels(keep)


def _kernels(decisions: Sequence[Decision]) -> list[list[int]]:
    """Return the kernel sizes that each block of a stage can have, without the last blocks if they are never there."""
    choices = [[f[0] for f in map(kernel_and_expansion, decision.options) if f is not None] for decision in decisions]
    return list(itertools.takewhile(bool, choices))
