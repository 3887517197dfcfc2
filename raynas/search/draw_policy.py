"""A policy that draws several of n things, none twice, and the exact gradient of its draws.

The chance of thing i is ``p_i = (1 - floor) softmax(logits)_i + floor / n``. A draw takes one after the other in
proportion to the chances of those that are left (Plackett-Luce), so the t-th draw a_t has the probability
``p[a_t] / (1 - sum of p[a_s] over s < t)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class DrawPolicy:
    """Logits, what is drawn by them, and how they are moved.

    Args:
        count: How many things there are; all are equally likely at first.
        floor: The share of the chances that is spread evenly, above 0: so everything can be drawn at any time.
    """

    def __init__(self, count: int, floor: float) -> None:
        self.logits: Floats = np.zeros(count)
        self.floor = floor

    def chances(self, among: Sequence[int]) -> Floats:
        """Return the chances of these things, which sum to 1; all others cannot be drawn."""
        return (1 - self.floor) * self._softmax(among) + self.floor / len(among)

    def draw(self, among: Sequence[int], count: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Return some of these things in the order in which they were drawn.

        Args:
            among: What can be drawn.
            count: How many are.
            rng: The stream of the draws.
        """
        left, chances = list(among), self.chances(among).tolist()
        drawn = []
        for _ in range(count):
            total = sum(chances)
            place = int(rng.choice(len(left), p=[chance / total for chance in chances]))
            drawn.append(left.pop(place))
            chances.pop(place)
        return tuple(drawn)

    def log_chances(self, among: Sequence[int], drawn: Sequence[int]) -> Floats:
        """Return the logarithm of each step's probability, (drawn,), given the steps before it."""
        places = [among.index(thing) for thing in drawn]
        chances = self.chances(among)
        gone = np.concatenate([[0.0], np.cumsum(chances[places])[:-1]])
        return np.asarray(np.log(chances[places]) - np.log1p(-gone))

    def gradients(self, among: Sequence[int], drawn: Sequence[int]) -> Floats:
        """Return the gradients of `log_chances` by all logits: (drawn, things); 0 for those that cannot be drawn."""
        places = [among.index(thing) for thing in drawn]
        soft, chances = self._softmax(among), self.chances(among)
        slopes = (1 - self.floor) * (np.diag(soft) - np.outer(soft, soft))[places]  # of p[a_t] by the logits
        picked = chances[places][:, None]
        gone = np.concatenate([np.zeros_like(picked[:1]), np.cumsum(picked, 0)[:-1]])
        before = np.concatenate([np.zeros_like(slopes[:1]), np.cumsum(slopes, 0)[:-1]])
        full = np.zeros((len(drawn), len(self.logits)))
        full[:, list(among)] = slopes / picked + before / (1 - gone)
        return full

    def _softmax(self, among: Sequence[int]) -> Floats:
        logits = self.logits[list(among)]
        raised = np.exp(logits - logits.max())
        return np.asarray(raised / raised.sum())
