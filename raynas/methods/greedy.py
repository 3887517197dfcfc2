"""GreedyNAS (You et al., "GreedyNAS: Towards Fast One-Shot NAS with Greedy Supernet", CVPR 2020).

A round (section 3.1, "multi-path sampling with rejection"): m paths are drawn from (1 - epsilon) U(space) + epsilon
U(pool), scored by the loss on a small fixed set of held-out images, and the k best are trained, each on a batch of its
own in a step of its own. If a share q of the space is good, at least k of m are with probability sum_{j>=k} C(m, j)
q^j (1 - q)^(m - j); q = 0.6, m = 10 and k = 5 give 0.83, and 0.99 once half of the draws come from a pool of good ones.
The pool (section 3.2) takes in all m with their scores; training stops when it has settled: 1 - |P_t & P| / |P| <=
alpha, P_t the pool one check before.

Settings of the paper and its re-implementations: m=10, k=5, |V|=1000, batch 1024, a pool of 1000, epsilon 0 to 0.8,
linear from iteration 10,000 to 144,360 of 150,000 planned (our `warmup` and `ramp_end`, as shares of the budget; the
paper's own run stopped after 46 epochs, where this ramp is at 0.27), alpha 0.08. Already the first rounds reject: only
then do its 2.40M scored images an epoch come out. The pool's size is the run's `search.pool.capacity`; take 1 or 2
percent of a small space. What is scored costs `train.scoring_cost` an image (0.30 in the paper) of the budget.

Decided here, where the sources do not say, or err:
- A round has no path twice (equal under shared weights); one drawn from the pool is scored anew, and its new score
  replaces the old one. `max_age` drops what has not been scored for long.
- Neither source says how often the rule is checked: here after every epoch of images trained, but not before as many
  paths were scored as the pool holds; `check_every` fixes the number of images. It stops only with a full pool (of a
  smaller space that can be counted, one that holds all of it) and with epsilon above 0. (As printed in the talk, pi =
  |P_t & P| / |P| <= alpha, it would stop when the pools differ.) The learning rate's schedule is that of the whole
  budget, stopped or not.
- With k = m nothing is rejected; then, if epsilon is 0 as well, nothing is scored and nothing held out. So m = k = 1
  and epsilon 0 is SPOS, to the bit.
`official` is the pool of the only public re-implementation (MMRazor, not its authors'): paths are drawn with
replacement, and a path scored again enters once more beside its old score, which nothing refreshes. Its defects (the
greedy path overwritten by a uniform one; a queue that is never emptied; the k best of the pool instead of the draws)
are not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from raynas.errors import ArchitectureError, ConfigError
from raynas.methods.greedy_stop import PoolSettled
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.view import TrainingView
from raynas.search import Pool, PoolEntry
from raynas.search.searcher import best_first
from raynas.spaces import Architecture, Space

_POOL = 1000
"""The paper's pool; a run brings its own with the first `begin_round`."""
_DRAWS = 100
"""Draws for each path of a round; what is then still like another one, a small space does not have."""
_SMALLEST_PART = 4
"""Never more than one in so many of the training images is held out."""


