"""Choosing the architectures on which a supernet's ranking is measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable

import numpy as np

from raynas.errors import TruthError
from raynas.spaces import Architecture, Space
from raynas.spaces.base import ENUMERATION_LIMIT
from raynas.truth.table import TruthTable


def known_architectures(
    table: TruthTable,
    space: Space,
    rng: np.random.Generator,
    count: int,
    metric: str | None = None,
    *,
    excluded: Collection[str] = (),
) -> list[Architecture]:
    """Return up to `count` architectures of a (sub)space whose truth is known, no two of them the same function.

    A function of the table may have several architectures in the subspace, and none of them need be its canonical form;
    one is drawn uniformly among those the table answers for. Where the space is too large to enumerate, only the
    architectures that stand in the table are found.

    Args:
        table: The truth.
        space: The (sub)space that shall hold the architectures.
        rng: The stream of the draw.
        count: How many at most.
        metric: Leave out architectures of which this metric is not known.
        excluded: Canonical texts of functions that are left out. Others, drawn after all the rest, take their places,
            so that what is left is the same as without them.

    Raises:
        TruthError: The table is of another space, or has no such metric.
    """
    if space.name != table.space_name:
        raise TruthError(f"truth '{table.name}' is of space {table.space_name}, not of {space.name}")
    members: dict[str, list[Architecture]] = {}
    combinations = math.prod(len(decision.options) for decision in space.decisions)
    walked = combinations <= ENUMERATION_LIMIT
    for architecture in space.enumerate() if walked else table.architectures:
        if walked or architecture in space:
            function = space.canonical(architecture)
            if table.knows(architecture, metric, function):
                members.setdefault(function.text, []).append(architecture)
    functions = sorted(members)
    order = rng.permutation(len(functions))
    first, others = ([functions[i] for i in places] for places in (sorted(order[:count]), order[count:]))

    def drawn(names: Iterable[str]) -> dict[str, Architecture]:
        return {name: members[name][int(rng.integers(len(members[name])))] for name in names}

    chosen = {name: member for name, member in drawn(first).items() if name not in excluded}
    in_place = itertools.islice((name for name in others if name not in excluded), len(first) - len(chosen))
    return [architecture for _, architecture in sorted((chosen | drawn(in_place)).items())]
