"""A few of a data set's own images, for a rehearsal."""

from __future__ import annotations

import torch

from raynas.data import ImageData, Split

BATCHES = 4
"""Training batches kept: half of the images may be held out, and be parted again into those scored and those drawn."""


def few_images(data: ImageData, batch_size: int, scored: int) -> ImageData:
    """Return the data set with few images, evenly spaced, so that files in the order of classes give all of them.

    Args:
        data: The whole data set.
        batch_size: Images of a training batch.
        scored: Images scored at once.
    """
    return ImageData(
        data.name,
        _spaced(data.train, BATCHES * batch_size),
        _spaced(data.valid, scored),
        _spaced(data.test, scored),
        data.classes,
        data.task,
        data.augmentation,
    )


def _spaced(split: Split, count: int) -> Split:
    if count >= len(split):
        return split
    return split.select(torch.linspace(0, len(split) - 1, count).round().long())
