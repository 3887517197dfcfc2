"""A whole cell as one node of the autograd graph.

Run edge by edge, a cell makes autograd record some fifteen operations, each with its Python call, its node and a buffer
of its own. A `CellProgram` is the cell's function as a short list of instructions, made once for each function; it is
run below autograd, forward and backward, by the kernels of `raynas.networks.kernels`. Values that nothing needs any
more are summed and rectified in place, a node is rectified once for all convolutions that leave it, and what two nodes
have in common is computed once. The result is that of running the edges, up to the order of sums.

What it computes is the cell's shared form (`raynas.spaces.nasbench201.shared_value`): cells that are equal under shared
weights are computed bit for bit alike.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.kernels import average_pool, average_pool_backward, convolution, convolution_backward
from raynas.spaces.nasbench201 import Value, shared_value

_relu_backward = torch.ops.aten.threshold_backward.default

INPUT = 0
"""The slot of the cell's input."""
RECTIFY, CONVOLVE, POOL, SUM = range(4)

Instruction = tuple[int, int, tuple[int, ...], Any]
"""What to do, the slot of the result, the slots it is made of, and:

* RECTIFY: whether it may be done in place
* CONVOLVE (with batch norm): which of the program's convolutions
* POOL: nothing
* SUM: whether the first of its slots may be added to in place
"""


@dataclass(frozen=True)
class CellProgram:
    """The function of a cell.

    Args:
        instructions: In the order in which they are run.
        convolutions: (edge, operation) of each convolution.
        slots: How many values there are.
        output: The slot of the cell's output.
    """

    instructions: tuple[Instruction, ...]
    convolutions: tuple[tuple[int, str], ...]
    slots: int
    output: int


@functools.lru_cache(maxsize=16_384)
def cell_program(options: tuple[str, ...]) -> CellProgram | None:
    """Return the program of a NAS-Bench-201 cell with these options; None if nothing connects input and output."""
    value = shared_value(options)
    return _program(value) if value else None


@functools.lru_cache(maxsize=16_384)
def _program(value: Value) -> CellProgram:
    return _Compiler().compile(value)


