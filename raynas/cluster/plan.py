"""From a configuration to what will be done: space, partitions, jobs, the rule that spends rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from raynas.cluster.landmarks import first_landmarks, functions_of, known_in, refuse_crowding
from raynas.cluster.path_search import check_constraints
from raynas.cluster.resources import Resources
from raynas.config import Config
from raynas.data import ImageData, data
from raynas.errors import ConfigError
from raynas.methods import PARTITIONS, Landmark, Partition, Probe, Split
from raynas.ranking import noise_ceiling
from raynas.search import SCHEDULERS, Birth, PartitionRule
from raynas.spaces import Space, space
from raynas.streams import stream
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.trial_run import trial_run
from raynas.truth import TruthTable, truth
from raynas.truth.ranking_set import known_architectures


@dataclass(frozen=True)
class Plan:
    """A run, ready to go.

    Args:
        config: The resolved configuration.
        space: The whole space.
        partitions: Its sub-supernets' spaces by label, level by level; empty where the space is not split, and before
            it is split.
        data: The images.
        truth: The truth table; None without truth, and before it is trained.
        rule: Spends the rounds of the last of the levels on its partitions; None where there is none.
        root: The root supernet's job.
        jobs: The partitions' jobs, by label.
        partition: Chooses the splits; None where the space is not split.
        parents: The label of each partition's parent: ``root``, a partition of the level before, or, of one born while
            its level is trained, one of the same level.
        levels: The partitions' labels, level by level, as far as the tree has grown. A split that depends on weights is
            known only when these are trained, and a partition that the rule gave up is not split any more. Those born
            later stand behind those born before.
        born: The partitions that were born while their level was trained; their parents go on beside them.
        landmarks: Architectures that a regularizer is told the quality of, and that no ranking is measured on; the
            quality is NaN before it is known.
    """

    config: Config
    space: Space
    partitions: dict[str, Space]
    data: ImageData
    truth: TruthTable | None
    rule: PartitionRule | None
    root: SupernetJob
    jobs: dict[str, SupernetJob]
    partition: Partition | None = None
    parents: dict[str, str] = field(default_factory=dict)
    levels: tuple[tuple[str, ...], ...] = ()
    landmarks: tuple[Landmark, ...] = ()
    born: frozenset[str] = frozenset()

    @property
    def depth(self) -> int:
        """How many levels of partitions there will be."""
        return 0 if self.partition is None else self.partition.levels

    @property
    def supernets(self) -> dict[str, SupernetJob]:
        """The jobs of all supernets, the root's first."""
        return {"root": self.root, **self.jobs}

    @property
    def unranked(self) -> list[str]:
        """The partitions with fewer than two architectures of known truth: there is no tau for them."""
        return [label for label, job in self.jobs.items() if len(job.ranking.architectures) < 2]

    def owner(self, architecture: object, among: tuple[str, ...]) -> str | None:
        """Return the label of the supernet, among these, whose space holds the architecture; None if none does.

        Of several it is the youngest: a child knows its part of the space better than the parent it goes on beside.
        """
        supernets = self.supernets
        return next(
            (label for label in reversed(supernets) if label in among and architecture in supernets[label].space), None
        )

    def measured_against(self, table: TruthTable, metric: str) -> Plan:
        """Return the plan with every supernet's ranking measured against a metric of a table.

        Landmarks whose quality the table shall tell are chosen now.

        Raises:
            ConfigError: They cannot be had, or leave too little of the table.
        """
        plan = replace(self, truth=table, landmarks=self.landmarks or first_landmarks(self.config, self.space, table))
        aside = plan._aside
        root = replace(self.root, ranking=_ranking_set(self.config, self.root, table, metric, aside=aside))
        jobs = {
            label: replace(job, ranking=_ranking_set(self.config, job, table, metric, root.ranking, aside=aside))
            for label, job in self.jobs.items()
        }
        plan = replace(plan, root=root, jobs=jobs)._telling_landmarks()
        refuse_crowding(plan, table)
        return plan

    def with_landmarks(self, landmarks: Sequence[Landmark]) -> Plan:
        """Return the plan with these landmarks, and rankings measured on other architectures.

        The root's ranking set stays the same if no landmark is in it.
        """
        plan = replace(self, landmarks=tuple(landmarks))
        if plan.truth is None or self.config.truth is None:
            return plan._telling_landmarks()
        return plan.measured_against(plan.truth, self.config.truth.metric)

    @property
    def _aside(self) -> set[str]:
        """The landmarks' functions, on which no ranking is measured."""
        return functions_of(self.space, [landmark.architecture for landmark in self.landmarks])

    def _telling_landmarks(self) -> Plan:
        """Return the plan whose jobs know those landmarks that are in their spaces."""
        jobs = {label: replace(job, landmarks=known_in(job.space, self.landmarks)) for label, job in self.jobs.items()}
        return replace(self, root=replace(self.root, landmarks=known_in(self.space, self.landmarks)), jobs=jobs)

    def root_job_for(self, label: str, part: Space) -> SupernetJob:
        """Return the job of a supernet of a part, for its scores alone: nothing is trained or ranked by it."""
        return replace(self.root, label=label, space=part)

    def split(self, label: str) -> Split:
        """Return how a supernet of the last level is split, or the root before there is a level, by what is given."""
        assert self.partition is not None
        return split_supernet(self.partition, self.supernets[label], len(self.levels))

    def grown(self, splits: Mapping[str, Sequence[Space]]) -> Plan:
        """Return the plan with one level more.

        Args:
            splits: The parts of supernets, by label; one that has a single part stays as it is, without children.

        Raises:
            ConfigError: The scheduler cannot spend the level's rounds on so many, or so few, partitions.
        """
        children = {part.label: (label, part) for label, parts in splits.items() if len(parts) > 1 for part in parts}
        settings, scheduler = self.config.train, self.config.scheduler
        rounds = settings.rounds_of_level(last=len(self.levels) + 1 == self.depth)
        rule = SCHEDULERS.make(scheduler.name, tuple(children), rounds, **scheduler.options) if children else None
        jobs = {
            label: self._ranked(_job(self.config, label, part, rule.longest()))
            for label, (_, part) in children.items()
            if rule
        }
        plan = replace(
            self,
            partitions={**self.partitions, **{label: part for label, (_, part) in children.items()}},
            rule=rule,
            jobs={**self.jobs, **jobs},
            parents={**self.parents, **{label: parent for label, (parent, _) in children.items()}},
            levels=(*self.levels, tuple(children)),
        )
        return plan._telling_landmarks()

    def with_child(self, birth: Birth, part: Space, rounds_before: int) -> Plan:
        """Return the plan with a partition more in the last level, which goes on where its parent is.

        Args:
            birth: Whose child it is.
            part: Its space.
            rounds_before: Rounds of the parent's schedule that are over.
        """
        job = _job(self.config, birth.child, part, self.jobs[birth.parent].total_rounds)
        job = self._ranked(replace(job, rounds_before=rounds_before, landmarks=known_in(part, self.landmarks)))
        return self._bearing(birth, job)

    def with_copy(self, birth: Birth, rounds_before: int) -> Plan:
        """Return the plan with a copy of a partition in its last level: a child with all of its parent's space."""
        job = replace(self.jobs[birth.parent], label=birth.child, rounds_before=rounds_before)
        return self._bearing(birth, job)

    def _bearing(self, birth: Birth, job: SupernetJob) -> Plan:
        return replace(
            self,
            partitions={**self.partitions, birth.child: job.space},
            jobs={**self.jobs, birth.child: job},
            parents={**self.parents, birth.child: birth.parent},
            levels=(*self.levels[:-1], (*self.levels[-1], birth.child)),
            born=self.born | {birth.child},
        )

    def _ranked(self, job: SupernetJob) -> SupernetJob:
        """Return a partition's job with its ranking measured against the truth, where there is one."""
        if self.truth is None or self.config.truth is None:
            return job
        metric, roots, aside = self.config.truth.metric, self.root.ranking, self._aside
        return replace(job, ranking=_ranking_set(self.config, job, self.truth, metric, roots, aside=aside))


