"""The weight-shared depth decoders of landmark regularisation (Yu et al., CVPR 2021, supplementary experiments).

An encoder's four levels, each mapped to F channels by a 3x3 convolution, are fused from the deepest on by a cascade of
four cells like NAS-Bench-201's; each cell doubles the size. The head is a 3x3 convolution to F/2 channels, bilinear
enlargement to the image's size, 3x3 to 32, ReLU, 1x1 to one channel, ReLU: a disparity map that is nowhere negative.

Where this is not the released code: the first cell's missing input is the encoder's feature, as the paper says (the
code feeds zeros: ``official=True``); sizes that are not multiples of 32 work; only what reaches the output is run, so
that a cell nobody reads, or a level that no cell reads, gets no gradient; bicubic enlargement aligns corners as the
bilinear one does; the last bias starts at 1, since a final ReLU that starts below zero everywhere is never trained
(with torch's usual bias, about one random network in twenty).
The encoder is another one (see `raynas.networks.depth_encoder`).
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, cast

from pydantic import Field
from torch import Tensor, nn

from raynas.errors import ConfigError
from raynas.networks.batchnorm import BatchNorm
from raynas.networks.depth_encoder import LEVELS, Encoder, FrozenBatchNorm, level_sizes, load_encoder
from raynas.networks.operations import nasbench201_operation
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Choice, Supernet
from raynas.spaces import Architecture, Decision, Space
from raynas.spaces.depth import CELLS, DepthSpace, live_edges

HEAD_CHANNELS = 32
PositiveFour = tuple[
    Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]
]


def upsampling(name: str, channels: int) -> nn.Module:
    """Return one of the four ways to double the size: (B, C, H, W) -> (B, C, 2H, 2W)."""
    if name == "transposed_conv":
        return nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
    if name == "pixel_shuffle":
        return nn.Sequential(nn.Conv2d(channels, 4 * channels, 1), nn.PixelShuffle(2))
    return nn.Upsample(scale_factor=2, mode=name, align_corners=True)


class FusionCell(nn.Module):
    """One cell: a `Choice` on each edge, and the enlargement of what its last node holds.

    Args:
        space: The space, for the edges of its cells.
        decisions: This cell's decisions: one an edge, and the upsampling where it is chosen.
        features: Channels F.
        size: (H, W) of its inputs.
        target: (H, W) that its output must have, resized where doubling gives another.
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: DepthSpace,
        decisions: tuple[Decision, ...],
        features: int,
        size: tuple[int, int],
        target: tuple[int, int],
        *,
        affine: bool,
        track: bool,
    ) -> None:
        super().__init__()
        self.layout, self.features, self.size = space.edges, features, size
        self.edges = nn.ModuleList(
            Choice(d.name, {o: nasbench201_operation(o, features, affine=affine, track=track) for o in d.options})
            for d in decisions[: len(self.layout)]
        )
        self.upsample: nn.Module = upsampling("bilinear", features)
        if space.chooses_upsampling:
            chosen = decisions[-1]
            self.upsample = Choice(chosen.name, {option: upsampling(option, features) for option in chosen.options})
        doubled = (2 * size[0], 2 * size[1])
        self.resize = nn.Identity() if doubled == target else nn.Upsample(target, mode="bilinear", align_corners=True)

    def live(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each edge whether it can change the output."""
        return live_edges(self.layout, tuple(option != "none" for option in options[: len(self.layout)]))

    def form(self, options: tuple[str, ...]) -> tuple[str | None, ...]:
        """Return the options, None for those of edges that cannot change the output."""
        live = self.live(options)
        edges = [option if lives else None for option, lives in zip(options, live, strict=False)]
        return (*edges, *options[len(live) :])

    def reads(self, node: int, options: tuple[str, ...]) -> bool:
        """Say whether the output depends on an input: 0 the previous fusion, 1 the encoder's feature."""
        return any(live and source == node for live, (_, source) in zip(self.live(options), self.layout, strict=True))

    def zeros(self, images: Tensor) -> Tensor:
        """Return zeros (B, F, H, W) of its inputs' size."""
        return images.new_zeros(images.shape[0], self.features, *self.size)

    def forward(
        self, images: Tensor, previous: Tensor | None, feature: Tensor | None, options: tuple[str, ...]
    ) -> Tensor:
        """Fuse and enlarge; zeros are enlarged where no path leads to the last node.

        Args:
            images: (B, C, H, W), for the number of images only.
            previous: The previous fusion, (B, F, H, W); None where `reads` says that it is not needed.
            feature: The encoder's feature, (B, F, H, W), or None likewise.
            options: The cell's options.

        Returns:
            (B, F, 2H, 2W), or of the target's size.
        """
        nodes: list[Tensor | None] = [previous, feature, *[None] * (self.layout[-1][0] - 1)]
        taken = zip(self.edges, options[: len(self.layout)], self.layout, self.live(options), strict=True)
        for choice, option, (target, source), live in taken:
            if live:
                out, summed = choice(nodes[source], option), nodes[target]
                nodes[target] = out if summed is None else summed + out
        last = self.zeros(images) if nodes[-1] is None else nodes[-1]
        fused = self.upsample(last, options[-1]) if isinstance(self.upsample, Choice) else self.upsample(last)
        resized: Tensor = self.resize(fused)
        return resized


class Decoding(NamedTuple):
    """What is passed from cell to cell.

    Args:
        images: (B, C, H, W), for the number of images only.
        features: The encoder's features (B, F, H_i, W_i), by the place of the cell that reads them.
        fused: The previous fusion, (B, F, H_i, W_i); None where there is none that is read.
    """

    images: Tensor
    features: dict[int, Tensor]
    fused: Tensor | None


@NETWORKS.register("depth_v1")
@NETWORKS.register("depth_v2")
class DepthSupernet(Supernet):
    """The weight-shared depth network of either space; its output is (B, 1, H, W), as large as the image.

    Args:
        space: The (sub)space; candidates are built for its options only.
        input_shape: (C, H, W) of the images.
        classes: 1, the one channel of disparity.
        features: Channels F of the fusion cells (256 in the paper).
        encoder_channels: Channels of the encoder's levels; ResNet-18 and ResNet-34 have 64, 128, 256, 512.
        encoder_blocks: Blocks of the encoder's stages; ResNet-18 has 2, 2, 2, 2 and ResNet-34 3, 4, 6, 3.
        encoder_stride: The first level is the image's size by this; 2 for small images.
        encoder_weights: File of the encoder's state dict (torchvision's for ResNet will do); the encoder's batch norm
            is then frozen, as in the paper.
        freeze_encoder: Whether the encoder is not trained at all, batch norm included; without weights it is random.
        official: Whether the first cell's previous fusion is zeros, as in the released code.
        affine: Whether batch norm, where it is not frozen, has scale and shift.
        track: Whether batch norm, where it is not frozen, keeps running averages.

    Raises:
        ConfigError: There is more than one class, or the encoder's weights do not fit.
    """

    default_classes = 1

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        features: Annotated[int, Field(ge=2)] = 256,
        encoder_channels: PositiveFour = (64, 128, 256, 512),
        encoder_blocks: PositiveFour = (2, 2, 2, 2),
        encoder_stride: Literal[2, 4] = 4,
        encoder_weights: str | None = None,
        freeze_encoder: bool = False,
        official: bool = False,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        assert isinstance(space, DepthSpace)
        if classes != 1:
            raise ConfigError([f"classes must be 1, the channel of disparity, got {classes}"], "the depth network")
        self.official = official
        frozen_norm = freeze_encoder or encoder_weights is not None
        self.encoder = Encoder(
            input_shape[0],
            encoder_channels,
            encoder_blocks,
            encoder_stride,
            FrozenBatchNorm if frozen_norm else lambda channels: BatchNorm(channels, affine=affine, track=track),
        )
        if encoder_weights is not None:
            load_encoder(self.encoder, encoder_weights)
        if freeze_encoder:
            self.encoder.requires_grad_(False)
        sizes = level_sizes(*input_shape[1:], encoder_stride)[::-1]
        targets = [*sizes[1:], (2 * sizes[-1][0], 2 * sizes[-1][1])]
        # The deepest comes first here and in `cells`, as in the cascade.
        self.project = nn.ModuleList(
            nn.Conv2d(channels, features, 3, padding=1, bias=False) for channels in encoder_channels[::-1]
        )
        self.cells = nn.ModuleList(
            FusionCell(space, decisions, features, size, target, affine=affine, track=track)
            for decisions, size, target in zip(_by_cell(space), sizes, targets, strict=True)
        )
        self.head = _head(features, input_shape[1:])

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return a step for the encoder, each cell that the output depends on, deepest first, and the head."""
        assert isinstance(self.space, DepthSpace)
        options = self.space.split(architecture.options) * (CELLS if self.space.sync else 1)
        cells = cast("list[FusionCell]", list(self.cells))
        first = CELLS - 1  # the deepest cell that the output depends on
        while first > 0 and cells[first].reads(0, options[first]):
            first -= 1
        read = [place for place in range(first, CELLS) if cells[place].reads(1, options[place])]
        starts = first == 0 and cells[0].reads(0, options[0])  # the first cell reads a fusion that there is not
        if starts and not self.official and 0 not in read:
            read.insert(0, 0)
        encoded = tuple(read), starts
        fusions = [
            Step((place, cells[place].form(options[place])), self._fuse, (place, options[place]))
            for place in range(first, CELLS)
        ]
        return [Step(encoded, self._encode, encoded), *fusions, Step("head", self._finish)]

    def _encode(self, images: Tensor, read: tuple[int, ...], starts: bool) -> Decoding:
        """Return what the first cell takes: features for the cells of these places, and a fusion where it reads one."""
        levels = self.encoder.levels(images, LEVELS - read[0] if read else 0)
        features = {place: self.project[place](levels[LEVELS - 1 - place]) for place in read}
        fused: Tensor | None = None
        if starts:
            fused = cast("FusionCell", self.cells[0]).zeros(images) if self.official else features[0]
        return Decoding(images, features, fused)

    def _fuse(self, before: Decoding, place: int, options: tuple[str, ...]) -> Decoding:
        fused = self.cells[place](before.images, before.fused, before.features.get(place), options)
        return before._replace(fused=fused)

    def _finish(self, before: Decoding) -> Tensor:
        out: Tensor = self.head(before.fused)
        return out


def _by_cell(space: DepthSpace) -> list[tuple[Decision, ...]]:
    """Return the decisions of each of the four cells, deepest first; they are the same ones where cells are shared."""
    parts = [tuple(space.decisions[index] for index in part) for part in space.parts]
    return parts * (CELLS if space.sync else 1)


def _head(features: int, size: tuple[int, int]) -> nn.Sequential:
    last = nn.Conv2d(HEAD_CHANNELS, 1, 1)
    nn.init.ones_(cast("Tensor", last.bias))
    return nn.Sequential(
        nn.Conv2d(features, features // 2, 3, padding=1),
        nn.Upsample(size, mode="bilinear", align_corners=True),
        nn.Conv2d(features // 2, HEAD_CHANNELS, 3, padding=1),
        nn.ReLU(),
        last,
        nn.ReLU(),
    )
