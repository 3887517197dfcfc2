"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) from the Hugging Face hub or a local copy, and the field's splits of them.

`cifar10` and `cifar100`: train is the first 40,000 of the 50,000 training images, valid the last 10,000, as CLOSE and
aw_nas have it; test is the official test set. `cifar10-valid`: NAS-Bench-201's halves. Validation images are never test
images.

All of these are told by index in the original order, data_batch_1 to data_batch_5. The copy on the hub begins with
data_batch_4, so batches are recognised by their labels and put back. CIFAR-100 has a single training file, so its
copies are in the original order.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from raynas.data import options
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData, label_problems
from raynas.data.hub import hub_parts
from raynas.data.parts import Assembly, Moments, Part, Selection
from raynas.data.source import Fit
from raynas.errors import DataError

TRAINING_IMAGES = 50_000
BATCHES = ("45121d44cd3423b8", "4274a59510261613", "ef33a74be9ff440a", "32e2fe90f81d9af3", "16ffe6595a0439cc")
"""Of data_batch_1 to data_batch_5 of CIFAR-10: BLAKE2b (8 bytes) of their 10,000 labels, one byte each."""
CIFAR10_MOMENTS: Moments = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
CIFAR100_MOMENTS: Moments = ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4))
"""Both as NAS-Bench-201 normalises (AutoDL-Projects)."""

Last = Annotated[int, Field(ge=1, description="the last so many training images are for validation")]


@DATA.register("cifar10")
def cifar10(
    *,
    path: options.Hub = "uoft-cs/cifar10",
    size: options.Size = None,
    crop: options.Crop = 4,
    flip: options.Flip = True,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: Last = 10_000,
    test_images: options.Count = None,
    seed: options.Seed = 0,
) -> ImageData:
    """CIFAR-10 by Hugging Face datasets: the first 40,000 images train, the last 10,000 of the 50,000 valid."""
    parts = _official(path, "label", 10)
    if len(parts["train"].rows) == TRAINING_IMAGES:  # of fewer images, a copy to try things out, any order will do
        parts["train"] = in_original_order(parts["train"], path)
    parts = _last_for_valid(parts, valid_images, path)
    build = _assembly(CIFAR10_MOMENTS, size, crop, flip, cutout, Selection(train_images, None, test_images, seed))
    return build.build("cifar10", parts, 10, path)


@DATA.register("cifar10-valid")
def cifar10_valid(
    *,
    path: options.Hub = "uoft-cs/cifar10",
    size: options.Size = None,
    crop: options.Crop = 4,
    flip: options.Flip = True,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: options.Count = None,
    test_images: options.Count = None,
    seed: options.Seed = 0,
) -> ImageData:
    """CIFAR-10 in NAS-Bench-201's official halves: 25,000 train, 25,000 valid, 10,000 test (Hugging Face datasets)."""
    parts = _official(path, "label", 10)
    whole = parts["train"]
    if len(whole.rows) != TRAINING_IMAGES:
        problem = f"train has {len(whole.rows)} images; the official halves are of CIFAR-10's {TRAINING_IMAGES}"
        raise DataError([problem], path)
    whole, half = in_original_order(whole, path), in_training_half()
    parts = {**parts, "train": whole.select(np.flatnonzero(half)), "valid": whole.select(np.flatnonzero(~half))}
    selection = Selection(train_images, valid_images, test_images, seed)
    return _assembly(CIFAR10_MOMENTS, size, crop, flip, cutout, selection).build("cifar10-valid", parts, 10, path)


@DATA.register("cifar100")
def cifar100(
    *,
    path: options.Hub = "uoft-cs/cifar100",
    size: options.Size = None,
    crop: options.Crop = 4,
    flip: options.Flip = True,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: Last = 10_000,
    test_images: options.Count = None,
    seed: options.Seed = 0,
) -> ImageData:
    """CIFAR-100 by Hugging Face datasets: the first 40,000 images train, the last 10,000 of the 50,000 valid."""
    parts = _last_for_valid(_official(path, "fine_label", 100), valid_images, path)
    build = _assembly(CIFAR100_MOMENTS, size, crop, flip, cutout, Selection(train_images, None, test_images, seed))
    return build.build("cifar100", parts, 100, path)


def in_training_half() -> np.ndarray:
    """Return for each of CIFAR-10's 50,000 training images, in the original order, if NAS-Bench-201 trains on it.

    One bit an image, packed by ``np.packbits``; the facts are those of ``configs/nas-benchmark/cifar-split.txt`` of
    D-X-Y/AutoDL-Projects (MIT license).
    """
    packed = resources.files("raynas.data").joinpath("splits/cifar10_valid.bin").read_bytes()
    return np.unpackbits(np.frombuffer(packed, np.uint8)).astype(bool)


def in_original_order(train: Part, path: str) -> Part:
    """Return CIFAR-10's 50,000 training images as data_batch_1 to data_batch_5, which may come in any order.

    Args:
        train: The images, their labels checked.
        path: Of the copy, for messages.

    Raises:
        DataError: Some 10,000 images in a row are none of the batches, or one of them is missing.
    """
    positions = np.arange(TRAINING_IMAGES).reshape(len(BATCHES), -1)
    found = [
        hashlib.blake2b(train.labels[block].astype(np.uint8).tobytes(), digest_size=8).hexdigest()
        for block in positions
    ]
    if sorted(found) != sorted(BATCHES):
        strange = [row for row, batch in enumerate(found) if batch not in BATCHES or batch in found[:row]]
        told = ", ".join(f"{positions[row][0]} to {positions[row][-1]}" for row in strange)
        problem = (
            f"train: by their labels, rows {told} are none of the five batches of CIFAR-10 (or one of them again), so "
            "the official splits by index cannot be found; give a copy whose 50,000 images keep their order within "
            "each data_batch, the batches in any order, or read these images as your own data with imagefolder or "
            "npz, which hold valid out at random"
        )
        raise DataError([problem], path)
    return train.select(np.concatenate([positions[found.index(batch)] for batch in BATCHES]))


def _official(path: str, label: str, classes: int) -> dict[str, Part]:
    parts = hub_parts(path, ("train", "test"), label)
    problems = [
        problem
        for key, part in parts.items()
        for problem in label_problems(f"{label} of {key}", torch.as_tensor(part.labels), classes)
    ]
    if problems:
        raise DataError(problems, path)
    return parts


def _last_for_valid(parts: dict[str, Part], valid_images: int, path: str) -> dict[str, Part]:
    whole = parts["train"]
    if valid_images >= len(whole.rows):
        raise DataError([f"valid_images={valid_images} leaves none of {len(whole.rows)} images to train on"], path)
    train, valid = np.split(np.arange(len(whole.rows)), [-valid_images])
    return {**parts, "train": whole.select(train), "valid": whole.select(valid)}


def _assembly(moments: Moments, size: int | None, crop: int, flip: bool, cutout: int, selection: Selection) -> Assembly:
    return Assembly(Fit(3, size), selection, Augmentation(crop, flip, cutout), options.DEFAULT_MEMORY_MB, moments)
