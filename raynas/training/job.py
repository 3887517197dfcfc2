"""What a supernet worker is told to do: everything but the weights, small enough to send anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from raynas.data import ImageData
from raynas.networks import Supernet, supernet
from raynas.ranking import NoiseCeiling
from raynas.spaces import Architecture, Space
from raynas.streams import stream_seed
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
        sampler: The path sampler's name and options.
        optimizer: The training recipe.
        round_steps: Optimizer steps a round.
        total_rounds: Rounds of the whole learning-rate schedule.
        protocol: How its architectures are scored.
        ranking: Where its ranking is measured after each round.
        candidates: Architectures drawn and scored for the pool after each round.
        rescore: Of the pool's entries in its space, how many of the best are scored anew after each round.
        seed: The run's seed.
        device: Where it is trained and scored: ``cpu``, or ``cuda`` for the process's GPU.
    """

    label: str
    space: Space
    network: Mapping[str, Any]
    sampler: tuple[str, Mapping[str, Any]]
    optimizer: OptimizerSettings
    round_steps: int
    total_rounds: int
    protocol: ScoreProtocol
    ranking: RankingSet
    candidates: int
    rescore: int
    seed: int
    device: str = "cpu"

    def build(self, data: ImageData) -> Supernet:
        """Return the supernet with its initial weights, on its device.

        Its weights lie channels-last: pooling and small convolutions take half the time on a CPU that way, and the
        logits agree to rounding.
        """
        network = supernet(
            self.space,
            input_shape=data.input_shape,
            classes=data.classes,
            seed=stream_seed(self.seed, "init"),
            **self.network,
        )
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(usable_device(self.device))
