"""`digits`: scikit-learn's 1,797 handwritten digits of 8x8 pixels, in three equal splits. Needs no download.

The split is fixed: the images of each class, shuffled once with a fixed seed, are dealt in turn to train, valid and
test (599 each, classes balanced within one image). Valid and test are as large as train because here they rank
architectures: a finer accuracy is worth more than a better network.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from raynas.data.base import DATA, ImageData
from raynas.data.split import TensorSplit
from raynas.streams import stream


def split_indices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the indices (into scikit-learn's order) of train, valid and test."""
    labels = load_digits().target
    rng = stream(0, "digits", "split")
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    train, valid, test = (rng.permutation(by_class[part::3]) for part in range(3))
    return train, valid, test


@DATA.register("digits")
def digits() -> ImageData:
    """1,797 handwritten digits, 8x8 grey, 10 classes (scikit-learn); 599 each to train, valid and test."""
    source = load_digits()
    images = torch.as_tensor(source.images, dtype=torch.float32).unsqueeze(1)
    labels = torch.as_tensor(source.target, dtype=torch.int64)
    train, valid, test = (torch.as_tensor(index) for index in split_indices())
    mean, std = images[train].mean(), images[train].std()
    images = (images - mean) / std
    splits = [TensorSplit(images[index].contiguous(), labels[index]) for index in (train, valid, test)]
    return ImageData("digits", splits[0], splits[1], splits[2], classes=10)
