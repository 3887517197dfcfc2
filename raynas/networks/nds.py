"""Weight-shared networks of two design spaces (Radosavovic et al., "On Network Design Spaces", ICCV 2019).

3x3 convolution of 16 channels, BN, ReLU; three stages of residual blocks with strides 1, 2 and 2; global average
pooling; linear classifier. Sharing is that of CLOSE's baseline supernet (Zhou et al., ECCV 2022): a stage has a first
block of its own, which changes width and size, and one block for each further position; an architecture of depth d runs
the first d of them. A narrower layer uses the first channels of the widest one, groups the diagonal blocks.

A subspace gets no more positions than its largest depth, but always weights of the whole space's widths: so a
sub-supernet takes over tensors of equal shape, and one that fixes a width is the same function of them. What an
architecture does not use is never read; the derived network holds exactly what is.

The papers leave two details open: a stride is taken in the first 3x3 convolution of a block, and the shortcut is a 1x1
convolution with BN wherever width or size changes (no identity with zero padding).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.shared import ElasticConv2d, ElasticLinear
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nds import STAGE_STRIDES, STEM_CHANNELS, NdsSpace


@dataclass(frozen=True)
class StageChoice:
    """What an architecture, or the largest of a space, has in one stage.

    Args:
        depth: Blocks.
        width: Channels of their output.
        inner: Channels of a bottleneck's 3x3 convolution; those of the output where blocks have none.
        groups: Groups of that convolution.
    """

    depth: int
    width: int
    inner: int
    groups: int = 1


@dataclass(frozen=True)
class BlockShape:
    """What a block must hold.

    Args:
        held: The most channels of its input, and of all its layers' outputs: those of the whole space.
        stride: The stride.
        projects: Whether some architecture changes width or size here.
        norm: Options of `BatchNorm`.
    """

    held: tuple[int, int]
    stride: int
    projects: bool
    norm: dict[str, bool]


class ConvNorm(nn.Module):
    """A convolution and its batch norm, whose widths are chosen call by call.

    Args:
        held: The most channels of input and output.
        kernel: The kernel size.
        norm: Options of `BatchNorm`.
        stride: The stride.
    """

    def __init__(self, held: tuple[int, int], kernel: int, norm: dict[str, bool], stride: int = 1) -> None:
        super().__init__()
        self.kernel = kernel
        self.conv = ElasticConv2d(*held, (kernel,), stride=stride)
        self.norm = BatchNorm(held[1], **norm)

    def forward(self, x: Tensor, channels: int, groups: int = 1) -> Tensor:
        """(B, C, H, W) -> (B, channels, H', W')."""
        out: Tensor = self.norm(self.conv(x, channels, self.kernel, groups))
        return out


class ResidualBlock(nn.Module, ABC):
    """A block of convolutions, its shortcut, and ReLU after their sum."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        if shape.projects:
            self.shortcut = ConvNorm(shape.held, 1, shape.norm, shape.stride)

    @abstractmethod
    def body(self, x: Tensor, choice: StageChoice) -> Tensor:
        """(B, C, H, W) -> (B, width, H', W'), without the last ReLU."""

    def forward(self, x: Tensor, choice: StageChoice, projects: bool) -> Tensor:
        """(B, C, H, W) -> (B, width, H', W'); the shortcut is an identity unless it projects."""
        shortcut = self.shortcut(x, choice.width) if projects else x
        out: Tensor = self.relu(shortcut + self.body(x, choice))
        return out


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions (He et al., CVPR 2016)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__(shape)
        inside = shape.held[1], shape.held[1]
        self.first = ConvNorm(shape.held, 3, shape.norm, shape.stride)
        self.second = ConvNorm(inside, 3, shape.norm)

    def body(self, x: Tensor, choice: StageChoice) -> Tensor:
        """(B, C, H, W) -> (B, width, H', W')."""
        out: Tensor = self.second(self.relu(self.first(x, choice.width)), choice.width)
        return out