def split_supernet(partition: Partition, job: SupernetJob, level: int, probe: Probe | None = None) -> Split:
    """Return how a supernet is split; its label names the stream.

    Args:
        partition: Chooses the split.
        job: The supernet's job.
        level: How often its space was split before.
        probe: It, trained; only where the split depends on its weights.
    """
    return partition.split(job.space, level, stream(job.seed, "split", job.label), probe)


def make_plan(config: Config) -> Plan:
    """Return the checked plan: `draft_plan`, then `checked`."""
    return checked(draft_plan(config))


def draft_plan(config: Config, images: ImageData | None = None) -> Plan:
    """Build what costs nothing; whether the parts go together is for `checked` to say.

    Args:
        config: The run's configuration.
        images: The data where they are loaded already; None loads them.
    """
    whole = space(config.space.name, **config.space.options)
    chosen = config.method.partition
    plan = Plan(
        config,
        whole,
        {},
        images or data(config.data.name, **config.data.options),
        None,
        None,
        _job(config, "root", whole, config.train.root_rounds),
        {},
        None if chosen is None else PARTITIONS.make(chosen.name, **chosen.options),
    )
    if plan.partition is None or plan.partition.learned:
        return plan
    return plan.grown({"root": plan.split("root").parts})


def checked(plan: Plan) -> Plan:
    """Return the plan with its truth, after a trial run; a truth to be trained comes in by `Plan.measured_against`.

    Raises:
        ConfigError: Space, network and data do not go together, the truth table knows fewer than two architectures of
            the space, or the landmarks cannot be had.
    """
    config = plan.config
    check_constraints(config, config.search, plan.space, plan.data)
    trial_run(plan.root, plan.data)
    if plan.partition is not None and plan.partition.learned:
        problems = plan.partition.network_objections(replace(plan.root, device="cpu").build(plan.data))
        if problems:
            raise ConfigError([f"'method.partition': {problem}" for problem in problems])
    return with_truth(plan)


