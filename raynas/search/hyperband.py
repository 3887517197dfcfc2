"""Hyperband (Li et al., JMLR 2018, algorithm 1) and BOHB (Falkner et al., ICML 2018): many short evaluations, few full.

A bracket evaluates n architectures a little, and the best 1/eta of them again, eta times as long, until some are fully
evaluated (successive halving). Brackets differ in how many they begin with and how short; their sizes are the papers'.
Where we differ: an evaluation of a promoted architecture starts afresh and costs its whole fidelity; no function is
drawn for a second bracket; what scored no finite number is not promoted; a bracket that finds too few new
architectures, as the space is nearly used up, goes on with 1/eta of those (at least one) at each promotion.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from raynas.errors import ConfigError
from raynas.search.hyperband_model import BohbModel
from raynas.search.searcher import SEARCHERS, Searcher, best_first
from raynas.spaces import Architecture

Fidelity = Annotated[float, Field(gt=0, le=1)]


@SEARCHERS.register("hyperband")
class HyperbandSearcher(Searcher):
    """Brackets of successive halving over random architectures (Hyperband); an ask is a rung of one bracket.

    After the last bracket the first begins again; the search ends when a bracket finds nothing new to begin with
    (in a space of a few hundred that may be soon: a bracket uses up all that it begins with, most of them briefly).

    Args:
        args: As for `Searcher`; the initial architectures begin the first bracket, what is left of them the next.
        eta: One in so many is promoted, to an evaluation so many times as long.
        min_fidelity: The shortest evaluation; the ladder is 1, 1/eta, 1/eta^2, down to it.
        levels: The fidelities of the ladder instead, rising and ending with 1, where only some can be had (a table of
            12 and of 200 epochs: 0.06 and 1). A bracket has as many architectures as on a ladder of so many steps.
        brackets: How many brackets there are, beginning with the one that starts lowest (1: successive halving alone);
            None for one that starts at each fidelity.

    Raises:
        ConfigError: The levels do not rise, or do not end with 1.
    """

    uses_fidelity = True
    _name: ClassVar[str] = "hyperband"

    def __init__(
        self,
        *args: Any,
        eta: Annotated[int, Field(ge=2)] = 3,
        min_fidelity: Fidelity = 1 / 27,
        levels: list[Fidelity] | None = None,
        brackets: Annotated[int | None, Field(ge=1)] = None,
    ) -> None:
        super().__init__(*args)
        self.eta = eta
        self.levels = ladder(eta, min_fidelity) if levels is None else list(levels)
        if self.levels[-1:] != [1.0] or sorted(set(self.levels)) != self.levels or self.levels[0] <= 0:
            problem = f"must be fidelities above 0 that rise and end with 1, got {self.levels}"
            raise ConfigError([f"'levels': {problem}"], f"the searcher {self._name}")
        self.brackets = min(brackets or len(self.levels), len(self.levels))
        self._bracket = -1  # it begins at the level of this number
        self._level = len(self.levels) - 1  # of what was asked for last
        self._rung: list[tuple[Architecture, float]] = []  # what was told of that
        self._observed: list[list[tuple[Architecture, float]]] = [[] for _ in self.levels]

    @property
    def fidelity(self) -> float:
        """The share of a full evaluation, in (0, 1], that what was asked for last shall get."""
        return self.levels[self._level]

    def ask(self) -> list[Architecture]:
        """Return what is promoted; where nothing can be, the first rung of the next bracket."""
        promoted = self._promoted()
        self._rung = []
        if promoted:
            self._level += 1
            return promoted
        self._bracket = self._level = (self._bracket + 1) % self.brackets
        wanted = bracket_size(len(self.levels) - 1, len(self.levels) - 1 - self._bracket, self.eta)
        first = self._next_initial(wanted)
        return first + self._new(wanted - len(first))

    def state_dict(self) -> dict[str, Any]:
        """Return the searcher's state, where it stands in which bracket, and what was observed at each fidelity."""
        return {
            **super().state_dict(),
            "bracket": self._bracket,
            "level": self._level,
            "rung": list(self._rung),
            "observed": [list(told) for told in self._observed],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._bracket, self._level, self._rung = state["bracket"], state["level"], list(state["rung"])
        self._observed = [list(told) for told in state["observed"]]

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        scored = [(architecture, vector[0]) for architecture, vector in evaluated]
        self._rung += scored
        self._observed[self._level] += scored

    def _promoted(self) -> list[Architecture]:
        """Return the best of the rung, best first; none where it was the bracket's last."""
        if self._level == len(self.levels) - 1 or not self._rung:
            return []
        ranked = sorted(self._rung, key=lambda pair: best_first(*pair))
        kept = ranked[: max(1, len(ranked) // self.eta)]
        return [architecture for architecture, score in kept if math.isfinite(score)]

    def _new(self, count: int) -> list[Architecture]:
        """Return up to `count` new architectures to begin a bracket with."""
        return self._draw(count)


@SEARCHERS.register("bohb")
class BohbSearcher(HyperbandSearcher):
    """Hyperband whose brackets begin with draws of a model of what was good (BOHB), made anew for each bracket.

    The model is BOHB's own (`raynas.search.hyperband_model`), of the highest fidelity with enough evaluations.

    Args:
        args: As for `Searcher`.
        eta: As for `hyperband`.
        min_fidelity: As for `hyperband`.
        levels: As for `hyperband`.
        brackets: As for `hyperband`.
        random: The chance of an architecture to be drawn at random still.
        good: The share of the evaluations that the model takes for good.
        candidates: The model's draws for each architecture that it proposes: the best new one is taken.
    """

    _name = "bohb"

    def __init__(
        self,
        *args: Any,
        eta: Annotated[int, Field(ge=2)] = 3,
        min_fidelity: Fidelity = 1 / 27,
        levels: list[Fidelity] | None = None,
        brackets: Annotated[int | None, Field(ge=1)] = None,
        random: Annotated[float, Field(ge=0, le=1)] = 1 / 3,
        good: Annotated[float, Field(gt=0, lt=1)] = 0.15,
        candidates: Annotated[int, Field(ge=1)] = 64,
    ) -> None:
        super().__init__(*args, eta=eta, min_fidelity=min_fidelity, levels=levels, brackets=brackets)
        self.random = random
        self._model = BohbModel(self.space, good, candidates)

    def _new(self, count: int) -> list[Architecture]:
        self._model.fit(self._observed)
        found: list[Architecture] = []
        for _ in range(count):
            if self.rng.random() >= self.random:  # the best candidate that is new, or else a random one
                found += itertools.islice(filter(self._accept, self._model.propose(self.rng)), 1)
        return found + self._draw(count - len(found))


def ladder(eta: int, least: float) -> list[float]:
    """Return 1 and its divisions by `eta` down to the least fidelity, the lowest first; 1 is exact."""
    steps = math.floor(math.log(1 / least) / math.log(eta) + 1e-9)
    return [1.0 / eta**step for step in range(steps, -1, -1)]


def bracket_size(most: int, promotions: int, eta: int) -> int:
    """Return how many architectures a bracket begins with: ceil((s_max + 1) / (s + 1) * eta^s).

    Args:
        most: s_max: the promotions of the bracket that starts lowest.
        promotions: s: those of this one.
        eta: One in so many is promoted.
    """
    whole: int = (most + 1) * eta**promotions
    return math.ceil(whole / (promotions + 1))
