"""Parameters and multiply-adds of architectures trained alone.

One convention for all spaces. Parameters: of the stand-alone network with affine batch norm, plus those of chosen
operations that the output does not depend on (dead edges of a cell), as the benchmarks count them. Multiply-adds:
convolutions and linear layers that run for one image, by torch's own FLOP counter (which counts two a multiply-add);
batch norm, activations, pooling and dead edges count nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from raynas.errors import ConfigError
from raynas.networks.build import supernet
from raynas.networks.ghost import Meter
from raynas.networks.supernet import NETWORKS, Choice
from raynas.spaces import SPACES, Architecture, Space


@dataclass(frozen=True)
class Cost:
    """What an architecture costs: millions of parameters, millions of multiply-adds an image."""

    params_m: float
    flops_m: float


def cost(space: Space | str, architecture: Architecture | str, **options: object) -> Cost:
    """Return the cost of one architecture.

    Args:
        space: The architecture's space, or its name.
        architecture: The architecture, or its string.
        options: As for `raynas.supernet`: input shape, classes and the network's options (channels, cells, ...), since
            a cost depends on them. The defaults are ``input_shape=(3, 32, 32)`` and ``classes=10`` (1 for the depth
            spaces): for spaces of ImageNet's size (mobilenet, ofa_mobilenetv3) give ``input_shape=(3, 224, 224),
            classes=1000``.

    Raises:
        ConfigError: An option is not allowed, or a model of your own cannot run images of this shape.
    """
    params, flops = costs(space, [architecture], **options)[0]
    return Cost(float(params), float(flops))


def costs(space: Space | str, architectures: Sequence[Architecture | str], **options: object) -> NDArray[np.float64]:
    """Return the costs of many architectures, (A, 2): millions of parameters, millions of multiply-adds an image.

    The first call for a space and options takes a moment; after it, an architecture takes less than a millisecond
    (measured with one thread beside other work: 5 to 6 s for the 15,625 cells of nasbench201).
    """
    whole = SPACES.build(space) if isinstance(space, str) else space.root
    model = _cost_model(whole, options)
    parsed = [whole.parse(a) if isinstance(a, str) else a for a in architectures]
    return np.array([model(architecture) for architecture in parsed]).reshape(len(parsed), 2) / 1e6


def plain_cost(network: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return parameters and multiply-adds an image of a plain network, by running it once on the meta device."""
    ghost = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ghost(torch.empty(1, *input_shape, device="meta"))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


class CostModel:
    """Costs of the architectures of a space in one network.

    Args:
        space: The whole space.
        options: As for `raynas.supernet`.
    """

    def __init__(self, space: Space, options: Mapping[str, Any]) -> None:
        # A user's model is built in earnest: constructors may compute with numbers, which the meta device has not.
        measured = getattr(NETWORKS.get(space.name), "measured_by_meter", True)
        with torch.device("meta") if measured else nullcontext():
            # With running averages: batch norm refuses to take statistics of a single number, which one image can be.
            self._network = supernet(space, **{"affine": True, **options, "track": True})
        # Counted before the meter makes the layers count.
        self._candidates = self._chosen_candidates()
        self._meter = Meter(self._network) if self._network.measured_by_meter else None
        self._network.eval()

    def __call__(self, architecture: Architecture) -> tuple[int, int]:
        """Return parameters and multiply-adds an image of one architecture."""
        network = self._network
        if self._meter is None:
            try:
                return plain_cost(network.plain(architecture), network.input_shape)
            except Exception as error:  # whatever the user's model raises
                told = f"cannot run '{architecture}' on images of input_shape={network.input_shape}"
                problem = f"{told}: {type(error).__name__}: {error}; give the input_shape=(C, H, W) that it is for"
                raise ConfigError([problem], f"the cost in the space {network.space.name}") from error
        network.forward_path(self._meter.start((1, *network.input_shape)), architecture)  # type: ignore[arg-type]
        params = self._meter.params
        for place, option in enumerate(architecture.options):
            for candidate, size in self._candidates.get((place, option), ()):
                if not self._meter.has_run(candidate):
                    params += size
        return params, self._meter.flops // 2

    def _chosen_candidates(self) -> dict[tuple[int, str], list[tuple[nn.Module, int]]]:
        """Return the candidates (those with parameters) that an option chooses, by the place of its decision."""
        places = {decision.name: place for place, decision in enumerate(self._network.space.decisions)}
        found: dict[tuple[int, str], list[tuple[nn.Module, int]]] = {}
        for choice in self._network.modules():
            if isinstance(choice, Choice) and choice.decision in places:
                for option, candidate in choice.candidates.items():
                    size = sum(p.numel() for p in candidate.parameters())
                    if size:
                        found.setdefault((places[choice.decision], option), []).append((candidate, size))
        return found


_MODELS: dict[str, CostModel] = {}


def _cost_model(space: Space, options: Mapping[str, Any]) -> CostModel:
    """Return the model of a space and options, made once."""
    # A space that was not made by `raynas.space` does not say its options, but has them among its attributes.
    its_own = {name: value for name, value in vars(space).items() if not name.startswith("_")}
    key = json.dumps([space.name, its_own, space.decisions, options], default=str, sort_keys=True)
    if key not in _MODELS:
        _MODELS[key] = CostModel(space, options)
    return _MODELS[key]
