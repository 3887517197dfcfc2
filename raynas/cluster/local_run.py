"""`LocalRun`: the training and ranking of a run in one process, a step at a time, without Ray.

The root supernet trains its rounds; then, level by level, the partitions train theirs, a turn a step, as the run's own
scheduler decides. Nothing is searched or verified: this is what a sweep compares settings by. The numbers are those of
`raynas.cluster.launch` for the same configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from raynas.cluster.plan import Plan, split_supernet
from raynas.errors import ConfigError
from raynas.methods import Calibration, Line
from raynas.methods.partition_calibration import yardstick
from raynas.ranking import rank
from raynas.search import CandidatePool, PoolEntry, Standing
from raynas.search.tune_rules import TuneRule
from raynas.spaces import Space
from raynas.streams import stream
from raynas.training.probe import TrainedProbe
from raynas.training.scoring import ScoreProtocol
from raynas.training.worker import RoundReport, SupernetWorker

ROOT = "root"


def local_objections(plan: Plan) -> list[str]:
    """Return why a plan cannot be carried out in one process; nothing where it can."""
    config = plan.config
    problems = []
    if config.truth is not None and config.truth.train is not None:
        problems.append(
            "'truth.train': the truth would be trained anew for each setting; train it first with `raynas truth build` "
            "and name the table"
        )
    regularizer = config.method.regularizer
    if regularizer is not None and regularizer.options.get("truth") == "train":
        problems.append("'method.regularizer.truth': landmarks are not trained in a sweep; take truth=table")
    if regularizer is not None and regularizer.options.get("iterations", 1) > 1:
        problems.append("'method.regularizer.iterations': landmarks are not searched for in a sweep; take iterations=1")
    if plan.rule is not None and (isinstance(plan.rule, TuneRule) or config.scheduler.name == "evolution"):
        problems.append(
            f"'scheduler': {config.scheduler.name} needs trials of Ray Tune, which a sweep has one a setting; take "
            "uniform, greedy or reinforce"
        )
    return problems


class LocalRun:
    """A run in one process.

    Args:
        plan: What to do: with its truth (`with_truth`).
        warm: The state of another run to go on from, whose root is still training; None begins anew. See
            `SupernetWorker.go_on_from`.
        parts: Of the warm state, the method parts (by kind) that go on, too; the others begin anew.

    Raises:
        ConfigError: The plan cannot be carried out in one process (see `local_objections`).
    """

    def __init__(self, plan: Plan, warm: Mapping[str, Any] | None = None, parts: Collection[str] = ()) -> None:
        if problems := local_objections(plan):
            raise ConfigError(problems)
        self.plan, self._data = plan, plan.data
        self.pool = CandidatePool(plan.config.search.pool.capacity)
        self.root = SupernetWorker(plan.root, self._data)
        if warm is not None:
            self.root.go_on_from(warm["root"], parts)
            self._fill_pool(warm["pool"])
        self.workers: dict[str, SupernetWorker] = {}
        self._last: dict[str, list[float]] = {}
        self._levels: list[_Level] = []
        self._leaves: tuple[str, ...] = (ROOT,)
        self._turn: tuple[str, ...] = (ROOT,)

    @property
    def finished(self) -> bool:
        """Whether all rounds are trained."""
        return not self._turn

    @property
    def images(self) -> dict[str, int]:
        """The images that all supernets have taken, trained and scored."""
        workers = [self.root, *self.workers.values()]
        return {
            "images_trained": sum(worker.images_trained for worker in workers),
            "images_scored": sum(worker.images_scored for worker in workers),
        }

    def step(self) -> dict[str, Any]:
        """Train a round of the root, or a turn of partitions, and return the metrics of the whole run after it.

        ``kendall_tau`` and the other ranking measures are the root's, and once partitions have trained those of the
        root's ranking set with each architecture scored by the partition that holds it. Images are those of all
        supernets.
        """
        reports = {label: self._worker(label).run_round(self.pool) for label in self._turn}
        self.pool.commit({label: report.entries for label, report in reports.items()})
        self._last |= {label: _scores(report, self._worker(label).job.protocol) for label, report in reports.items()}
        told = {label: _told(report) for label, report in reports.items()}
        if self._levels:
            self._levels[-1].turns.append(told)
            self._decide(told)
        elif self.root.round >= self.plan.root.total_rounds or told[ROOT]["finished"]:
            self._turn = ()
        if not self._turn:
            self._next_level()
        return self._metrics([report.metrics for report in reports.values()])

    def _decide(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """Let the level's rule name the next turn; where there is none, what survived stands for the space."""
        rule, space = self.plan.rule, self.plan.space
        assert rule is not None
        for label, one in told.items():
            if one["finished"]:
                rule.finish(label)
        self._turn = rule.next({label: _standing(space, one) for label, one in told.items()}).train
        if not self._turn:
            split = {self.plan.parents[label] for label in self.plan.levels[-1]}
            self._leaves = (*(label for label in self._leaves if label not in split), *rule.alive)

    def _next_level(self) -> None:
        """Split what stands for the space, and begin the next level that has partitions, if there is one."""
        while len(self._levels) < self.plan.depth and not self._turn:
            splits = self._splits() if len(self.plan.levels) == len(self._levels) else None
            self._begin_level(_Level(splits))

    def _splits(self) -> dict[str, list[Space]]:
        partition, level = self.plan.partition, len(self.plan.levels)
        assert partition is not None
        found = {}
        for label in self._leaves:
            worker = self._worker(label)
            probe = None
            if partition.learned:
                probe = TrainedProbe(worker.job, self._data, worker.supernet.state_dict())
            found[label] = list(split_supernet(partition, worker.job, level, probe).parts)
            if probe is not None:
                worker.images_trained += probe.images_trained
                worker.images_scored += probe.images_scored
        return found

    def _begin_level(self, level: _Level) -> None:
        """Begin a level whose splits are known; where nothing is split in it, it is over."""
        self._levels.append(level)
        if level.splits is not None:
            self.plan = self.plan.grown(level.splits)
        plan = self.plan = self._calibrated()
        if plan.rule is None:
            return
        plan.rule.seeded(stream(plan.config.seed, "scheduler", len(plan.levels)))
        settings = plan.config.method.partition
        fresh = settings is not None and settings.restart == "final" and len(self._levels) == plan.depth
        for label in plan.levels[-1]:
            parent = {} if fresh else self._worker(plan.parents[label]).trainer.state_dict()
            self.workers[label] = SupernetWorker(
                plan.jobs[label], self._data, parent.get("supernet"), parent.get("parts")
            )
        self._turn = plan.rule.first().train

    def _calibrated(self) -> Plan:
        """Return the plan whose last level knows its yardsticks, where the run calibrates."""
        plan, settings = self.plan, self.plan.config.method.partition
        if settings is None or settings.calibration == "none":
            return plan
        seed, count, jobs = plan.config.seed, settings.calibration_architectures, dict(plan.jobs)
        drawn = {
            label: yardstick(plan.partitions[label], stream(seed, "calibration", label), count)
            for label in plan.levels[-1]
        }
        scores = iter(self.root.score([architecture for lot in drawn.values() for architecture in lot]))
        for label, lot in drawn.items():
            values = tuple(next(scores).value(plan.root.protocol.metric) for _ in lot)
            jobs[label] = replace(jobs[label], calibration=Calibration(settings.calibration, lot, values))
        return replace(plan, jobs=jobs)

    def _worker(self, label: str) -> SupernetWorker:
        return self.root if label == ROOT else self.workers[label]

    def _metrics(self, trained: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        merged, ceiling = self.ranking(), self.plan.root.ranking.ceiling
        measures = rank(merged["score"], merged["truth"], seed=self.plan.config.seed, ceiling=ceiling).to_dict()
        workers = [self.root, *self.workers.values()]
        return {
            **{key: value for key, value in trained[-1].items() if key not in _OF_ONE},
            "loss": fmean(float(one["loss"]) for one in trained),
            **measures,
            **self.images,
            "budget": sum(worker.trainer.view.spent for worker in workers),
            "supernets": len(workers),
            "round": self.root.round + sum(len(level.turns) for level in self._levels),
            **{key: sum(float(one[key]) for one in trained) for key in ("seconds_train", "seconds_score")},
        }

    def ranking(self) -> dict[str, list[Any]]:
        """Return the root's ranking set: architecture, score, truth, and scorer, the supernet that scored each."""
        ranked, last = self.plan.root.ranking, self._last
        order = [*reversed([label for label in last if label != ROOT]), ROOT]
        places = {
            label: {a: place for place, a in enumerate(self._worker(label).job.ranking.architectures)} for label in last
        }
        owners = [next(label for label in order if a in places[label]) for a in ranked.architectures]
        owned = list(zip(owners, ranked.architectures, strict=True))
        return {
            "architecture": [architecture.text for architecture in ranked.architectures],
            "score": [last[owner][places[owner][architecture]] for owner, architecture in owned],
            "truth": list(ranked.truth),
            "scorer": owners,
        }

    def _fill_pool(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.pool = CandidatePool(self.plan.config.search.pool.capacity)
        self.pool.commit({ROOT: [PoolEntry.of(row, self.plan.space.parse) for row in rows]})

    def retune(self) -> None:
        """Let the method's parts take over their live options from the plan, where a state has brought others.

        (Learning rates are the optimizer's settings, which no state holds.)
        """
        for worker in (self.root, *self.workers.values()):
            method = worker.job.method
            chosen = {"sampler": method.sampler, "regularizer": method.regularizer, "curriculum": method.curriculum}
            for kind, part in worker.parts.by_kind.items():
                named = chosen.get(kind)
                if named is not None:
                    part.retune(named[1])

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue exactly here, in tensors and plain values."""
        return {
            "root": self.root.state_dict(),
            "workers": {label: worker.state_dict() for label, worker in self.workers.items()},
            "pool": self.pool.rows(),
            "last": dict(self._last),
            "levels": [level.plain() for level in self._levels],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken; only for a run that has made no step."""
        self.root.load_state_dict(state["root"])
        self._fill_pool(state["pool"])
        self._last = dict(state["last"])
        over = self.root.round >= self.plan.root.total_rounds or self.root.parts.sampler.finished
        self._turn = () if state["levels"] or over else (ROOT,)
        for plain in state["levels"]:
            self._begin_level(_Level.of(plain, self.plan.space))
            for label in self.plan.levels[-1] if self.plan.rule is not None else ():
                self.workers[label].load_state_dict(state["workers"][label])
            for told in plain["turns"]:
                self._levels[-1].turns.append(told)
                self._decide(told)
        self.root.images_scored = int(state["root"]["images_scored"])  # yardsticks scored again were counted before


_OF_ONE = (
    "trial",
    "partition",
    "round",
    "standing",
    "standing_error",
    "pool_gain",
    "finished",
    "kendall_tau_inherited",
)
"""Metrics of a supernet's report that say nothing of the run."""


@dataclass
class _Level:
    """A level of partitions: how it was split, if that was not known from the start, and what its rule was told."""

    splits: dict[str, list[Space]] | None
    turns: list[dict[str, dict[str, Any]]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        splits = self.splits
        if splits is None:
            return {"splits": None, "turns": list(self.turns)}
        return {
            "splits": {label: [_options(part) for part in parts] for label, parts in splits.items()},
            "turns": list(self.turns),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any], space: Space) -> _Level:
        splits = plain["splits"]
        if splits is None:
            return cls(None)
        return cls({label: [_part(space, one) for one in parts] for label, parts in splits.items()})


def _options(part: Space) -> dict[str, Any]:
    return {
        "options": {decision.name: list(decision.options) for decision in part.decisions},
        "counted": {key: list(values) for key, values in part.counted.items()},
    }


def _part(space: Space, plain: Mapping[str, Any]) -> Space:
    part = space.subspace(plain["options"])
    for count, values in plain["counted"].items():
        part = part.where(count, values)
    return part


def _scores(report: RoundReport, protocol: ScoreProtocol) -> list[float]:
    """Return the scores of a supernet's ranking set, calibrated if the run's are."""
    line = Line.of(report.metrics)
    return [line(score.value(protocol.metric)) for score in report.scores]


def _told(report: RoundReport) -> dict[str, Any]:
    standing = report.standing
    best = None if standing.best is None else standing.best.text
    finished = bool(report.metrics["finished"])
    return {"value": standing.value, "error": standing.error, "gain": standing.gain, "best": best, "finished": finished}


def _standing(space: Space, told: Mapping[str, Any]) -> Standing:
    best = None if told["best"] is None else space.parse(told["best"])
    return Standing(told["value"], told["error"], told["gain"], best)
