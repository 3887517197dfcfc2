"""Running a `Mixture`: edges that are weighted sums of their operations, and nodes that sum edges.

The operations are those of the shared weights, called as modules, by torch's own operations: every path of the mixture
runs through the weights that the discrete path runs through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from raynas.errors import ConfigError
from raynas.networks.mixture import MixedEdge, Mixture
from raynas.networks.operations import Zero
from raynas.networks.supernet import Choice


class EdgeInput(NamedTuple):
    """An edge into a node.

    Args:
        choice: Its operations.
        x: What they are applied to (B, C, H, W); None where nothing arrives.
        stride: Of the operations.
    """

    choice: Choice
    x: Tensor | None
    stride: int = 1


def check_mixture(mixture: Mixture, edges: Sequence[MixedEdge], cells: int) -> None:
    """Check that a mixture has a weight for every operation of every edge.

    Args:
        mixture: The mixture.
        edges: The network's `mixed_edges`.
        cells: Its `mixed_cells`.

    Raises:
        ValueError: It has not; the message names the edge.
    """
    if len(mixture.weights) != len(edges):
        raise ValueError(f"a mixture of this network has weights for {len(edges)} edges, got {len(mixture.weights)}")
    for edge, weight in zip(edges, mixture.weights, strict=True):
        count = len(edge.options)
        if weight.ndim != 1 or len(weight) not in (count, count + 1):
            raise ValueError(
                f"edge {edge.name} has {count} operations ({', '.join(edge.options)}): its weights must be ({count},), "
                f"or ({count + 1},) with one for carrying nothing, got {tuple(weight.shape)}"
            )
    if mixture.others and len(mixture.others) != cells - 1:
        raise ValueError(f"this network mixes in {cells} cells, got mixtures for {1 + len(mixture.others)}")


def mixed_node(inputs: Sequence[EdgeInput], mixture: Mixture, first: int, node: int, like: Tensor) -> Tensor | None:
    """Return the sum of the mixed edges into a node; None where nothing arrives.

    Args:
        inputs: Its edges.
        mixture: The weights.
        first: The place of the first of them among the `mixed_edges`.
        node: The place of the node among the `edge_weights`.
        like: A tensor of the shape of the sum.
    """
    scales = None if mixture.edge_weights is None else mixture.edge_weights[node].unbind()
    total = number = None
    for place, edge in enumerate(inputs):
        ran = None if mixture.ran is None else mixture.ran[first + place]
        out, added = _mixed(edge, mixture.weights[first + place], ran, mixture.partial)
        if scales is not None:
            out, added = (None if part is None else scales[place] * part for part in (out, added))
        if out is not None:
            total = out if total is None else total + out
        if added is not None:
            number = added if number is None else number + added
    if number is None:
        return total
    return number + (torch.zeros_like(like) if total is None else total)


def _mixed(
    edge: EdgeInput, weights: Tensor, ran: tuple[int, ...] | None, partial: int
) -> tuple[Tensor | None, Tensor | None]:
    """Return the weighted sum of an edge's operations, and the number that is to be added to it; None for nothing."""
    number = None
    if ran is not None and weights.requires_grad:
        idle = [place for place in range(len(weights)) if place not in ran]
        number = weights[idle].sum() if idle else None
    if edge.x is None:
        return None, number
    if partial == 1:
        return _weighted(edge, edge.x, weights, ran, narrow=False), number
    channels = edge.x.shape[1]
    if channels % partial:
        raise ConfigError(
            [f"one of every {partial} channels is mixed, and {channels} channels are no multiple of that"],
            f"the mixture on {edge.choice.decision}",
        )
    part, rest = torch.split(edge.x, [channels // partial, channels - channels // partial], 1)
    out = _weighted(edge, part, weights, ran, narrow=True)
    if out is None:
        out = torch.zeros_like(part[:, :, :: edge.stride, :: edge.stride])
    if number is not None:
        out = out + number
    if edge.stride > 1:
        rest = functional.max_pool2d(rest, 2, 2, ceil_mode=True)
    return shuffle_channels(torch.cat([out, rest], 1), partial), None


def _weighted(
    edge: EdgeInput, x: Tensor, weights: Tensor, ran: tuple[int, ...] | None, *, narrow: bool
) -> Tensor | None:
    total = None
    operations = list(edge.choice.candidates.values())
    for place, weight in enumerate(weights.unbind()):
        if place == len(operations) or isinstance(operations[place], Zero) or (ran is not None and place not in ran):
            continue
        out = weight * (run_narrow(operations[place], x) if narrow else operations[place](x))
        total = out if total is None else total + out
    return total


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Return (B, C, H, W) with the channels of so many groups dealt out in turn: the first of each group comes first.

    So other channels are mixed on the next edge.
    """
    batch, channels, height, width = x.shape
    return x.reshape(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)


def run_narrow(operation: nn.Module, x: Tensor) -> Tensor:
    """Run an operation of C channels on the first c of them, with the first of its weights.

    Args:
        operation: The operation; one that is more than a sequence of torch's layers has a method `narrow` of its own.
        x: (B, c, H, W).
    """
    own: Callable[[Tensor], Tensor] | None = getattr(operation, "narrow", None)
    if own is not None:
        return own(x)
    if isinstance(operation, nn.Sequential):
        for layer in operation:
            x = run_narrow(layer, x)
        return x
    if isinstance(operation, nn.Conv2d):
        channels, layer = x.shape[1], operation
        depthwise = layer.groups > 1
        weight = layer.weight[:channels] if depthwise else layer.weight[:channels, :channels]
        groups = channels if depthwise else 1
        return torch.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, groups)
    out: Tensor = operation(x)  # takes any number of channels
    return out