def with_truth(plan: Plan) -> Plan:
    """Return the plan with what its truth table tells, landmarks among it.

    Raises:
        ConfigError: The table knows fewer than two architectures of the space, or the landmarks cannot be had.
    """
    config = plan.config
    plan = plan.with_landmarks(first_landmarks(config, plan.space, None))
    if config.truth is None or config.truth.name is None:
        return plan
    table = truth(config.truth.name)
    plan = plan.measured_against(table, config.truth.metric)
    if len(plan.root.ranking.architectures) < 2:
        raise ConfigError([f"'truth': {table.name} knows fewer than two architectures of this space"])
    return plan


def _job(config: Config, label: str, part: Space, rounds: int) -> SupernetJob:
    return SupernetJob(
        label=label,
        space=part,
        network=config.network,
        method=config.method.plan,
        optimizer=config.train.optimizer if label == "root" else config.train.partition_optimizer,
        round_steps=config.train.round_steps if label == "root" else config.train.partition_round_steps,
        total_rounds=rounds,
        protocol=config.score.protocol,
        ranking=RankingSet((), ()),
        candidates=config.search.pool.candidates,
        rescore=config.search.pool.rescore,
        seed=config.seed,
        heldout=config.train.heldout,
        pool_capacity=config.search.pool.capacity,
        device=Resources.of(config.ray).device,
    )


def _ranking_set(
    config: Config,
    job: SupernetJob,
    table: TruthTable,
    metric: str,
    roots: RankingSet | None = None,
    *,
    aside: Set[str] = frozenset(),
) -> RankingSet:
    """Return the architectures of known truth on which a supernet's ranking is measured.

    A partition's are the root's that are in its space, all of them, so that in the end each of these has been scored by
    the sub-supernet that owns it, and then others. None is one of the functions set aside.
    """
    rng = stream(config.seed, "ranking", job.label)
    known = [] if roots is None else [a for a in roots.architectures if a in job.space]
    functions = aside | functions_of(job.space, known)
    own = None if roots is None else config.score.partition_architectures
    missing = max(0, (own or config.score.architectures) - len(known))
    known += known_architectures(table, job.space, rng, missing, metric, excluded=functions)
    return RankingSet(
        tuple(known),
        tuple(table.query(architecture, metric) for architecture in known),
        noise_ceiling(np.array([table.per_seed(architecture, metric) for architecture in known])) if known else None,
    )
