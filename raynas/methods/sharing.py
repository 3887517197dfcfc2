"""`Sharing`: which weights an operation uses, by where it stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from raynas.methods.part import Part
from raynas.networks import Supernet, supernet
from raynas.registry import Registry
from raynas.spaces import Space


class Sharing(Part, ABC):
    """Builds the supernet of a space."""

    @abstractmethod
    def supernet(
        self, space: Space, *, input_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> Supernet:
        """Return the supernet with its initial weights.

        Args:
            space: The (sub)space.
            input_shape: (C, H, W) of the images.
            classes: Outputs.
            seed: Of the initial weights.
            options: Of the space's network.
        """


SHARINGS: Registry[Sharing] = Registry("sharing")


@SHARINGS.register("positions")
class PositionSharing(Sharing):
    """Weights of their own at every position (layer, edge) and operation, shared by all architectures: SPOS."""

    def supernet(
        self, space: Space, *, input_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> Supernet:
        """Return the space's own network."""
        return supernet(space, input_shape=input_shape, classes=classes, seed=seed, **options)
