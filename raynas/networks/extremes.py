"""`extremes`: the most and the least expensive architecture of a (sub)space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raynas.networks.cost import costs
from raynas.networks.supernet import Supernet
from raynas.spaces import Architecture, Space

Rank = tuple[float, float, int]


def extremes(supernet: Supernet) -> tuple[Architecture, Architecture]:
    """Return the largest and the smallest architecture of a supernet's space.

    By multiply-adds, then parameters (see `raynas.cost`: of the space's network at its default size, on images of the
    supernet's shape); of equals that of which more decisions are live, so that a dead cell is taken for the smallest
    only where every cell as cheap is dead; then by the order of options. They are found decision by decision, each
    taking the option that is best with what the others have, until none changes: exact where every decision's cost
    grows or falls whatever the others are, as in nasbench_macro, mobilenet and ofa_mobilenetv3, and otherwise one that
    no change of a single decision betters (nasbench101, where at most nine edges are allowed). It takes up to a few
    hundred costs, a second or a few. Nothing is random.
    """
    space = supernet.space
    known: dict[tuple[str, ...], tuple[float, float]] = {}

    def cost(options: tuple[str, ...]) -> tuple[float, float]:
        if options not in known:
            shapes = {"input_shape": supernet.input_shape, "classes": supernet.classes}
            params, flops = costs(space, [space.make(options)], **shapes)[0]
            known[options] = float(flops), float(params)
        return known[options]

    def rank(sign: int) -> Callable[[tuple[str, ...]], Rank]:
        return lambda options: (sign * cost(options)[0], sign * cost(options)[1], sum(space.active(options)))

    return _climb(space, rank(1)), _climb(space, rank(-1))


def _climb(space: Space, rank: Callable[[tuple[str, ...]], Rank]) -> Architecture:
    now = space.sample(np.random.default_rng(0)).options  # any architecture, the same every time
    moving = True
    while moving:
        before = now
        for place, decision in enumerate(space.decisions):
            changed = [(*now[:place], option, *now[place + 1 :]) for option in decision.options]
            now = max(filter(space.is_valid, changed), key=rank)  # of equals the first
        moving = now != before
    return space.make(now)
