"""What a part of a method sees of the training it takes part in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from raynas.networks import Supernet
from raynas.networks.mixture import Mixture
from raynas.spaces import Architecture

Path = Architecture | Mixture
"""What one forward pass runs: a discrete path, or a mixture of them all."""


class TrainingView(Protocol):
    """The supernet in training, held-out images, and the budget, which everything that is looked at is charged to."""

    supernet: Supernet

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, 0 to 1."""

    @property
    def step_progress(self) -> float:
        """The share that was spent when the present step began, 0 to 1."""

    @property
    def images_trained(self) -> int:
        """Images passed forward and backward so far: the supernet's version."""

    @property
    def epoch_images(self) -> int:
        """The images that weights are trained on: an epoch is so many."""

    @property
    def batch(self) -> tuple[Tensor, Tensor]:
        """The images (B, C, H, W) and targets (B, ...) that the step in preparation trains on."""

    @property
    def lr(self) -> float:
        """The weights' learning rate at the beginning of the step in preparation."""

    def loss(self, path: Path, images: Tensor, targets: Tensor, *, trained: bool = False) -> Tensor:
        """Return the task's mean loss of one path, (B, C, H, W) images, a scalar with its graph.

        That is the loss it is scored by or, if `trained` says so, the one it is trained by, with smoothed labels.

        Nothing is counted: the caller says with `count` what was passed forward only, or forward and backward.
        """

    def heldout_batch(self, purpose: str) -> tuple[Tensor, Tensor]:
        """Return the next batch (B, C, H, W), (B, ...) of held-out training images, changed as training images are.

        Each purpose has an order of its own, which does not depend on what else the stack is made of.
        As many images as a training batch has. A part of a method that asks for it must say so in `heldout_images`.
        None of them is among those that `score` looks at, where there are both.
        """

    def score(self, architectures: Sequence[Architecture], images: int = 1000) -> list[float]:
        """Return minus the mean loss of architectures on the first held-out images, which are balanced; it is counted.

        They are always the same, batch norm takes the statistics of the images, and the supernet is left as it was. A
        part of a method that asks for scores must say so in `scored_images`.
        """

    def protocol(self, images: int = 1000) -> str:
        """Return how `score` measures, for the candidate pool: scores of different protocols are never compared."""

    def count(self, *, trained: int = 0, scored: int = 0) -> None:
        """Charge images to the budget: passed forward and backward, or forward only."""

    def restart(self) -> None:
        """Begin the schedule of the learning rate anew for what is left of the budget, and forget momentum."""
