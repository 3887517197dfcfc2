"""Large parts of a network as one node of the autograd graph.

Run operation by operation, a cell makes autograd record some fifteen of them, each with its Python call, its node and
a buffer of its own. A `Program` is the same function as a short list of instructions, made once; it is run below
autograd, forward and backward, by the kernels of `raynas.networks.kernels`. Values that nothing needs any more are
summed and rectified in place, a value is rectified once for all convolutions that take it, and whatever occurs in two
places is computed once. The result is that of the single operations, up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.kernels import (
    average_pool,
    average_pool_backward,
    convolution,
    convolution_backward,
    halve,
    halve_backward,
    patches,
)

_relu_backward = torch.ops.aten.threshold_backward.default

INPUT = 0
"""The slot of what goes in."""
RECTIFY, CONVOLVE, POOL, HALVE, SUM = range(5)

Instruction = tuple[int, int, tuple[int, ...], Any]
"""What to do, the slot of the result, the slots it is made of, and a detail:

* RECTIFY: whether in place
* CONVOLVE, and batch norm if the layer has one: which layer of those given
* POOL (3x3, stride 1) and HALVE (2x2, stride 2), averages: nothing
* SUM: whether into the first of the slots
"""

Layer = tuple[nn.Conv2d, BatchNorm | None]
"""A convolution without bias, of kernel 1 or 3 padded to keep the size, and the batch norm after it, if any."""


@dataclass(frozen=True)
class Program:
    """A function of one tensor and some layers.

    Args:
        instructions: In the order in which they are run.
        slots: How many values there are.
        output: The slot of the result.
    """

    instructions: tuple[Instruction, ...]
    slots: int
    output: int


Part = tuple[Program, Sequence[Layer]]
"""A program with the layers that it numbers."""
_NO_GATES: Sequence[Sequence[tuple[int, ...]]] = ()


@dataclass(frozen=True)
class Gates:
    """Numbers, all of them one, that outputs of layers are multiplied with; they are there for their gradients.

    Args:
        values: (G,) ones.
        places: Of every part, of each of its layers, the gates that its output passes; only layers with a batch norm
            can have any.
    """

    values: Tensor
    places: Sequence[Sequence[tuple[int, ...]]]


def run(parts: Sequence[Part], x: Tensor, gates: Gates | None = None) -> Tensor:
    """Run programs one after another, as one node of the autograd graph where gradients are wanted.

    Computed in the type that autocast asks for. It can be differentiated once. Where batch norms use other statistics
    than the batch's, it is without gradients only: see `takes_gradients`.

    Args:
        parts: What to run.
        x: (B, C, H, W).
        gates: What the layers' outputs pass, where gradients are wanted.
    """
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    if not torch.is_grad_enabled():
        for program, layers in parts:
            x = _Run(program, x, layers, [conv.weight.to(x.dtype) for conv, _ in layers]).go()
        return x
    every = [layer for _, layers in parts for layer in layers]
    weights = [conv.weight for conv, _ in every]
    scales = [None if norm is None else norm.weight for _, norm in every]
    shifts = [None if norm is None else norm.bias for _, norm in every]
    values, places = (None, _NO_GATES) if gates is None else (gates.values, gates.places)
    output: Tensor = _Node.apply(parts, places, x, values, *weights, *scales, *shifts)  # type: ignore[no-untyped-call]
    return output


def takes_gradients(parts: Sequence[Part]) -> bool:
    """Say whether programs can be run with gradients now, being in need of the batch's own statistics."""
    return all(norm is None or norm.uses_batch for _, layers in parts for _, norm in layers)


