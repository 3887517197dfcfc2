"""REINFORCE with an independent categorical for each decision, as NAS-Bench-201 and NATS-Bench run it.

Williams (1992); Dong & Yang, NAS-Bench-201 (ICLR 2020). Logits begin at 1e-3 N(0, 1). With reward r of architecture a:
the baseline b is an exponential average of all rewards (0.9, its bias corrected) that takes r in *before* it is used,
and one Adam step (0.9, 0.999, 1e-8) is made on -(r - b) log p(a), as in AutoDL-Projects.

Rewards are the scores as they come, accuracies in percent or negative losses. An offset goes into the baseline, and
Adam divides the gradients by their size, so that neither the unit nor the offset matters to the search.

Where we differ from AutoDL-Projects: nothing is evaluated twice. An architecture that the policy draws again teaches it
once more with the score that is known (there a look-up pays for it again); after a few of these in one ask, a new
neighbour of the last draw is evaluated, or anything new. What the policy did not draw itself (that, and the initial
architectures) teaches it like its own draws.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture

BETAS = (0.9, 0.999)
EPSILON = 1e-8
_REPEATS = 3
"""Draws for each wanted architecture; that many known ones teach before a neighbour is taken."""
_NEIGHBOURS = 10


@SEARCHERS.register("reinforce")
class ReinforceSearcher(Searcher):
    """REINFORCE: a categorical distribution for each decision, moved towards what scores above average.

    Args:
        args: As for `Searcher`; the initial architectures are the first that it learns from.
        lr: Adam's learning rate. NATS-Bench has 0.01, with which the policy is still near uniform after a hundred
            evaluations; NAS-Bench-201's example has 0.5, which settles on the first good ones. The default is between.
        momentum: How much of the baseline stays at every reward.
        batch: Architectures an ask; what is told of them makes steps one by one, in order, after all were drawn.
    """

    def __init__(
        self,
        *args: Any,
        lr: Annotated[float, Field(gt=0)] = 0.03,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        batch: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        super().__init__(*args)
        self.lr, self.momentum, self.batch = lr, momentum, batch
        decisions = self.space.decisions
        most = max(len(decision.options) for decision in decisions)
        self._rows = np.arange(len(decisions))
        self._places = [{option: place for place, option in enumerate(d.options)} for d in decisions]
        self._logits = np.full((len(decisions), most), -np.inf)
        for logits, decision in zip(self._logits, decisions, strict=True):
            logits[: len(decision.options)] = 1e-3 * self.rng.standard_normal(len(decision.options))
        self._chances: NDArray[np.float64] | None = None  # of the present logits, once somebody asked
        self._moments = np.zeros((2, *self._logits.shape))  # Adam's: of the gradient, and of its square
        self._steps = 0
        self._baseline = (0.0, 0.0)  # the sum of the rewards, and of their weights
        self._known: dict[str, float] = {}

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The policy: (decisions, most options) chances, 0 behind a decision's last option."""
        if self._chances is None:
            chances = np.exp(self._logits - self._logits.max(1, keepdims=True))
            chances /= chances.sum(1, keepdims=True)
            self._chances = chances
        return self._chances.copy()

    def ask(self) -> list[Architecture]:
        """Return the initial architectures, then draws from the policy."""
        asked = self._next_initial(self.batch)
        while len(asked) < self.batch:
            new = self._new()
            found = self._draw(1) if new is None else [new]
            if not found:
                break
            asked += found
        return asked

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        for architecture, vector in evaluated:
            self._known[self.space.canonical(architecture).text] = vector[0]
            self._learn(architecture, vector[0])

    def _new(self) -> Architecture | None:
        """Return a new architecture that the policy drew, or else a neighbour of what it drew; learn on the way."""
        drawn: Architecture | None = None
        for _ in range(_REPEATS):
            options = self._options()
            if not self.space.is_valid(options):
                continue
            drawn = self.space.make(options)
            if self._accept(drawn):
                return drawn
            known = self._known.get(self.space.canonical(drawn).text)
            if known is not None:  # None where it is asked for at this moment, or infeasible
                self._learn(drawn, known)
        for _ in range(_NEIGHBOURS):
            if drawn is not None and self._accept(near := self._neighbour(drawn)):
                return near
        return None

    def _options(self) -> tuple[str, ...]:
        """Draw one option a decision; the combination may not be valid."""
        bounds = self.probabilities.cumsum(1).tolist()
        draws = zip(self.space.decisions, bounds, self.rng.random(len(bounds)).tolist(), strict=True)
        # rounding may leave a gap at the end: the last option has it
        return tuple(d.options[min(bisect_right(bound, at), len(d.options) - 1)] for d, bound, at in draws)

    def _learn(self, architecture: Architecture, reward: float) -> None:
        """Make one step; a score that is not finite counts as the worst that is known, and as nothing if none is."""
        if not math.isfinite(reward):
            reward = min(filter(math.isfinite, self._known.values()), default=math.nan)
            if math.isnan(reward):
                return
        total, weight = (self.momentum * part for part in self._baseline)
        self._baseline = total + (1 - self.momentum) * reward, weight + (1 - self.momentum)
        gradient = self.probabilities  # of -log p: the chances, less 1 at what was chosen
        chosen = [places[option] for places, option in zip(self._places, architecture.options, strict=True)]
        gradient[self._rows, chosen] -= 1.0
        gradient *= reward - self._baseline[0] / self._baseline[1]
        self._steps += 1
        first, second = self._moments
        first += (1 - BETAS[0]) * (gradient - first)
        second += (1 - BETAS[1]) * (gradient * gradient - second)
        size = np.sqrt(second / (1 - BETAS[1] ** self._steps)) + EPSILON
        self._chances = None
        self._logits -= self.lr / (1 - BETAS[0] ** self._steps) * first / size

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {
            **super().state_dict(),
            "logits": self._logits.copy(),
            "moments": self._moments.copy(),
            "steps": self._steps,
            "baseline": self._baseline,
            "known": dict(self._known),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._logits, self._moments = state["logits"].copy(), state["moments"].copy()
        self._chances = None
        self._steps, self._baseline, self._known = state["steps"], state["baseline"], dict(state["known"])
