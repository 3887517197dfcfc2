"""NAS-Bench-201 (Dong & Yang, ICLR 2020): a cell of four nodes, one of five operations on each of its six edges.

15,625 cells; 6,466 of them differ as functions under the benchmark's own rule, 7,810 under shared weights; 341 have no
path from input to output.
Notation: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, node by node, ``~j`` naming the source node.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable

from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.notation import cell_edges, edges_on_paths, format_nodes, parse_nodes
from raynas.spaces.registry import SPACES

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
OUTPUT_NODE = 3
EDGES = cell_edges(1, OUTPUT_NODE)
"""(target node, source node) of each edge, in reading order of the notation."""
OWN_WEIGHTS = tuple(range(len(EDGES)))
"""The number of each edge's set of weights where each has its own."""

Term = tuple[str, int | None, "Value"]
"""One summand of a node: an operation, where it is a convolution the number of its weights (where each edge has its
own, the edge's place in `EDGES`), and what it is applied to; the cell's input is ``("input", None, ())``."""
Value = tuple[Term, ...]
"""What a node holds: the sum of these terms, in sorted order, one that counts twice being there twice; zero if none."""

INPUT: Term = ("input", None, ())


@SPACES.register("nasbench201")
class Nasbench201(Space):
    """NAS-Bench-201 cells: six edges, five operations (none, skip, two convolutions, average pooling).

    Args:
        connected: Leave out the 341 cells with no path from input to output: nothing can be trained in them.
    """

    name = "nasbench201"

    def __init__(self, *, connected: bool = False) -> None:
        super().__init__([Decision(f"{target}<-{source}", OPERATIONS) for target, source in EDGES])
        self.connected = connected

    @property
    def every_combination_is_valid(self) -> bool:
        """Whether disconnected cells are architectures here."""
        return not self.connected

    def is_valid_part(self, part: int, options: tuple[str, ...]) -> bool:
        """Refuse disconnected cells where the space was made with ``connected=True``."""
        del part
        return not self.connected or any(live_edges(options))

    def active(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each edge whether it lies on a path from input to output."""
        return live_edges(options)

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        return _text(options)

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return the six operations of a cell's string; raises ArchitectureError naming the place."""
        return parse_nodes(text, 1, OUTPUT_NODE, OPERATIONS)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the first cell, in order of enumeration, that the benchmark's rule calls the same function."""
        return _canonical(architecture.options)

    def shared_form(self, architecture: Architecture) -> Hashable:
        """Return the sum that the output node is; see `shared_value`."""
        return shared_value(architecture.options)

    def nonlinear_functions(self, architecture: Architecture) -> int:
        """Return the most convolutions (1x1 or 3x3) on a path from input to output, 0 to 3; 0 for a dead cell.

        As ENN counts: 1,983 / 7,122 / 5,520 / 1,000 of the 15,625 cells have 0 / 1 / 2 / 3.
        """
        most: list[int | None] = [0]  # on the way to each node; None where nothing reaches it
        place = iter(architecture.options)
        for target in range(1, OUTPUT_NODE + 1):
            operations = [next(place) for _ in range(target)]
            reached = [
                before + operation.startswith("nor_conv")
                for before, operation in zip(most, operations, strict=True)
                if before is not None and operation != "none"
            ]
            most.append(max(reached, default=None))
        return most[OUTPUT_NODE] or 0


def function_string(options: tuple[str, ...]) -> str:
    """Return the benchmark's own description of the function of a cell (AutoDL-Projects, ``to_unique_str``).

    Nodes are sums of their inputs in sorted order, skips vanish, and an edge that carries nothing is ``#``; the zero
    terms of a sum are kept, which is why the rule finds 6,466 functions where dropping them would find 4,930.
    """
    nodes = ["0"]
    place = iter(options)
    for target in range(1, OUTPUT_NODE + 1):
        terms = []
        for source in range(target):
            operation = next(place)
            if operation == "none" or nodes[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[OUTPUT_NODE]


@functools.lru_cache(maxsize=65_536)
def node_values(options: tuple[str, ...], weights: tuple[int, ...] = OWN_WEIGHTS) -> tuple[Value, ...]:
    """Return what each of the four nodes of a cell holds under shared weights, the output node last.

    A skip passes the terms of its source on, so that it leaves no trace; a pooling is the same on every edge, while a
    convolution is so where the weights are. What carries nothing does not occur. To be computed as it stands: terms in
    this order, and each value and term that occurs in several places once.

    Args:
        options: The cell.
        weights: The number of the set of weights that each edge uses, which stands in the terms for the edge; where it
            is not given, each edge has weights of its own.
    """
    nodes: list[Value] = [(INPUT,)]
    place = 0
    for target in range(1, OUTPUT_NODE + 1):
        terms: list[Term] = []
        for source in range(target):
            operation, value = options[place], nodes[source]
            if operation == "skip_connect":
                terms += value
            elif operation != "none" and value:
                terms.append(term_of(operation, weights[place], value))
            place += 1
        nodes.append(tuple(sorted(terms)))
    return tuple(nodes)


def term_of(operation: str, weights: int, value: Value) -> Term:
    """Return the term that an operation, neither a skip nor nothing, makes of a value with this set of weights."""
    return operation, None if operation == "avg_pool_3x3" else weights, value


def shared_value(options: tuple[str, ...]) -> Value:
    """Return what the output node of a cell is where each edge has weights of its own: 7,810 different sums in all.

    See `node_values`.
    """
    return node_values(options)[OUTPUT_NODE]


@functools.cache
def live_edges(options: tuple[str, ...]) -> tuple[bool, ...]:
    """Say of each edge whether it lies on a path from input to output; only these can change the output."""
    carries = [option != "none" for option in options]
    return edges_on_paths(EDGES, carries, {0}, OUTPUT_NODE)


@functools.lru_cache(maxsize=65_536)
def _text(options: tuple[str, ...]) -> str:
    return format_nodes(options, 1, OUTPUT_NODE)


@functools.lru_cache(maxsize=65_536)
def _canonical(options: tuple[str, ...]) -> Architecture:
    first = _representatives()[function_string(options)]
    return Architecture(_text(first), first)


@functools.cache
def _representatives() -> dict[str, tuple[str, ...]]:
    first: dict[str, tuple[str, ...]] = {}
    for architecture in Nasbench201().enumerate():
        first.setdefault(function_string(architecture.options), architecture.options)
    return first
