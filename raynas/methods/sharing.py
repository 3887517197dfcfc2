"""`Sharing`: which weights an operation uses, by where it stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any

from raynas.methods.part import Part
from raynas.networks import Supernet, supernet
from raynas.registry import Registry
from raynas.spaces import Architecture, Space


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

    def shared_form(self, space: Space, architecture: Architecture) -> Hashable:
        """Return a value that is equal for architectures that are the same function whatever the weights are.

        `Supernet.shared_forms` may know more of them to be equal, of the weights that it has.
        """
        return space.shared_form(architecture)


SHARINGS: Registry[Sharing] = Registry("sharing")


@SHARINGS.register("positions")
class PositionSharing(Sharing):
    """Weights of their own at every position (layer, edge) and operation, shared by all architectures: SPOS."""

    def supernet(
        self, space: Space, *, input_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> Supernet:
        """Return the space's own network."""
        return supernet(space, input_shape=input_shape, classes=classes, seed=seed, **options)
