"""Splits: the images and targets of one part of a data set, given out in batches."""

from __future__ import annotations

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.data.augmentation import Augmentation

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W), normalised, and their targets (see `Split`)."""
_ARRAYS = (Tensor, np.ndarray)


class Split(ABC):
    """One part of a data set.

    Targets are (N,) int64 class numbers, or (N, 1, H, W) float32 depths in metres, NaN where there is none.
    """

    @property
    @abstractmethod
    def targets(self) -> Tensor:
        """All targets, in order."""

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""

    @property
    @abstractmethod
    def black(self) -> Tensor:
        """The value of a black pixel after normalisation, (C, 1, 1) float32."""

    @abstractmethod
    def take(self, index: Tensor) -> Batch:
        """Return the images of these indices (B,), as they are for evaluation, with their targets."""

    @abstractmethod
    def select(self, index: Tensor) -> Split:
        """Return the split of these images, in this order."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Split:
        """Return the split with its batches on the device."""

    def __len__(self) -> int:
        return len(self.targets)

    def take_augmented(self, index: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Batch:
        """Return the images of these indices (B,), changed at random for training, with their targets."""
        return augmentation.apply(*self.take(index), rng, self.black)

    def first(self, count: int | None) -> Split:
        """Return the first images of the split (all of them for None)."""
        return self if count is None or count >= len(self) else self.select(torch.arange(count))

    def slices(self, batch_size: int) -> Iterator[Batch]:
        """Yield all images in order, in as few batches of at most `batch_size` as possible, equal give or take one.

        A small last batch would be normalised by batch statistics of its own few images.
        """
        for index in torch.arange(len(self)).tensor_split(-(-len(self) // batch_size)):
            yield self.take(index)


class TensorSplit(Split):
    """A split in memory, on any device.

    Args:
        images: (N, C, H, W); uint8 pixels with `mean` and `std`, or floating point, normalised already.
        targets: See `Split`.
        mean: Of the pixel values (0-255), one a channel.
        std: Likewise; images are (pixels - mean) / std.
    """

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> None:
        if (images.dtype == torch.uint8) != (mean is not None) or (mean is None) != (std is None):
            raise ValueError(f"pixels (uint8) come with mean and std, normalised images without; got {images.dtype}")
        if len(images) != len(targets):
            raise ValueError(f"{len(images)} images do not match {len(targets)} targets")
        self.images, self._targets, self.mean, self.std = images, targets, mean, std

    @property
    def targets(self) -> Tensor:
        """All targets, in order."""
        return self._targets

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def black(self) -> Tensor:
        """The value of a black pixel; zero for images that came normalised."""
        pixel = torch.zeros(1, self.image_shape[0], 1, 1, dtype=self.images.dtype, device=self.images.device)
        return self._normalise(pixel)[0]

    def take(self, index: Tensor) -> Batch:
        """Return the images of these indices, normalised."""
        index = send(index, self.images.device)
        return self._normalise(self.images[index]), self._targets[index]

    def select(self, index: Tensor) -> TensorSplit:
        """Return the split of these images, in this order."""
        index = index.to(self.images.device)
        return TensorSplit(self.images[index], self._targets[index], self.mean, self.std)

    def to(self, device: torch.device | str) -> TensorSplit:
        """Return the split on the device."""
        return TensorSplit(self.images.to(device), self._targets.to(device), self.mean, self.std)

    def _normalise(self, images: Tensor) -> Tensor:
        return images if self.mean is None or self.std is None else normalise(images, self.mean, self.std)

    def __getstate__(self) -> dict[str, Any]:
        # As arrays: Ray then shares one copy among all processes of a machine instead of giving each its own.
        arrays = {"images": self.images.cpu().numpy(), "targets": self._targets.cpu().numpy()}
        return {**arrays, "mean": self.mean, "std": self.std}

    def __setstate__(self, state: dict[str, Any]) -> None:
        with warnings.catch_warnings():  # shared arrays cannot be written to, and nothing here writes
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self.images, self._targets = torch.from_numpy(state["images"]), torch.from_numpy(state["targets"])
        self.mean, self.std = state["mean"], state["std"]


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on the device; to a GPU it is copied while the process goes on."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def memory_bytes(*holders: object) -> int:
    """Return the bytes of the arrays that splits hold, themselves or in their source of images; each counts once."""
    owners = [*holders, *(holder.source for holder in holders if hasattr(holder, "source"))]
    held = {id(value): value for owner in owners for value in vars(owner).values() if isinstance(value, _ARRAYS)}
    return sum(int(value.nbytes) for value in held.values())


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (pixels - mean) / std by channel as float32.

    Args:
        pixels: (B, C, H, W) uint8.
        mean: Of the pixel values (0-255), one a channel.
        std: Likewise.
    """
    return pixels.float().sub_(_by_channel(mean, pixels.device)).div_(_by_channel(std, pixels.device))


@functools.cache
def _by_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return values as (C, 1, 1), made once a process: every batch takes them."""
    return torch.tensor(values, device=device).view(-1, 1, 1)
