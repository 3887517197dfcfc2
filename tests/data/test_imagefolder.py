"""Folders of images: classes, streams, random parts, and files that are not what they should be."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import raynas
from raynas.data import StreamSplit, TensorSplit
from raynas.errors import DataError
from tests.data.files import image_folder, random_images


def test_parts_and_classes(tmp_path: Path) -> None:
    root = image_folder(tmp_path, {"train": 6, "val": 2, "test": 3})
    data = raynas.data(f"imagefolder:{root}")
    assert (len(data.train), len(data.valid), len(data.test)) == (18, 6, 9)
    assert torch.bincount(data.train.targets).tolist() == [6] * 3
    assert data.input_shape == (3, 8, 8)
    assert isinstance(data.train, TensorSplit)
    bees = data.train.images[data.train.targets == 1].permute(0, 2, 3, 1).numpy()
    assert any(np.array_equal(image, random_images(6, seed=1)[0]) for image in bees)


def test_missing_parts_are_held_out(tmp_path: Path) -> None:
    root = image_folder(tmp_path, {"train": 10})
    data = raynas.data(f"imagefolder:{root}", valid_images=6, test_images=3)
    assert [torch.bincount(s.targets).tolist() for s in (data.train, data.valid, data.test)] == [
        [7] * 3,
        [2] * 3,
        [1] * 3,
    ]
    again = raynas.data(f"imagefolder:{root}", valid_images=6, test_images=3)
    other = raynas.data(f"imagefolder:{root}", valid_images=6, test_images=3, seed=1)
    assert torch.equal(data.valid.take(torch.arange(6))[0], again.valid.take(torch.arange(6))[0])
    assert not torch.equal(data.valid.take(torch.arange(6))[0], other.valid.take(torch.arange(6))[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_streamed_equals_in_memory(tmp_path: Path, channels: int) -> None:
    root = image_folder(tmp_path, {"train": 6, "valid": 3, "test": 3}, side=(13, 17))
    options = {"size": 8, "margin": 2, "channels": channels, "crop": 2, "flip": True}
    held = raynas.data(f"imagefolder:{root}", **options)
    streamed = raynas.data(f"imagefolder:{root}", **options, memory_mb=0)
    assert isinstance(streamed.train, StreamSplit)
    assert isinstance(held.train, TensorSplit)
    assert held.input_shape == streamed.input_shape == (channels, 8, 8)
    index = torch.tensor([3, 17, 0])
    for split in (streamed.train, pickle.loads(pickle.dumps(streamed.train)), streamed.train.to("cpu")):
        for mine, theirs in zip(split.take(index), held.train.take(index), strict=True):
            assert torch.equal(mine, theirs)
    assert held.augmentation is not None
    a, b = (
        split.take_augmented(index, held.augmentation, np.random.default_rng(0))
        for split in (held.train, streamed.train)
    )
    assert torch.equal(a[0], b[0])
    assert torch.equal(
        streamed.valid.select(torch.tensor([4, 2])).take(torch.tensor([1]))[0], held.valid.take(torch.tensor([2]))[0]
    )


def test_small_parts_of_streams_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = image_folder(tmp_path, {"train": 6, "valid": 3, "test": 3})
    valid = raynas.data(f"imagefolder:{root}", memory_mb=0).valid
    assert isinstance(valid.first(4), TensorSplit)
    assert valid.first(4) is valid.first(4)
    monkeypatch.setattr("raynas.data.stream_split.KEPT_BYTES", 100)
    assert isinstance(valid.first(5), StreamSplit)
    assert torch.equal(valid.first(5).take(torch.arange(4))[0], valid.first(4).take(torch.arange(4))[0])


def test_random_parts_of_images(tmp_path: Path) -> None:
    root = tmp_path
    ramp = np.repeat(np.arange(60, dtype=np.uint8)[None, :, None], 40, axis=0).repeat(3, axis=2)
    for part in ("train", "valid", "test"):
        (root / part / "ramp").mkdir(parents=True)
        for row in range(20):
            Image.fromarray(ramp).save(root / part / "ramp" / f"{row}.png")
    data = raynas.data(f"imagefolder:{root}", size=8, area=0.2)
    assert isinstance(data.train, StreamSplit)  # parts are cut out while decoding, so the images stay files
    assert data.augmentation is not None
    index = torch.arange(20)
    a, b = (data.train.take_augmented(index, data.augmentation, np.random.default_rng(0))[0] for _ in range(2))
    assert torch.equal(a, b)
    pixels = (a * torch.tensor(data.train.std).view(3, 1, 1) + torch.tensor(data.train.mean).view(3, 1, 1))[:, 0]
    step = pixels.diff(dim=2)
    widths = step.mean((1, 2)) * 8  # the ramp tells how wide each part was
    assert (step.std((1, 2)) < 1).all()
    assert 15 < widths.min() < 30
    assert 40 < widths.max() <= 60.5


@pytest.mark.parametrize("options", [{"area": 0.5}, {"margin": 3}])
def test_resizing_needs_a_size(tmp_path: Path, options: dict[str, float]) -> None:
    root = image_folder(tmp_path, {"train": 4, "valid": 1, "test": 1})
    with pytest.raises(DataError, match="give a size"):
        raynas.data(f"imagefolder:{root}", **options)


def test_an_image_of_another_shape_is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path, {"train": 4, "valid": 1, "test": 1})
    Image.fromarray(random_images(1, (9, 8))[0]).save(root / "train" / "bee" / "001.png")
    with pytest.raises(DataError, match=r"bee/001.png is \(3, 9, 8\), not \(3, 8, 8\).*give a size"):
        raynas.data(f"imagefolder:{root}")
    assert raynas.data(f"imagefolder:{root}", size=8).input_shape == (3, 8, 8)


def test_a_broken_file_is_named_also_when_streamed(tmp_path: Path) -> None:
    root = image_folder(tmp_path, {"train": 4, "valid": 2, "test": 1})
    (root / "valid" / "cat" / "001.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"cat/001.png cannot be read as an image"):
        raynas.data(f"imagefolder:{root}")
    valid = raynas.data(f"imagefolder:{root}", memory_mb=0).valid
    with pytest.raises(DataError, match=r"cat/001.png cannot be read as an image"):
        list(valid.slices(3))


def test_folders_that_are_not_as_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder at"):
        raynas.data("imagefolder:/nowhere")
    with pytest.raises(DataError, match=r"there is no folder .*train"):
        raynas.data(f"imagefolder:{tmp_path}")
    root = image_folder(tmp_path, {"train": 2})
    (root / "valid" / "bees").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        raynas.data(f"imagefolder:{root}")
    assert "bees is no class of train, did you mean 'bee'? (allowed: ant, bee, cat)" in caught.value.problems[0]
    assert "holds no images in folders of classes" in caught.value.problems[1]
