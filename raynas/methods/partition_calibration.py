"""Scores of several sub-supernets on one scale: moved, or moved and stretched, to where the root supernet had them.

Sub-supernets are trained apart, and their scores drift apart: in the released few-shot predictions the mean accuracy of
the five differs by 20 percent where the truth differs by 9. (Shifting those means to the root's did not help the
ranking there, tau .539 and .551 without; so a calibrated run reports both.) Architectures drawn from the part's own
space serve as the yardstick; their truth is never asked for. Before a sub-supernet is trained it gives them the root's
scores, and the line is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raynas.spaces import Architecture, Space

Kind = Literal["shift", "scale"]


@dataclass(frozen=True)
class Line:
    """What turns a sub-supernet's score into one that can be compared with the other sub-supernets'."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, score: float) -> float:
        """Return the score on the root's scale."""
        return self.slope * score + self.intercept

    def metrics(self) -> dict[str, float]:
        """Return it as a report tells it."""
        return {"calibration_slope": self.slope, "calibration_intercept": self.intercept}

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Line:
        """Return the line that a report tells; the identity where it tells none."""
        return cls(metrics.get("calibration_slope", 1.0), metrics.get("calibration_intercept", 0.0))


@dataclass(frozen=True)
class Calibration:
    """The yardstick of one sub-supernet.

    Args:
        kind: ``shift`` makes the means equal, ``scale`` also the standard deviations.
        architectures: Distinct architectures of its space.
        reference: The root's scores of them, after the root's training.
    """

    kind: Kind
    architectures: tuple[Architecture, ...]
    reference: tuple[float, ...]

    def line(self, scores: Sequence[float]) -> Line:
        """Return the line from the sub-supernet's present scores of the architectures to the root's.

        Scores that are not finite are left out; without any that is, the line is NaN, and with it all it is applied to.
        """
        mine, roots = np.array(scores, np.float64), np.array(self.reference, np.float64)
        finite = np.isfinite(mine) & np.isfinite(roots)
        if not finite.any():
            return Line(float("nan"), float("nan"))
        mine, roots = mine[finite], roots[finite]
        slope = 1.0
        if self.kind == "scale" and mine.std() > 0 and roots.std() > 0:
            slope = float(roots.std() / mine.std())
        return Line(slope, float(roots.mean() - slope * mine.mean()))


def yardstick(space: Space, rng: np.random.Generator, count: int) -> tuple[Architecture, ...]:
    """Return what is left of so many draws from a (sub)space when repetitions are dropped."""
    return tuple(dict.fromkeys(space.sample(rng) for _ in range(count)))
