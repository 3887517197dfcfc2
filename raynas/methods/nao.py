"""NAO (Luo et al., "Neural Architecture Optimization", NeurIPS 2018), as landmark regularization trains with it.

Uniform single paths at first; then paths of a pool that is renewed again and again: all of it is scored, the network of
`raynas.methods.nao_surrogate` learns the scores, and the pool becomes the best of it, architectures that the network
writes, and random ones (Yu et al., "Landmark Regularization", CVPR 2021: `nao_policy` of its released code).
Its settings, NAS-Bench-201: warm-up 100 of 400 epochs (0.25), renewed every 40 (0.1), 100 seeds, 300 written and 400
random architectures a renewal, all of the old pool kept (`keep` null; the best 100 for NAS-Bench-101 and DARTS); DARTS:
warm-up 150 of 400; ImageNet: 140 of 200, every 20, 50 seeds, 10 and 20. A score is of one batch of held-out images
there: hence 256 here. A renewal scores the whole pool: 800 * 256 images at the default cost of 0.37 are 76,000 of a
budget; for a smaller one make `seeds`, `generated`, `random`, `images` and `epochs` smaller.
Where we differ: the released code scores each architecture on a batch of its own, which is part of the noise, and by
accuracy; here all are scored on the same images by the loss. An architecture whose score is not finite is not learned
from, and leaves the pool. The released code's last fit, at the end of the training, has no use here and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from raynas.methods.nao_surrogate import NaoSurrogate, sizes_for
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.view import TrainingView
from raynas.networks import Supernet
from raynas.networks.cost import costs
from raynas.search import Pool, PoolEntry
from raynas.search.searcher import best_first
from raynas.spaces import Architecture, Space

_FEWEST = 4
"""Scored architectures with fewer than so many finite scores are not learned from."""
_ATTEMPTS = 10
"""Draws for each new random architecture that is wanted; what is then missing, a small space does not have."""

Scored = tuple[Architecture, float]


@SAMPLERS.register("nao")
class NaoSampler(Sampler):
    """Uniform paths, then paths of a pool that an encoder, predictor and decoder renew (NAO).

    Args:
        space: The (sub)space that the supernet holds.
        warmup: The share of the budget before the first renewal; with 1 there is none, and this is SPOS. A supernet
            that inherits trained weights, as a partition's does, renews at once.
        every: The share of the budget between renewals.
        seeds: Random architectures that are scored first.
        generated: Architectures written at a renewal.
        random: Random architectures added at a renewal.
        top: How many of the best the written ones begin from.
        keep: How many of the best stay in the pool; None for all.
        images: Held-out images of a score.
        draw: A path is drawn from the pool uniformly, or in proportion to its parameters (NAO's own), counted in the
            space's network at its default options.
        epochs: Epochs of each fit.
        hidden: The network's hidden size; None for the released code's: 16 for NAS-Bench-101 and 201, else 96.
    """

    def __init__(
        self,
        space: Space,
        *,
        warmup: Annotated[float, Field(ge=0, le=1)] = 0.25,
        every: Annotated[float, Field(gt=0, le=1)] = 0.1,
        seeds: Annotated[int, Field(ge=_FEWEST)] = 100,
        generated: Annotated[int, Field(ge=1)] = 300,
        random: Annotated[int, Field(ge=0)] = 400,
        top: Annotated[int, Field(ge=1)] = 100,
        keep: Annotated[int | None, Field(ge=1)] = 100,
        images: Annotated[int, Field(ge=2)] = 256,
        draw: Literal["uniform", "parameters"] = "uniform",
        epochs: Annotated[int, Field(ge=1)] = 1000,
        hidden: Annotated[int | None, Field(ge=2)] = None,
    ) -> None:
        super().__init__(space)
        self.warmup, self.every, self.images, self.draw = warmup, every, images, draw
        self.seeds, self.generated, self.random, self.top, self.keep = seeds, generated, random, top, keep
        self.epochs, self.sizes = epochs, sizes_for(space, hidden)
        self._due = warmup if warmup < 1 else math.inf
        self._kept: list[Scored] = []  # best first
        self._written: list[Architecture] = []
        self._drawn: list[Architecture] = []
        self._chances: list[float] = []  # the pool's, where they are not equal
        self._told: dict[str, float] = {}
        self._proposed: list[PoolEntry] = []

    def scored_images(self, count: int) -> int:
        """Return the images of a score (the released code holds out half of all); none where nothing is scored."""
        return min(self.images, count // 2) if self.warmup < 1 else 0

    def inherits(self, state: Mapping[str, Any] | None = None) -> None:
        """Do without a warm-up, as the weights have had it: the first renewal is due at once, of fresh seeds.

        What the parent's pool and network hold are scores of the parent's weights, and of architectures that are in
        other parts: they are learned anew.
        """
        del state
        if self.warmup < 1:
            self.warmup = self._due = 0.0

    def start(self, supernet: Supernet, seed: int) -> None:
        """Make the network."""
        self._surrogate = NaoSurrogate(self.space, seed=seed, epochs=self.epochs, sizes=self.sizes)
        self._shapes = {"input_shape": supernet.input_shape, "classes": supernet.classes}

    @property
    def pool(self) -> list[Architecture]:
        """What paths are drawn from: the best kept, then written, then random ones; nothing during the warm-up."""
        return [*(architecture for architecture, _ in self._kept), *self._written, *self._drawn]

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return one architecture, of the pool if there is one; renew the pool first where that is due."""
        if view.progress >= self._due:
            self._renew(view, rng)
            while self._due <= view.progress:
                self._due += self.every
        pool = self.pool
        if not pool:
            return [self.space.sample(rng)]
        place = rng.choice(len(pool), p=self._chances) if self._chances else rng.integers(len(pool))
        return [pool[int(place)]]

    def begin_round(self, pool: Pool) -> None:
        """Begin a new list of proposals; its own pool is another than the shared one, of which it makes no use."""
        del pool
        self._proposed = []

    def proposals(self) -> list[PoolEntry]:
        """Return what the renewals of the round scored, under the protocol of scores on held-out images."""
        return list(self._proposed)

    def candidates(self, rng: np.random.Generator, count: int) -> list[Architecture]:
        """Return half of the newest written, half of the best kept; random ones of the space make up for a lack."""
        written = self._written[: max(count - len(self._kept), count // 2)]
        best = [architecture for architecture, _ in self._kept[: count - len(written)]]
        return [*written, *best, *super().candidates(rng, count - len(written) - len(best))]

    def diagnostics(self) -> dict[str, float]:
        """Return what the last renewal of the round gave: how well scores are predicted, the pool, what was written."""
        told, self._told = self._told, {}
        return told

    def state_dict(self) -> dict[str, Any]:
        """Return the pool, what is due, and the network."""
        return {
            "due": self._due,
            "kept": [(architecture.text, score) for architecture, score in self._kept],
            "written": [architecture.text for architecture in self._written],
            "drawn": [architecture.text for architecture in self._drawn],
            "chances": list(self._chances),
            "told": dict(self._told),
            "proposed": [(e.architecture.text, e.score, e.protocol, e.scorer, e.version) for e in self._proposed],
            "surrogate": self._surrogate.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        parse = self.space.parse
        self._due = state["due"]
        self._kept = [(parse(text), score) for text, score in state["kept"]]
        self._written, self._drawn = ([parse(text) for text in state[key]] for key in ("written", "drawn"))
        self._chances, self._told = list(state["chances"]), dict(state["told"])
        self._proposed = [PoolEntry(parse(text), *rest) for text, *rest in state["proposed"]]
        self._surrogate.load_state_dict(state["surrogate"])

    def _renew(self, view: TrainingView, rng: np.random.Generator) -> None:
        """Score the pool, learn the scores, and make the next pool."""
        pool = self.pool or self._new_random(self.seeds, [], rng)
        scores, protocol = view.score(pool, self.images), view.protocol(self.images)
        self._proposed += [
            PoolEntry(architecture, score, protocol, self.space.label, view.images_trained)
            for architecture, score in zip(pool, scores, strict=True)
        ]
        ranked = sorted(zip(pool, scores, strict=True), key=lambda pair: best_first(*pair))
        finite = [pair for pair in ranked if math.isfinite(pair[1])]
        self._kept, self._written = finite[: self.keep], []
        predicted = math.nan
        if len(finite) >= _FEWEST:
            best = [architecture for architecture, _ in finite]
            predicted = self._surrogate.fit(best, [score for _, score in finite])
            self._written = self._surrogate.improve(best[: self.top], self.generated, pool)
        self._drawn = self._new_random(self.random, [*pool, *self._written], rng)
        if self.draw == "parameters":
            sizes = costs(self.space, self.pool, **self._shapes)[:, 0]
            self._chances = (sizes / sizes.sum()).tolist()
        values = np.array([score for _, score in finite])
        self._told = {
            "nao_predictor_tau": predicted,
            "nao_scored": float(len(pool)),
            "nao_generated": float(len(self._written)),
            "nao_pool": float(len(self.pool)),
            "nao_score_mean": float(values.mean()) if len(values) else math.nan,
            "nao_score_best": float(values.max()) if len(values) else math.nan,
        }

    def _new_random(self, count: int, known: Sequence[Architecture], rng: np.random.Generator) -> list[Architecture]:
        """Return up to `count` random architectures, no two of them or of the known ones the same function."""
        seen = {self.space.canonical(architecture).text for architecture in known}
        found: list[Architecture] = []
        for _ in range(_ATTEMPTS * count):
            if len(found) == count:
                break
            architecture = self.space.sample(rng)
            form = self.space.canonical(architecture).text
            if form not in seen:
                seen.add(form)
                found.append(architecture)
        return found
