"""`Choice` and `Supernet`: a network whose parts are chosen, call by call, by an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from raynas.registry import Registry
from raynas.spaces import Architecture, Space


class Choice(nn.Module):
    """The candidates of one decision, each with its own weights; which one runs is an argument, never state.

    Args:
        decision: The name of the decision in the space; several choices may follow the same one.
        candidates: One module an option.
    """

    def __init__(self, decision: str, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.decision = decision
        self.candidates = nn.ModuleDict(dict(candidates))

    def forward(self, x: Tensor, option: str) -> Tensor:
        """Run the candidate of this option; the others are not touched and get no gradient."""
        out: Tensor = self.candidates[option](x)
        return out


class Supernet(nn.Module, ABC):
    """The shared weights of a (sub)space.

    Args:
        space: The architectures it can run.
        input_shape: (C, H, W) of the images.
        classes: The number of classes K.
    """

    def __init__(self, space: Space, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.space = space
        self.input_shape = input_shape
        self.classes = classes

    @abstractmethod
    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> logits (B, K) of one architecture, which is known to be in the space."""

    def forward(self, images: Tensor, architectures: Architecture | Sequence[Architecture]) -> Tensor:
        """Run one architecture, (B, C, H, W) -> (B, K), or a list of A of them, -> (A, B, K).

        Raises:
            ValueError: An architecture is not in this (sub)space, or the images have another shape.
        """
        if tuple(images.shape[1:]) != self.input_shape:
            raise ValueError(f"images must be (B, {', '.join(map(str, self.input_shape))}), got {tuple(images.shape)}")
        one = isinstance(architectures, Architecture)
        listed = [architectures] if isinstance(architectures, Architecture) else list(architectures)
        for architecture in listed:
            if architecture not in self.space:
                raise ValueError(f"{architecture} is not in this supernet's space ({self.space.label})")
        logits = [self.forward_path(images, architecture) for architecture in listed]
        return logits[0] if one else torch.stack(logits)


NETWORKS: Registry[Supernet] = Registry("network")
"""Builders of supernets, by the name of the space they are for."""
