"""The training recipe of a supernet (or, with a space of one architecture, of a stand-alone network)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from raynas.training.precision import Precision


class OptimizerSettings(BaseModel):
    """SGD with Nesterov momentum, a cosine schedule and gradient clipping (the field's usual one-shot recipe).

    Recipes of the literature: SPOS and GreedyNAS ``schedule=linear`` (SPOS: lr 0.5 to 0, weight_decay 4e-5,
    label_smoothing 0.1), CLOSE ``schedule=plateau`` (lr 0.05).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: Annotated[int, Field(ge=2, description="images a step")] = 64
    lr: Annotated[float, Field(gt=0)] = 0.1
    lr_min: Annotated[float, Field(ge=0, description="where cosine and linear end; plateau goes no lower")] = 0.0
    schedule: Annotated[
        Literal["cosine", "linear", "constant", "plateau"],
        Field(description="the learning rate over the budget; plateau: down where an epoch's training loss stalls"),
    ] = "cosine"
    warmup: Annotated[
        float, Field(ge=0, lt=1, description="share of the budget in which lr rises linearly from lr_min, once")
    ] = 0.0
    plateau_factor: Annotated[float, Field(gt=0, lt=1, description="of schedule=plateau: lr is multiplied by it")] = 0.5
    plateau_patience: Annotated[
        int, Field(ge=0, description="of schedule=plateau: after more than so many epochs in a row without progress")
    ] = 30
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    nesterov: Annotated[bool, Field(description="Nesterov's form of momentum")] = True
    grad_clip: Annotated[float | None, Field(gt=0, description="largest L2 norm of all gradients; null for none")] = 5.0
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="of the training loss of classification; scores are without it")
    ] = 0.0
    precision: Annotated[
        Precision, Field(description="bfloat16 is faster where the hardware has it (AVX512-bf16, AMX, GPUs)")
    ] = "float32"
    scoring_cost: Annotated[
        float, Field(ge=0, le=1, description="what an image that a method only scores costs, beside 1 for one trained")
    ] = 0.37

    def lr_at(self, spent: float, total: float, *, step: float = 0.0, warm: bool = True) -> float:
        """Return the learning rate after so much of a budget: what it rises to and falls to, flat after.

        With ``schedule=plateau`` this is what `Plateau.scale` multiplies.

        Args:
            spent: What is spent.
            total: The budget, in the same unit.
            step: What a plain step spends: the warm-up's rate is that of the end of the step, so that the first step
                changes something where `lr_min` is 0.
            warm: Whether there is a warm-up: a schedule that begins anew, of a network that is trained, has none.
        """
        progress = min(spent / total, 1.0) if total > 0 else 1.0  # a schedule can begin anew where nothing is left
        warmup = self.warmup if warm else 0.0
        if progress < warmup:
            return self.lr_min + (self.lr - self.lr_min) * min((progress + step / total) / warmup, 1.0)
        if self.schedule in ("constant", "plateau"):
            return self.lr
        progress = (progress - warmup) / (1 - warmup)
        if self.schedule == "linear":
            return self.lr_min + (self.lr - self.lr_min) * (1 - progress)
        return self.lr_min + (self.lr - self.lr_min) * 0.5 * (1 + math.cos(math.pi * progress))
