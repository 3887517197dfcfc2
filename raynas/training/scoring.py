"""Scores: what a supernet says of architectures, and the protocol under which it said so."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from raynas.data import ImageData, Split, TaskName
from raynas.networks import Supernet
from raynas.networks.batchnorm import BatchNormPolicy, scoring_statistics
from raynas.spaces import Architecture
from raynas.training.precision import Precision, autocast, full_precision
from raynas.training.task import Sums
from raynas.training.task import task as task_named


class ScoreProtocol(BaseModel):
    """How a score is measured; scores under different protocols are not comparable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Annotated[
        Literal["loss", "accuracy"], Field(description="minus the mean loss ranks better than accuracy")
    ] = "loss"
    images: Annotated[int | None, Field(ge=2, description="at most so many validation images; null for all")] = None
    batch_size: Annotated[int, Field(ge=2, description="at most so many images at once")] = 256
    batch_norm: Annotated[BatchNormPolicy, Field(description="statistics used while scoring")] = "batch"
    recalibrate_images: Annotated[int, Field(ge=2, description="training images, with batch_norm=recalibrate")] = 512
    precision: Annotated[
        Precision,
        Field(description="bfloat16 is faster where the processor has it; scores of the two are not comparable"),
    ] = "float32"

    @property
    def name(self) -> str:
        """What makes scores comparable, in short: ``metric/batch_norm/precision``."""
        return f"{self.metric}/{self.batch_norm}/{self.precision}"


@dataclass(frozen=True)
class Score:
    """One architecture's score on the scored images: mean loss and accuracy in percent, both as the task defines them.

    For classification: nats an image and top-1 accuracy; for depth: see `raynas.training.task.Depth`.
    """

    loss: float
    accuracy: float

    def value(self, metric: Literal["loss", "accuracy"]) -> float:
        """Return the score as a number, higher is better."""
        return -self.loss if metric == "loss" else self.accuracy


def evaluate(
    supernet: Supernet,
    split: Split,
    architecture: Architecture,
    batch_size: int,
    task: TaskName = "classification",
) -> Score:
    """Return loss and accuracy of one architecture on a split, each image weighing the same.

    The batches are those of `Split.slices`: as equal as possible.
    """
    return _scores(_sums(lambda x: [(0, supernet(x, architecture))], split, batch_size, task))[0]


@torch.inference_mode()
def score_architectures(
    supernet: Supernet, data: ImageData, architectures: Sequence[Architecture], protocol: ScoreProtocol
) -> list[Score]:
    """Score architectures, in order. The supernet is left as it was.

    Architectures of equal `Supernet.shared_forms` are evaluated once, and what different ones begin with in common is
    computed once (see `Supernet.outputs`), except under the policy ``recalibrate``, where each has statistics of its
    own. On a CPU a score depends neither on what else is scored nor on the order; on a GPU, where architectures run as
    one batch, it does in the last digits.

    Args:
        supernet: Holds every one of the architectures.
        data: Scored on ``valid``; ``train`` serves to recalibrate.
        architectures: What to score.
        protocol: How.
    """
    forms = supernet.shared_forms(architectures)
    distinct: dict[Hashable, Architecture] = {}
    for form, architecture in zip(forms, architectures, strict=True):
        distinct.setdefault(form, architecture)
    with autocast(protocol.precision, next(supernet.parameters()).device):
        found = _scores(_measured(supernet, data, list(distinct.values()), protocol))
    scores = dict(zip(distinct, found, strict=True))
    return [scores[form] for form in forms]


def _measured(
    supernet: Supernet, data: ImageData, architectures: Sequence[Architecture], protocol: ScoreProtocol
) -> list[Sums]:
    """Return each architecture's sums over the scored images, under the protocol's policy of batch norm."""
    if protocol.batch_norm == "recalibrate":
        return [_recalibrated(supernet, data, architecture, protocol) for architecture in architectures]
    valid = data.valid.first(protocol.images)
    with scoring_statistics(supernet, protocol.batch_norm):
        return _sums(lambda x: supernet.outputs(x, architectures), valid, protocol.batch_size, data.task)


def _recalibrated(supernet: Supernet, data: ImageData, architecture: Architecture, protocol: ScoreProtocol) -> Sums:
    valid, calibration = data.valid.first(protocol.images), data.train.first(protocol.recalibrate_images)

    def recalibrate() -> None:
        for x, _ in calibration.slices(protocol.batch_size):
            supernet(x, architecture)

    with scoring_statistics(supernet, "recalibrate", recalibrate):
        (sums,) = _sums(lambda x: [(0, supernet(x, architecture))], valid, protocol.batch_size, data.task)
    return sums


def _sums(
    outputs: Callable[[Tensor], Iterable[tuple[int, Tensor]]], split: Split, batch_size: int, task: TaskName
) -> list[Sums]:
    """Return each architecture's sums over a split; nothing waits for the device until they are read.

    Args:
        outputs: Gives, for images (B, C, H, W), each architecture's place and output, in any order.
        split: The images and targets.
        batch_size: At most so many images at once.
        task: What is measured.
    """
    measure = task_named(task).sums
    totals: dict[int, Sums] = {}
    for x, y in split.slices(batch_size):
        for place, output in outputs(x):
            found = measure(full_precision(output), y)
            totals[place] = totals[place] + found if place in totals else found
    return [totals[place] for place in range(len(totals))]


def _scores(sums: Sequence[Sums]) -> list[Score]:
    """Return the means of sums, which come from the device all at once."""
    if not sums:
        return []
    rows = torch.stack([torch.stack((one.loss, one.quality, one.images)) for one in sums]).tolist()
    return [Score(loss / images, quality / images) for loss, quality, images in rows]
