"""`npz:PATH`: a bundle of images and labels in one numpy file (docs/data.md tells its fields)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from raynas.data import options
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData, label_problems
from raynas.data.parts import Assembly, Part, Selection
from raynas.data.source import ArraySource, BlobSource, Fit, ImageSource
from raynas.errors import DataError, nearest

PARTS = ("train", "valid", "test")
FIELDS = ("class_names", *(f"{part}_{kind}" for part in PARTS for kind in ("images", "jpeg", "offsets", "labels")))


@DATA.register("npz")
def npz(
    *,
    path: options.Path,
    size: options.Size = None,
    crop: options.Crop = 0,
    flip: options.Flip = False,
    cutout: options.Cutout = 0,
    train_images: options.Count = None,
    valid_images: options.HeldOut = None,
    test_images: options.HeldOut = None,
    seed: options.Seed = 0,
    memory_mb: options.MemoryMb = options.DEFAULT_MEMORY_MB,
) -> ImageData:
    """Images and labels of a numpy file (npz:PATH); what it has no valid or test part for is held out of train."""
    fields = read_fields(path)
    parts, problems = read_parts(fields)
    classes, more = _classes(fields, parts)
    problems += more
    if size is None:
        shapes = {key: fields[f"{key}_images"].shape[1:] for key in parts if f"{key}_images" in fields}
        if len(set(shapes.values())) > 1:
            told = ", ".join(f"{key}_images {shape}" for key, shape in shapes.items())
            problems.append(f"images differ in shape: {told}; give a size to have all images resized")
    if problems:
        raise DataError(problems, path)
    grey = "train_images" in fields and fields["train_images"].ndim == 3
    if "train_jpeg" in fields:
        grey = parts["train"].source.open(0).mode == "L"
    assembly = Assembly(
        Fit(1 if grey else 3, size),
        Selection(train_images, valid_images, test_images, seed),
        Augmentation(crop, flip, cutout),
        memory_mb,
    )
    return assembly.build(f"npz:{path}", parts, classes, path)


def read_fields(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of a numpy file.

    Raises:
        DataError: There is no such file, it is no .npz, or it holds pickled objects.
    """
    if not Path(path).is_file():
        raise DataError([f"no file at {path}"], path)
    with Path(path).open("rb") as file:
        if not file.read(6).startswith((b"PK", b"\x93NUMPY")):  # numpy would take it for a pickle, and advise to run it
            raise DataError(["is not an .npz (a file of numpy.savez)"], path)
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            raise DataError(["is a single array (.npy), not an .npz of named fields"], path)
        with stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError([f"cannot be read as an .npz without pickled objects: {error}"], path) from error


def read_parts(fields: dict[str, np.ndarray]) -> tuple[dict[str, Part], list[str]]:
    """Return the parts that can be read, and all problems."""
    parts: dict[str, Part] = {}
    problems = [
        f"field {name} is not known{nearest(name, FIELDS)} (allowed: {', '.join(FIELDS)})"
        for name in fields
        if name not in FIELDS
    ]
    for key in PARTS:
        if key != "train" and not any(name.startswith(f"{key}_") for name in fields):
            continue
        source, found = _source(fields, key)
        labels = fields.get(f"{key}_labels")
        if labels is None:
            found.append(f"field {key}_labels is missing")
        elif labels.ndim != 1 or labels.dtype.kind not in "iu":
            found.append(f"{key}_labels is {labels.dtype} {labels.shape}, not integers (N,)")
        elif source is not None and len(labels) != len(source):
            found.append(f"{key}_labels holds {len(labels)} labels for {len(source)} images")
        elif len(labels) == 0:
            found.append(f"{key}_labels is empty")
        elif source is not None:
            parts[key] = Part(source, np.arange(len(source)), labels.astype(np.int64))
        problems += found
    return parts, problems


def _source(fields: dict[str, np.ndarray], key: str) -> tuple[ImageSource | None, list[str]]:
    names = f"{key}_images", f"{key}_jpeg", f"{key}_offsets"
    images, blob, offsets = (fields.get(name) for name in names)
    if images is not None and blob is not None:
        return None, [f"{names[0]} and {names[1]} exclude each other"]
    if images is not None:
        if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
            return None, [f"{names[0]} is {images.dtype} {images.shape}, not uint8 (N, H, W) or (N, H, W, 3)"]
        return ArraySource(images, names[0]), []
    if blob is None or offsets is None:
        missing = names[2] if blob is not None else names[1] if offsets is not None else f"{names[0]} (or {names[1]})"
        return None, [f"field {missing} is missing"]
    if blob.dtype != np.uint8 or blob.ndim != 1:
        return None, [f"{names[1]} is {blob.dtype} {blob.shape}, not uint8 (bytes,)"]
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2:
        return None, [f"{names[2]} is {offsets.dtype} {offsets.shape}, not integers (N + 1,)"]
    offsets = offsets.astype(np.int64)
    wrong = np.flatnonzero((np.diff(offsets) <= 0) | (offsets[:-1] < 0) | (offsets[1:] > len(blob)))
    if len(wrong):
        place = f"{offsets[wrong[0]]} to {offsets[wrong[0] + 1]} at index {wrong[0]}"
        return None, [f"{names[2]}: {place} is no piece of the {len(blob)} bytes of {names[1]}"]
    return BlobSource(blob, offsets, names[1]), []


def _classes(fields: dict[str, np.ndarray], parts: dict[str, Part]) -> tuple[int, list[str]]:
    """Return the number of classes (by name, or as many as train has) and labels out of range."""
    if "class_names" in fields:
        classes = len(fields["class_names"])
    else:
        classes = int(parts["train"].labels.max()) + 1 if "train" in parts else 0
    if classes < 1:
        return classes, []
    return classes, [
        problem
        for key, part in parts.items()
        for problem in label_problems(f"{key}_labels", torch.as_tensor(part.labels), classes)
    ]
