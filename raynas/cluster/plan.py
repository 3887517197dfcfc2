"""From a configuration to what will be done: space, partitions, jobs, the rule that spends rounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raynas.cluster.resources import Resources
from raynas.config import Config
from raynas.data import ImageData, data
from raynas.errors import ConfigError
from raynas.ranking import noise_ceiling
from raynas.search import SCHEDULERS, PartitionRule
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
        partitions: Its sub-supernets' spaces by label, in order; empty where the space is not split.
        data: The images.
        truth: The truth table; None without truth, and before it is trained.
        rule: Spends the rounds on the partitions; None where the space is not split.
        root: The root supernet's job.
        jobs: The partitions' jobs, by label.
    """

    config: Config
    space: Space
    partitions: dict[str, Space]
    data: ImageData
    truth: TruthTable | None
    rule: PartitionRule | None
    root: SupernetJob
    jobs: dict[str, SupernetJob]

    @property
    def supernets(self) -> dict[str, SupernetJob]:
        """The jobs of all supernets, the root's first."""
        return {"root": self.root, **self.jobs}

    @property
    def unranked(self) -> list[str]:
        """The partitions with fewer than two architectures of known truth: there is no tau for them."""
        return [label for label, job in self.jobs.items() if len(job.ranking.architectures) < 2]

    def owner(self, architecture: object, among: tuple[str, ...]) -> str | None:
        """Return the label of the supernet, among these, whose space holds the architecture; None if none does."""
        supernets = self.supernets
        return next((label for label in among if architecture in supernets[label].space), None)

    def measured_against(self, table: TruthTable, metric: str) -> Plan:
        """Return the plan with every supernet's ranking measured against a metric of a table."""
        return replace(
            self,
            truth=table,
            root=replace(self.root, ranking=_ranking_set(self.config, self.root, table, metric)),
            jobs={
                label: replace(job, ranking=_ranking_set(self.config, job, table, metric))
                for label, job in self.jobs.items()
            },
        )


def make_plan(config: Config) -> Plan:
    """Return the checked plan: `draft_plan`, then `checked`."""
    return checked(draft_plan(config))


def draft_plan(config: Config) -> Plan:
    """Load the data and build what costs nothing; whether the parts go together is for `checked` to say."""
    whole = space(config.space.name, **config.space.options)
    partitions: dict[str, Space] = {}
    rule: PartitionRule | None = None
    if config.method.partition is not None:
        partitions = {part.label: part for part in whole.partition(config.method.partition.decisions)}
        rule = SCHEDULERS.make(
            config.scheduler.name, tuple(partitions), config.train.partition_rounds, **config.scheduler.options
        )
    return Plan(
        config,
        whole,
        partitions,
        data(config.data.name, **config.data.options),
        None,
        rule,
        _job(config, "root", whole, config.train.root_rounds),
        {label: _job(config, label, part, rule.longest() if rule else 0) for label, part in partitions.items()},
    )


def checked(plan: Plan) -> Plan:
    """Return the plan with its truth, after a trial run; a truth to be trained comes in by `Plan.measured_against`.

    Raises:
        ConfigError: Space, network and data do not go together, or the truth table knows fewer than two architectures
            of the space.
    """
    trial_run(plan.root, plan.data)
    config = plan.config
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
        round_steps=config.train.round_steps,
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


def _ranking_set(config: Config, job: SupernetJob, table: TruthTable, metric: str) -> RankingSet:
    rng = stream(config.seed, "ranking", job.label)
    known = known_architectures(table, job.space, rng, config.score.architectures, metric)
    return RankingSet(
        tuple(known),
        tuple(table.query(architecture, metric) for architecture in known),
        noise_ceiling(np.array([table.per_seed(architecture, metric) for architecture in known])) if known else None,
    )
