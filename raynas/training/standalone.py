"""Stand-alone training: the same loop on the subspace of one architecture, batch norm as final networks have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator

from raynas.data import ImageData
from raynas.methods import SAMPLERS
from raynas.networks.alone import NetworkAlone
from raynas.spaces import Architecture, Space
from raynas.streams import stream_seed
from raynas.training.device import usable_device
from raynas.training.scoring import evaluate
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

_FIXED = ("affine", "track")
"""Options that networks trained alone have switched on, whatever the supernet has."""


class StandaloneRecipe(BaseModel):
    """How one architecture is trained from scratch; batch norm is affine and tracked, and uses running averages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Annotated[dict[str, Any], Field(description="options of the space's network")] = {}
    epochs: Annotated[int, Field(ge=1)] = 4
    optimizer: OptimizerSettings = OptimizerSettings()

    @field_validator("network")
    @classmethod
    def _batch_norm_is_fixed(cls, network: dict[str, Any]) -> dict[str, Any]:
        if fixed := [name for name in _FIXED if name in network]:
            always = " and ".join(f"{name}=true" for name in fixed)
            raise ValueError(
                f"stand-alone networks always have {always}; leave {'it' if len(fixed) == 1 else 'them'} out"
            )
        return network


@dataclass(frozen=True)
class StandaloneResult:
    """Accuracies in percent and mean losses of one training, as the task of the data defines them."""

    valid_accuracy: float
    test_accuracy: float
    valid_loss: float
    test_loss: float
    images_trained: int


def train_standalone(
    space: Space,
    architecture: Architecture,
    data: ImageData,
    recipe: StandaloneRecipe,
    seed: int,
    *,
    device: str = "cpu",
) -> StandaloneResult:
    """Train one architecture from scratch and evaluate it; the same seed gives the same result on the same hardware.

    Initial weights and batches are drawn anew for every (architecture, seed).

    Args:
        space: The architecture's space.
        architecture: What is trained.
        data: The images.
        recipe: How.
        seed: Of weights and batches.
        device: ``cpu``, or ``cuda`` for the process's GPU.
    """
    data = data.to(usable_device(device))
    init = stream_seed(seed, "init", architecture.text)
    network = NetworkAlone(space, architecture, data.input_shape, data.classes, seed=init, **recipe.network)
    network.to(usable_device(device))
    batch = min(recipe.optimizer.batch_size, len(data.train))
    steps = recipe.epochs * (len(data.train) // batch)
    trainer = Trainer(
        network,
        data.train,
        SAMPLERS.make("uniform", network.space),
        recipe.optimizer,
        total_steps=steps,
        seed=seed,
        name=architecture.text,
        task=data.task,
        augmentation=data.augmentation,
        fused=False,  # as the tables were trained that are there already, so that a training repeats theirs exactly
    )
    report = trainer.train(steps)
    network.eval()
    with torch.inference_mode():
        valid, test = (evaluate(network, split, architecture, 1024, data.task) for split in (data.valid, data.test))
    return StandaloneResult(valid.accuracy, test.accuracy, valid.loss, test.loss, report.images_trained)
