"""From labelled sources to a data set: parts held out, subsets drawn, small parts decoded, large ones streamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from raynas.data.augmentation import Augmentation
from raynas.data.base import ImageData
from raynas.data.source import Fit, ImageSource
from raynas.data.split import Split
from raynas.data.stream_split import StreamSplit
from raynas.errors import DataError
from raynas.streams import stream

MEASURED_IMAGES = 5_000
"""Mean and deviation of pixels are measured on at most so many training images, evenly spread."""

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of pixel values (0-255), by channel."""


@dataclass(frozen=True)
class Part:
    """Some images of a source, with a label each.

    Args:
        source: Where the images are.
        rows: (N,) which of them.
        labels: (N,) int64.
    """

    source: ImageSource
    rows: np.ndarray
    labels: np.ndarray

    def select(self, index: np.ndarray) -> Part:
        """Return the part of these positions."""
        return replace(self, rows=self.rows[index], labels=self.labels[index])


@dataclass(frozen=True)
class Selection:
    """How many images of each part are used: None for all, or, of a part to be held out, a tenth of train.

    Args:
        train: So many training images; more than there are is an error.
        valid: Likewise.
        test: Likewise.
        seed: Of the draws.
    """

    train: int | None = None
    valid: int | None = None
    test: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Assembly:
    """How parts become splits.

    Args:
        fit: How an image is made to fit.
        selection: How many images.
        augmentation: What is done to training images.
        memory_mb: Splits with more pixels than so many megabytes are streams; so is train if parts of images are drawn.
        moments: Mean and deviation to normalise by; measured on training images if None.
    """

    fit: Fit
    selection: Selection
    augmentation: Augmentation
    memory_mb: int
    moments: Moments | None = None

    def build(self, name: str, parts: Mapping[str, Part], classes: int, origin: str) -> ImageData:
        """Return the data set.

        Args:
            name: Its name.
            parts: ``train``, and ``valid`` and ``test`` unless they are to be held out of it.
            classes: K.
            origin: The file or folder, for messages.

        Raises:
            DataError: Too few images, or images that cannot be read or differ in shape.
        """
        if self.fit.size is None and (self.augmentation.area is not None or self.fit.margin):
            raise DataError(["area and margin are about resized images; give a size"], origin)
        chosen = choose(parts, self.selection, origin)
        try:
            train = chosen["train"]
            channels, height, width = self.fit.pixels(train.source, int(train.rows.min())).shape
            shape = (channels, height, width)
            streams = {key: self._stream(part, shape, self.moments) for key, part in chosen.items()}
            if self.moments is None:
                moments = measure(streams["train"])
                streams = {key: self._stream(part, shape, moments) for key, part in chosen.items()}
            splits = {key: self._held(key, split) for key, split in streams.items()}
        except DataError as error:
            raise DataError(error.problems, origin) from error
        return ImageData(
            name,
            splits["train"],
            splits["valid"],
            splits["test"],
            classes,
            augmentation=self.augmentation if self.augmentation.changes else None,
        )

    def _stream(self, part: Part, shape: tuple[int, int, int], moments: Moments | None) -> StreamSplit:
        mean, std = moments or ((0.0,) * shape[0], (1.0,) * shape[0])
        return StreamSplit(part.source, part.rows, torch.as_tensor(part.labels), self.fit, shape, mean, std)

    def _held(self, key: str, split: StreamSplit) -> Split:
        if key == "train" and self.augmentation.area is not None:
            return split
        size = len(split) * int(np.prod(split.image_shape))
        return split if size > self.memory_mb * 10**6 else split.in_memory(torch.arange(len(split)))


def choose(parts: Mapping[str, Part], selection: Selection, origin: str) -> dict[str, Part]:
    """Return train, valid and test: what is missing is held out of train, then subsets are drawn, classes balanced.

    Images that ``train`` leaves out are used nowhere. Each part is in a random order (see `fixed_order`).

    Raises:
        DataError: Fewer images than asked for.
    """
    chosen = dict(parts)
    problems = []
    for key in ("valid", "test"):
        if key in chosen:
            continue
        train = chosen["train"]
        count = getattr(selection, key) or max(1, len(train.rows) // 10)
        if count >= len(train.rows):
            problems.append(f"{key}_images={count} cannot be held out of {len(train.rows)} training images")
            continue
        held = balanced(train.labels, count, stream(selection.seed, "hold out", key))
        chosen[key] = train.select(held)
        chosen["train"] = train.select(np.setdiff1d(np.arange(len(train.rows)), held))
    for key, part in chosen.items():
        count = getattr(selection, key)
        if count is None or count == len(part.rows):
            continue
        if count > len(part.rows):
            problems.append(f"{key}_images={count}, but {key} has {len(part.rows)} images")
        else:
            chosen[key] = part.select(balanced(part.labels, count, stream(selection.seed, "subset", key)))
    if problems:
        raise DataError(problems, origin)
    return {key: part.select(fixed_order(len(part.rows), key, selection.seed)) for key, part in chosen.items()}


def fixed_order(count: int, part: str, seed: int) -> np.ndarray:
    """Return the order in which a part gives its images: random, so that its first N and its batches resemble it all.

    Files come class by class, or scene by scene. The order is the same in every run with the same seed of the data.

    Args:
        count: Images of the part.
        part: ``train``, ``valid`` or ``test``.
        seed: Of the draws.
    """
    return stream(seed, "order of images", part).permutation(count)


def balanced(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return so many positions, sorted: of each class equally many give or take one, while it has them.

    Args:
        labels: (N,).
        count: At most N.
        rng: Draws which.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    turn = np.arange(len(labels)) - np.repeat(starts, sizes)  # 0 for the first drawn of a class, 1 for the second, ...
    ties = rng.permutation(len(labels))
    return np.sort(order[np.lexsort((ties, turn))[:count]])


def measure(train: StreamSplit) -> Moments:
    """Return mean and deviation of the pixels of evenly spread images; a channel that never changes has deviation 1."""
    index = torch.linspace(0, len(train) - 1, min(len(train), MEASURED_IMAGES)).round().long()
    total, count = torch.zeros(2, train.image_shape[0], dtype=torch.float64), 0
    for part in index.tensor_split(-(-len(index) // 250)):
        values = train.pixels(part).double().transpose(0, 1).flatten(1)
        total += torch.stack([values.sum(1), (values**2).sum(1)])
        count += values.shape[1]
    mean = total[0] / count
    std = (total[1] / count - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(std.where(std > 1e-6, 1.0).tolist())
