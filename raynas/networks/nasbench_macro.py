"""NAS-Bench-Macro's network, weight-shared (Su et al., CVPR 2021; definition of the benchmark's README).

3x3 convolution, BN, ReLU; eight layers in stages of two, three and three, the first of each with stride 2 and twice the
channels; 1x1 convolution, BN, ReLU; global average pooling; linear classifier.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from raynas.networks.mobile import BlockStyle, MobileStages, conv_norm, mobile_head
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench_macro import HEAD_CHANNELS, STAGES, STEM_CHANNELS


@NETWORKS.register("nasbench_macro")
class NasbenchMacroSupernet(Supernet):
    """The weight-shared NAS-Bench-Macro network.

    Args:
        space: The (sub)space; candidates are built for its options only.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        channels: Channels of the stem (32 in the benchmark); the stages have 2, 4 and 8 times as many.
        head: Channels of the last convolution (1280 in the benchmark).
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Annotated[int, Field(ge=1)] = STEM_CHANNELS,
        head: Annotated[int, Field(ge=1)] = HEAD_CHANNELS,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        style = BlockStyle(nn.ReLU, affine, track)
        stages = [(channels * 2**number, depth, 2) for number, depth in enumerate(STAGES, start=1)]
        self.stem = nn.Sequential(*conv_norm(style, input_shape[0], channels, 3), nn.ReLU())
        self.stages = MobileStages(space.decisions, channels, stages, style)
        self.head = mobile_head(style, stages[-1][0], head, classes)

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the stem, each layer and the head."""
        return [Step("stem", self.stem), *self.stages.steps(architecture.options), Step("head", self.head)]
