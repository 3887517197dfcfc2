"""From a configuration to what will be done: space, partitions, jobs, the rule that spends rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raynas.config import Config
from raynas.data import ImageData, data
from raynas.errors import ConfigError
from raynas.ranking import noise_ceiling
from raynas.search import SCHEDULERS, PartitionRule
from raynas.spaces import Space, space
from raynas.streams import stream
from raynas.training.job import RankingSet, SupernetJob
from raynas.truth import TruthTable, truth
from raynas.truth.ranking_set import known_architectures


@dataclass(frozen=True)
class Plan:
    """A run, ready to go.

    Args:
        config: The resolved configuration.
        space: The whole space.
        partitions: Its sub-supernets' spaces by label, in order.
        data: The images.
        truth: The truth table.
        rule: Spends the rounds on the partitions.
        root: The root supernet's job.
        jobs: The partitions' jobs, by label.
    """

    config: Config
    space: Space
    partitions: dict[str, Space]
    data: ImageData
    truth: TruthTable
    rule: PartitionRule
    root: SupernetJob
    jobs: dict[str, SupernetJob]

    def owner(self, architecture: object, among: tuple[str, ...]) -> str | None:
        """Return the label of the partition, among these, that holds the architecture; None if none does."""
        return next((label for label in among if architecture in self.partitions[label]), None)


def make_plan(config: Config) -> Plan:
    """Build everything that needs no training.

    Raises:
        ConfigError: The truth table knows fewer than two architectures of a partition.
    """
    whole = space(config.space.name, **config.space.options)
    partitions = {part.label: part for part in whole.partition(config.method.partition.decisions)}
    table = truth(config.truth.name)
    rule = SCHEDULERS.make(
        config.scheduler.name, tuple(partitions), config.train.partition_rounds, **config.scheduler.options
    )
    images = data(config.data.name, **config.data.options)
    jobs = {label: _job(config, label, part, table, rule.longest()) for label, part in partitions.items()}
    root = _job(config, "root", whole, table, config.train.root_rounds)
    unknown = [label for label, job in jobs.items() if len(job.ranking.architectures) < 2]
    if unknown:
        raise ConfigError(
            [f"{table.name} knows fewer than two architectures of partition {label}" for label in unknown]
        )
    return Plan(config, whole, partitions, images, table, rule, root, jobs)


def _job(config: Config, label: str, part: Space, table: TruthTable, rounds: int) -> SupernetJob:
    known = known_architectures(table, part, stream(config.seed, "ranking", label), config.score.architectures)
    return SupernetJob(
        label=label,
        space=part,
        network=config.network,
        sampler=(config.method.sampler.name, config.method.sampler.options),
        optimizer=config.train.optimizer if label == "root" else config.train.partition_optimizer,
        round_steps=config.train.round_steps,
        total_rounds=rounds,
        protocol=config.score.protocol,
        ranking=RankingSet(
            tuple(known),
            tuple(table.query(a, config.truth.metric) for a in known),
            noise_ceiling(np.array([table.per_seed(a, config.truth.metric) for a in known])) if known else None,
        ),
        candidates=config.search.pool.candidates,
        rescore=config.search.pool.rescore,
        seed=config.seed,
    )
