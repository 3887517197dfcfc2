"""Checking whether a space can be split as a configuration says, and whether every level's rounds are enough."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, TypeGuard

from raynas.config_findings import Findings
from raynas.config_sections import DEFAULT_PARTITION_ROUNDS, section
from raynas.errors import ConfigError
from raynas.methods import PARTITIONS, Stack
from raynas.methods.partition import Partition
from raynas.methods.partition_given import GivenPartition
from raynas.search import SCHEDULERS, PartitionRule
from raynas.search.tune_rules import TuneRule
from raynas.spaces import Space


def check_partition(findings: Findings, plain: dict[str, Any], stack: Stack, scheduler: str) -> None:
    """Check that the space can be split like that, and that every level has rounds enough, for its scheduler too."""
    key, name = "method.partition", stack.partition
    if name is None or key not in findings.options or "method.sampler" not in findings.options:
        return
    partition = findings.attempt(key, lambda: PARTITIONS.make(name, **findings.options[key]))
    if partition is None:
        return
    objections = partition.objections(stack)
    findings.problems += [f"'{key}': {objection}" for objection in objections]
    levels = [_rounds(section(plain, "train"), level == partition.levels - 1) for level in range(partition.levels)]
    _check_levels(findings, plain, partition)
    _check_new_partitions(findings, plain, partition, scheduler)
    counts = None if objections else findings.attempt(key, lambda: _part_counts(partition, stack.space, levels))
    for (rounds_key, rounds), count in zip(levels, counts or (), strict=False):
        if count == 1 or not isinstance(rounds, int):
            continue
        if rounds < count:
            findings.problems.append(
                f"'train.{rounds_key}': {rounds} rounds are too few for {count} partitions (at least {count})"
            )
        elif "scheduler" in findings.options:
            _check_scheduler(findings, scheduler, tuple(map(str, range(count))), rounds)


def _part_counts(partition: Partition, space: Space, levels: Sequence[tuple[str, object]]) -> list[int]:
    """Return the most parts of each level; where there are surely more than rounds, without making them all.

    Raises:
        ConfigError: There are, or the space cannot be split like that.
    """
    if not isinstance(partition, GivenPartition):
        return partition.most(space)
    for level, (rounds_key, rounds) in enumerate(levels):
        if isinstance(rounds, int) and partition.surely_exceeds(space, level, rounds):
            raise ConfigError(
                [
                    f"train.{rounds_key}={rounds} rounds are too few for its partitions, which are more than {rounds} "
                    f"(up to {math.prod(map(len, partition.groups(space)[level].values())):,}); split by fewer "
                    "decisions, or keep options together in groups"
                ]
            )
    return partition.most(space)


def _check_levels(findings: Findings, plain: dict[str, Any], partition: Partition) -> None:
    """Refuse rounds for the inner levels of a tree that has none."""
    rounds = section(plain, "train").get("level_rounds")
    if rounds is not None and partition.levels == 1:
        findings.problems.append(
            f"'train.level_rounds': the partition has one level, whose rounds are train.partition_rounds, got "
            f"{rounds}; leave it out"
        )


def _check_new_partitions(findings: Findings, plain: dict[str, Any], partition: Partition, scheduler: str) -> None:
    """Refuse a scheduler that makes partitions while they train where these could not be split, or calibrated."""
    if scheduler not in SCHEDULERS:
        return
    rule = SCHEDULERS.get(scheduler)
    breeds = _is_rule(rule) and rule.births is not PartitionRule.births
    copies = _is_rule(rule) and issubclass(rule, TuneRule) and rule.copies
    given = section(section(plain, "method"), "partition")
    if (breeds or copies) and partition.levels > 1:
        findings.problems.append(
            f"'scheduler': {scheduler} makes partitions that overlap with others, which no further level could split; "
            f"got {partition.levels} levels in method.partition, give one"
        )
    if breeds and given.get("calibration", "none") != "none":
        findings.problems.append(
            f"'scheduler': {scheduler} makes partitions that the root has no yardstick for; "
            "set method.partition.calibration=none"
        )


def _is_rule(maker: object) -> TypeGuard[type[PartitionRule]]:
    return inspect.isclass(maker) and issubclass(maker, PartitionRule)


def check_partition_keys(findings: Findings, plain: dict[str, Any], method: dict[str, Any]) -> None:
    """Refuse settings of the partitions' training where nothing is said of a partition.

    Who writes ``partition: null`` over a configuration that has one need not know what else it sets for it.
    """
    if "partition" in method:
        return
    for key in ("level_rounds", "partition_lr", "partition_round_images"):
        given = section(plain, "train").get(key)
        if given is not None:
            findings.problems.append(
                f"'train.{key}': there is no partition whose training it could set, got {given}; leave it out (null), "
                "or give method.partition"
            )


def _check_scheduler(findings: Findings, scheduler: str, labels: tuple[str, ...], rounds: int) -> None:
    """Check that the scheduler can spend so many rounds on these partitions; a problem of two levels is told once."""
    found = Findings()
    options = findings.options["scheduler"]
    found.attempt("scheduler", lambda: SCHEDULERS.make(scheduler, labels, rounds, **options))
    findings.problems += [problem for problem in found.problems if problem not in findings.problems]


def _rounds(train: dict[str, Any], last: bool) -> tuple[str, object]:
    """Return the rounds of a level of the partition tree, and the key that says so."""
    inner = train.get("level_rounds")
    if last or inner is None:
        return "partition_rounds", train.get("partition_rounds", DEFAULT_PARTITION_ROUNDS)
    return "level_rounds", inner