class _Run:
    """A program in the course of running; what is needed on the way back is kept where it is asked for.

    Args:
        program: What to run.
        x: (B, C, H, W).
        layers: Those that it numbers.
        weights: Of the layers, of x's type.
    """

    def __init__(self, program: Program, x: Tensor, layers: Sequence[Layer], weights: Sequence[Tensor]) -> None:
        self.program, self.layers, self.weights = program, layers, weights
        self.slots: list[Any] = [None] * program.slots
        self.slots[INPUT] = x
        self.patches: dict[int, Tensor | None] = {}
        """Of small values that are convolved by 3x3, by slot: made once for all the convolutions that want them."""

    def go(self, kept: list[Any] | None = None) -> Tensor:
        """Run all instructions.

        Args:
            kept: If given, batch norms take the statistics of the batch, and what `_Node.backward` needs of each
                instruction is put here.
        """
        slots = self.slots
        for code, slot, sources, detail in self.program.instructions:
            source = slots[sources[0]]
            if code == CONVOLVE:
                slots[slot] = self._convolve(source, sources[0], detail, kept)
            elif code == RECTIFY:
                slots[slot] = torch.relu_(source) if detail else torch.relu(source)
                if kept is not None:
                    kept.append(slots[slot])
            elif code == POOL:
                slots[slot] = average_pool(source)
            elif code == HALVE:
                slots[slot] = halve(source)
                if kept is not None:
                    kept.append(source)
            else:
                slots[slot] = total = source.add_(slots[sources[1]]) if detail else source + slots[sources[1]]
                for other in sources[2:]:
                    total.add_(slots[other])
        output: Tensor = slots[self.program.output]
        return output

    def _convolve(self, source: Tensor, slot: int, which: int, kept: list[Any] | None) -> Tensor:
        conv, norm = self.layers[which]
        weight, stride = self.weights[which], conv.stride[0]
        around = None
        if weight.shape[-1] > 1:
            if slot not in self.patches:
                self.patches[slot] = patches(source, stride)
            around = self.patches[slot]
        out = convolution(source, weight, stride, around)
        if kept is None:
            return out if norm is None else norm(out)
        kept += [source, around]
        if norm is None:
            return out
        normalised, mean, inverse_std = norm.by_batch(out)
        kept += [out, mean, inverse_std]
        return normalised


class _Gradients:
    """The gradients of slots on the way back, summed in place where nobody else holds the buffer.

    Args:
        slots: How many slots there are.
    """

    def __init__(self, slots: int) -> None:
        self._sums: list[Any] = [None] * slots
        self._owned = [False] * slots

    def add(self, slot: int, grad: Tensor, *, owned: bool) -> None:
        """Add a gradient; `owned` if nobody else holds it."""
        have = self._sums[slot]
        if have is None:
            self._sums[slot], self._owned[slot] = grad, owned
        elif self._owned[slot]:
            have.add_(grad)
        else:
            self._sums[slot], self._owned[slot] = grad.add_(have) if owned else grad + have, True

    def take(self, slot: int) -> Tensor:
        """Return the sum and forget it."""
        total, self._sums[slot] = self._sums[slot], None
        return total  # type: ignore[no-any-return]


class _Node(torch.autograd.Function):
    """Programs by batch statistics, and their gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        parts: Sequence[Part],
        places: Sequence[Sequence[tuple[int, ...]]],
        x: Tensor,
        gates: Tensor | None,
        *parameters: Tensor | None,
    ) -> Tensor:
        """Run them.

        Args:
            ctx: Autograd's.
            parts: What to run.
            places: See `Gates`.
            x: (B, C, H, W).
            gates: Their values, which are not looked at.
            parameters: The weights of all layers, then the scales of their batch norms, then the shifts.
        """
        count, kept = len(parameters) // 3, list[Any]()
        weights = [weight.to(x.dtype) for weight in parameters[:count] if weight is not None]
        output, used = x, 0
        for program, layers in parts:
            output = _Run(program, output, layers, weights[used : used + len(layers)]).go(kept)
            used += len(layers)
        ctx.parts, ctx.places, ctx.gates = parts, places, gates
        ctx.save_for_backward(*weights, *parameters[count:], *kept)
        return output.view_as(x) if output is x else output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Run the programs backwards."""
        saved = list(ctx.saved_tensors)
        count = sum(len(layers) for _, layers in ctx.parts)
        weights, scales, shifts = saved[:count], saved[count : 2 * count], saved[2 * count : 3 * count]
        kept, found = saved[3 * count :], list[_Gradient]()
        of_gates = _GateGradients() if ctx.needs_input_grad[3] else None
        for place in reversed(range(len(ctx.parts))):
            program, layers = ctx.parts[place]
            first = len(weights) - len(layers)
            own = [(conv, norm, weights[first + i], scales[first + i]) for i, (conv, norm) in enumerate(layers)]
            if of_gates is not None:
                of_gates.enter(ctx.places[place], scales[first:], shifts[first:])
            del weights[first:], scales[first:], shifts[first:]
            grad, gradients = _backward(program, own, kept, grad, of_gates)
            found = gradients + found
        total = None if of_gates is None else of_gates.total(ctx.gates)
        of_layers = (one[which] for which in range(3) for one in found)
        return (None, None, grad, total, *of_layers)


