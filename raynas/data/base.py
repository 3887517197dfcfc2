"""Images and labels as tensors, in named splits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raynas.registry import Registry


@dataclass(frozen=True)
class Split:
    """One split of a data set, normalised and in memory.

    Args:
        images: (N, C, H, W) float32.
        labels: (N,) int64, from 0 to K - 1.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Split:
        """Return the first images of the split (all of them for None)."""
        return self if count is None else Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class ImageData:
    """A data set for classification: weights are trained on `train`, scores read on `valid`, `test` only reported.

    Args:
        name: Its registered name.
        train: For weights.
        valid: For scores and searches.
        test: For the final report.
        classes: The number of classes K.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


DATA: Registry[ImageData] = Registry("data set")