class BottleneckBlock(ResidualBlock):
    """1x1, grouped 3x3 and 1x1 convolution (ResNeXt: Xie et al., CVPR 2017)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__(shape)
        inside = shape.held[1], shape.held[1]
        self.reduce = ConvNorm(shape.held, 1, shape.norm)
        self.grouped = ConvNorm(inside, 3, shape.norm, shape.stride)
        self.expand = ConvNorm(inside, 1, shape.norm)

    def body(self, x: Tensor, choice: StageChoice) -> Tensor:
        """(B, C, H, W) -> (B, width, H', W')."""
        x = self.relu(self.reduce(x, choice.inner))
        x = self.relu(self.grouped(x, choice.inner, choice.groups))
        out: Tensor = self.expand(x, choice.width)
        return out


class NdsSupernet(Supernet):
    """The weight-shared network of a network design space; see the module's docstring.

    Args:
        space: The (sub)space; it has as many positions as the (sub)space's deepest architecture.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        width: All channels times this, rounded to a multiple of four (at least four), so that four groups divide them;
            with a small one, neighbouring options can become the same width.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    block: ClassVar[type[ResidualBlock]]

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: Annotated[float, Field(gt=0)] = 1.0,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        assert isinstance(space, NdsSpace)
        root = space.root
        assert isinstance(root, NdsSpace)
        self.width = width
        norm = {"affine": affine, "track": track}
        held = stem = self._channels(STEM_CHANNELS)
        entering = [stem]
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], stem, 3, padding=1, bias=False), BatchNorm(stem, **norm), nn.ReLU()
        )
        self.stages = nn.ModuleList()
        sizes = zip(STAGE_STRIDES, self._largest(root), self._largest(space), strict=True)
        for number, (stride, most, largest) in enumerate(sizes, start=1):
            leaving = [self._channels(float(option)) for option in space.decision(f"stage{number}.width").options]
            projects = stride > 1 or any(a != b for a in entering for b in leaving)
            first = BlockShape((held, most.width), stride, projects, norm)
            further = BlockShape((most.width, most.width), 1, False, norm)
            shapes = [first, *[further] * (largest.depth - 1)]
            self.stages.append(nn.ModuleList(self.block(shape) for shape in shapes))
            held, entering = most.width, leaving
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = ElasticLinear(held, classes)

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the stem, each block, the pooling and the classifier."""
        assert isinstance(self.space, NdsSpace)
        steps, width = [Step("stem", self.stem)], self._channels(STEM_CHANNELS)
        stages = zip(STAGE_STRIDES, self._choices(self.space, architecture.options), strict=True)
        for number, (stride, choice) in enumerate(stages):
            for place, block in enumerate(self.stage_blocks(number)[: choice.depth]):
                # Stages that differ in nothing but their depth begin with the same blocks.
                key = number, place, choice.width, choice.inner, choice.groups
                projects = place == 0 and (stride > 1 or choice.width != width)
                steps.append(Step(key, block, (choice, projects)))
            width = choice.width
        return [*steps, Step("pool", self.pool), Step("classifier", self.classifier, (self.classes,))]

    def stage_blocks(self, stage: int) -> list[nn.Module]:
        """Return the blocks that the deepest architecture runs in a stage (0 to 2), one after another."""
        return list(self.stages[stage].children())

    def _choices(self, space: NdsSpace, options: tuple[str, ...]) -> tuple[StageChoice, ...]:
        """Return what these options mean in each stage, `width` applied."""
        choices = []
        for numbers in space.stages(options):
            width = self._channels(numbers["width"])
            inner = _fours(width * numbers.get("bot_mul", 1.0))
            choices.append(StageChoice(int(numbers["depth"]), width, inner, int(numbers.get("groups", 1.0))))
        return tuple(choices)

    def _largest(self, space: NdsSpace) -> tuple[StageChoice, ...]:
        """Return each stage's largest numbers in a (sub)space, with the fewest groups."""
        picks = ((min if d.name.endswith(".groups") else max)(d.options, key=float) for d in space.decisions)
        return self._choices(space, tuple(picks))

    def _channels(self, channels: float) -> int:
        return _fours(self.width * channels)


def _fours(channels: float) -> int:
    return max(4, 4 * round(channels / 4))


@NETWORKS.register("nds_resnet")
class NdsResnetSupernet(NdsSupernet):
    """The weight-shared NDS ResNet: three stages of basic blocks; options of `NdsSupernet`."""

    block = BasicBlock


@NETWORKS.register("nds_resnext_a")
class NdsResnextASupernet(NdsSupernet):
    """The weight-shared NDS ResNeXt-A: stages of bottleneck blocks with groups; options of `NdsSupernet`."""

    block = BottleneckBlock
