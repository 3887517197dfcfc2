"""`digits`: scikit-learn's 1,797 handwritten digits of 8x8 pixels, in three equal splits. Needs no download.

The split is fixed: the images of each class, shuffled once with a fixed seed, are dealt in turn to train, valid and
test (599 each, classes balanced within one image). Valid and test are as large as train because here they rank
architectures: a finer accuracy is worth more than a better network.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from raynas.data.base import DATA, ImageData
from raynas.data.split import TensorSplit
from raynas.streams import stream


def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scikit-learn's images (1797, 8, 8), pixels 0 to 16, and labels (1797,), in its order.

    Its file is read without it: importing scikit-learn takes a second, in every process that holds this module.
    """
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)


def split_indices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the indices (into scikit-learn's order) of train, valid and test."""
    _, labels = read_digits()
    rng = stream(0, "digits", "split")
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    train, valid, test = (rng.permutation(by_class[part::3]) for part in range(3))
    return train, valid, test


@DATA.register("digits")
def digits() -> ImageData:
    """1,797 handwritten digits, 8x8 grey, 10 classes (scikit-learn); 599 each to train, valid and test."""
    pixels, targets = read_digits()
    images = torch.as_tensor(pixels, dtype=torch.float32).unsqueeze(1)
    labels = torch.as_tensor(targets)
    train, valid, test = (torch.as_tensor(index) for index in split_indices())
    mean, std = images[train].mean(), images[train].std()
    images = (images - mean) / std
    splits = [TensorSplit(images[index].contiguous(), labels[index]) for index in (train, valid, test)]
    return ImageData("digits", splits[0], splits[1], splits[2], classes=10)
