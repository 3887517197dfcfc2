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

Term = tuple[str, int | None, "Value"]
"""One summand of a node: an operation, where it is a convolution the place of its edge in `EDGES` (whose weights it
uses), and what it is applied to; the cell's input is ``("input", None, ())``."""
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
        return format_nodes(options, 1, OUTPUT_NODE)

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return the six operations of a cell's string; raises ArchitectureError naming the place."""
        return parse_nodes(text, 1, OUTPUT_NODE, OPERATIONS)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the first cell, in order of enumeration, that the benchmark's rule calls the same function."""
        return self._architecture(_representatives()[function_string(architecture.options)])

    def shared_form(self, architecture: Architecture) -> Hashable:
        """Return the sum that the output node is; see `shared_value`."""
        return shared_value(architecture.options)


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


@functools.cache
def shared_value(options: tuple[str, ...]) -> Value:
    """Return what the output node of a cell is under shared weights: 7,810 different sums over all cells.

    A skip passes the terms of its source on, so that it leaves no trace; a pooling is the same on every edge, while a
    convolution has weights of its own on each; edges that carry nothing, and what nobody reads, do not occur. To be
    computed as it stands: terms in this order, and each value and term that occurs in several places once.
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
                terms.append((operation, None if operation == "avg_pool_3x3" else place, value))
            place += 1
        nodes.append(tuple(sorted(terms)))
    return nodes[OUTPUT_NODE]


@functools.cache
def live_edges(options: tuple[str, ...]) -> tuple[bool, ...]:
    """Say of each edge whether it lies on a path from input to output; only these can change the output."""
    carries = [option != "none" for option in options]
    return edges_on_paths(EDGES, carries, {0}, OUTPUT_NODE)


@functools.cache
def _representatives() -> dict[str, tuple[str, ...]]:
    first: dict[str, tuple[str, ...]] = {}
    for architecture in Nasbench201().enumerate():
        first.setdefault(function_string(architecture.options), architecture.options)
    return first
