"""`Choice` and `Supernet`: a network whose parts are chosen, call by call, by an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from raynas.errors import ConfigError, RunError
from raynas.registry import Registry
from raynas.spaces import Architecture, Space

_CHOSEN: ContextVar[Mapping[str, str] | None] = ContextVar("chosen", default=None)


@contextmanager
def chosen_options(options: Mapping[str, str]) -> Iterator[None]:
    """Decide, for the calls made inside, every `Choice` that is called without an option.

    Args:
        options: The option of each decision.
    """
    token = _CHOSEN.set(options)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


class Choice(nn.Module):
    """The candidates of one decision, each with its own weights; which one runs is never a state of the module.

    In a model of your own, call it like any module: the supernet around the model decides what it runs.

    Args:
        decision: The name of the decision in the space; several choices may follow the same one.
        candidates: One module an option.

    Raises:
        ConfigError: The candidates are not named.
    """

    def __init__(self, decision: str, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not hasattr(candidates, "keys"):
            problem = f"candidates must be a mapping, option to module, got a {type(candidates).__name__}"
            raise ConfigError([f"{problem}; write {{'conv': nn.Conv2d(...), ...}}"], f"the choice '{decision}'")
        self.decision = decision
        self.candidates = nn.ModuleDict(dict(candidates))

    def forward(self, x: Tensor, option: str | None = None) -> Tensor:
        """Run the candidate of this option; the others are not touched and get no gradient.

        Raises:
            RunError: No option was given, and the call is not made inside a supernet.
        """
        if option is None:
            option = (_CHOSEN.get() or {}).get(self.decision)
            if option is None:
                raise RunError(
                    f"nothing decides '{self.decision}': call raynas.supernet(model)(images, architecture), "
                    "or raynas.derive one architecture"
                )
        out: Tensor = self.candidates[option](x)
        return out


class Supernet(nn.Module, ABC):
    """The shared weights of a (sub)space.

    Args:
        space: The architectures it can run.
        input_shape: (C, H, W) of the images.
        classes: The number of classes K.
    """

    measured_by_meter = True
    """Whether `forward_path` can be walked with shapes instead of tensors (see `Meter`), as the library's own can."""

    default_classes = 10
    """What `classes` is where it is not given."""

    def __init__(self, space: Space, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.space = space
        self.input_shape = input_shape
        self.classes = classes

    def plain(self, architecture: Architecture, *, fresh: bool = False) -> nn.Module:
        """Return the stand-alone network of one architecture, torch modules only, with copies of the weights.

        Args:
            architecture: The architecture.
            fresh: The weights are initial ones: a layer that is a part of a larger one is initialised anew, as torch
                does a layer of its size, by torch's global generator.
        """
        from raynas.networks.derive import trace_path

        return trace_path(self, architecture, fresh=fresh)

    @abstractmethod
    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> logits (B, K) of one architecture, which is known to be in the space."""

    def forward(self, images: Tensor, architectures: Architecture | str | Sequence[Architecture | str]) -> Tensor:
        """Run one architecture (or its string), (B, C, H, W) -> (B, K), or a list of A of them, -> (A, B, K).

        Raises:
            ArchitectureError: A text is not an architecture.
            ValueError: An architecture is not in this (sub)space, or the images have another shape.
        """
        if tuple(images.shape[1:]) != self.input_shape:
            raise ValueError(f"images must be (B, {', '.join(map(str, self.input_shape))}), got {tuple(images.shape)}")
        one = isinstance(architectures, Architecture | str)
        given = [architectures] if isinstance(architectures, Architecture | str) else architectures
        listed = [self.space.root.parse(a) if isinstance(a, str) else a for a in given]
        for architecture in listed:
            if architecture not in self.space:
                raise ValueError(f"{architecture} is not in this supernet's space ({self.space.label})")
        logits = [self.forward_path(images, architecture) for architecture in listed]
        return logits[0] if one else torch.stack(logits)


NETWORKS: Registry[Supernet] = Registry("network")
"""Builders of supernets, by the name of the space they are for."""
