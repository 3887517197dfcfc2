"""What is timed: real images, NAS-Bench-201 at its published size, and the same random paths for all contenders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import raynas
from raynas.data import ImageData, TensorSplit
from raynas.data.split import normalise
from raynas.networks import Supernet
from raynas.spaces import Architecture, Space

SIDE, CLASSES = 32, 10
_ROOT = Path(__file__).resolve().parents[1]
_MEAN, _STD = (125.3, 123.0, 113.9), (62.5, 61.9, 66.5)


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Args:
        pixels: (N, 3, H, W), normalised.
        labels: (N,).
        origin: Where they are from, for the report.
    """

    pixels: Tensor
    labels: Tensor
    origin: str

    def first(self, count: int) -> Images:
        """Return the first images."""
        return Images(self.pixels[:count], self.labels[:count], self.origin)

    def shrunk(self, factor: int) -> Images:
        """Return the images with squares of so many pixels a side averaged to one."""
        return Images(functional.avg_pool2d(self.pixels, factor), self.labels, self.origin)

    def dataset(self) -> ImageData:
        """Return them as every part of a data set."""
        split = TensorSplit(self.pixels, self.labels)
        return ImageData("cifar10", split, split, split, CLASSES)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width


def cifar10(count: int) -> Images:
    """Return CIFAR-10 images (the bundle under RAYNAS_SHARED), or random ones of the same size where it is not."""
    path = Path(os.environ.get("RAYNAS_SHARED", _ROOT.parent / "shared")) / "data" / "cifar10" / "cifar10_small.npz"
    if not path.is_file():
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(count, 3, SIDE, SIDE, generator=generator)
        labels = torch.randint(CLASSES, (count,), generator=generator)
        return Images(pixels, labels, f"{count} random images, as {path} is not there")
    with np.load(path, allow_pickle=False) as stored:
        images = torch.from_numpy(stored["train_images"][:count].transpose(0, 3, 1, 2).copy())
        labels = torch.from_numpy(stored["train_labels"][:count].astype(np.int64))
    return Images(normalise(images, _MEAN, _STD), labels, f"{count} CIFAR-10 images")


def space() -> Space:
    """Return NAS-Bench-201 without the cells that nothing can be trained in."""
    return raynas.space("nasbench201", connected=True)


def paths(count: int, drawn_from: Space | None = None) -> list[Architecture]:
    """Return paths drawn uniformly, NAS-Bench-201's if no space is given; a longer list starts with the shorter one."""
    rng, drawn_from = np.random.default_rng(0), drawn_from or space()
    return [drawn_from.sample(rng) for _ in range(count)]


def shared_network(images: Images, *, channels: int = 16, cells: int = 5) -> Supernet:
    """Return the supernet as raynas trains it: its weights lie channels-last (see `SupernetJob.build`)."""
    network = raynas.supernet(
        space(), input_shape=images.input_shape, classes=CLASSES, channels=channels, cells=cells, seed=0
    )
    assert isinstance(network, Supernet)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
