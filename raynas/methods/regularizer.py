"""`Regularizer`: a term beside the task's loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raynas.methods.part import Part
from raynas.methods.view import TrainingView
from raynas.registry import Registry
from raynas.spaces import Architecture


@dataclass(frozen=True)
class Landmark:
    """An architecture of known quality.

    Args:
        architecture: The architecture.
        quality: Its stand-alone validation accuracy in percent.
    """

    architecture: Architecture
    quality: float


class Regularizer(Part, ABC):
    """Adds the gradients of a term to those of the task's loss, before they are clipped and applied."""

    @abstractmethod
    def add_gradients(self, view: TrainingView, rng: np.random.Generator) -> None:
        """Compute the term on held-out images and add its gradients, counting what it passed through the network."""

    def landmarks_changed(self, landmarks: Sequence[Landmark]) -> None:
        """Take in the landmarks there are from now on, all in the supernet's space; ignored unless it uses them."""


REGULARIZERS: Registry[Regularizer] = Registry("regularizer")
