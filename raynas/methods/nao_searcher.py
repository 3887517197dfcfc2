"""NAO as a path searcher (Luo et al., "Neural Architecture Optimization", NeurIPS 2018, algorithm 1).

An encoder, predictor and decoder (`raynas.methods.nao_surrogate`) learns all that was evaluated, and writes new
architectures from the encodings of the best, moved up the predicted quality. `raynas.methods.nao` trains a supernet
with it; here values come from whoever evaluates, a trained supernet or a table.
As in landmark regularization's code (`nao_policy`) the network goes on from the fit before, and random architectures
are added to each generation. Where we differ: fewer epochs a fit (1,000 there).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from raynas.methods.nao_surrogate import NaoSurrogate, sizes_for
from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture

_FEWEST = 4
"""Fewer finite scores are not learned from."""
_REWRITES = 5
"""How often is written again for what was infeasible; what is then missing is drawn at random."""


@SEARCHERS.register("nao")
class NaoSearcher(Searcher):
    """Architectures that an encoder, predictor and decoder writes from the best so far (NAO), and some random ones.

    Args:
        args: As for `Searcher`.
        seeds: Architectures of the first generation: the initial ones, then random ones.
        generated: Written architectures of each further one.
        random: Random architectures of each further one.
        top: How many of the best so far the written ones begin from.
        epochs: Epochs of each fit: the time of an ask grows with it and with all that was evaluated.
        hidden: The network's hidden size; None for the released code's: 16 for NAS-Bench-101 and 201, else 96.
    """

    def __init__(
        self,
        *args: Any,
        seeds: Annotated[int, Field(ge=_FEWEST)] = 100,
        generated: Annotated[int, Field(ge=1)] = 50,
        random: Annotated[int, Field(ge=0)] = 10,
        top: Annotated[int, Field(ge=1)] = 50,
        epochs: Annotated[int, Field(ge=1)] = 200,
        hidden: Annotated[int | None, Field(ge=2)] = None,
    ) -> None:
        super().__init__(*args)
        self.seeds, self.generated, self.random, self.top = seeds, generated, random, top
        seed, sizes = int(self.rng.integers(2**31)), sizes_for(self.space, hidden)
        self._surrogate = NaoSurrogate(self.space, seed=seed, epochs=epochs, sizes=sizes)

    def ask(self) -> list[Architecture]:
        """Return the seeds, then one generation after another."""
        if not self.history:
            first = self._next_initial(self.seeds)
            return first + self._draw(self.seeds - len(first))
        batch = self._next_initial(self.generated)  # those that the seeds had no room for
        batch += self._written(self.generated - len(batch))
        return batch + self._draw(self.generated + self.random - len(batch))

    def state_dict(self) -> dict[str, Any]:
        """Return the searcher's state and the network's."""
        surrogate = self._surrogate.state_dict()
        model = {name: tensor.clone() for name, tensor in surrogate["model"].items()}
        return {**super().state_dict(), "surrogate": {**surrogate, "model": model}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._surrogate.load_state_dict(state["surrogate"])

    def _written(self, count: int) -> list[Architecture]:
        """Return up to `count` new architectures that the network writes, which first learns all finite scores."""
        finite = [pair for pair in self.ranked if math.isfinite(pair[1])]
        if count <= 0 or len(finite) < _FEWEST:
            return []
        best = [architecture for architecture, _ in finite]
        self._surrogate.fit(best, [score for _, score in finite])
        known = [architecture for architecture, _ in self.history]
        accepted: list[Architecture] = []
        for _ in range(_REWRITES):
            written = self._surrogate.improve(best[: self.top], count - len(accepted), known)
            accepted += [architecture for architecture in written if self._accept(architecture)]
            known += written
            if len(accepted) == count or not written:
                break
        return accepted
