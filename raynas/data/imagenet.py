"""ImageNet (ILSVRC 2012) and its small relative ImageNet16-120, by Hugging Face datasets.

Neither has labelled test images of its own: the official validation images serve as test, and valid is held out of the
training images, classes balanced.
"""

from __future__ import annotations

import numpy as np

from raynas.data import options
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData
from raynas.data.hub import hub_parts
from raynas.data.parts import Assembly, Moments, Part, Selection
from raynas.data.source import Fit
from raynas.errors import DataError

IMAGENET_MOMENTS: Moments = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""As torchvision normalises."""
IMAGENET16_MOMENTS: Moments = ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))
"""As NAS-Bench-201 normalises (AutoDL-Projects)."""
CLASSES_OF_120 = 120


@DATA.register("imagenet")
def imagenet(
    *,
    path: options.Hub = "ILSVRC/imagenet-1k",
    size: options.Size = 224,
    margin: options.Margin = 32,
    area: options.Area = 0.08,
    crop: options.Crop = 0,
    flip: options.Flip = True,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: options.HeldOut = 10_000,
    test_images: options.Count = None,
    seed: options.Seed = 0,
    memory_mb: options.MemoryMb = options.DEFAULT_MEMORY_MB,
) -> ImageData:
    """ImageNet by Hugging Face datasets, read image by image; valid is held out of train, test the 50,000 official."""
    found = hub_parts(path, ("train", "validation"), "label")
    assembly = Assembly(
        Fit(3, size, margin),
        Selection(train_images, valid_images, test_images, seed),
        Augmentation(crop, flip, cutout, area),
        memory_mb,
        IMAGENET_MOMENTS,
    )
    return assembly.build("imagenet", {"train": found["train"], "test": found["validation"]}, 1_000, path)


@DATA.register("imagenet16")
def imagenet16(
    *,
    path: options.Hub,
    size: options.Size = None,
    crop: options.Crop = 2,
    flip: options.Flip = True,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: options.HeldOut = 6_000,
    test_images: options.Count = None,
    seed: options.Seed = 0,
    memory_mb: options.MemoryMb = options.DEFAULT_MEMORY_MB,
) -> ImageData:
    """ImageNet16-120 by Hugging Face datasets, of a copy at path with labels from 0 in the order of its release.

    Of a copy of the whole downsampled ImageNet (Chrabaszcz et al., 2017) the first 120 classes are taken, which is how
    NAS-Bench-201 defines it. No copy on the hub is a default: their orders of classes differ.
    """
    found = hub_parts(path, ("train", "validation"), "label")
    parts = {"train": _first_classes(found["train"]), "test": _first_classes(found["validation"])}
    missing = sorted(set(range(CLASSES_OF_120)) - set(parts["train"].labels.tolist()))
    if missing:
        raise DataError([f"train has no image of class {missing[0]} ({len(missing)} of 120 classes missing)"], path)
    assembly = Assembly(
        Fit(3, size),
        Selection(train_images, valid_images, test_images, seed),
        Augmentation(crop, flip, cutout),
        memory_mb,
        IMAGENET16_MOMENTS,
    )
    return assembly.build("imagenet16", parts, CLASSES_OF_120, path)


def _first_classes(part: Part) -> Part:
    return part.select(np.flatnonzero((part.labels >= 0) & (part.labels < CLASSES_OF_120)))
