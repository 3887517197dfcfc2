"""`Choice` and `Supernet`: a network whose parts are chosen, call by call, by an architecture."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from raynas.errors import ConfigError, RunError
from raynas.networks.batchnorm import BatchNorm
from raynas.networks.mixture import MixedEdge, Mixture
from raynas.networks.steps import Step, walk
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


class Supernet(nn.Module):
    """The shared weights of a (sub)space.

    A network implements either `steps`, so that architectures with a common beginning share its computation, or
    `forward_path`.

    Args:
        space: The architectures it can run.
        input_shape: (C, H, W) of the images.
        classes: The number of classes K.

    Raises:
        TypeError: The network implements neither.
    """

    measured_by_meter = True
    """Whether `forward_path` can be walked with shapes instead of tensors (see `Meter`), as the library's own can."""

    default_classes = 10
    """What `classes` is where it is not given."""

    mixed_edges: Sequence[MixedEdge] = ()
    """The edges whose operations a `Mixture` weighs, in order; none where the network cannot be relaxed."""

    mixed_cells = 1
    """How many cells there are that can each be given a mixture of its own; 1 where all mix alike."""

    reuses_layers = False
    """Whether a path runs a layer more than once because weights are shared: alone, those are several layers. In a
    model of your own it may be meant, and they stay one."""

    def __init__(self, space: Space, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        if type(self).steps is Supernet.steps and type(self).forward_path is Supernet.forward_path:
            raise TypeError(f"{type(self).__name__} must implement steps or forward_path")
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

    def steps(self, architecture: Architecture) -> Sequence[Step]:
        """Return what takes images (B, C, H, W) to the output (B, K) of one architecture, known to be in the space.

        Unless overridden it is a single step, so that only architectures of equal `shared_forms` share it.
        """
        return [Step(self.shared_forms([architecture])[0], self.forward_path, (architecture,))]

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> logits (B, K) of one architecture, which is known to be in the space."""
        x: Any = images
        for step in self.steps(architecture):
            x = step(x)
        out: Tensor = x
        return out

    def forward_mixture(self, images: Tensor, mixture: Mixture) -> Tensor:
        """(B, C, H, W) -> logits (B, K) of a weighted sum of all architectures, operation by operation."""
        raise NotImplementedError(f"{type(self).__name__} cannot be relaxed")

    def most_likely(self, mixture: Mixture) -> Architecture:
        """Return the discrete architecture that a mixture stands for."""
        raise NotImplementedError(f"{type(self).__name__} cannot be relaxed")

    def edge_places(self, architecture: Architecture) -> Sequence[int | None]:
        """Return the place of an architecture's operation on every mixed edge; None on those it does not have."""
        raise NotImplementedError(f"{type(self).__name__} cannot be relaxed")

    def carries(self, places: Sequence[int]) -> bool:
        """Say whether anything reaches the output where each mixed edge runs only the operation at its place."""
        del places
        return True

    def shared_forms(self, architectures: Sequence[Architecture]) -> list[Hashable]:
        """Return of each architecture a value that is equal for those that are the same function of these weights now.

        Unless overridden that is `Space.shared_form`, which holds whatever the weights are.
        """
        return [self.space.shared_form(architecture) for architecture in architectures]

    @contextmanager
    def as_scored(self) -> Iterator[None]:
        """Run, inside, what is scored where training runs something else at random; nothing changes unless overridden.

        The mode and the gradients of what runs stay what they are.
        """
        yield

    def undecayed(self) -> Sequence[nn.Parameter]:
        """Return the parameters that weight decay leaves alone; none unless overridden."""
        return ()

    def counts_its_calls(self) -> bool:
        """Say whether running an architecture a second time, in the present mode, makes a difference."""
        return self.training and any(map(_counts_its_calls, self.modules()))

    def diagnostics(self) -> dict[str, float]:
        """Return what is worth logging of the weights after a round, by name; nothing unless overridden."""
        return {}

    def forward(
        self, images: Tensor, architectures: Architecture | str | Mixture | Sequence[Architecture | str]
    ) -> Tensor:
        """Run one architecture (or its string, or a mixture), (B, C, H, W) -> (B, K), or a list of A, -> (A, B, K).

        Raises:
            ArchitectureError: A text is not an architecture.
            ValueError: An architecture is not in this (sub)space, or the images have another shape.
        """
        if isinstance(architectures, Mixture):
            self._checked(images, [])
            return self.forward_mixture(images, architectures)
        if isinstance(architectures, Architecture | str):
            (architecture,) = self._checked(images, [architectures])
            return self.forward_path(images, architecture)
        outputs = dict(self.outputs(images, architectures))
        return torch.stack([outputs[place] for place in range(len(outputs))])

    def outputs(self, images: Tensor, architectures: Sequence[Architecture | str]) -> Iterator[tuple[int, Tensor]]:
        """Yield each architecture's place in the list and its output (B, K), every computation being done once.

        They come in an order of their own, that of the walk over the tree of their steps. Architectures of equal
        `shared_forms` get the same tensor. A network in training mode that would notice how often it is called
        (batch norm with running averages, dropout) runs them in order, one by one.

        Args:
            images: (B, C, H, W).
            architectures: Architectures or their strings.

        Raises:
            ArchitectureError: A text is not an architecture.
            ValueError: An architecture is not in this (sub)space, or the images have another shape.
        """
        listed = self._checked(images, architectures)
        if self.counts_its_calls():
            return ((place, self.forward_path(images, architecture)) for place, architecture in enumerate(listed))
        return self._shared_outputs(images, listed)

    def _shared_outputs(self, images: Tensor, architectures: Sequence[Architecture]) -> Iterator[tuple[int, Tensor]]:
        places: dict[Hashable, list[int]] = {}
        for place, form in enumerate(self.shared_forms(architectures)):
            places.setdefault(form, []).append(place)
        alike = list(places.values())
        for form, output in self.different_outputs(images, [architectures[first] for first, *_ in alike]):
            for place in alike[form]:
                yield place, output

    def different_outputs(self, images: Tensor, architectures: Sequence[Architecture]) -> Iterator[tuple[int, Tensor]]:
        """Yield the place and the output (B, K) of architectures that all differ in their shared form.

        Args:
            images: (B, C, H, W).
            architectures: Known to be in the space.
        """
        return walk((self.steps(architecture) for architecture in architectures), images)

    def _checked(self, images: Tensor, architectures: Sequence[Architecture | str]) -> list[Architecture]:
        """Return the architectures, texts being parsed; see `forward` for what is raised."""
        if tuple(images.shape[1:]) != self.input_shape:
            raise ValueError(f"images must be (B, {', '.join(map(str, self.input_shape))}), got {tuple(images.shape)}")
        listed = [self.space.root.parse(a) if isinstance(a, str) else a for a in architectures]
        for architecture in listed:
            if architecture not in self.space:
                raise ValueError(f"{architecture} is not in this supernet's space ({self.space.label})")
        return listed


def _counts_its_calls(module: nn.Module) -> bool:
    """Say whether calling a module a second time, in its present mode, makes a difference."""
    if isinstance(module, BatchNorm | nn.modules.batchnorm._NormBase):
        return module.training and module.running_mean is not None
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0


NETWORKS: Registry[Supernet] = Registry("network")
"""Builders of supernets, by the name of the space they are for."""