class _Compiler:
    """Turns a value, a sum of terms, into instructions; equal values and terms become one slot."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.convolutions: list[tuple[int, str]] = []
        self.known: dict[Any, int] = {}
        self.uses = [0]
        self.fresh = [False]
        """Of each slot, whether it is a buffer of its own that backward does not need."""

    def compile(self, value: Value) -> CellProgram:
        output = self._value(value)
        self.uses[output] += 1
        instructions = tuple(self._in_place(instruction) for instruction in self.instructions)
        return CellProgram(instructions, tuple(self.convolutions), len(self.uses), output)

    def _value(self, value: Value) -> int:
        terms = [self._term(term) for term in value]
        if len(terms) == 1:
            return terms[0]
        return self._once(("sum", value), SUM, tuple(terms), None)

    def _term(self, term: tuple[str, int | None, Value]) -> int:
        operation, edge, source = term
        if operation == "input":
            return INPUT
        if edge is None:
            return self._once(term, POOL, (self._value(source),), None)
        if term in self.known:
            return self.known[term]
        rectified = self._once(("relu", source), RECTIFY, (self._value(source),), None)
        self.convolutions.append((edge, operation))
        return self._once(term, CONVOLVE, (rectified,), len(self.convolutions) - 1)

    def _once(self, key: Any, code: int, sources: tuple[int, ...], detail: Any) -> int:
        if key not in self.known:
            self.known[key] = slot = len(self.uses)
            self.uses.append(0)
            self.fresh.append(code != RECTIFY)
            for source in sources:
                self.uses[source] += 1
            self.instructions.append((code, slot, sources, detail))
        return self.known[key]

    def _in_place(self, instruction: Instruction) -> Instruction:
        """Let a result take the place of a value that nothing else uses."""
        code, slot, sources, _ = instruction
        if code not in (RECTIFY, SUM):
            return instruction
        spare = [place for place, source in enumerate(sources) if self.fresh[source] and self.uses[source] == 1]
        if not spare:
            return code, slot, sources, False
        first = sources[spare[0]]
        return code, slot, (first, *sources[: spare[0]], *sources[spare[0] + 1 :]), True


def run_cell(program: CellProgram, x: Tensor, weights: Sequence[Tensor], norms: Sequence[BatchNorm]) -> Tensor:
    """Run a cell without recording anything for a backward pass, by whatever statistics its batch norms use now.

    Args:
        program: The cell.
        x: (B, C, H, W).
        weights: Of each convolution, of x's type.
        norms: The batch norm after each convolution.
    """
    slots: list[Any] = [None] * program.slots
    slots[INPUT] = x
    for code, slot, sources, detail in program.instructions:
        source = slots[sources[0]]
        if code == CONVOLVE:
            slots[slot] = norms[detail](convolution(source, weights[detail]))
        else:
            slots[slot] = _pointwise(code, source, [slots[other] for other in sources[1:]], detail)
    output: Tensor = slots[program.output]
    return output


def _pointwise(code: int, source: Tensor, others: Sequence[Tensor], in_place: bool) -> Tensor:
    """Run an instruction other than a convolution."""
    if code == RECTIFY:
        return torch.relu_(source) if in_place else torch.relu(source)
    if code == POOL:
        return average_pool(source)
    total = source.add_(others[0]) if in_place else source + others[0]
    for other in others[1:]:
        total.add_(other)
    return total


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


class _Cell(torch.autograd.Function):
    """`run_cell` by batch statistics, with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, program: CellProgram, norms: Sequence[BatchNorm], x: Tensor, *parameters: Tensor | None
    ) -> Tensor:
        """Run the cell; parameters: all convolutions' weights, then all batch norms' scales, then their shifts."""
        weights = [weight.to(x.dtype) for weight in parameters[: len(norms)] if weight is not None]
        slots: list[Any] = [None] * program.slots
        slots[INPUT] = x
        rectified, convolved = [], []
        for code, slot, sources, detail in program.instructions:
            source = slots[sources[0]]
            if code == CONVOLVE:
                before = convolution(source, weights[detail])
                slots[slot], mean, inverse_std = norms[detail].by_batch(before)
                convolved += [source, before, mean, inverse_std]
            else:
                slots[slot] = _pointwise(code, source, [slots[other] for other in sources[1:]], detail)
                if code == RECTIFY:
                    rectified.append(slots[slot])
        ctx.program, ctx.norms = program, norms
        ctx.save_for_backward(*rectified, *convolved, *weights, *parameters[len(norms) : 2 * len(norms)])
        output: Tensor = slots[program.output]
        return output.view_as(x) if output is x else output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Run the instructions backwards."""
        program, norms = ctx.program, ctx.norms
        count = len(norms)
        saved = list(ctx.saved_tensors)
        scales, weights = [saved.pop() for _ in norms][::-1], [saved.pop() for _ in norms][::-1]
        rectified, convolved = saved[: len(saved) - 4 * count], saved[len(saved) - 4 * count :]
        gradients = _Gradients(program.slots)
        gradients.add(program.output, grad, owned=False)
        of_weights, of_scales, of_shifts = [None] * count, [None] * count, [None] * count
        for code, slot, sources, detail in reversed(program.instructions):
            arrived = gradients.take(slot)
            if code == CONVOLVE:
                source, before, mean, inverse_std = convolved[4 * detail : 4 * detail + 4]
                arrived, of_scales[detail], of_shifts[detail] = norms[detail].by_batch_backward(
                    arrived, before, scales[detail], mean, inverse_std
                )
                of_source, of_weights[detail] = convolution_backward(arrived, source, weights[detail])
                gradients.add(sources[0], of_source, owned=True)
            elif code == RECTIFY:
                gradients.add(sources[0], _relu_backward(arrived, rectified.pop(), 0), owned=True)
            elif code == POOL:
                gradients.add(sources[0], average_pool_backward(arrived), owned=True)
            else:
                for source in sources:
                    gradients.add(source, arrived, owned=False)
        return (None, None, gradients.take(INPUT), *of_weights, *of_scales, *of_shifts)


def train_cell(program: CellProgram, x: Tensor, weights: Sequence[Tensor], norms: Sequence[BatchNorm]) -> Tensor:
    """Run a cell by batch statistics as one node of the autograd graph; it can be differentiated once.

    Args:
        program: The cell.
        x: (B, C, H, W), of the type to compute in.
        weights: Of each convolution.
        norms: The batch norm after each convolution.
    """
    scales, shifts = [norm.weight for norm in norms], [norm.bias for norm in norms]
    output: Tensor = _Cell.apply(program, norms, x, *weights, *scales, *shifts)  # type: ignore[no-untyped-call]
    return output
