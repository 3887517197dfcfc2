"""NAS-Bench-101 (Ying et al., ICML 2019): cells of up to seven vertices and nine edges, an operation on each vertex.

A cell is seven vertices, 0 the input and 6 the output, with an edge or none from every vertex to every later one. What
lies on no path from input to output is pruned; the limit of nine edges is for what remains (423,624 distinct cells).
Notation: the benchmark's ModelSpec of the unpruned cell,
``matrix=[[0,1,...],...];ops=[input,conv3x3-bn-relu,...,output]``.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from raynas.errors import ArchitectureError
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.notation import checked
from raynas.spaces.registry import SPACES

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
INPUT, OUTPUT = "input", "output"
VERTICES = 7
MAX_EDGES = 9
EDGES = tuple((source, target) for source in range(VERTICES) for target in range(source + 1, VERTICES))
"""(source, target) of each edge decision, row by row of the matrix."""

Cell = tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]
"""An upper triangular 0/1 matrix, row = source, and the operation of each vertex from ``input`` to ``output``."""

_TEXT = re.compile(r"matrix=(\[.*\])\s*;\s*ops=\[(.*)\]", re.DOTALL)


@SPACES.register("nasbench101")
class Nasbench101(Space):
    """NAS-Bench-101 cells: 21 possible edges, at most nine of them used, and an operation on each of five vertices."""

    name = "nasbench101"

    def __init__(self) -> None:
        edges = [Decision(f"{source}->{target}", ("0", "1")) for source, target in EDGES]
        super().__init__(edges + [Decision(f"vertex{vertex}", OPERATIONS) for vertex in range(1, VERTICES - 1)])

    def is_valid_part(self, part: int, options: tuple[str, ...]) -> bool:
        """Say whether input and output are connected by at most nine edges, once the rest is pruned."""
        del part
        return 1 <= sum(surviving_edges(options[: len(EDGES)])) <= MAX_EDGES

    def why_invalid(self, options: tuple[str, ...]) -> str:
        """Say whether input and output are not connected, or by too many edges."""
        edges = sum(surviving_edges(options[: len(EDGES)]))
        if edges == 0:
            return "no path leads from the input to the output"
        return f"{edges} edges are on paths from the input to the output, at most {MAX_EDGES} may be"

    def count_part(self, part: int) -> int:
        """Return the exact number of valid encodings, over all matrices of the (sub)space at once."""
        del part
        free = [place for place in range(len(EDGES)) if len(self.decisions[place].options) == 2]
        codes = np.arange(2 ** len(free))
        has = {
            edge: (codes >> free.index(place) & 1).astype(bool)
            if place in free
            else np.full(len(codes), self.decisions[place].options == ("1",))
            for place, edge in enumerate(EDGES)
        }
        fed, used = np.zeros((2, VERTICES, len(codes)), bool)
        fed[0], used[-1] = True, True
        for source, target in EDGES:
            fed[target] |= fed[source] & has[source, target]
        for source, target in reversed(EDGES):
            used[source] |= used[target] & has[source, target]
        edges = np.zeros(len(codes), np.int8)
        for source, target in EDGES:
            edges += fed[source] & has[source, target] & used[target]
        matrices = int(((edges >= 1) & (edges <= MAX_EDGES)).sum())
        return matrices * math.prod(len(decision.options) for decision in self.decisions[len(EDGES) :])

    def active(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each edge whether it is there and survives pruning, and of each operation whether its vertex does."""
        edges = surviving_edges(options[: len(EDGES)])
        vertices = {vertex for edge, survives in zip(EDGES, edges, strict=True) if survives for vertex in edge}
        return (*edges, *(vertex in vertices for vertex in range(1, VERTICES - 1)))

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the unpruned cell, ``matrix=[[0,1,...],...];ops=[input,...,output]``."""
        matrix = json.dumps(_matrix(options), separators=(",", ":"))
        return f"matrix={matrix};ops=[{','.join((INPUT, *options[len(EDGES) :], OUTPUT))}]"

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision; cells of fewer than seven vertices are read as `from_matrix` reads them.

        Raises:
            ArchitectureError: It is no cell; the message names the vertex or edge.
        """
        found = _TEXT.fullmatch(text.strip())
        try:
            matrix = json.loads(found[1]) if found else None
        except (ValueError, RecursionError):
            matrix = None
        if found is None or matrix is None:
            raise ArchitectureError(f"'{text}' is not of the form matrix=[[0,1,...],...];ops=[input,...,output]")
        return cell_options(matrix, [operation.strip(" '\"") for operation in found[2].split(",")])

    def from_matrix(self, matrix: npt.ArrayLike, ops: Sequence[str]) -> Architecture:
        """Return the architecture of a cell of two to seven vertices.

        Args:
            matrix: Upper triangular, 1 where an edge goes from the row's vertex to the column's.
            ops: ``input``, the operations of the vertices between, ``output``.

        Raises:
            ArchitectureError: It is no cell of the (sub)space.
        """
        return self.make(cell_options(matrix, ops))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the representative of all cells that are the same labelled graph once pruned.

        Vertices may change their order where the matrix stays upper triangular; of all orders the smallest is taken.
        """
        return self._architecture(_representative(pruned(architecture.options)))


def cell_options(matrix: npt.ArrayLike, ops: Sequence[str]) -> tuple[str, ...]:
    """Return the 26 options of a cell of two to seven vertices.

    A smaller cell keeps its vertices' numbers, except for the output, which becomes vertex 6; the vertices that it
    lacks have no edges and the first operation.

    Args:
        matrix: Upper triangular, 1 where an edge goes from the row's vertex to the column's.
        ops: ``input``, the operations of the vertices between, ``output``.

    Raises:
        ArchitectureError: The matrix or an operation is not of the space; the message names the edge or vertex.
    """
    try:
        rows = np.asarray(matrix)
    except ValueError:
        rows = np.empty(0)
    count = len(rows) if rows.ndim else 0
    if not isinstance(ops, Iterable) or not all(isinstance(op, str) for op in ops):
        raise ArchitectureError(f"ops must be a list of names, from '{INPUT}' to '{OUTPUT}', got {ops!r}")
    if rows.shape != (count, count) or not 2 <= count <= VERTICES or len(ops) != count:
        raise ArchitectureError(
            f"a cell is a square matrix of 2 to {VERTICES} vertices and as many ops, "
            f"got a matrix of shape {rows.shape} and {len(ops)} ops"
        )
    for source, target in itertools.product(range(count), repeat=2):
        if rows[source, target] not in ((0, 1) if source < target else (0,)):
            raise ArchitectureError(
                f"entry {source}->{target} of the matrix is {rows[source, target]} "
                f"(allowed: {'0, 1' if source < target else '0, as edges go to later vertices'})"
            )
    whole = f"[{','.join(ops)}]"
    checked(ops[0], (INPUT,), "of vertex 0", whole, "operation")
    checked(ops[-1], (OUTPUT,), f"of vertex {count - 1}", whole, "operation")
    inner = [checked(op, OPERATIONS, f"of vertex {v}", whole, "operation") for v, op in enumerate(ops[1:-1], start=1)]
    label = [*range(count - 1), VERTICES - 1]
    there = {
        (label[source], label[target])
        for source, target in itertools.product(range(count), repeat=2)
        if rows[source, target]
    }
    edges = ("1" if edge in there else "0" for edge in EDGES)
    return (*edges, *inner, *[OPERATIONS[0]] * (VERTICES - count))


@functools.lru_cache(maxsize=2**16)
def surviving_edges(edges: tuple[str, ...]) -> tuple[bool, ...]:
    """Say of each of the 21 edges (``"0"`` or ``"1"``) whether it is there and on a path from input to output."""
    fed, used = {0}, {VERTICES - 1}
    there = [edge for edge, option in zip(EDGES, edges, strict=True) if option == "1"]
    for source, target in there:
        if source in fed:
            fed.add(target)
    for source, target in reversed(there):
        if target in used:
            used.add(source)
    return tuple(o == "1" and s in fed and t in used for (s, t), o in zip(EDGES, edges, strict=True))


@functools.lru_cache(maxsize=2**16)
def pruned(options: tuple[str, ...]) -> Cell:
    """Return the matrix and operations of what lies on a path from input to output.

    Raises:
        ArchitectureError: Input and output are not connected.
    """
    survives = surviving_edges(options[: len(EDGES)])
    edges = {edge for edge, is_there in zip(EDGES, survives, strict=True) if is_there}
    if not edges:
        raise ArchitectureError("no path leads from the input of the NAS-Bench-101 cell to its output")
    vertices = sorted({vertex for edge in edges for vertex in edge})
    matrix = tuple(tuple(int((source, target) in edges) for target in vertices) for source in vertices)
    labels = (INPUT, *options[len(EDGES) :], OUTPUT)
    return matrix, tuple(labels[vertex] for vertex in vertices)


def cell_hash(options: tuple[str, ...]) -> str:
    """Return the benchmark's own hash of a cell, by which its tables are keyed; equal for isomorphic cells.

    Raises:
        ArchitectureError: Input and output are not connected.
    """
    matrix, ops = pruned(options)
    labels = [-1, *(OPERATIONS.index(op) for op in ops[1:-1]), -2]
    columns = list(zip(*matrix, strict=True))
    hashes = [
        _md5(str((sum(row), sum(column), label))) for row, column, label in zip(matrix, columns, labels, strict=True)
    ]
    for _ in labels:
        hashes = [
            _md5(f"{_joined(hashes, column)}|{_joined(hashes, row)}|{own}")
            for own, row, column in zip(hashes, matrix, columns, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def _joined(hashes: Sequence[str], chosen: Sequence[int]) -> str:
    return "".join(sorted(text for text, is_chosen in zip(hashes, chosen, strict=True) if is_chosen))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _matrix(options: tuple[str, ...]) -> list[list[int]]:
    matrix = [[0] * VERTICES for _ in range(VERTICES)]
    for (source, target), option in zip(EDGES, options, strict=False):
        matrix[source][target] = int(option)
    return matrix


@functools.lru_cache(maxsize=2**16)
def _representative(cell: Cell) -> tuple[str, ...]:
    matrix, ops = cell
    count = len(ops)
    edges = [(s, t) for s, t in itertools.product(range(count), repeat=2) if matrix[s][t]]
    candidates = []
    for order in itertools.permutations(range(1, count - 1)):
        label = (0, *order, count - 1)
        if all(label[source] < label[target] for source, target in edges):
            # The matrix as one number, its first entry in the highest bit: the order of the rows, compared quickly.
            code = sum(1 << (count * count - 1 - label[source] * count - label[target]) for source, target in edges)
            inner = sorted(range(1, count - 1), key=label.__getitem__)
            candidates.append((code, [OPERATIONS.index(ops[vertex]) for vertex in inner]))
    code, places = min(candidates)
    bits = [int(bit) for bit in f"{code:0{count * count}b}"]
    best = [bits[row * count : (row + 1) * count] for row in range(count)]
    return cell_options(best, (INPUT, *(OPERATIONS[place] for place in places), OUTPUT))
