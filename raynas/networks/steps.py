"""`Step` and `walk`: what architectures begin with in common is computed once.

A network that runs as a sequence of steps turns a list of architectures into a tree: those that begin with the same
steps share a branch. Walked depth first, every branch is computed once, and only as many feature maps are alive at a
time as the tree is deep. Where eight layers choose among three blocks, all 6,561 networks are 9,840 layers and not
52,488.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One computation on the way from the images to the output; called with what the step before it returned.

    What is passed on may be anything: a tensor, or a tuple of tensors where a later step needs an earlier result. It
    may be passed on to several steps, none of which may change it in place.

    Args:
        key: Says which computation it is, among those that can follow the steps before it: after equal keys, equal keys
            mean the same computation.
        module: What computes.
        options: What `module` is called with after what the step before it returned.
    """

    key: Hashable
    module: Callable[..., Any]
    options: tuple[Any, ...] = ()

    def __call__(self, x: Any) -> Any:
        """Return what the next step takes."""
        return self.module(x, *self.options)


class _Branch:
    """A step of the tree, the branches that follow it, and the paths that end with it."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.following: dict[Hashable, _Branch] = {}
        self.ends: list[int] = []


def walk(paths: Iterable[Sequence[Step]], x: Any) -> Iterator[tuple[int, Any]]:
    """Yield what every path makes of x, with the path's place in the list, each branch of their tree computed once.

    Depth first: what a branch returned is held until the last of the branches that follow it has taken it, and so
    memory grows with the depth of the tree, not with the number of paths.

    Args:
        paths: Each has at least one step.
        x: What the first steps take.
    """
    waiting = [(branch, x) for branch in reversed(_first_branches(paths))]
    del x
    while waiting:
        branch, value = waiting.pop()
        value = branch.step(value)
        for place in branch.ends:
            yield place, value
        waiting += [(following, value) for following in reversed(branch.following.values())]


def _first_branches(paths: Iterable[Sequence[Step]]) -> list[_Branch]:
    first: dict[Hashable, _Branch] = {}
    for place, path in enumerate(paths):
        branches = first
        for step in path:
            if step.key not in branches:
                branches[step.key] = _Branch(step)
            branch = branches[step.key]
            branches = branch.following
        branch.ends.append(place)
    return list(first.values())
