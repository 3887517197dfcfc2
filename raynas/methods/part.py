"""What all parts of a method have in common: a state, diagnostics, and objections to what they are stacked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from raynas.networks import Supernet
from raynas.spaces import Space


@dataclass(frozen=True)
class Stack:
    """What a method is made of, for parts to say what they do not go together with.

    Args:
        space: The whole space.
        sampler: The sampler's name.
        sharing: The sharing's name.
        regularizer: The regularizer's name; None for none.
        curriculum: The curriculum's name; None for none.
        partition: The choice of the partition's name; None where the space is not split.
        task: ``classification`` or ``depth``.
        truth: Whether there will be a truth table.
        blocks: Blocks of weights that the sharing has; None where it has none, or too little is known of it.
    """

    space: Space
    sampler: str = "uniform"
    sharing: str = "positions"
    regularizer: str | None = None
    curriculum: str | None = None
    partition: str | None = None
    task: str = "classification"
    truth: bool = True
    blocks: int | None = None


class Part:
    """A part of a method. Nothing is random but by the stream it is given; what it keeps is in its `state_dict`."""

    live: ClassVar[tuple[str, ...]] = ()
    """Options, also attributes, that may change in the course of a training."""

    def retune(self, options: Mapping[str, Any]) -> None:
        """Take over other values of the live options, in the course of a training."""
        for name in self.live:
            setattr(self, name, options[name])

    def objections(self, stack: Stack) -> list[str]:
        """Return why this part cannot work in a stack, each with what to do about it; nothing where it can."""
        del stack
        return []

    def heldout_images(self, count: int) -> int:
        """Return how many of so many training images must be held out for it to draw batches from; none by default."""
        del count
        return 0

    def scored_images(self, count: int) -> int:
        """Return how many of so many training images must be held out for its scores; none unless it says so.

        No batch is drawn from them: what is trained on an image is not judged by it.
        """
        del count
        return 0

    def inherits(self, state: Mapping[str, Any] | None = None) -> None:
        """Be told, before `start`, that the supernet begins with the weights of a trained one.

        Args:
            state: The `state_dict` of the same part beside the trained supernet, whose space holds this one's; None
                where it is not known. It may be used later, but must not be changed.
        """

    def start(self, supernet: Supernet, seed: int) -> None:
        """Take in the supernet, before the first step.

        Args:
            supernet: What will be trained.
            seed: Of anything this part initialises.
        """

    def diagnostics(self) -> dict[str, float]:
        """Return what is worth logging of the round that has just ended, by name, and begin a new one."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here; tensors and plain values only."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
