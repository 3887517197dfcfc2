"""NAS-Bench-201's skeleton with weight-shared cells (design of the benchmark, AutoDL-Projects).

Stem 3x3 convolution and batch norm; three stages of N cells at C, 2C and 4C channels with a residual block of stride 2
between them; batch norm, ReLU, global average pooling, linear classifier. Only edges on a path from input to output
are run: the rest cannot change the output, gets no gradient, and so no momentum or weight decay either (the published
code runs them). Batch norm is the same everywhere (affine or not, tracked or not); the published code mixes the two.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.operations import ReductionBlock, nasbench201_operation
from raynas.networks.supernet import NETWORKS, Choice, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench201 import EDGES, OUTPUT_NODE, live_edges


class Cell(nn.Module):
    """One cell: a `Choice` on each of the six edges."""

    def __init__(self, space: Space, channels: int, *, affine: bool, track: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            Choice(
                decision.name,
                {name: nasbench201_operation(name, channels, affine=affine, track=track) for name in decision.options},
            )
            for decision in space.decisions
        )

    def forward(self, x: Tensor, options: tuple[str, ...]) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); zeros where no edge connects input and output."""
        nodes: list[Tensor | None] = [x, *[None] * OUTPUT_NODE]
        for choice, option, (target, source), live in zip(self.edges, options, EDGES, live_edges(options), strict=True):
            if live:
                out, summed = choice(nodes[source], option), nodes[target]
                nodes[target] = out if summed is None else summed + out
        output = nodes[OUTPUT_NODE]
        return torch.zeros_like(x) if output is None else output


@NETWORKS.register("nasbench201")
class Nasbench201Supernet(Supernet):
    """The weight-shared NAS-Bench-201 network.

    Args:
        space: The (sub)space; candidates are built for its options only.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        channels: Channels of the first stage (16 in the benchmark).
        cells: Cells a stage, N (5 in the benchmark).
        affine: Whether batch norm has scale and shift.
        track: Whether batch norm keeps running averages.
    """

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        channels: Annotated[int, Field(ge=1)] = 16,
        cells: Annotated[int, Field(ge=1)] = 5,
        affine: bool = False,
        track: bool = False,
    ) -> None:
        super().__init__(space, input_shape, classes)
        norm = {"affine": affine, "track": track}
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False), BatchNorm(channels, **norm)
        )
        blocks: list[nn.Module] = []
        for stage, width in enumerate((channels, 2 * channels, 4 * channels)):
            if stage:
                blocks.append(ReductionBlock(width // 2, width, **norm))
            blocks.extend(Cell(space, width, **norm) for _ in range(cells))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(BatchNorm(4 * channels, **norm), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * channels, classes)

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> (B, K)."""
        x = self.stem(images)
        for block in self.blocks:
            x = block(x, architecture.options) if isinstance(block, Cell) else block(x)
        logits: Tensor = self.classifier(self.head(x))
        return logits
