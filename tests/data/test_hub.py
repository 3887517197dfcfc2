"""Data sets of the Hugging Face hub, read from small local copies in every form that is allowed."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import raynas
from raynas.data import StreamSplit, TensorSplit
from raynas.data.cifar import in_original_order, in_training_half
from raynas.data.parts import Part
from raynas.data.source import ArraySource
from raynas.errors import DataError
from tests.conftest import shared_file
from tests.data.files import image_folder

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def numbered(index: int, side: int) -> bytes:
    """An image file that shows its own number, in two of its colours (PPM: quick to write)."""
    return b"P6 %d %d 255\n" % (side, side) + bytes([index % 256, index // 256 % 256, index // 65536]) * side**2


def shown(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 0, 0].long() + 256 * images[:, 1, 0, 0].long()).tolist()


def local_copy(
    labels: dict[str, np.ndarray], image: str = "img", label: str = "label", side: int = 4, start: int = 0
) -> Any:
    features = datasets.Features({image: datasets.Image(), label: datasets.Value("int64")})
    parts = {}
    for part, values in labels.items():
        files = [{"bytes": numbered(start + i, side), "path": None} for i in range(len(values))]
        parts[part] = datasets.Dataset.from_dict({image: files, label: values.tolist()}, features=features)
    return datasets.DatasetDict(parts)


def saved(copy: Any, path: Path) -> str:
    copy.save_to_disk(str(path))
    return str(path)


def as_parquet(copy: Any, path: Path) -> str:
    (path / "data").mkdir(parents=True)
    for part, rows in copy.items():
        rows.to_parquet(str(path / "data" / f"{part}-00000-of-00001.parquet"))
    return str(path)


@pytest.mark.parametrize("write", [saved, as_parquet])
def test_cifar10_of_a_local_copy(tmp_path: Path, write: Any) -> None:
    labels = {"train": np.arange(60) % 10, "test": np.arange(20) % 10}
    path = write(local_copy(labels), tmp_path / "copy")
    data = raynas.data("cifar10", path=path, valid_images=15, cutout=2)
    assert isinstance(data.train, TensorSplit)
    assert isinstance(data.valid, TensorSplit)
    assert sorted(shown(data.train.images)) == list(range(45))
    assert sorted(shown(data.valid.images)) == list(range(45, 60))
    assert [index % 10 for index in shown(data.train.images)] == data.train.targets.tolist()
    assert sorted(data.test.targets.tolist()) == sorted(labels["test"].tolist())
    assert data.train.mean == (125.3, 123.0, 113.9)
    assert data.augmentation == raynas.data.Augmentation(crop=4, flip=True, cutout=2)
    fewer = raynas.data(f"cifar10:{path}", valid_images=15, train_images=20, test_images=10, size=2)
    assert torch.bincount(fewer.train.targets).tolist() == [2] * 10
    assert (fewer.input_shape, len(fewer.test)) == ((3, 2, 2), 10)


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    copy = local_copy({"train": np.arange(300) % 100, "test": np.arange(100)}, label="fine_label")
    data = raynas.data("cifar100", path=saved(copy, tmp_path / "copy"), valid_images=100)
    assert data.classes == 100
    assert len(data.train) == 200


@pytest.fixture(scope="module")
def original_labels() -> np.ndarray:
    """CIFAR-10's 50,000 training labels in the original order."""
    with np.load(shared_file("cifar10/cifar10_train_jpeg.npz")) as stored:
        return np.asarray(stored["labels"], np.int64)


def test_batches_are_put_back_into_the_original_order(original_labels: np.ndarray) -> None:
    blocks = np.arange(50_000).reshape(5, -1)
    for order in ([3, 2, 4, 1, 0], [0, 1, 2, 3, 4], [3, 1, 4, 0, 2]):
        stored = np.concatenate(blocks[order])  # row i of the copy is original image stored[i]
        part = Part(
            ArraySource(np.zeros((50_000, 1, 1), np.uint8), "train"), np.arange(50_000), original_labels[stored]
        )
        back = in_original_order(part, "a copy")
        assert np.array_equal(stored[back.rows], np.arange(50_000))
        assert np.array_equal(back.labels, original_labels)


def test_an_order_that_is_not_known_is_refused(original_labels: np.ndarray) -> None:
    source = ArraySource(np.zeros((50_000, 1, 1), np.uint8), "train")
    by_class = np.argsort(original_labels, kind="stable")
    with pytest.raises(DataError, match=r"rows 0 to 9999, .*40000 to 49999 are none of the five batches.*imagefolder"):
        in_original_order(Part(source, np.arange(50_000), original_labels[by_class]), "a copy")
    twice = original_labels.copy()
    twice[20_000:30_000] = twice[:10_000]
    with pytest.raises(DataError, match="rows 20000 to 29999 are none"):
        in_original_order(Part(source, np.arange(50_000), twice), "a copy")


