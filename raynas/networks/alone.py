"""A derived network in the place of a supernet: the same loop trains it."""

from __future__ import annotations

from torch import Tensor

from raynas.networks.build import fresh_network
from raynas.networks.supernet import Supernet
from raynas.spaces import Architecture, Space


class NetworkAlone(Supernet):
    """The stand-alone network of one architecture, untrained; see `fresh_network`.

    Args:
        space: The architecture's space.
        architecture: The only one it runs.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        seed: Seed of the initial weights.
        options: Options of the space's network.
    """

    def __init__(
        self,
        space: Space,
        architecture: Architecture,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        seed: int,
        **options: object,
    ) -> None:
        super().__init__(space.only(architecture), input_shape, classes)
        self.network = fresh_network(
            space, architecture, input_shape=input_shape, classes=classes, seed=seed, **options
        )

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> (B, K)."""
        del architecture  # there is only one
        out: Tensor = self.network(images)
        return out
