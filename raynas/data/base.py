"""Data sets: three splits, a task, and how training images are changed at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from raynas.data.augmentation import Augmentation
from raynas.data.split import Split
from raynas.errors import DataError
from raynas.registry import Registry

TaskName = Literal["classification", "depth"]


@dataclass(frozen=True)
class ImageData:
    """A data set: weights are trained on `train`, scores read on `valid`, `test` is only reported.

    Args:
        name: Its registered name.
        train: For weights.
        valid: For scores and searches.
        test: For the final report.
        classes: The network's output channels: the number of classes K; 1 for depth.
        task: What is learned, and with it the loss and the quality (see `raynas.training.task`).
        augmentation: What is done to training images; None for nothing.

    Raises:
        DataError: Images of the splits differ in shape, or a target does not belong to the task.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: int
    task: TaskName = "classification"
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        problems: list[str] = []
        for part in ("train", "valid", "test"):
            split: Split = getattr(self, part)
            if len(split) == 0:
                problems.append(f"{part} holds no images")
            elif split.image_shape != self.input_shape:
                problems.append(f"images of {part} are {split.image_shape}, of train {self.input_shape} (C, H, W)")
            problems += self._target_problems(part, split)
        if problems:
            raise DataError(problems, f"data set {self.name}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.train.image_shape

    def to(self, device: torch.device | str) -> ImageData:
        """Return the data set with its batches on the device; itself if they are there already."""
        wanted, have = torch.device(device), self.train.black.device
        if wanted.type == have.type and wanted.index in (None, have.index):
            return self
        parts = {part: getattr(self, part).to(device) for part in ("train", "valid", "test")}
        return replace(self, **parts)

    def _target_problems(self, part: str, split: Split) -> list[str]:
        targets = split.targets
        if self.task == "depth":
            wanted = (len(split), 1, *split.image_shape[1:])
            fits = targets.is_floating_point() and tuple(targets.shape) == wanted
            if not fits:
                return [f"depths of {part} are {targets.dtype} {tuple(targets.shape)}, not float {wanted}"]
            empty = torch.nonzero(~(targets.isfinite() & (targets > 0)).flatten(1).any(1)).flatten()
            return [f"depths of {part}: no valid depth at index {int(empty[0])}"] if len(empty) else []
        if targets.dtype != torch.int64 or targets.ndim != 1:
            return [f"labels of {part} are {targets.dtype} with {targets.ndim} dimensions, not int64 with 1"]
        return label_problems(f"labels of {part}", targets, self.classes)


def label_problems(field: str, labels: torch.Tensor, classes: int) -> list[str]:
    """Return one sentence if labels lie outside 0 to K - 1, with the index of the first.

    Args:
        field: Where the labels stand, for the sentence.
        labels: (N,) integers.
        classes: K.
    """
    wrong = torch.nonzero((labels < 0) | (labels >= classes)).flatten()
    if not len(wrong):
        return []
    first = int(wrong[0])
    more = f" ({len(wrong)} such labels)" if len(wrong) > 1 else ""
    return [f"{field}: label {int(labels[first])} at index {first}{more}; allowed are 0 to {classes - 1}"]


DATA: Registry[ImageData] = Registry("data set")
