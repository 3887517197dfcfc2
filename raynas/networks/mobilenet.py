"""The larger MobileNet network of GreedyNAS, weight-shared (You et al., CVPR 2020).

3x3 convolution of stride 2, BN, ReLU; a fixed block without expansion; 21 layers in six stages; 1x1 convolution, BN,
ReLU; global average pooling; linear classifier. Blocks use h-swish in the space with squeeze and excitation and ReLU in
the one without, as the released networks and the smaller space do. The released networks retrain with dropout 0.2
before the classifier; the supernet has none.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from raynas.networks.mobile import BlockStyle, InvertedResidual, MobileStages, conv_norm, mobile_head
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.mobilenet import FIRST_CHANNELS, HEAD_CHANNELS, SE_RATIO, STAGES, STEM_CHANNELS, Mobilenet


@NETWORKS.register("mobilenet")
class MobilenetSupernet(Supernet):
    """The weight-shared MobileNet of GreedyNAS.

    Args:
        space: The (sub)space; candidates are built for its options only.
        input_shape: (C, H, W) of the images; 224 high and wide in the paper.
        classes: The number of classes.
        width: All channels but the head's times this, rounded to a multiple of four.
        head: Channels of the last convolution.
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
        head: Annotated[int, Field(ge=1)] = HEAD_CHANNELS,
        stem_stride: Literal[1, 2] = 2,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        assert isinstance(space, Mobilenet)
        style = BlockStyle(nn.Hardswish if space.se else nn.ReLU, affine, track, SE_RATIO)
        plain = BlockStyle(nn.ReLU, affine, track)
        stem, first = (max(4, 4 * round(width * channels / 4)) for channels in (STEM_CHANNELS, FIRST_CHANNELS))
        stages = [(max(4, 4 * round(width * channels / 4)), depth, stride) for channels, depth, stride in STAGES]
        self.stem = nn.Sequential(*conv_norm(plain, input_shape[0], stem, 3, stride=stem_stride), nn.ReLU())
        self.first = InvertedResidual(plain, stem, first, expansion=1, kernel=3, stride=1)
        self.stages = MobileStages(space.decisions, first, stages, style)
        self.head = mobile_head(plain, stages[-1][0], head, classes)

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the stem, the fixed block, each layer and the head."""
        fixed = Step("stem", self.stem), Step("first", self.first)
        return [*fixed, *self.stages.steps(architecture.options), Step("head", self.head)]
