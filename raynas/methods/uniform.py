"""Uniform single paths: SPOS (Guo et al., "Single Path One-Shot Neural Architecture Search", ECCV 2020, section 3.2).

The released code draws a FLOPs bin first and a path inside it; the paper's plain uniform draw is what this is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.view import TrainingView
from raynas.spaces import Architecture, Space


@SAMPLERS.register("uniform")
class UniformSampler(Sampler):
    """One path a step, uniform over the space (SPOS).

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

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return one architecture."""
        return [self._draw(rng)]
