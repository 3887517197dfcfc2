"""What the spaces of stages of inverted residual blocks share: the names of blocks, and where identity layers stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

IDENTITY = "Identity"
"""A layer that is not there; in a stage's first layer, which changes the shape, a strided 1x1 convolution with BN."""


class MobileBlock(NamedTuple):
    """An inverted residual block (MobileNetV2): expansion, kernel size, and whether it squeezes and excites."""

    expansion: int
    kernel: int
    se: bool = False

    @property
    def option(self) -> str:
        """The block's name as an option: ``MB6_K5`` or ``MB6_K5_SE``."""
        return f"MB{self.expansion}_K{self.kernel}{'_SE' if self.se else ''}"


def mobile_block(option: str) -> MobileBlock | None:
    """Return what ``MB6_K5_SE`` stands for, or None for the identity."""
    if option == IDENTITY:
        return None
    expansion, kernel, *se = option.removeprefix("MB").split("_")
    return MobileBlock(int(expansion), int(kernel.removeprefix("K")), bool(se))


def identities_last(options: Sequence[str], depths: Sequence[int]) -> tuple[str, ...]:
    """Move a stage's identity layers to its end, except in its first place, where the identity changes the shape.

    An identity layer that keeps the shape does nothing, so this is the same function when trained alone.

    Args:
        options: One option a layer.
        depths: How many layers each stage has.
    """
    moved: list[str] = []
    for depth in depths:
        first, *rest = options[len(moved) : len(moved) + depth]
        moved += [first, *sorted(rest, key=lambda option: option == IDENTITY)]
    return tuple(moved)


def block_activations(options: Sequence[str]) -> int:
    """Return how many activation functions the main branches of the blocks have: two each, the identity none.

    Args:
        options: One option a layer.
    """
    return 2 * sum(option != IDENTITY for option in options)
