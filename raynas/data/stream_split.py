"""`StreamSplit`: a split too large for memory, decoded when it is asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.data.augmentation import Augmentation
from raynas.data.source import Box, Fit, ImageSource
from raynas.data.split import Batch, Split, TensorSplit, normalise, send

KEPT_BYTES = 256 * 2**20
"""A part of at most so many bytes that `first` gives is decoded once and kept: scoring asks for it again and again."""
CROP_TRIES = 10
IMAGES_A_PIECE = 8
"""Images that a thread decodes before it asks for more: fewer cost hand-overs, more leave threads idle at the end."""


class StreamSplit(Split):
    """A split that holds its targets and reads its images, with as many threads as torch uses in this process.

    Args:
        source: The images.
        rows: (N,) which of the source's images, in order.
        targets: (N,) int64.
        fit: How an image is made to fit.
        shape: (C, H, W) of all images.
        mean: Of the pixel values (0-255), one a channel.
        std: Likewise.
        device: Where batches go.
    """

    def __init__(
        self,
        source: ImageSource,
        rows: np.ndarray,
        targets: Tensor,
        fit: Fit,
        shape: tuple[int, int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device | str = "cpu",
    ) -> None:
        self.source, self.rows, self.fit, self.shape = source, rows, fit, shape
        self._targets, self.mean, self.std, self.device = targets, mean, std, device
        self._pool: ThreadPoolExecutor | None = None
        self._kept: dict[int, TensorSplit] = {}

    @property
    def targets(self) -> Tensor:
        """All targets, in order."""
        return self._targets

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.shape

    @property
    def black(self) -> Tensor:
        """The value of a black pixel."""
        return normalise(torch.zeros(1, self.shape[0], 1, 1, dtype=torch.uint8), self.mean, self.std)[0].to(self.device)

    def take(self, index: Tensor) -> Batch:
        """Return the images of these indices, resized and cut to the centre."""
        pixels = send(self.pixels(index), self.device)
        return normalise(pixels, self.mean, self.std), send(self._targets[index.cpu()], self.device)

    def take_augmented(self, index: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Batch:
        """Return the images of these indices, changed at random; with ``area`` a random part of each is resized."""
        if augmentation.area is None:
            return super().take_augmented(index, augmentation, rng)
        # every image draws the same number of values, whatever its size, so that batches can be repeated
        draws = rng.random((len(index), CROP_TRIES, 4))
        pixels = send(self.pixels(index, draws, augmentation.area), self.device)
        images, targets = normalise(pixels, self.mean, self.std), send(self._targets[index.cpu()], self.device)
        return augmentation.apply(images, targets, rng, self.black)

    def pixels(self, index: Tensor, draws: np.ndarray | None = None, area: float = 1.0) -> Tensor:
        """Return the images of these indices as (B, C, H, W) uint8.

        Args:
            index: (B,).
            draws: (B, tries, 4) uniform numbers that choose the part of each image; the whole image if None.
            area: The least share of the area of such a part.
        """
        rows = self.rows[index.cpu().numpy()]
        if draws is None and (ready := self.fit.ready(self.source, rows, self.shape)) is not None:
            return ready
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=torch.get_num_threads(), thread_name_prefix="decode")

        def read(position: int) -> Tensor:
            row, box = int(rows[position]), None
            if draws is not None:
                box = random_box(self.source.size(row), draws[position], area)
            return self.fit.pixels(self.source, row, box, self.shape)

        def read_some(positions: np.ndarray) -> list[Tensor]:
            return [read(position) for position in positions]

        pieces = np.array_split(np.arange(len(rows)), -(-len(rows) // IMAGES_A_PIECE))
        return torch.stack([image for piece in self._pool.map(read_some, pieces) for image in piece])

    def first(self, count: int | None) -> Split:
        """Return the first images of the split (all of them for None); a small part is decoded and kept."""
        wanted = len(self) if count is None else min(count, len(self))
        if wanted * int(np.prod(self.shape)) > KEPT_BYTES:
            return super().first(count)
        if wanted not in self._kept:
            self._kept[wanted] = self.in_memory(torch.arange(wanted))
        return self._kept[wanted]

    def in_memory(self, index: Tensor) -> TensorSplit:
        """Return the split of these images, decoded."""
        split = TensorSplit(self.pixels(index), self._targets[index], self.mean, self.std)
        return split.to(self.device)

    def select(self, index: Tensor) -> StreamSplit:
        """Return the split of these images, in this order."""
        rows, targets = self.rows[index.cpu().numpy()], self._targets[index.cpu()]
        return StreamSplit(self.source, rows, targets, self.fit, self.shape, self.mean, self.std, self.device)

    def to(self, device: torch.device | str) -> StreamSplit:
        """Return the split with its batches on the device."""
        return StreamSplit(self.source, self.rows, self._targets, self.fit, self.shape, self.mean, self.std, device)

    def __getstate__(self) -> dict[str, Any]:
        # threads stay where they are; what is kept is decoded anew where it is needed
        return {**self.__dict__, "_pool": None, "_kept": {}}


def random_box(size: tuple[int, int], draws: np.ndarray, area: float) -> Box:
    """Return a random part of an image as torchvision's RandomResizedCrop chooses it.

    Args:
        size: (width, height) of the image.
        draws: (tries, 4) uniform in [0, 1): area, aspect ratio, left, top of each try; the first that fits is taken.
        area: The least share of the area.
    """
    width, height = size
    for share, ratio, left, top in draws:
        pixels = width * height * (area + (1 - area) * share)
        aspect = np.exp(np.log(3 / 4) + (np.log(4 / 3) - np.log(3 / 4)) * ratio)
        w, h = round(np.sqrt(pixels * aspect)), round(np.sqrt(pixels / aspect))
        if 0 < w <= width and 0 < h <= height:
            x, y = int(left * (width - w + 1)), int(top * (height - h + 1))
            return x, y, x + w, y + h
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    x, y = (width - w) // 2, (height - h) // 2
    return x, y, x + w, y + h
