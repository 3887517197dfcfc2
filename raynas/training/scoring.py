"""Scores: what a supernet says of architectures, and the protocol under which it said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional

from raynas.data import ImageData, Split
from raynas.networks import Supernet
from raynas.networks.batchnorm import BatchNormPolicy, scoring_statistics
from raynas.spaces import Architecture


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
    """One architecture's score: mean loss (nats an image) and accuracy (percent) on the scored images."""

    loss: float
    accuracy: float

    def value(self, metric: Literal["loss", "accuracy"]) -> float:
        """Return the score as a number, higher is better."""
        return -self.loss if metric == "loss" else self.accuracy


def evaluate(supernet: Supernet, split: Split, architecture: Architecture, batch_size: int) -> Score:
    """Return loss and accuracy of one architecture on a split, each image weighing the same.

    The images are cut into as few batches of at most `batch_size` as possible, all of the same size give or take one: a
    small last batch would be normalised by statistics of its own few images.
    """
    count = -(-len(split) // batch_size)
    loss, correct = 0.0, 0
    for x, y in zip(split.images.tensor_split(count), split.labels.tensor_split(count), strict=True):
        logits = supernet(x, architecture)
        loss += functional.cross_entropy(logits, y, reduction="sum").item()
        correct += int((logits.argmax(1) == y).sum())
    return Score(loss / len(split), 100.0 * correct / len(split))


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
            return evaluate(supernet, calibration, architecture, protocol.batch_size)

        with scoring_statistics(supernet, protocol.batch_norm, recalibrate):
            scores[architecture] = evaluate(supernet, valid, architecture, protocol.batch_size)
    return [scores[architecture] for architecture in architectures]
