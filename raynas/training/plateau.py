"""`Plateau`: a learning rate that falls where the training loss no longer does.

torch's `ReduceLROnPlateau` as CLOSE trains with it (factor 0.5, patience 30, once an epoch on the mean training loss of
its paths; mode min, relative threshold 1e-4, no cooldown), written out because its state must be plain values that say
nothing of an optimizer, and must begin anew with the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_THRESHOLD = 1e-4
"""An epoch is better than the best if its loss is below it by more than this share."""


class Plateau:
    """What the learning rate is multiplied by, epoch by epoch.

    Args:
        factor: By what it falls.
        patience: After more than so many epochs in a row that are no better than the best.
        epoch_steps: Optimizer steps of an epoch.
    """

    def __init__(self, factor: float, patience: int, epoch_steps: int) -> None:
        self.factor, self.patience, self.epoch_steps = factor, patience, epoch_steps
        self.restart()

    def restart(self) -> None:
        """Forget everything: a new epoch begins, at the full learning rate."""
        self.scale = 1.0
        self._best, self._bad = math.inf, 0
        self._losses: list[Tensor] = []  # the mean of each step; read once an epoch, as reading waits for the device

    def took(self, losses: Sequence[Tensor]) -> None:
        """Take in the losses, scalars, of the paths of one step; one that is not finite makes its epoch a bad one."""
        self._losses.append(torch.stack(list(losses)).double().mean())
        if len(self._losses) < self.epoch_steps:
            return
        mean = sum(loss.item() for loss in self._losses) / len(self._losses)
        self._losses = []
        if mean < self._best * (1 - _THRESHOLD):
            self._best, self._bad = mean, 0
        else:
            self._bad += 1
        if self._bad > self.patience:
            self.scale, self._bad = self.scale * self.factor, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        losses = [loss.item() for loss in self._losses]
        return {"scale": self.scale, "best": self._best, "bad": self._bad, "losses": losses}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.scale, self._best, self._bad = state["scale"], state["best"], state["bad"]
        self._losses = [torch.tensor(loss, dtype=torch.float64) for loss in state["losses"]]
