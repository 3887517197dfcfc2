"""The spaces as weight-shared modules (torch).

Shape legend of all docstrings: B batch, C channels, H and W height and width, K classes, A architectures.
"""

from __future__ import annotations

import torch

from raynas.networks import nasbench201 as nasbench201
from raynas.networks.supernet import NETWORKS, Choice, Supernet
from raynas.spaces import SPACES, Space

__all__ = ["NETWORKS", "Choice", "Supernet", "supernet"]


def supernet(
    space: Space | str,
    *,
    input_shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    seed: int = 0,
    **options: object,
) -> Supernet:
    """Build the weight-shared network of a (sub)space.

    Args:
        space: The architectures it shall run, or a space's name; a subspace gets candidates for its own options only.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        seed: Seed of the initial weights; torch's global generator is left alone.
        options: Keyword arguments of the space's network (channels, cells, ...).
    """
    architectures = SPACES.make(space) if isinstance(space, str) else space
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS.make(architectures.name, architectures, input_shape, classes, **options)
