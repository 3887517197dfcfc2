"""The program of a NAS-Bench-201 cell.

It computes what the cell's output node is under shared weights (`raynas.spaces.nasbench201.node_values`): cells that
are equal under them are computed bit for bit alike.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from raynas.networks.program import CONVOLVE, INPUT, POOL, RECTIFY, SUM, Instruction, Program
from raynas.spaces.nasbench201 import OUTPUT_NODE, OWN_WEIGHTS, Term, Value, node_values


@dataclass(frozen=True)
class CellProgram:
    """The function of a cell.

    Args:
        program: What to run.
        terms: What each of its layers computes: a convolution's operation, the number of its weights (its edge, where
            each has its own), and what it is applied to.
    """

    program: Program
    terms: tuple[Term, ...]

    @functools.cached_property
    def convolutions(self) -> tuple[tuple[int, str], ...]:
        """(weights, operation) of each of its layers."""
        return tuple((weights, operation) for operation, weights, _ in self.terms if weights is not None)


@functools.lru_cache(maxsize=65_536)
def cell_program(options: tuple[str, ...], weights: tuple[int, ...] = OWN_WEIGHTS) -> CellProgram | None:
    """Return the program of a NAS-Bench-201 cell with these options; None if nothing connects input and output.

    Args:
        options: The cell.
        weights: As for `raynas.spaces.nasbench201.node_values`.
    """
    return _program(node_values(options, weights)[OUTPUT_NODE])


@functools.lru_cache(maxsize=16_384)
def _program(value: Value) -> CellProgram | None:
    return _Compiler().compile(value) if value else None


class _Compiler:
    """Turns a value, a sum of terms, into instructions; equal values and terms become one slot."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.terms: list[Term] = []
        self.known: dict[Any, int] = {}
        self.uses = [0]
        self.fresh = [False]
        """Of each slot, whether it is a buffer of its own that backward does not need."""

    def compile(self, value: Value) -> CellProgram:
        """Return the program of a cell whose output node is this sum."""
        output = self._value(value)
        self.uses[output] += 1
        instructions = tuple(self._in_place(instruction) for instruction in self.instructions)
        return CellProgram(Program(instructions, len(self.uses), output), tuple(self.terms))

    def _value(self, value: Value) -> int:
        terms = [self._term(term) for term in value]
        if len(terms) == 1:
            return terms[0]
        return self._once(("sum", value), SUM, tuple(terms), None)

    def _term(self, term: tuple[str, int | None, Value]) -> int:
        operation, weights, source = term
        if operation == "input":
            return INPUT
        if weights is None:
            return self._once(term, POOL, (self._value(source),), None)
        if term in self.known:
            return self.known[term]
        rectified = self._once(("relu", source), RECTIFY, (self._value(source),), None)
        self.terms.append(term)
        return self._once(term, CONVOLVE, (rectified,), len(self.terms) - 1)

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
