"""Tasks: the loss that is trained, and the loss and quality that are scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raynas.data import TaskName
from raynas.training.depth import delta1, scale_shift_invariant_loss


@dataclass(frozen=True)
class Sums:
    """Sums over the images of a batch: of losses, of qualities in percent, and how many images were counted.

    They are 0-d float64 tensors on the outputs' device, so that adding them up waits for no computation.
    """

    loss: Tensor
    quality: Tensor
    images: Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.loss + other.loss, self.quality + other.quality, self.images + other.images)


class Task(ABC):
    """What is learned; `quality` says what its percentage is, higher is better."""

    quality: ClassVar[str]

    smooths: ClassVar[bool] = False
    """Whether `loss` has labels to smooth."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the mean loss of a batch, a scalar to differentiate.

        Args:
            outputs: What the network says.
            targets: What it should say.
            smoothing: The share of each label that is spread over all classes; 0 where the task does not smooth.
        """

    @abstractmethod
    def sums(self, outputs: Tensor, targets: Tensor) -> Sums:
        """Return a batch's sums, each image weighing the same."""


class Classification(Task):
    """Cross entropy in nats, and top-1 accuracy; outputs (B, K) logits, targets (B,) int64."""

    quality = "top-1 accuracy"
    smooths = True

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the mean cross entropy."""
        return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)

    def sums(self, outputs: Tensor, targets: Tensor) -> Sums:
        """Return cross entropy and correct images."""
        loss = functional.cross_entropy(outputs, targets, reduction="sum").double()
        right = (outputs.argmax(1) == targets).sum().double()
        return Sums(loss, 100.0 * right, torch.full_like(loss, len(targets)))


class Depth(Task):
    """Monocular depth up to scale and shift; outputs (B, 1, H, W) disparities, targets (B, 1, H, W) metres.

    As in MiDaS the network predicts disparity (inverse depth) up to an unknown scale and shift, so targets are
    inverted. Pixels whose depth is NaN, infinite or not positive do not count, nor do images without any other.
    """

    quality = "delta1 (share of pixels within a factor of 1.25)"

    def loss(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the mean loss of the images that have a valid pixel (0, with a zero gradient, if none has)."""
        if smoothing:
            raise ValueError(f"depths are no labels to smooth, got smoothing={smoothing}")
        losses, counted = self._losses(outputs, targets)
        return losses.sum() / counted.sum().clamp(min=1)

    def sums(self, outputs: Tensor, targets: Tensor) -> Sums:
        """Return losses and delta1 of the images that have a valid pixel."""
        losses, counted = self._losses(outputs, targets)
        disparity, valid = self._disparity(targets)
        quality = 100.0 * delta1(outputs[:, 0], disparity, valid)
        return Sums(losses.sum().double(), quality.sum(), counted.sum().double())

    def _losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if outputs.shape != targets.shape:
            raise ValueError(f"outputs are {tuple(outputs.shape)}, depths {tuple(targets.shape)} (B, 1, H, W)")
        disparity, valid = self._disparity(targets)
        return scale_shift_invariant_loss(outputs[:, 0], disparity, valid), valid.flatten(1).any(1)

    @staticmethod
    def _disparity(targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return disparities (B, H, W) in 1/m, 1 where invalid, and where they are valid."""
        depth = targets[:, 0]
        valid = depth.isfinite() & (depth > 0)
        return 1.0 / depth.where(valid, 1.0), valid


_TASKS: dict[TaskName, Task] = {"classification": Classification(), "depth": Depth()}


def task(name: TaskName) -> Task:
    """Return the task of a data set."""
    return _TASKS[name]
