"""Which pairs of landmarks a training step compares.

Yu et al. (CVPR 2021) draw m pairs a step. The released code (`random_pairwise_loss`) draws the worse
landmark of M uniformly from all but the best and the better one uniformly from those above it, so that a pair has the
probability 1/((M-1)(M-1-a)), a being the place of its worse member, the worst's being 0: with M = 30 the best two are
drawn fifteen times as often as they would be uniformly. Here the pairs are uniform; the code's draw is `official`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from raynas.methods.regularizer import Landmark

Pair = tuple[Landmark, Landmark]
"""The worse landmark and the better one."""


class LandmarkPairs:
    """The pairs of some landmarks whose order is known well enough.

    Args:
        landmarks: In any order.
        min_gap: The least difference in quality (percent) of a pair; equal ones are never a pair.
        official: Draw as the released code does.
    """

    def __init__(self, landmarks: Sequence[Landmark], *, min_gap: float = 0.0, official: bool = False) -> None:
        self.landmarks = sorted(landmarks, key=lambda landmark: (landmark.quality, landmark.architecture.text))
        self.min_gap, self.official = min_gap, official
        self._all = list(itertools.combinations(self.landmarks, 2))
        self.usable = [pair for pair in self._all if self._apart(*pair)]

    @property
    def skipped(self) -> float:
        """The share of all pairs that are too close to be one; NaN where there is no pair at all."""
        return 1 - len(self.usable) / len(self._all) if self._all else float("nan")

    def draw(self, count: int, rng: np.random.Generator) -> list[Pair]:
        """Return so many pairs, drawn with replacement; fewer where `official` draws one that is too close."""
        if not self.usable:
            return []
        if not self.official:
            return [self.usable[int(place)] for place in rng.integers(len(self.usable), size=count)]
        drawn = []
        for _ in range(count):
            worse = int(rng.integers(len(self.landmarks) - 1))
            better = int(rng.integers(worse + 1, len(self.landmarks)))
            drawn.append((self.landmarks[worse], self.landmarks[better]))
        return [pair for pair in drawn if self._apart(*pair)]

    def _apart(self, worse: Landmark, better: Landmark) -> bool:
        gap = better.quality - worse.quality
        return gap > 0 and gap >= self.min_gap
