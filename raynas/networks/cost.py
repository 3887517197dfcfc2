"""Parameters and multiply-adds of an architecture trained alone.

Convention: batch norm is affine, as it is in stand-alone networks; parameters of every chosen operation, dead edges
included, plus everything fixed; multiply-adds of convolutions and linear layers that run for one image, from torch's
own FLOP counter (which counts two a multiply-add).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from raynas.networks import supernet
from raynas.spaces import Architecture, Space


@dataclass(frozen=True)
class Cost:
    """What an architecture costs: millions of parameters, millions of multiply-adds an image."""

    params_m: float
    flops_m: float


def cost(space: Space, architecture: Architecture, **options: object) -> Cost:
    """Return the cost of one architecture.

    Args:
        space: The architecture's space.
        architecture: The architecture.
        options: As for `raynas.supernet`: input shape, classes and the network's options (channels, cells, ...), since
            a cost depends on them. The defaults are those of the benchmark the space is from.
    """
    with torch.device("meta"):
        network = supernet(space.only(architecture), **{"affine": True, **options})  # type: ignore[arg-type]
        image = torch.empty(1, *network.input_shape)
        with FlopCounterMode(display=False) as counter:
            network.eval()(image, architecture)
    params = sum(parameter.numel() for parameter in network.parameters())
    return Cost(params / 1e6, counter.get_total_flops() / 2 / 1e6)
