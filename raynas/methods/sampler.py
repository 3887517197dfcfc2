"""Path samplers: which architectures the next training step runs."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from raynas.registry import Registry
from raynas.spaces import Architecture, Space


class Sampler(ABC):
    """Chooses the paths of each training step.

    Args:
        space: The (sub)space that the supernet holds.
    """

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def next_step(self, rng: np.random.Generator) -> list[Architecture]:
        """Return the architectures trained on the next batch; their gradients are summed into one step."""


SAMPLERS: Registry[Sampler] = Registry("sampler")


@SAMPLERS.register("uniform")
class UniformSampler(Sampler):
    """One path a step, uniform over the space (SPOS; Guo et al., ECCV 2020, section 3.2).

    The released code draws a FLOPs bin first and a path inside it; the paper's plain uniform draw is what this is.
    """

    def next_step(self, rng: np.random.Generator) -> list[Architecture]:
        """Return one architecture."""
        return [self.space.sample(rng)]
