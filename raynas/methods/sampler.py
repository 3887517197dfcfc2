"""Path samplers: which architectures the next training step runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

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

    Args:
        space: The (sub)space that the supernet holds.
        over: Uniform over architectures, or over classes of architectures that are the same function (as CLOSE trains
            NAS-Bench-201), which only a space that can be enumerated knows.
    """

    def __init__(self, space: Space, *, over: Literal["architectures", "classes"] = "architectures") -> None:
        super().__init__(space)
        self._draw = space.sample if over == "architectures" else space.sample_class
        if over == "classes":
            space.classes()  # refuses a space too large to enumerate now, not in the middle of a run

    def next_step(self, rng: np.random.Generator) -> list[Architecture]:
        """Return one architecture."""
        return [self._draw(rng)]
