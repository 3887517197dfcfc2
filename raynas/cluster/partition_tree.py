"""The tree of sub-supernets on Ray: how it grows a level, and what makes its scores comparable."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from raynas.cluster.plan import Plan, split_supernet
from raynas.cluster.resources import Resources
from raynas.cluster.scoring_service import ScoringService
from raynas.data import ImageData
from raynas.methods import Calibration, Partition, Split
from raynas.methods.partition_calibration import yardstick
from raynas.streams import stream
from raynas.training.job import SupernetJob
from raynas.training.ledger import Ledger, Span
from raynas.training.weights import Version, Weights

if TYPE_CHECKING:
    from ray import ObjectRef

LEAST_SHARE = 4
"""An actor that would score fewer architectures than this costs more to start than it saves."""


def split_all(
    plan: Plan, weights: Mapping[str, Mapping[str, Tensor]], data: ObjectRef[ImageData], ledger: Ledger
) -> dict[str, Split]:
    """Return how supernets are split: at the same time, each in a process of its own, where that takes their weights.

    Args:
        plan: The run's plan.
        weights: The ``state_dict()`` of the supernets to split, by label.
        data: A reference to the images in the object store.
        ledger: Where time and images are booked.
    """
    import ray

    partition, level = plan.partition, len(plan.levels)
    assert partition is not None
    if not partition.learned:
        return {label: plan.split(label) for label in weights}
    resources = Resources.of(plan.config.ray)
    task = ray.remote(**resources.options, max_retries=3)(_split_trained)
    jobs = plan.supernets
    waiting = {
        label: task.remote(partition, jobs[label], level, data, Weights.of(state), resources.cpus)
        for label, state in weights.items()
    }
    splits = {}
    for label, answer in waiting.items():
        splits[label], span, trained, scored = ray.get(answer)
        ledger.add([span], trained=trained, scored=scored)
    return splits


def _split_trained(
    partition: Partition, job: SupernetJob, level: int, data: ImageData, weights: Weights, threads: int
) -> tuple[Split, Span, int, int]:
    """Return the split of one supernet, when it was chosen, and the images that were trained and scored for it."""
    from raynas.training.probe import TrainedProbe
    from raynas.training.process import prepare_process

    prepare_process(threads)
    start = time.time()
    probe = TrainedProbe(job, data, weights.tensors())
    split = split_supernet(partition, job, level, probe)
    why = {**split.why, "images_trained": probe.images_trained, "images_scored": probe.images_scored}
    return replace(split, why=why), Span("train", start, time.time()), probe.images_trained, probe.images_scored


def with_calibration(plan: Plan, root: Mapping[str, Tensor], data: ObjectRef[ImageData], ledger: Ledger) -> Plan:
    """Return the plan whose last level knows its yardsticks; the plan itself where nothing is calibrated.

    Args:
        plan: The run's plan.
        root: The trained root supernet's ``state_dict()``.
        data: A reference to the images in the object store.
        ledger: Where time and images are booked.
    """
    settings = plan.config.method.partition
    labels = plan.levels[-1]
    if settings is None or settings.calibration == "none" or not labels:
        return plan
    seed, count = plan.config.seed, settings.calibration_architectures
    drawn = {label: yardstick(plan.partitions[label], stream(seed, "calibration", label), count) for label in labels}
    total = sum(map(len, drawn.values()))
    with ledger.span("startup"):
        service = ScoringService(
            {"root": plan.root},
            plan.data,
            data,
            slots=max(1, min(ledger.slots, total // LEAST_SHARE)),
            resources=Resources.of(plan.config.ray),
            ledger=ledger,
        )
        version = Version("root", 0)
        service.publish(version, root)
        service.wait()
    with closing(service):
        scores = service.score(version, [a for architectures in drawn.values() for a in architectures])
    values = iter([score.value(plan.config.score.metric) for score in scores])
    jobs = dict(plan.jobs)
    for label, architectures in drawn.items():
        reference = tuple(next(values) for _ in architectures)
        jobs[label] = replace(jobs[label], calibration=Calibration(settings.calibration, architectures, reference))
    return replace(plan, jobs=jobs)


def leaves_after(plan: Plan, before: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    """Return the supernets that stand for the space after a level: those kept, and those that were not split.

    Args:
        plan: The run's plan, grown by the level.
        before: The supernets that stood for it before.
        kept: The level's partitions that its rule did not give up.
    """
    parents = {plan.parents[label] for label in plan.levels[-1]}
    return (*(label for label in before if label not in parents), *kept)