_Gradient = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Of a layer's weight, and of the scale and the shift of its batch norm."""
_Used = tuple[nn.Conv2d, BatchNorm | None, Tensor, Tensor | None]
"""A layer, with its weight and scale as they were on the way forward."""


class _GateGradients:
    """The gradients of gates on the way back.

    That of a number that a normalised output is multiplied with is the sum, over channels, of what the scale and the
    shift of its batch norm are multiplied with: batch norm's backward has them, and no feature map is read for it.
    """

    def __init__(self) -> None:
        self._shares: list[Tensor] = []
        self._owners: list[int] = []

    def enter(
        self, places: Sequence[tuple[int, ...]], scales: Sequence[Tensor | None], shifts: Sequence[Tensor | None]
    ) -> None:
        """Begin a program: see `Gates.places`, and its layers' scales and shifts."""
        self._layers = places, list(scales), list(shifts)

    def passed(self, layer: int) -> bool:
        """Say whether a layer's output passes a gate."""
        return bool(self._layers[0][layer])

    def add(self, layer: int, of_scale: Tensor | None, of_shift: Tensor | None) -> None:
        """Take in the gradients of a layer's scale and shift (of one and zero, where it has none)."""
        assert of_scale is not None
        assert of_shift is not None
        places, scales, shifts = self._layers
        scale, shift = scales[layer], shifts[layer]
        share = of_scale.sum() if scale is None else (of_scale * scale).sum()
        if shift is not None:
            share = share + (of_shift * shift).sum()
        for gate in places[layer]:
            self._owners.append(gate)
            self._shares.append(share)

    def total(self, like: Tensor) -> Tensor:
        """Return the gradients (G,) of the gates."""
        sums = torch.zeros_like(like)
        if not self._shares:
            return sums
        return sums.index_add_(0, torch.tensor(self._owners, device=like.device), torch.stack(self._shares).to(like))


def _backward(
    program: Program, layers: Sequence[_Used], kept: list[Any], grad: Tensor, gates: _GateGradients | None
) -> tuple[Tensor, list[_Gradient]]:
    """Run a program backwards.

    Args:
        program: What was run.
        layers: Its layers.
        kept: What was kept on the way; this program's part is at the end, and taken off.
        grad: The gradient of its result.
        gates: Told of the layers that pass gates, if their gradients are wanted.

    Returns:
        The gradient of its input, and those of each layer.
    """
    gradients = _Gradients(program.slots)
    gradients.add(program.output, grad, owned=False)
    found: list[_Gradient] = [(None, None, None)] * len(layers)
    for code, slot, sources, detail in reversed(program.instructions):
        arrived = gradients.take(slot)
        if code == CONVOLVE:
            conv, norm, weight, scale = layers[detail]
            of_scale = of_shift = None
            if norm is not None:
                inverse_std, mean, out = kept.pop(), kept.pop(), kept.pop()
                passes = gates is not None and gates.passed(detail)
                back = norm.by_batch_backward(arrived, out, scale, mean, inverse_std, always=passes)
                arrived, of_scale, of_shift = back
                if gates is not None and passes:
                    gates.add(detail, of_scale, of_shift)
                    of_scale, of_shift = (None, None) if scale is None else (of_scale, of_shift)
            around, source = kept.pop(), kept.pop()
            of_source, of_weight = convolution_backward(arrived, source, weight, conv.stride[0], around)
            found[detail] = of_weight, of_scale, of_shift
            gradients.add(sources[0], of_source, owned=True)
        elif code == RECTIFY:
            gradients.add(sources[0], _relu_backward(arrived, kept.pop(), 0), owned=True)
        elif code == POOL:
            gradients.add(sources[0], average_pool_backward(arrived), owned=True)
        elif code == HALVE:
            gradients.add(sources[0], halve_backward(arrived, kept.pop()), owned=True)
        else:
            for source in sources:
                gradients.add(source, arrived, owned=False)
    return gradients.take(INPUT), found
