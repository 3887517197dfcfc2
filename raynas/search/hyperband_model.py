"""BOHB's model: kernel densities of good and bad architectures (Falkner et al., ICML 2018, section 3.2, algorithm 2).

Where we differ from the released code (HpBandSter): the bandwidth of a decision is the same rule of thumb of the spread
of its options, but of their Gini impurity, as the code's standard deviation of the options' numbers depends on how
they happen to be ordered (with two options both are the same); and draws that break the validity rule are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raynas.search.searcher import best_first
from raynas.spaces import Architecture, Space

_NARROWEST = 1e-3


class Density:
    """A product of Aitchison-Aitken kernels, one a decision, around each of some architectures.

    Args:
        codes: (N, D): which option of each decision each architecture has.
        counts: (D,): how many options there are.
    """

    def __init__(self, codes: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self.codes, self.counts = codes, counts
        shares = [
            np.bincount(column, minlength=count) / len(codes) for column, count in zip(codes.T, counts, strict=True)
        ]
        spread = np.sqrt([(1 - (share**2).sum()) / 2 for share in shares])
        rule = 1.06 * spread * len(codes) ** (-1 / (4 + len(counts)))
        self.widths = np.clip(rule, _NARROWEST, np.maximum(1 - 1 / counts, _NARROWEST))
        """(D,): the chance that a kernel gives to the options that are not its own."""

    def __call__(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the density (A,) of architectures (A, D)."""
        others = self.widths / np.maximum(self.counts - 1, 1)
        kernels = np.where(codes[:, None] == self.codes[None], 1 - self.widths, others)
        return np.asarray(kernels.prod(2).mean(1))

    def draw(self, number: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return draws (number, D) as the released code has them: of a kernel, each decision kept or drawn anew."""
        centres = self.codes[rng.integers(len(self.codes), size=number)]
        anew = rng.integers(self.counts, size=centres.shape)
        return np.where(rng.random(centres.shape) < self.widths, anew, centres)


class BohbModel:
    """Draws architectures where good ones are dense and bad ones are not.

    Args:
        space: The (sub)space.
        good: The share of the evaluations that is good.
        candidates: Draws of the good density for each proposal.
    """

    def __init__(self, space: Space, good: float, candidates: int) -> None:
        self.space, self.good, self.candidates = space, good, candidates
        self.fewest = len(space.decisions) + 1
        """How many architectures a density is made of at least."""
        self._counts = np.array([len(decision.options) for decision in space.decisions])
        self._codes = [{option: code for code, option in enumerate(d.options)} for d in space.decisions]
        self._densities: tuple[Density, Density] | None = None

    def fit(self, levels: Sequence[Sequence[tuple[Architecture, float]]]) -> None:
        """Learn from the longest evaluations of which there are enough: two more than a density is made of.

        Args:
            levels: What was evaluated at each fidelity, the lowest first; what is not finite counts as the worst.
        """
        self._densities = None
        for told in reversed(levels):
            if len(told) >= self.fewest + 2:
                ranked = [architecture for architecture, _ in sorted(told, key=lambda pair: best_first(*pair))]
                good = max(self.fewest, math.floor(self.good * len(ranked)))
                bad = max(self.fewest, len(ranked) - good)
                self._densities = self._density(ranked[:good]), self._density(ranked[-bad:])
                return

    def propose(self, rng: np.random.Generator) -> list[Architecture]:
        """Return the valid ones of some draws of the good density, the best by the ratio first; none if not fitted."""
        if self._densities is None:
            return []
        good, bad = self._densities
        drawn = np.unique(good.draw(self.candidates, rng), axis=0)
        ratio = np.maximum(good(drawn), 1e-32) / np.maximum(bad(drawn), 1e-32)
        decisions = self.space.decisions
        ranked = (drawn[place] for place in np.argsort(-ratio, kind="stable"))
        written = (tuple(d.options[code] for d, code in zip(decisions, codes, strict=True)) for codes in ranked)
        return [self.space.make(options) for options in written if self.space.is_valid(options)]

    def _density(self, architectures: Sequence[Architecture]) -> Density:
        codes = [[code[o] for code, o in zip(self._codes, a.options, strict=True)] for a in architectures]
        return Density(np.array(codes), self._counts)
