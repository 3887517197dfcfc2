"""`SupernetWorker`: one supernet that trains rounds, measures its ranking and proposes candidates.

Plain Python: the Ray actor and the Tune trial are thin shells around it, so a run is the same with or without them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from raynas.data import ImageData
from raynas.methods import Landmark, Line
from raynas.networks.inherit import inherit
from raynas.ranking import RankingReport, rank
from raynas.search import Pool, PoolEntry, Standing
from raynas.spaces import Architecture
from raynas.streams import stream
from raynas.training.job import SupernetJob
from raynas.training.ledger import Span
from raynas.training.scorer import images_an_architecture
from raynas.training.scoring import Score, score_architectures
from raynas.training.standing import mean_of_best
from raynas.training.trainer import Trainer


class PoolLike(Protocol):
    """What a worker needs of the candidate pool, be it a local object or an actor's proxy."""

    def entries(self) -> list[PoolEntry]:
        """The pool's entries, best first."""

    def overlap_after(self, entries: Sequence[PoolEntry]) -> float:
        """The overlap the pool would have with itself after these entries."""

    def gain_after(self, entries: Sequence[PoolEntry], protocol: str) -> float:
        """By how much these entries would raise the mean score of a protocol's best."""


@dataclass(frozen=True)
class RoundReport:
    """What a round gave.

    Args:
        metrics: The flat report, one line of metrics.jsonl.
        scores: The supernet's score of each architecture of its ranking set.
        entries: What it proposes to the candidate pool.
        spans: When it trained and scored.
        images_trained: Images of this round passed forward and backward.
        images_scored: Images of this round passed forward only.
    """

    metrics: dict[str, Any]
    scores: list[Score]
    entries: list[PoolEntry]
    spans: list[Span]
    images_trained: int
    images_scored: int

    @property
    def standing(self) -> Standing:
        """What the supernet is worth after the round, for a rule that spends rounds."""
        metrics, text = self.metrics, self.metrics["best_candidate"]
        best = next((entry.architecture for entry in self.entries if entry.architecture.text == text), None)
        return Standing(float(metrics["standing"]), float(metrics["standing_error"]), float(metrics["pool_gain"]), best)


@dataclass(frozen=True)
class Scored:
    """What was scored at the end of a round.

    Args:
        ranked: The score of each architecture of the ranking set.
        entries: What is proposed to the candidate pool: this round's draws, then what the pool knew already.
        drawn: How many of them are draws.
        line: What makes the scores comparable with those of other supernets.
    """

    ranked: list[Score]
    entries: list[PoolEntry]
    drawn: int
    line: Line