@SAMPLERS.register("greedy")
class GreedySampler(Sampler):
    """The best paths of several drawn, from the space or a pool of good ones, each trained in a step (GreedyNAS).

    Args:
        space: The (sub)space that the supernet holds.
        m: Paths drawn and scored a round.
        k: How many of them are trained.
        images: Held-out images of a score; at most a quarter of the training images.
        epsilon_start: The chance of a draw from the pool, up to `warmup`.
        epsilon_end: The chance from `ramp_end` on; linear between.
        warmup: The share of the budget at which epsilon begins to change; a supernet that inherits trained weights, as
            a partition's does, begins at once.
        ramp_end: The share of the budget at which it has its last value.
        stop_change: alpha: the training ends when at most this share of the pool is new since the last check; None for
            never.
        check_every: Images trained between checks; None for an epoch, or longer (see above).
        max_age: Entries of the pool scored more than so many trained images ago are dropped; None for never.
        official: Whether the pool is MMRazor's (see above).
    """

    live = ("epsilon_start", "epsilon_end")

    def __init__(
        self,
        space: Space,
        *,
        m: Annotated[int, Field(ge=1)] = 10,
        k: Annotated[int, Field(ge=1)] = 5,
        images: Annotated[int, Field(ge=2)] = 1000,
        epsilon_start: Annotated[float, Field(ge=0, le=1)] = 0.0,
        epsilon_end: Annotated[float, Field(ge=0, le=1)] = 0.8,
        warmup: Annotated[float, Field(ge=0, le=1)] = 0.067,
        ramp_end: Annotated[float, Field(ge=0, le=1)] = 0.962,
        stop_change: Annotated[float | None, Field(ge=0, lt=1)] = 0.08,
        check_every: Annotated[int | None, Field(ge=1)] = None,
        max_age: Annotated[int | None, Field(ge=1)] = None,
        official: bool = False,
    ) -> None:
        super().__init__(space)
        problems = []
        if k > m:
            problems.append(f"k={k} paths cannot be kept of m={m}; set k to at most m")
        if warmup > ramp_end:
            problems.append(f"warmup={warmup} is after ramp_end={ramp_end}; set warmup to at most ramp_end")
        if official and max_age is not None:
            problems.append(f"official drops no entry by its age; leave out max_age={max_age}, or set official=false")
        if problems:
            raise ConfigError(problems, "the sampler greedy")
        self.m, self.k, self.images, self.official = m, k, images, official
        self.epsilon_start, self.epsilon_end, self.warmup, self.ramp_end = epsilon_start, epsilon_end, warmup, ramp_end
        self.max_age, self._stop = max_age, PoolSettled(stop_change, check_every)
        self._scores = k < m or max(epsilon_start, epsilon_end) > 0
        self._size = _counted(space) if self._scores else None
        self._pool = Pool(_POOL, duplicates=official)
        self._protocol = ""
        self._queue: list[Architecture] = []
        self._found: dict[str, PoolEntry] = {}  # this round's, by the architectures' texts
        self._told: dict[str, float] = {}
        self._sums: dict[str, float] = {}  # of what is logged as a mean over the round

    @property
    def finished(self) -> bool:
        """Whether the pool has settled."""
        return self._stop.settled

    @property
    def pool(self) -> list[PoolEntry]:
        """The entries that paths are drawn from, best first."""
        return self._pool.ranking(self._protocol)

    def epsilon(self, progress: float) -> float:
        """Return the chance of a draw from the pool after a share of the budget."""
        if progress >= self.ramp_end:
            return self.epsilon_end
        if progress <= self.warmup:
            return self.epsilon_start
        ramp = (progress - self.warmup) / (self.ramp_end - self.warmup)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * ramp

    def scored_images(self, count: int) -> int:
        """Return the images of a score; none where nothing is scored."""
        return min(self.images, count // _SMALLEST_PART) if self._scores else 0

    def inherits(self, state: Mapping[str, Any] | None = None) -> None:
        """Do without a warm-up: the weights have had it, and the shared pool knows what the parent scored."""
        del state
        self.warmup = 0.0

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return the next of the paths that were kept, one a step; when there is none left, draw and score anew."""
        if not self._queue:
            self._queue = self._survivors(view, rng)
        path = self._queue.pop(0)
        if self._scores and not self._queue:
            self._check(view)
        return [path]

    def begin_round(self, pool: Pool) -> None:
        """Take in what other supernets know, and keep what this one knows.

        What others pushed out of the shared pool stays here: whether it has settled is a question to one supernet.
        """
        merged = Pool(pool.capacity, duplicates=self.official)
        merged.add(pool.entries)
        merged.add(self._pool.ranking(self._protocol))
        self._pool, self._found = merged, {}

    def proposals(self) -> list[PoolEntry]:
        """Return the newest score of every path scored in this round, and without a score those that grew too old."""
        return list(self._found.values())

    def diagnostics(self) -> dict[str, float]:
        """Return the last epsilon, size, change and mean age of the pool, and means over the paths of the round.

        ``greedy_from_pool`` is the share of them drawn from the pool, ``greedy_rejection_gap`` how much more loss the
        rejected have than the kept, ``greedy_rescore_shift`` how far off the old scores of those scored again were.
        """
        told, sums = self._told, self._sums
        self._told, self._sums = {}, {}
        means = {"from_pool": "drawn", "rejection_gap": "rejecting", "rescore_shift": "rescored"}
        for name, count in means.items():
            if sums.get(count):
                told[f"greedy_{name}"] = sums[name] / sums[count]
        return told

    def state_dict(self) -> dict[str, Any]:
        """Return the pool, what is left of the round, and the last check."""
        return {
            "warmup": self.warmup,
            "capacity": self._pool.capacity,
            "pool": self._pool.rows(),
            "protocol": self._protocol,
            "queue": [architecture.text for architecture in self._queue],
            "found": [entry.row() for entry in self._found.values()],
            "stop": self._stop.state_dict(),
            "told": dict(self._told),
            "sums": dict(self._sums),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        parse = self.space.parse

        def entry(row: Mapping[str, Any]) -> PoolEntry:
            return PoolEntry.of(row, parse)

        self._pool = Pool(state["capacity"], duplicates=self.official)
        self._pool.add(map(entry, state["pool"]))
        self.warmup = state["warmup"]
        self._protocol, self._queue = state["protocol"], [parse(text) for text in state["queue"]]
        self._found = {row["architecture"]: entry(row) for row in state["found"]}
        self._stop.load_state_dict(state["stop"])
        self._told, self._sums = dict(state["told"]), dict(state["sums"])

    def _survivors(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Draw the paths of a round, score them into the pool, and return the best, best first."""
        if not self._scores:
            return self._draw(0.0, rng)
        epsilon, self._protocol = self.epsilon(view.progress), view.protocol(self.images)
        self._drop_old(view)
        drawn = self._draw(epsilon, rng)
        known = {entry.architecture: entry.score for entry in reversed(self.pool)}
        scores = view.score(drawn, self.images)
        entries = [
            PoolEntry(architecture, score, self._protocol, self.space.label, view.images_trained)
            for architecture, score in zip(drawn, scores, strict=True)
        ]
        self._take_in(entries)
        self._stop.scored(len(drawn))
        entries.sort(key=lambda entry: best_first(entry.architecture, entry.score))
        self._tell(epsilon, view, entries, known)
        return [entry.architecture for entry in entries[: self.k]]

    def _draw(self, epsilon: float, rng: np.random.Generator) -> list[Architecture]:
        """Return m paths, each from the pool with a chance of epsilon; fewer where there are not so many.

        A path like one drawn before is drawn again, from the pool or the space anew: without replacement.
        """
        pool = self.pool if epsilon > 0 else []
        drawn: list[Architecture] = []
        forms: set[Hashable] = set()
        from_pool = 0
        for _ in range(self.m):
            for _ in range(_DRAWS):
                pooled = bool(pool) and rng.random() < epsilon
                path = pool[int(rng.integers(len(pool)))].architecture if pooled else self.space.sample(rng)
                form = self.space.shared_form(path)
                if self.official or form not in forms:
                    drawn.append(path)
                    forms.add(form)
                    from_pool += pooled
                    break
        self._count(from_pool=from_pool, drawn=len(drawn))
        return drawn

    def _take_in(self, entries: Sequence[PoolEntry]) -> None:
        self._pool.add(entries)
        self._found.update({entry.architecture.text: entry for entry in entries})

    def _drop_old(self, view: TrainingView) -> None:
        """Drop entries scored too long ago, here and in the shared pool, which a score that is none removes them from.

        Those of the supernet that this one's weights are from are older than all of its own training.
        """
        if self.max_age is not None:
            old = [entry for entry in self.pool if self._age(entry, view) > self.max_age]
            self._take_in([replace(entry, score=math.nan) for entry in old])

    def _age(self, entry: PoolEntry, view: TrainingView) -> int:
        return view.images_trained - (entry.version if entry.scorer == self.space.label else 0)

    @property
    def _selects(self) -> bool:
        """Whether a full pool leaves something out: of one that holds the whole space, no change means nothing."""
        return self._size is None or self._size > self._pool.capacity

    def _check(self, view: TrainingView) -> None:
        change = self._stop.check(
            [entry.architecture.text for entry in self.pool],
            self._pool.capacity,
            images_trained=view.images_trained,
            epoch_images=view.epoch_images,
            in_use=self.epsilon(view.progress) > 0 and self._selects,
        )
        if change is not None:
            self._told["greedy_pool_change"] = change

    def _tell(
        self, epsilon: float, view: TrainingView, ranked: Sequence[PoolEntry], known: Mapping[Architecture, float]
    ) -> None:
        """Note what `diagnostics` returns of a round whose paths stand best first."""
        pool = self.pool
        self._told["greedy_epsilon"], self._told["greedy_pool"] = epsilon, float(len(pool))
        if pool:
            self._told["greedy_pool_age"] = float(np.mean([self._age(entry, view) for entry in pool]))
        finite = [entry for entry in ranked if math.isfinite(entry.score)]
        if len(finite) > self.k:
            kept, rejected = ([entry.score for entry in part] for part in (finite[: self.k], finite[self.k :]))
            self._count(rejection_gap=float(np.mean(kept) - np.mean(rejected)), rejecting=1)
        again = [entry for entry in finite if entry.architecture in known]
        shifts = [abs(entry.score - known[entry.architecture]) for entry in again]
        self._count(rescore_shift=math.fsum(shifts), rescored=len(shifts))

    def _count(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self._sums[name] = self._sums.get(name, 0.0) + amount


def _counted(space: Space) -> int | None:
    """Return how many architectures a space has; None where they cannot be counted."""
    try:
        return space.size
    except ArchitectureError:
        return None
