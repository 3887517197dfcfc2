"""`supernet`: the weight-shared network of a space. `fresh_network`: one architecture as it is trained alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from raynas.networks.module import ModuleSupernet
from raynas.networks.supernet import NETWORKS, Supernet
from raynas.spaces import SPACES, Architecture, Space


def supernet(
    space: Space | str | nn.Module,
    *,
    input_shape: tuple[int, int, int] = (3, 32, 32),
    classes: int | None = None,
    seed: int = 0,
    **options: object,
) -> Supernet:
    """Build the weight-shared network of a (sub)space.

    Args:
        space: The architectures it shall run, or a space's name; a subspace gets candidates for its own options only.
            Or a model of your own with `Choice` modules in it, which is copied with its weights; seed and options have
            no part in that.
        input_shape: (C, H, W) of the images.
        classes: The number of classes (output channels, where the task is depth); None for 10, or the depth's 1.
        seed: Seed of the initial weights; torch's global generator is left alone.
        options: Keyword arguments of the space's network (channels, cells, ...).

    Raises:
        ConfigError: An option is unknown or not allowed.
    """
    if isinstance(space, nn.Module):
        if options:
            raise ValueError(f"a model has its options already; got {', '.join(options)}")
        return ModuleSupernet.of(space, input_shape, _classes(ModuleSupernet, classes))
    architectures = SPACES.build(space) if isinstance(space, str) else space
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _make(architectures, input_shape, classes, options)


def fresh_network(
    space: Space,
    architecture: Architecture,
    *,
    input_shape: tuple[int, int, int] = (3, 32, 32),
    classes: int | None = None,
    seed: int = 0,
    **options: object,
) -> nn.Module:
    """Return the untrained stand-alone network of one architecture, torch modules only.

    Batch norm is affine and keeps running averages; every layer starts as torch starts one of its own size.

    Args:
        space: The architecture's space.
        architecture: The architecture.
        input_shape: (C, H, W) of the images.
        classes: The number of classes, as for `supernet`.
        seed: Seed of the initial weights; torch's global generator is left alone.
        options: Keyword arguments of the space's network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        alone = {"affine": True, "track": True, **options}
        network = _make(space.only(architecture), input_shape, classes, alone)
        return network.plain(architecture, fresh=True)


def _make(
    space: Space, input_shape: tuple[int, int, int], classes: int | None, options: Mapping[str, object]
) -> Supernet:
    """Return the network of a space with its initial weights by torch's global generator, the options checked."""
    checked = NETWORKS.checked(space.name, options)
    return NETWORKS.make(space.name, space, input_shape, _classes(NETWORKS.get(space.name), classes), **checked)


def _classes(network: object, given: int | None) -> int:
    return getattr(network, "default_classes", Supernet.default_classes) if given is None else given
