"""`imagefolder:PATH`: image files in folders, ``PATH/train/<class>/*.jpg``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from raynas.data import options
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData
from raynas.data.parts import Assembly, Part, Selection
from raynas.data.source import Fit, file_source
from raynas.errors import DataError, nearest

SUFFIXES = (".jpg", ".jpeg", ".png")
FOLDERS = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}


@DATA.register("imagefolder")
def imagefolder(
    *,
    path: options.Path,
    size: options.Size = None,
    margin: options.Margin = 0,
    channels: Annotated[Literal[1, 3], Field(description="3 for colour, 1 for grey")] = 3,
    area: options.Area = None,
    crop: options.Crop = 0,
    flip: options.Flip = False,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: options.HeldOut = None,
    test_images: options.HeldOut = None,
    seed: options.Seed = 0,
    memory_mb: options.MemoryMb = options.DEFAULT_MEMORY_MB,
) -> ImageData:
    """PNG and JPEG files in PATH/train/<class>/ (imagefolder:PATH), likewise valid (or val) and test, or held out."""
    root = Path(path)
    if not root.is_dir():
        raise DataError([f"no folder at {path}"], path)
    found = {
        key: next((root / name for name in names if (root / name).is_dir()), None) for key, names in FOLDERS.items()
    }
    train = found["train"]
    if train is None:
        raise DataError([f"there is no folder {root / 'train'}"], path)
    classes = _class_folders(train)
    problems: list[str] = [] if classes else [f"{train} holds no folder of a class"]
    parts = {}
    for key, folder in found.items():
        if folder is not None:
            parts[key], more = _part(folder, classes)
            problems += more
    if problems:
        raise DataError(problems, path)
    assembly = Assembly(
        Fit(channels, size, margin),
        Selection(train_images, valid_images, test_images, seed),
        Augmentation(crop, flip, cutout, area),
        memory_mb,
    )
    return assembly.build(f"imagefolder:{path}", parts, len(classes), path)


def _class_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _part(folder: Path, classes: list[str]) -> tuple[Part, list[str]]:
    """Return the files of a part with the place of their class among the sorted names, and problems."""
    problems = [
        f"{folder / name} is no class of train{nearest(name, classes)} (allowed: {', '.join(classes)})"
        for name in _class_folders(folder)
        if name not in classes
    ]
    files = [
        (file, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for file in sorted((folder / name).iterdir())
        if file.suffix.lower() in SUFFIXES
    ]
    if not files:
        problems.append(f"{folder} holds no images in folders of classes (allowed: {', '.join(SUFFIXES)})")
    labels = np.array([label for _, label in files], np.int64)
    return Part(file_source([file for file, _ in files]), np.arange(len(files)), labels), problems
