"""The order of images: any prefix and any batch holds what the whole holds, whatever the order of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import raynas
from raynas.data import ImageData, StreamSplit, TensorSplit
from raynas.data.depth_parts import hold_out
from tests.data.files import random_images

CLASSES, EACH = 3, 40
PARTS = ("train", "valid", "test")


def bundle_by_class(root: Path) -> str:
    fields: dict[str, Any] = {}
    for seed, part in enumerate(PARTS):
        fields[f"{part}_images"] = random_images(CLASSES * EACH, seed=seed)
        fields[f"{part}_labels"] = np.repeat(np.arange(CLASSES), EACH)
    np.savez(root / "a.npz", **fields)
    return f"npz:{root / 'a.npz'}"


def folder_by_class(root: Path) -> str:
    for part in PARTS:
        for name in ("ant", "bee", "cat"):
            (root / part / name).mkdir(parents=True)
            for row, image in enumerate(random_images(EACH, (4, 4))):
                Image.fromarray(image).save(root / part / name / f"{row:03}.png")
    return f"imagefolder:{root}"


def same(one: ImageData, other: ImageData) -> bool:
    return all(
        torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
        for part in PARTS
        for mine, theirs in zip(getattr(one, part).slices(16), getattr(other, part).slices(16), strict=True)
    )


@pytest.mark.parametrize("write", [bundle_by_class, folder_by_class])
def test_prefixes_and_batches_hold_all_classes(tmp_path: Path, write: Any) -> None:
    reference = write(tmp_path)
    data = raynas.data(reference)
    streamed = raynas.data(reference, memory_mb=0)
    assert isinstance(streamed.valid, StreamSplit)
    assert isinstance(data.valid, TensorSplit)
    for part in PARTS:
        split = getattr(data, part)
        assert torch.bincount(split.targets).tolist() == [EACH] * CLASSES
        assert torch.bincount(split.first(30).targets, minlength=CLASSES).min() >= 3
        for _, targets in split.slices(20):
            assert torch.bincount(targets, minlength=CLASSES).min() >= 1
        assert torch.equal(split.first(30).targets, getattr(streamed, part).first(30).targets)
    assert same(data, streamed)
    assert same(data, raynas.data(reference))
    assert not same(data, raynas.data(reference, seed=1))


def test_held_out_and_reduced_parts_are_mixed_too(tmp_path: Path) -> None:
    data = raynas.data(bundle_by_class(tmp_path), train_images=60, valid_images=60)
    for split in (data.train, data.valid):
        assert torch.bincount(split.targets).tolist() == [20] * CLASSES
        assert torch.bincount(split.first(20).targets, minlength=CLASSES).min() >= 2


def test_frames_of_scenes_are_mixed() -> None:
    """Depth: frames of a film follow each other."""
    parts = hold_out(np.arange(1_000), None, (None, 200, 200), 0, "a film")
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(1_000))
    for rows in parts.values():
        assert rows[:20].min() < 250
        assert rows[:20].max() > 750
    again = hold_out(np.arange(1_000), None, (None, 200, 200), 0, "a film")
    assert all(np.array_equal(parts[key], again[key]) for key in parts)


def test_valid_images_do_not_depend_on_how_many_train(tmp_path: Path) -> None:
    """Images that train leaves out are used nowhere."""
    rows = random_images(90)
    np.savez(
        tmp_path / "a.npz",
        train_images=rows,
        train_labels=np.arange(90) % 3,
        test_images=rows[:3],
        test_labels=np.arange(3),
    )
    all_of_it, few = (raynas.data(f"npz:{tmp_path / 'a.npz'}", valid_images=30, **more) for more in ({}, TRAIN_30))
    held = [split.images for data in (all_of_it, few) for split in (data.valid, data.train)]
    pixels = [{image.numpy().tobytes() for image in images} for images in held]
    assert pixels[0] == pixels[2]
    assert pixels[3] < pixels[1]
    assert not pixels[0] & pixels[1]


TRAIN_30 = {"train_images": 30}
