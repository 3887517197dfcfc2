"""The DARTS space (Liu et al., ICLR 2019), which is also that of NAS-Bench-301 (Zela et al., ICLR 2022).

A normal and a reduction cell; in each, nodes 2 to 5 sum two operations on two different earlier nodes (0 and 1 are the
two previous cells), and the output concatenates the four. 180 * 7^8 cells of each kind, 1.077e18 networks.
Notation: the field's ``Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ...], normal_concat=[2, 3, 4, 5],
reduce=[...], reduce_concat=[2, 3, 4, 5])``, the two edges of a node in order of their inputs.
"""

from __future__ import annotations

import ast
import functools
import itertools

from raynas.errors import ArchitectureError
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.notation import checked
from raynas.spaces.registry import SPACES

OPERATIONS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip
CELLS = ("normal", "reduce")
NODES = (2, 3, 4, 5)
"""The nodes of a cell that choose; 0 and 1 are its inputs."""
INPUT_PAIRS = {node: tuple(f"{a},{b}" for a, b in itertools.combinations(range(node), 2)) for node in NODES}
"""Which two earlier nodes a node can take, in order: node 2 has only ``0,1``."""

Edge = tuple[str, int]
"""An operation and the node it is applied to."""

_ACTIVATIONS = {"sep_conv_3x3": 2, "sep_conv_5x5": 2, "dil_conv_3x3": 1, "dil_conv_5x5": 1}
_PER_NODE = 3
_PER_CELL = _PER_NODE * len(NODES)
_FORM = "Genotype(normal=[('op', input), ...], normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[2, 3, 4, 5])"


@SPACES.register("darts")
@SPACES.register("nasbench301")
class Darts(Space):
    """DARTS cells: two inputs and two of seven operations for each of four nodes, in a normal and a reduction cell.

    It is filed under ``nasbench301`` too; the space's own name is ``darts`` in both cases, as the architectures are.
    """

    name = "darts"

    def __init__(self) -> None:
        decisions = []
        for cell, node in itertools.product(CELLS, NODES):
            decisions.append(Decision(f"{cell}.node{node}.inputs", INPUT_PAIRS[node]))
            decisions += [Decision(f"{cell}.node{node}.{slot}", OPERATIONS) for slot in ("op1", "op2")]
        super().__init__(decisions)

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the field's ``Genotype(...)``."""
        return f"Genotype({', '.join(_format_cell(c, n) for c, n in zip(CELLS, cells(options), strict=True))})"

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision from a genotype; ``range(2, 6)`` and any order of a node's edges are read too.

        Raises:
            ArchitectureError: It is no genotype of the space; the message names the cell, node and edge.
        """
        fields = _fields(text)
        options: list[str] = []
        for cell in CELLS:
            concat = _numbers(fields[f"{cell}_concat"])
            if sorted(concat or []) != list(NODES):
                raise ArchitectureError(f"{cell}_concat of '{text}' must name the nodes {list(NODES)}")
            options += _parse_cell(fields[cell], cell, text)
        return tuple(options)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the smallest encoding, cell by cell, over the orders of the nodes that keep inputs before users.

        Another order of the nodes only permutes the channels of the concatenation.
        """
        options = architecture.options
        return self._architecture((*_smallest(options[:_PER_CELL]), *_smallest(options[_PER_CELL:])))

    def nonlinear_functions(self, architecture: Architecture) -> int:
        """Return the most activations on a path through the normal cell plus those of the reduction cell, 0 to 16.

        A path leads from an input to any node, as all are concatenated; a separable convolution, which is applied
        twice, has two, a dilated one has one, the others none. ENN counts no DARTS cells; this is its rule, by cell.
        """
        return sum(map(_most_activations, cells(architecture.options)))


def cells(options: tuple[str, ...]) -> tuple[tuple[tuple[Edge, Edge], ...], ...]:
    """Return, for the normal and the reduction cell, each node's two edges in order of their inputs."""
    nodes = []
    for place in range(0, len(options), _PER_NODE):
        pair, first, second = options[place : place + _PER_NODE]
        a, b = pair.split(",")
        nodes.append(((first, int(a)), (second, int(b))))
    return tuple(tuple(nodes[place : place + len(NODES)]) for place in range(0, len(nodes), len(NODES)))


