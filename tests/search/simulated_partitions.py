"""Partitions of known quality and known noise, to play partition rules through: nothing is trained.

A partition is a set of architectures with true values. After r rounds it scores them with noise of standard deviation
``noise / sqrt(r)``, minus `lag` / r: a supernet that was trained longer scores higher. Each round it proposes some of
its architectures, drawn at random, to a pool that keeps the best; its gain is that of `Pool.gain_after`. A child is a
random half of its parent's architectures with the parent's best in it, and goes on with its parent's rounds. In the end
every living partition scores all that is its own, and the best score is what is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raynas.search import SCHEDULERS, PartitionRule, Standing
from raynas.spaces import Architecture

Floats = NDArray[np.float64]
ARCHITECTURES = 50
"""Of each partition."""
DRAWN, BEST = 20, 5
"""What a partition proposes in a round, and how many of the best of these are its value."""
CAPACITY = 20
RESAMPLES = 30


def bests(partitions: int) -> Floats:
    """Return the true value of the best architecture of each partition."""
    return np.linspace(0.0, 1.0, partitions)


@dataclass
class World:
    """Architectures by number, and which partition has which."""

    rng: np.random.Generator
    noise: float
    lag: float
    partitions: int = 8
    spread: float = 0.4
    """How far a partition's architectures are below its best, in the mean."""
    values: Floats = field(init=False)
    members: dict[str, NDArray[np.int64]] = field(init=False)
    true_best: dict[str, float] = field(init=False)
    rounds: dict[str, int] = field(init=False)
    ancestor: dict[str, str] = field(init=False)
    pool: dict[int, float] = field(init=False)

    def __post_init__(self) -> None:
        below = self.rng.exponential(self.spread, (self.partitions, ARCHITECTURES))
        below[:, 0] = 0.0
        best = self.rng.permutation(bests(self.partitions))  # order tells a rule nothing
        self.values = (best[:, None] - below).ravel()
        numbers = np.arange(self.values.size).reshape(self.partitions, ARCHITECTURES)
        labels = [chr(ord("a") + i) for i in range(self.partitions)]
        self.members = dict(zip(labels, numbers, strict=True))
        self.true_best = dict(zip(labels, best.tolist(), strict=True))
        self.rounds = dict.fromkeys(labels, 0)
        self.ancestor = {label: label for label in labels}
        root = self.rng.choice(self.values.size, CAPACITY, replace=False)  # what the root supernet left
        self.pool = dict(zip(root.tolist(), self.scores(root, 1).tolist(), strict=True))

    def scores(self, numbers: NDArray[np.int64], rounds: int) -> Floats:
        noise = self.noise / np.sqrt(rounds) * self.rng.standard_normal(len(numbers))
        return np.asarray(self.values[numbers] - self.lag / rounds + noise)

    def train(self, labels: tuple[str, ...]) -> dict[str, Standing]:
        """Train each a round; return the standings, each with the gain of it alone, and let in what they propose."""
        standings, proposals = {}, {}
        for label in labels:
            self.rounds[label] += 1
            members = self.members[label]
            drawn = self.rng.permutation(members)[:DRAWN]
            scores = self.scores(drawn, self.rounds[label])
            proposals[label] = dict(zip(drawn.tolist(), scores.tolist(), strict=True))
            standings[label] = Standing(
                float(np.sort(scores)[-BEST:].mean()),
                self._error(scores),
                gain(self.pool, proposals[label]),
                number(int(drawn[scores.argmax()])),
            )
        for label in sorted(proposals):
            self.pool.update(proposals[label])
        self.pool = dict(sorted(self.pool.items(), key=lambda item: -item[1])[:CAPACITY])
        return standings

    def breed(self, parent: str, keep: Architecture | None) -> str | None:
        members = self.members[parent]
        if len(members) < 4 or keep is None:
            return None
        others = self.rng.permutation(members[members != int(keep.text)])[: len(members) // 2 - 1]
        child = f"{parent}{len(self.members)}"
        self.members[child] = np.append(others, int(keep.text))
        self.rounds[child], self.ancestor[child] = self.rounds[parent], self.ancestor[parent]
        return child

    def found(self, alive: tuple[str, ...]) -> float:
        """Return the true value of the architecture with the best score; the smallest partition with it scores it."""
        owner: dict[int, str] = {}
        for label in sorted(alive, key=lambda label: -len(self.members[label])):
            owner.update(dict.fromkeys(self.members[label].tolist(), label))
        best, value = -np.inf, 0.0
        for label in alive:
            own = np.array([n for n in self.members[label].tolist() if owner[n] == label], int)
            if len(own):
                scores = self.scores(own, self.rounds[label])
                if scores.max() > best:
                    best, value = float(scores.max()), float(self.values[own[scores.argmax()]])
        return value

    def _error(self, scores: Floats) -> float:
        again = self.rng.choice(scores, (RESAMPLES, len(scores)))
        best = np.sort(again, 1)[:, -BEST:]
        return float(best.mean(1).std(ddof=1))


@dataclass(frozen=True)
class Played:
    """How a run went: its regret, and the rounds of each partition and its descendants, by its true best."""

    regret: float
    rounds: Mapping[float, int]
    alive: int
    births: int


def play(name: str, budget: int, seed: int, *, noise: float = 0.5, lag: float = 1.0, **options: object) -> Played:
    """Play a rule through; the same seed makes the same world for every rule."""
    world = World(np.random.default_rng(seed), noise, lag)
    rule: PartitionRule = SCHEDULERS.make(name, tuple(world.members), budget, **options)
    rule.seeded(np.random.default_rng((seed, 1))).breed = world.breed
    spent, births, turn = dict.fromkeys(world.ancestor, 0), 0, rule.first()
    while turn.train:
        births += len(turn.born)
        for label in turn.train:
            spent[world.ancestor[label]] += 1
        turn = rule.next(world.train(turn.train))
    assert sum(spent.values()) == rule.spent <= budget
    rounds = {world.true_best[label]: count for label, count in spent.items()}
    return Played(
        float(world.values.max()) - world.found(rule.alive),
        dict(sorted(rounds.items())),
        len(rule.alive),
        births,
    )


def number(index: int) -> Architecture:
    return Architecture(str(index), (str(index),))


def gain(pool: Mapping[int, float], proposed: Mapping[int, float]) -> float:
    """Return by how much the pool's mean score would rise; new scores replace those of the same architectures."""
    before = np.fromiter(pool.values(), float, len(pool))
    after = np.sort(list({**pool, **proposed}.values()))[-len(before) :]
    return max(0.0, float(after.mean() - before.mean()))
