"""`Curriculum`: what changes in the course of the training, beside the learning rate."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from raynas.methods.part import Part
from raynas.methods.view import TrainingView
from raynas.registry import Registry


class Curriculum(Part, ABC):
    """Changes the supernet, or how it is trained, at given moments."""

    @abstractmethod
    def before_step(self, view: TrainingView, rng: np.random.Generator) -> None:
        """Do what is due before the next step: most often nothing. Weights are changed in place."""


CURRICULA: Registry[Curriculum] = Registry("curriculum")
