"""What a supernet worker is told to do: everything but the weights, small enough to send anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from raynas.data import ImageData, Split
from raynas.data.holdout import hold_out
from raynas.methods import Calibration, Landmark, MethodParts, MethodPlan
from raynas.networks import Supernet
from raynas.ranking import NoiseCeiling
from raynas.spaces import Architecture, Space
from raynas.streams import stream, stream_seed
from raynas.training.device import usable_device
from raynas.training.scoring import ScoreProtocol
from raynas.training.settings import OptimizerSettings


@dataclass(frozen=True)
class RankingSet:
    """Architectures of known quality on which a supernet's ranking is measured; none where there is no truth.

    Args:
        architectures: Distinct as functions, all in the supernet's (sub)space.
        truth: Their true quality (accuracy in percent), averaged over seeds.
        ceiling: The noise ceiling of that truth, among these architectures.
    """

    architectures: tuple[Architecture, ...]
    truth: tuple[float, ...]
    ceiling: NoiseCeiling | None = None


@dataclass(frozen=True)
class SupernetJob:
    """How one (sub)supernet is built, trained and measured.

    Args:
        label: ``root`` or the partition's label; names its random streams.
        space: Its (sub)space.
        network: Options of the space's network.
        method: The parts of the method, but for the partition.
        optimizer: The training recipe.
        round_steps: Optimizer steps a round.
        total_rounds: Rounds of the whole learning-rate schedule.
        protocol: How its architectures are scored.
        ranking: Where its ranking is measured after each round.
        candidates: Architectures drawn and scored for the pool after each round.
        rescore: Of the pool's entries in its space, how many of the best are scored anew after each round.
        seed: The run's seed.
        heldout: The share of the training images that is held out; None for what the method's parts ask for.
        landmarks: Architectures of known quality in its space, for a regularizer that uses them.
        pool_capacity: Entries of the candidate pool.
        device: Where it is trained and scored: ``cpu``, or ``cuda`` for the process's GPU.
        calibration: What brings its scores to the root's scale; None for none.
        rounds_before: Rounds of the schedule that are over when its own training begins: those of the partition whose
            child it is, and goes on beside.
    """

    label: str
    space: Space
    network: Mapping[str, Any]
    method: MethodPlan
    optimizer: OptimizerSettings
    round_steps: int
    total_rounds: int
    protocol: ScoreProtocol
    ranking: RankingSet
    candidates: int
    rescore: int
    seed: int
    heldout: float | None = None
    landmarks: tuple[Landmark, ...] = ()
    pool_capacity: int = 100
    device: str = "cpu"
    calibration: Calibration | None = None
    rounds_before: int = 0

    @property
    def own_rounds(self) -> int:
        """The most rounds that it trains itself."""
        return self.total_rounds - self.rounds_before

    def parts(self) -> MethodParts:
        """Return the parts of the method, made anew."""
        return self.method.make(self.space, self.landmarks)

    def split(self, train: Split) -> tuple[Split, Split | None]:
        """Return the images that weights are trained on, and those held out: None where there are none.

        Every supernet of a run holds out the same images.
        """
        wanted = self.parts().heldout_images(len(train)) if self.heldout is None else round(self.heldout * len(train))
        return hold_out(train, wanted, stream(self.seed, "hold out")) if wanted else (train, None)

    def images_apart(self, train: Split, heldout: Split | None) -> int:
        """Return how many of the held-out images, the first, are for the scores of the method alone."""
        return 0 if heldout is None else self.parts().images_apart(len(train), len(heldout))

    def build(self, data: ImageData) -> Supernet:
        """Return the supernet with its initial weights, on its device.

        Its weights lie channels-last: pooling and small convolutions take half the time on a CPU that way, and the
        logits agree to rounding.
        """
        network = self.parts().sharing.supernet(
            self.space,
            input_shape=data.input_shape,
            classes=data.classes,
            seed=stream_seed(self.seed, "init"),
            **self.network,
        )
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(usable_device(self.device))
