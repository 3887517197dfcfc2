"""What the notations of several spaces have in common: explained mistakes, and ``|op~0|op~1|`` cells."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from raynas.errors import ArchitectureError, nearest

_NODE = re.compile(r"\|(?:[^|~]+~\d+\|)+")


def checked(option: str, allowed: Collection[str], place: str, text: str, kind: str = "option") -> str:
    """Return the option if it is allowed.

    Args:
        option: What the text says.
        allowed: What it may say.
        place: Where it stands, as a phrase ("on edge 1<-0").
        text: The whole text, for the message.
        kind: What it is ("operation").

    Raises:
        ArchitectureError: It is not allowed; the message names the place, the value and the nearest option.
    """
    if option not in allowed:
        raise ArchitectureError(
            f"unknown {kind} '{option}' {place} of '{text}'{nearest(option, allowed)} (allowed: {', '.join(allowed)})"
        )
    return option


def cell_edges(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Return (target, source) of every edge of a dense cell, in reading order of ``|op~0|+|op~0|op~1|``.

    Args:
        first: The first node that sums inputs; every earlier node is an input of the cell.
        last: The last node.
    """
    return tuple((target, source) for target in range(first, last + 1) for source in range(target))


def format_nodes(operations: Sequence[str], first: int, last: int) -> str:
    """Return ``|op~0|+|op~0|op~1|...``: for each node from `first` to `last` the operation on every earlier node."""
    place = iter(operations)
    return "+".join(
        "|" + "|".join(f"{next(place)}~{source}" for source in range(target)) + "|" for target in range(first, last + 1)
    )


def parse_nodes(text: str, first: int, last: int, operations: Collection[str]) -> tuple[str, ...]:
    """Return the operations of a cell written as `format_nodes` writes it.

    Args:
        text: The cell.
        first: The first node that sums inputs.
        last: The last node.
        operations: The operations an edge may have.

    Raises:
        ArchitectureError: The form, a source or an operation is wrong; the message names the node or edge.
    """
    nodes = text.strip().split("+")
    if len(nodes) != last - first + 1 or not all(_NODE.fullmatch(node) for node in nodes):
        form = format_nodes(["op"] * len(cell_edges(first, last)), first, last)
        raise ArchitectureError(f"'{text}' is not of the form {form}")
    options = []
    for target, node in enumerate(nodes, start=first):
        terms = [term.rsplit("~", 1) for term in node.strip("|").split("|")]
        if [source for _, source in terms] != [str(source) for source in range(target)]:
            raise ArchitectureError(f"node {target} of '{text}' must take its inputs from 0 to {target - 1} in order")
        options += [
            checked(operation, operations, f"on edge {target}<-{source}", text, "operation")
            for operation, source in terms
        ]
    return tuple(options)


def edges_on_paths(
    edges: Sequence[tuple[int, int]], carries: Sequence[bool], inputs: Collection[int], output: int
) -> tuple[bool, ...]:
    """Say of each edge whether it lies on a path from an input to the output.

    Args:
        edges: (target, source), sources before targets, in order of the targets.
        carries: Whether the edge lets anything through.
        inputs: The nodes that are fed from outside.
        output: The node whose value counts.
    """
    fed, used = set(inputs), {output}
    for (target, source), passes in zip(edges, carries, strict=True):
        if passes and source in fed:
            fed.add(target)
    for (target, source), passes in reversed(list(zip(edges, carries, strict=True))):
        if passes and target in used:
            used.add(source)
    return tuple(p and s in fed and t in used for (t, s), p in zip(edges, carries, strict=True))
