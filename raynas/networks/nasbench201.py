"""NAS-Bench-201's skeleton with weight-shared cells (design of the benchmark, AutoDL-Projects).

Stem 3x3 convolution and batch norm; three stages of N cells at C, 2C and 4C channels with a residual block of stride 2
between them; batch norm, ReLU, global average pooling, linear classifier. Only edges on a path from input to output
are run: the rest cannot change the output, gets no gradient, and so no momentum or weight decay either (the published
code runs them). Batch norm is the same everywhere (affine or not, tracked or not); the published code mixes the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from raynas.networks import nasbench201_mixture
from raynas.networks.batchnorm import BatchNorm, batch_norms, grouped
from raynas.networks.mixed_edge import check_mixture
from raynas.networks.mixture import Mixture
from raynas.networks.nasbench201_cell import Cell, EdgeUse, edge_uses
from raynas.networks.operations import ReductionBlock
from raynas.networks.program import Gates, run, takes_gradients
from raynas.networks.steps import Step
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench201 import OWN_WEIGHTS


def _most_together(numbers: int, device: torch.device) -> int:
    """Return how many architectures to run as one batch on a GPU.

    Args:
        numbers: In a feature map of the first stage.
        device: The GPU, of which other processes may take their part at the same moment.
    """
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    map_bytes = 4 * numbers
    return max(1, min(64, free // 4 // (16 * map_bytes)))  # a cell holds some ten maps at a time


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
        self.channels = channels
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False), BatchNorm(channels, **norm)
        )
        blocks: list[nn.Module] = []
        for stage, width in enumerate((channels, 2 * channels, 4 * channels)):
            if stage:
                blocks.append(ReductionBlock(width // 2, width, **norm))
            blocks.extend(self.cell(space, width, **norm) for _ in range(cells))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(BatchNorm(4 * channels, **norm), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * channels, classes)
        self.mixed_edges = nasbench201_mixture.mixed_edges(space)
        self.mixed_cells = 3 * cells

    def cell(self, space: Space, channels: int, *, affine: bool, track: bool) -> Cell:
        """Return a new cell."""
        return Cell(space, channels, affine=affine, track=track)

    def steps(self, architecture: Architecture) -> list[Step]:
        """Return the stem, the blocks and the head; only what is before the first cell can be shared."""
        form = self.space.shared_form(architecture)
        first, *cells_and_reductions = self.blocks
        return [
            Step("stem", self.stem),
            Step(form, first, (architecture.options,)),
            *(
                Step(place, block, (architecture.options,) if isinstance(block, Cell) else ())
                for place, block in enumerate(cells_and_reductions)
            ),
            Step("head", self.head),
            Step("classifier", self.classifier),
        ]

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> (B, K); trained, all blocks are one node of the autograd graph."""
        if isinstance(images, Tensor) and torch.is_grad_enabled():
            found = self.in_one_node(images, architecture.options)
            if found is not None:
                return found
        return super().forward_path(images, architecture)

    def in_one_node(
        self,
        images: Tensor,
        options: tuple[str, ...],
        weights: tuple[int, ...] = OWN_WEIGHTS,
        gates: Gates | None = None,
    ) -> Tensor | None:
        """Run a path whose blocks are one node of the autograd graph; None where it cannot be run so.

        Args:
            images: (B, C, H, W).
            options: Of the cells.
            weights: Which of a cell's weights each of its edges uses.
            gates: Of the layers of all blocks, of which each edge of a cell then has its own.

        Returns:
            (B, K).
        """
        blocks = [block for block in self.blocks if isinstance(block, Cell | ReductionBlock)]
        apart = gates is not None  # an edge's gate wants the gradient of what that edge alone adds
        parts = [
            block.part(options, weights, apart=apart) if isinstance(block, Cell) else block.part() for block in blocks
        ]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or not takes_gradients(known):
            return None
        logits: Tensor = self.classifier(self.head(run(known, self.stem(images), gates)))
        return logits

    def forward_mixture(self, images: Tensor, mixture: Mixture) -> Tensor:
        """(B, C, H, W) -> (B, K) of the relaxed network: see `raynas.networks.nasbench201_mixture`."""
        check_mixture(mixture, self.mixed_edges, self.mixed_cells)
        out = nasbench201_mixture.run_blocks(self.blocks, self.stem(images), mixture)
        logits: Tensor = self.classifier(self.head(out))
        return logits

    def most_likely(self, mixture: Mixture) -> Architecture:
        """Return the operation of the largest weight on every edge, or the likeliest cell that the space allows."""
        return nasbench201_mixture.most_likely(self.space, mixture)

    def edge_places(self, architecture: Architecture) -> tuple[int, ...]:
        """Return the place of an architecture's operation on every edge."""
        return nasbench201_mixture.edge_places(self.mixed_edges, architecture)

    def carries(self, places: Sequence[int]) -> bool:
        """Say whether operations at these places connect input and output."""
        return nasbench201_mixture.carries(self.mixed_edges, places)

    def different_outputs(self, images: Tensor, architectures: Sequence[Architecture]) -> Iterator[tuple[int, Tensor]]:
        """Yield places and outputs: as many at once as there is memory for on a GPU, one after another on a CPU.

        There one after another was measured to be faster, with 2 images of 8x8 too (`benchmarks/kernels.py`).
        """
        if images.device.type != "cuda" or not all(norm.uses_batch for norm in batch_norms(self)):
            yield from super().different_outputs(images, architectures)
            return
        size = _most_together(images.numel() // images.shape[1] * self.channels, images.device)
        for start in range(0, len(architectures), size):
            yield from enumerate(self.together(images, architectures[start : start + size]), start)

    def together(self, images: Tensor, architectures: Sequence[Architecture]) -> Tensor:
        """Run several architectures as one batch, their common operations each as one call.

        Args:
            images: (B, C, H, W) for all of them, or (A, B, C, H, W), each its own.
            architectures: A of them.

        Returns:
            (A, B, K).
        """
        count = len(architectures)
        plan = self.uses(architectures, images.device)
        if images.ndim == 4:
            x = torch.cat([self.stem(images)] * count)
        else:
            with grouped(count):
                x = self.stem(images.flatten(0, 1))
        for block in self.blocks:
            with grouped(count):
                x = block.of_several(x, plan) if isinstance(block, Cell) else block(x)
        with grouped(count):
            logits: Tensor = self.classifier(self.head(x))
        return logits.view(count, -1, self.classes)

    def uses(self, architectures: Sequence[Architecture], device: torch.device) -> list[EdgeUse]:
        """Return who uses what on the edges of the cells of several architectures."""
        return edge_uses([architecture.options for architecture in architectures], device)
