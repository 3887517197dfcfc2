"""Scores: what a supernet says of architectures, and the protocol under which it said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from raynas.data import ImageData, Split, TaskName
from raynas.networks import Supernet
from raynas.networks.batchnorm import BatchNormPolicy, scoring_statistics
from raynas.spaces import Architecture
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
    measure = task_named(task).sums
    total = Sums(0.0, 0.0, 0)
    for x, y in split.slices(batch_size):
        total += measure(supernet(x, architecture), y)
    return Score(total.loss / total.images, total.quality / total.images)


@torch.inference_mode()
def score_architectures(
    supernet: Supernet, data: ImageData, architectures: Sequence[Architecture], protocol: ScoreProtocol
) -> list[Score]:
    """Score architectures in order; each different one is evaluated once. The supernet is left as it was.

    Args:
        supernet: Holds every one of the architectures.
        data: Scored on ``valid``; ``train`` serves to recalibrate.
        architectures: What to score.
        protocol: How.
    """
    valid = data.valid.first(protocol.images)
    calibration = data.train.first(protocol.recalibrate_images)
    scores: dict[Architecture, Score] = {}
    for architecture in architectures:
        if architecture in scores:
            continue

        def recalibrate(architecture: Architecture = architecture) -> Score:
            return evaluate(supernet, calibration, architecture, protocol.batch_size, data.task)

        with scoring_statistics(supernet, protocol.batch_norm, recalibrate):
            scores[architecture] = evaluate(supernet, valid, architecture, protocol.batch_size, data.task)
    return [scores[architecture] for architecture in architectures]
