"""The type that networks compute in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16"]
"""Weights, batch statistics and losses are float32 in any case; bfloat16 is for what is computed between them."""


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which networks compute in this type on the device."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def full_precision(outputs: Tensor) -> Tensor:
    """Return outputs as losses are computed of them: float32 where they are less."""
    return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