def _most_activations(nodes: tuple[tuple[Edge, Edge], ...]) -> int:
    most = [0, 0]  # on the way to each node
    for edges in nodes:
        most.append(max(most[source] + _ACTIVATIONS.get(operation, 0) for operation, source in edges))
    return max(most)


def _format_cell(cell: str, nodes: tuple[tuple[Edge, Edge], ...]) -> str:
    return f"{cell}={[edge for node in nodes for edge in node]!r}, {cell}_concat={list(NODES)!r}"


def _fields(text: str) -> dict[str, ast.expr]:
    """Return the arguments of ``Genotype(...)`` as syntax; nothing is evaluated."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype" and not call.args:
        fields = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        if set(fields) == {name for cell in CELLS for name in (cell, f"{cell}_concat")}:
            return fields
    raise ArchitectureError(f"'{text}' is not of the form {_FORM}")


def _literal(value: ast.expr) -> object:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _numbers(value: ast.expr) -> list[int] | None:
    """Return the numbers of a list, a tuple or ``range(a, b)``, or None where it is none of these."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "range":
        ends = [_literal(argument) for argument in value.args]
        # Only the one range that can be right: a huge one must not be unrolled.
        return list(NODES) if ends == [NODES[0], NODES[-1] + 1] and not value.keywords else None
    given = _literal(value)
    if not isinstance(given, list | tuple) or not all(isinstance(number, int) for number in given):
        return None
    return list(given)


def _parse_cell(value: ast.expr, cell: str, text: str) -> list[str]:
    given = _literal(value)
    if not isinstance(given, list | tuple) or len(given) != 2 * len(NODES):
        raise ArchitectureError(f"the {cell} cell of '{text}' must be a list of {2 * len(NODES)} ('op', input) pairs")
    options: list[str] = []
    for index, node in enumerate(NODES):
        edges = [
            _edge(given[2 * index + slot], node, f"on edge {slot + 1} of node {node} in the {cell} cell", text)
            for slot in range(2)
        ]
        (first, a), (second, b) = sorted(edges, key=lambda edge: edge[1])
        if a == b:
            raise ArchitectureError(f"node {node} in the {cell} cell of '{text}' takes input {a} twice")
        options += [f"{a},{b}", first, second]
    return options


def _edge(pair: object, node: int, place: str, text: str) -> Edge:
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
        raise ArchitectureError(f"{pair!r} {place} of '{text}' is not of the form ('op', input)")
    operation, source = pair
    checked(operation, OPERATIONS, place, text, "operation")
    if type(source) is not int or not 0 <= source < node:
        raise ArchitectureError(f"input {source!r} {place} of '{text}' is not one of 0 to {node - 1}")
    return operation, source


@functools.lru_cache(maxsize=2**16)
def _smallest(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the smallest encoding of one cell; encodings compare by the places of their options."""
    (nodes,) = cells(options)
    candidates = []
    for order in itertools.permutations(NODES):
        label = {0: 0, 1: 1, **dict(zip(NODES, order, strict=True))}
        if all(label[source] < label[node] for node, edges in zip(NODES, nodes, strict=True) for _, source in edges):
            renamed: dict[int, list[Edge]] = {
                label[node]: sorted(
                    ((operation, label[source]) for operation, source in edges), key=lambda edge: edge[1]
                )
                for node, edges in zip(NODES, nodes, strict=True)
            }
            candidates.append([renamed[node] for node in NODES])

    def places(candidate: list[list[Edge]]) -> list[tuple[int, int, int, int]]:
        return [(a, b, OPERATIONS.index(first), OPERATIONS.index(second)) for (first, a), (second, b) in candidate]

    best = min(candidates, key=places)
    return tuple(option for (first, a), (second, b) in best for option in (f"{a},{b}", first, second))
