"""How long a network takes on this machine: its forward pass, timed by `torch.utils.benchmark`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import Timer

from raynas.networks.derive import derive
from raynas.networks.supernet import Supernet
from raynas.spaces import Architecture, Space

_WARM_UPS = 3


@dataclass(frozen=True)
class Latency:
    """How long forward passes took.

    Args:
        median_ms: Milliseconds of one forward pass of a whole batch, the median over blocks of passes.
        iqr_ms: The distance of the quartiles of the same; large where the machine was busy with something else.
        runs: How many passes were timed.
        batch_size: Images a pass, B.
        threads: Threads that torch used within an operation on the CPU.
        device: Where it ran ("cpu", "cuda:0").
        torch_version: The version of torch.
    """

    median_ms: float
    iqr_ms: float
    runs: int
    batch_size: int
    threads: int
    device: str
    torch_version: str


def latency(
    network: Space | Supernet | str | nn.Module,
    architecture: Architecture | str | None = None,
    *,
    batch_size: int = 1,
    threads: int | None = None,
    device: str | torch.device = "cpu",
    min_seconds: float = 0.5,
    input_shape: tuple[int, int, int] | None = None,
    **options: object,
) -> Latency:
    """Measure on this machine the forward pass of one architecture's stand-alone network, in milliseconds a batch.

    What is timed is ``network(images)`` alone, in evaluation mode and without autograd, on images (B, C, H, W) of
    random numbers that lie on the device already; on CUDA until the device has finished. A copy is measured: the
    network given keeps its weights, its mode and its device.

    A supernet whose batch norm keeps no running averages computes statistics in every pass, and so does the network
    derived from it; derive from the space to measure what would be used.

    Args:
        network: A space or its name, a supernet, or a network that needs no architecture.
        architecture: The architecture, or its string, for all but a plain network.
        batch_size: Images a pass, B.
        threads: Threads within an operation on the CPU; None for as many as torch uses now.
        device: Where to measure.
        min_seconds: Passes are repeated for at least so long.
        input_shape: (C, H, W) of the images: needed for a plain network, a supernet knows it, (3, 32, 32) for a space.
        options: For a space, as for `raynas.derive`: classes, seed and the network's options.

    Raises:
        ValueError: An argument is missing, does not go with what is measured, or is not positive.
    """
    used = torch.get_num_threads() if threads is None else threads
    if batch_size < 1 or used < 1 or min_seconds <= 0:
        raise ValueError(
            f"batch_size, threads and min_seconds must be positive, got {batch_size}, {used} and {min_seconds}"
        )
    alone, shape = _stand_alone(network, architecture, input_shape, options)
    where = torch.device(device)
    alone = copy.deepcopy(alone).to(where).eval()
    images = torch.randn(batch_size, *shape, generator=torch.Generator().manual_seed(0)).to(where)
    timer = Timer("network(images)", globals={"network": alone, "images": images}, num_threads=used)
    with torch.inference_mode():
        timer.timeit(_WARM_UPS)
        measured = timer.blocked_autorange(min_run_time=min_seconds)
    return Latency(
        median_ms=measured.median * 1e3,
        iqr_ms=measured.iqr * 1e3,
        runs=measured.number_per_run * len(measured.raw_times),
        batch_size=batch_size,
        threads=used,
        device=str(images.device),
        torch_version=str(torch.__version__),
    )


def _stand_alone(
    network: Space | Supernet | str | nn.Module,
    architecture: Architecture | str | None,
    input_shape: tuple[int, int, int] | None,
    options: Mapping[str, Any],
) -> tuple[nn.Module, tuple[int, int, int]]:
    """Return the network to measure and the shape of its images."""
    if isinstance(network, nn.Module) and not isinstance(network, Supernet):
        if architecture is not None or options:
            raise ValueError("a plain network is measured as it is; it takes no architecture and no network's options")
        if input_shape is None:
            raise ValueError("a plain network does not know its images: give input_shape=(C, H, W)")
        return network, input_shape
    if architecture is None:
        raise ValueError("say which architecture of the space is measured")
    if isinstance(network, Supernet):
        if input_shape not in (None, network.input_shape):
            raise ValueError(f"the supernet is for images {network.input_shape}, got input_shape={input_shape}")
        return derive(network, architecture, **options), network.input_shape
    shape = (3, 32, 32) if input_shape is None else input_shape
    return derive(network, architecture, input_shape=shape, **options), shape