class SupernetWorker:
    """Holds one (sub)supernet, its optimizer and its random streams.

    Args:
        job: What to build and how to train it.
        data: The images.
        parent_state: Weights to inherit; fresh ones if None.
        parent_parts: With them, the states of the parent's method parts as its trainer's state has them, by kind.
    """

    def __init__(
        self,
        job: SupernetJob,
        data: ImageData,
        parent_state: Mapping[str, Tensor] | None = None,
        parent_parts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.job = job
        self.supernet = job.build(data)
        self.data = data = data.to(job.device)
        self.parts = parts = job.parts()
        train, heldout = job.split(data.train)
        if parent_state is not None:
            inherit(self.supernet, parent_state)
            for kind, part in parts.by_kind.items():
                part.inherits((parent_parts or {}).get(kind))
        self.trainer = Trainer(
            self.supernet,
            train,
            parts.sampler,
            job.optimizer,
            total_steps=job.round_steps * job.total_rounds,
            seed=job.seed,
            name=job.label,
            task=data.task,
            augmentation=data.augmentation,
            heldout=heldout,
            regularizer=parts.regularizer,
            curriculum=parts.curriculum,
            sharing=parts.sharing,
            apart=job.images_apart(data.train, heldout),
            steps_before=job.round_steps * job.rounds_before,
        )
        self.round = 0
        self.images_trained = 0
        self.images_scored = 0
        self._reported_scored = 0
        self.inherited_tau: float | None = None
        self._inherits = parent_state is not None
        self._candidates = stream(job.seed, "candidates", job.label)

    @classmethod
    def child(cls, job: SupernetJob, data: ImageData, parent: Mapping[str, Any]) -> SupernetWorker:
        """Return the worker of a child that goes on where its parent is.

        It has the parent's weights, method parts and place in the schedule; its momentum and its random streams are
        its own.

        Args:
            job: The child's, whose space is a part of the parent's.
            data: The images.
            parent: The parent's `state_dict`.
        """
        trainer = parent["trainer"]
        worker = cls(job, data, trainer["supernet"], trainer["parts"])
        worker.trainer.continue_schedule(trainer)
        return worker

    def run_round(self, pool: PoolLike, landmarks: Sequence[Landmark] | None = None) -> RoundReport:
        """Train one round, score the ranking set, fresh candidates and the best of the pool that are in this space.

        Before its first round a supernet with inherited weights is measured once as it came: `kendall_tau_inherited`
        tells in every report what the ranking was worth before this supernet's own training.

        Args:
            pool: The candidate pool.
            landmarks: Those there are from now on, all in this space; None where they are the same as before.
        """
        job = self.job
        if landmarks is not None and self.parts.regularizer is not None:
            self.parts.regularizer.landmarks_changed(landmarks)
        spans = []
        if self._inherits and self.inherited_tau is None and job.ranking.architectures:
            start = time.time()
            self.inherited_tau = self._rank(self.score(job.ranking.architectures)).kendall_tau
            spans.append(Span("score", start, time.time()))
        scored_before = self._reported_scored
        start = time.time()
        sampler = self.parts.sampler
        sampler.begin_round(self._own_pool(pool))
        trained = self.trainer.spend(job.round_steps)
        middle = time.time()
        self.round += 1
        self.images_trained += trained.images_trained
        self.images_scored += trained.images_scored

        scored = self._score_round(pool)
        report = self._rank(scored.ranked)
        end = time.time()

        standing, error = self._standing(scored.entries[: scored.drawn])
        found, derived = sampler.proposals(), sampler.derived
        entries = scored.entries
        best = max(entries, key=lambda entry: (np.nan_to_num(entry.score, nan=-np.inf), entry.architecture.text))
        metrics = {
            "trial": job.label,
            "partition": job.label,
            "round": self.round,
            "loss": trained.loss,
            "images_trained": self.images_trained,
            "images_scored": self.images_scored,
            "kendall_tau_ceiling": None,
            **report.to_dict(),
            "kendall_tau_inherited": self.inherited_tau,
            "best_candidate": best.architecture.text,
            "best_candidate_score": best.score,
            **({} if derived is None else {"derived": derived.text}),
            "standing": standing,
            "standing_error": error,
            "pool_overlap": pool.overlap_after([*found, *entries]),
            "pool_gain": pool.gain_after(entries, job.protocol.name),
            "budget": round(self.trainer.view.spent, 3),
            "finished": sampler.finished,
            **({} if job.calibration is None else scored.line.metrics()),
            **self.trainer.diagnostics(),
            "seconds_train": round(middle - start, 4),
            "seconds_score": round(end - middle, 4),
        }
        spans += [Span("train", start, middle), Span("score", middle, end)]
        self._reported_scored = self.images_scored
        return RoundReport(
            metrics,
            scored.ranked,
            [*found, *entries],
            spans,
            trained.images_trained,
            self.images_scored - scored_before,
        )

    def _score_round(self, pool: PoolLike) -> Scored:
        """Score the ranking set, fresh candidates, the best of the pool in this space and the yardstick, as one lot."""
        job = self.job
        fresh = self.parts.sampler.candidates(self._candidates, job.candidates)
        # an architecture that the pool knows under several protocols is scored once
        mine = dict.fromkeys(entry.architecture for entry in pool.entries() if entry.architecture in job.space)
        known = itertools.islice((architecture for architecture in mine if architecture not in fresh), job.rescore)
        proposed = [*fresh, *known]
        yardstick = () if job.calibration is None else job.calibration.architectures
        scores = iter(self.score([*job.ranking.architectures, *proposed, *yardstick]))
        ranked = list(itertools.islice(scores, len(job.ranking.architectures)))
        rated = list(itertools.islice(scores, len(proposed)))
        line = self._line(list(scores))
        entries = [self._entry(a, s, line) for a, s in zip(proposed, rated, strict=True)]
        return Scored(ranked, entries, len(fresh), line)

    def score(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Score architectures under the job's protocol, counting the images of what is evaluated.

        Architectures that are the same function under shared weights (`Supernet.shared_forms`) are evaluated once.
        """
        self.images_scored += self._images(architectures)
        return score_architectures(self.supernet, self.data, architectures, self.job.protocol)

    def score_to_train(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Score architectures, between two rounds, to decide what is trained: charged to the budget, too."""
        self.trainer.view.count(scored=self._images(architectures))
        return self.score(architectures)

    def _images(self, architectures: Sequence[Architecture]) -> int:
        """Return how many images scores of architectures take."""
        distinct = len(set(self.supernet.shared_forms(architectures)))
        return distinct * images_an_architecture(self.job.protocol, self.data)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue exactly here."""
        return {
            "label": self.job.label,
            "trainer": self.trainer.state_dict(),
            "round": self.round,
            "images_trained": self.images_trained,
            "images_scored": self.images_scored,
            "reported_scored": self._reported_scored,
            "inherited_tau": self.inherited_tau,
            "candidates": self._candidates.bit_generator.state,
        }

    def go_on_from(self, state: Mapping[str, Any], parts: Collection[str]) -> None:
        """Continue where another worker's `state_dict` was taken, as a supernet of another method.

        Weights, momentum, streams, schedule and counts are the other's, so that a part of the method which does
        nothing before this point makes no difference to having trained from the beginning. The optimizer's settings
        are this one's own.

        Args:
            state: Of a worker with the same network, images and seed.
            parts: The method parts (by kind) that continue, too: those that both have alike. The others begin.
        """
        self._continue(state, parts)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._continue(state, None)

    def _continue(self, state: Mapping[str, Any], parts: Collection[str] | None) -> None:
        self.trainer.load_state_dict(state["trainer"], parts)
        self.round = state["round"]
        self.images_trained, self.images_scored = state["images_trained"], state["images_scored"]
        self._reported_scored, self.inherited_tau = state["reported_scored"], state["inherited_tau"]
        self._candidates.bit_generator.state = state["candidates"]

    def _own_pool(self, pool: PoolLike) -> Pool:
        """Return a copy of the shared pool's entries in this space, for the sampler to draw from and add to."""
        own = Pool(self.job.pool_capacity)
        own.add(entry for entry in pool.entries() if entry.architecture in self.job.space)
        return own

    def _rank(self, scores: Sequence[Score]) -> RankingReport:
        values = [score.value(self.job.protocol.metric) for score in scores]
        return rank(values, self.job.ranking.truth, seed=self.job.seed, ceiling=self.job.ranking.ceiling)

    def _line(self, scores: Sequence[Score]) -> Line:
        """Return what makes scores comparable with other supernets', by the present scores of the yardstick."""
        if self.job.calibration is None:
            return Line()
        return self.job.calibration.line([score.value(self.job.protocol.metric) for score in scores])

    def _entry(self, architecture: Architecture, score: Score, line: Line) -> PoolEntry:
        value = line(score.value(self.job.protocol.metric))
        return PoolEntry(architecture, value, self.job.protocol.name, self.job.label, self.images_trained)

    def _standing(self, drawn: Sequence[PoolEntry]) -> tuple[float, float]:
        """Return the mean score of the best few of this round's draws, which rules compare, and its standard error.

        Only draws count, of which every partition has the same number; what the pool knows already would favour those
        that stand in it. One drawn twice counts twice: a partition with few architectures is not the worse for it.
        """
        return mean_of_best(
            [entry.score for entry in drawn], stream(self.job.seed, "standing", self.job.label, self.round)
        )