def test_cifar10_takes_its_last_batch_for_validation(tmp_path: Path, original_labels: np.ndarray) -> None:
    order = [3, 2, 4, 1, 0]
    labels = {"train": original_labels.reshape(5, -1)[order].ravel(), "test": np.arange(20) % 10}
    data = raynas.data("cifar10", path=saved(local_copy(labels, side=1), tmp_path / "copy"))
    assert isinstance(data.train, TensorSplit)
    assert isinstance(data.valid, TensorSplit)
    assert sorted(shown(data.valid.images)) == list(range(20_000, 30_000))  # where this copy has data_batch_5
    assert len(set(shown(data.train.images))) == 40_000


def test_cifar10_valid_is_the_official_halves(tmp_path: Path, original_labels: np.ndarray) -> None:
    with np.load(shared_file("cifar10/nasbench201_split.npz")) as official:
        train, valid = np.sort(official["train"]), np.sort(official["valid"])
    assert np.array_equal(np.flatnonzero(in_training_half()), train)
    assert np.array_equal(np.flatnonzero(~in_training_half()), valid)
    stored = np.concatenate(np.arange(50_000).reshape(5, -1)[[3, 2, 4, 1, 0]])  # as a copy may order the batches
    copy = local_copy({"train": original_labels[stored], "test": np.arange(20) % 10}, side=1)
    path = saved(copy, tmp_path / "copy")
    data = raynas.data("cifar10-valid", path=path, train_images=300, valid_images=200)
    assert isinstance(data.train, TensorSplit)
    assert isinstance(data.valid, TensorSplit)
    assert set(stored[shown(data.train.images)]) <= set(train.tolist())
    assert set(stored[shown(data.valid.images)]) <= set(valid.tolist())
    assert (len(data.train), len(data.valid), len(data.test)) == (300, 200, 20)


def test_the_halves_are_of_all_training_images(tmp_path: Path) -> None:
    path = saved(local_copy({"train": np.arange(60) % 10, "test": np.arange(20) % 10}), tmp_path / "copy")
    with pytest.raises(DataError, match="train has 60 images; the official halves are of CIFAR-10's 50000"):
        raynas.data("cifar10-valid", path=path)


def test_imagenet_streams_random_parts(tmp_path: Path) -> None:
    labels = {"train": np.arange(2_000) % 1_000, "validation": np.arange(50)}
    path = saved(local_copy(labels, image="image", side=12), tmp_path / "copy")
    data = raynas.data("imagenet", path=path, size=8, margin=2, valid_images=1_000)
    assert isinstance(data.train, StreamSplit)
    assert torch.bincount(data.valid.targets).tolist() == [1] * 1_000
    assert data.input_shape == (3, 8, 8)
    assert (data.classes, len(data.test)) == (1_000, 50)
    assert data.augmentation is not None
    index = torch.arange(5)
    images, targets = data.train.take_augmented(index, data.augmentation, np.random.default_rng(0))
    assert images.shape == (5, 3, 8, 8)
    assert torch.equal(targets, data.train.targets[:5])
    elsewhere = pickle.loads(pickle.dumps(data.train))  # opens its own
    assert torch.equal(elsewhere.take(index)[0], data.train.take(index)[0])
    assert len(pickle.dumps(data.train)) < 50_000


def test_imagenet16_takes_the_first_120_classes(tmp_path: Path) -> None:
    copy = local_copy({"train": np.arange(600) % 150, "validation": np.arange(150)}, image="image", side=16)
    data = raynas.data("imagenet16", path=saved(copy, tmp_path / "copy"), valid_images=120)
    assert (data.classes, len(data.train), len(data.valid), len(data.test)) == (120, 360, 120, 120)
    few = local_copy({"train": np.arange(600) % 100, "validation": np.arange(100)}, image="image", side=16)
    with pytest.raises(DataError, match=r"train has no image of class 100 \(20 of 120 classes missing\)"):
        raynas.data("imagenet16", path=saved(few, tmp_path / "few"))


def test_a_folder_of_images_by_the_library(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "files", {"train": 4, "test": 2})
    data = raynas.data("cifar10", path=str(root), valid_images=2)
    assert (len(data.train), len(data.valid), len(data.test)) == (10, 2, 6)
    assert data.input_shape == (3, 8, 8)


def test_problems_are_told(tmp_path: Path) -> None:
    labels = {"train": np.arange(30) % 10, "test": np.array([3, 10, -1])}
    path = saved(local_copy(labels), tmp_path / "a")
    with pytest.raises(DataError, match=r"label of test: label 10 at index 1 \(2 such labels\); allowed are 0 to 9"):
        raynas.data("cifar10", path=path, valid_images=5)
    path = saved(local_copy({"train": np.arange(30)}, label="coarse"), tmp_path / "b")
    with pytest.raises(DataError) as caught:
        raynas.data("cifar10", path=path)
    assert caught.value.problems == [
        "there is no split test (there are: train)",
        "train has no column label (columns: img, coarse)",
    ]
    path = saved(local_copy({"train": np.arange(30) % 10, "test": np.arange(10)}), tmp_path / "c")
    with pytest.raises(DataError, match="valid_images=10000 leaves none of 30 images"):
        raynas.data("cifar10", path=path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="give path=FOLDER of a local copy"):
        raynas.data("cifar10", path=str(tmp_path / "empty"))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'raynas\[data\]'"):
        raynas.data("cifar10")
