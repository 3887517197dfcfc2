"""The training recipe of a supernet (or, with a space of one architecture, of a stand-alone network)."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from raynas.training.precision import Precision


class OptimizerSettings(BaseModel):
    """SGD with Nesterov momentum, a cosine schedule and gradient clipping (the field's usual one-shot recipe)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: Annotated[int, Field(ge=2, description="images a step")] = 64
    lr: Annotated[float, Field(gt=0)] = 0.1
    lr_min: Annotated[float, Field(ge=0, description="where the cosine ends")] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    grad_clip: Annotated[float | None, Field(gt=0, description="largest L2 norm of all gradients; null for none")] = 5.0
    precision: Annotated[
        Precision, Field(description="bfloat16 is faster where the hardware has it (AVX512-bf16, AMX, GPUs)")
    ] = "float32"
    scoring_cost: Annotated[
        float, Field(ge=0, le=1, description="what an image that a method only scores costs, beside 1 for one trained")
    ] = 0.37

    def lr_at(self, spent: float, total: float) -> float:
        """Return the learning rate after so much of a budget: half a cosine from lr to lr_min, flat after."""
        progress = min(spent / total, 1.0)
        return self.lr_min + (self.lr - self.lr_min) * 0.5 * (1 + math.cos(math.pi * progress))
