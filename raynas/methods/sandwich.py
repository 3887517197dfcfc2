"""The sandwich rule with in-place distillation (Yu et al., "BigNAS", ECCV 2020, sections 3.1 and 3.2).

A step trains the largest architecture of the (sub)space on the labels, and the smallest and `random` uniform draws on
the largest one's output (Kullback-Leibler divergence at temperature 1, no gradient to the teacher); the gradients are
summed on the same batch and applied at once, and a step costs as many batches of the budget as it has paths. Largest
and smallest are by cost (see `raynas.networks.extremes`). The batch norms see paths of very unlike size, so that scores
want statistics of the path's own: every policy but ``running`` has them.

Where the space is one architecture that alone is trained, and this is SPOS; so it is with ``extremes=false``,
``distil=false`` and ``random=1``. Drop path on the largest and clipping gradients by value (BigNAS's recipe, and the
code in mmrazor) belong to networks and optimizer and are not copied: the run's own `train.grad_clip` bounds the norm.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from raynas.errors import ConfigError
from raynas.methods.part import Stack
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.view import TrainingView
from raynas.networks.extremes import extremes
from raynas.spaces import Architecture, Space


@SAMPLERS.register("sandwich")
class SandwichSampler(Sampler):
    """The largest, the smallest and random architectures, taught by the largest (BigNAS).

    Args:
        space: The (sub)space that the supernet holds.
        random: Uniform draws a step.
        extremes: Train the largest and the smallest in every step.
        distil: The others learn the largest one's output; without it, the labels.

    Raises:
        ConfigError: There would be no path, or no teacher.
    """

    def __init__(
        self,
        space: Space,
        *,
        random: Annotated[int, Field(ge=0, description="uniform draws a step")] = 2,
        extremes: Annotated[bool, Field(description="train the largest and the smallest in every step")] = True,
        distil: Annotated[bool, Field(description="the others learn the largest one's output, not the labels")] = True,
    ) -> None:
        super().__init__(space)
        if not extremes and (distil or random == 0):
            problem = "there is no teacher; set distil=false" if distil else "no path is trained; set random=1 or more"
            raise ConfigError([f"'extremes': without the largest architecture {problem}"], "the sampler sandwich")
        self.random, self.with_extremes, self.distils = random, extremes, distil
        self._extremes: tuple[Architecture, ...] | None = None

    def objections(self, stack: Stack) -> list[str]:
        """Return that depth has no classes whose probabilities could be learned."""
        if self.distils and stack.task == "depth":
            return ["sandwich distils the largest architecture's classes, and depth has none; set distil=false"]
        return []

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return the largest architecture, which teaches, the smallest, and random ones."""
        if self._extremes is None:
            self._extremes = tuple(dict.fromkeys(extremes(view.supernet))) if self.with_extremes else ()
        if self._extremes and all(len(decision.options) == 1 for decision in self.space.decisions):
            return list(self._extremes)
        return [*self._extremes, *(self.space.sample(rng) for _ in range(self.random))]
