"""Splits in memory: normalisation, batches, devices' worth of pickling, and what does not belong together."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from raynas.data import DATA, ImageData, TensorSplit, data
from raynas.errors import DataError, UnknownNameError
from tests.data.files import random_images

MEAN, STD = (120.0, 130.0, 140.0), (50.0, 60.0, 70.0)


def pixel_split(count: int = 10, classes: int = 3) -> TensorSplit:
    pixels = torch.from_numpy(random_images(count)).permute(0, 3, 1, 2)
    return TensorSplit(pixels, torch.arange(count) % classes, MEAN, STD)


def test_pixels_are_normalised_by_channel() -> None:
    split = pixel_split()
    images, targets = split.take(torch.tensor([3, 1]))
    expected = (split.images[[3, 1]].numpy() - np.array(MEAN).reshape(3, 1, 1)) / np.array(STD).reshape(3, 1, 1)
    assert images.dtype == torch.float32
    np.testing.assert_allclose(images.numpy(), expected, atol=1e-6)
    assert targets.tolist() == [0, 1]
    np.testing.assert_allclose(split.black.flatten().numpy(), -np.array(MEAN) / np.array(STD), rtol=1e-6)
    assert split.image_shape == (3, 8, 8)


def test_slices_are_few_and_equal() -> None:
    batches = list(pixel_split(10).slices(4))
    assert [len(images) for images, _ in batches] == [4, 3, 3]
    assert torch.equal(torch.cat([images for images, _ in batches]), pixel_split(10).take(torch.arange(10))[0])


def test_first() -> None:
    split = pixel_split(10)
    assert split.first(None) is split
    assert split.first(99) is split
    assert split.first(4).targets.tolist() == split.targets[:4].tolist()


def test_pickled_without_copies() -> None:
    split = pixel_split()
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(split, protocol=5, buffer_callback=buffers.append)
    assert len(small) < split.images.numel()
    again = pickle.loads(small, buffers=[memoryview(bytes(buffer.raw())) for buffer in buffers])
    assert torch.equal(again.images, split.images)
    for mine, theirs in zip(again.take(torch.arange(5)), split.take(torch.arange(5)), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("given", [(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), None), (torch.zeros(2, 1, 4, 4), 1.0)])
def test_pixels_come_with_their_moments(given: tuple[torch.Tensor, float | None]) -> None:
    images, mean = given
    moments = None if mean is None else (mean,)
    with pytest.raises(ValueError, match="mean and std"):
        TensorSplit(images, torch.zeros(2, dtype=torch.int64), moments, moments)


def test_all_problems_of_a_data_set_are_told() -> None:
    good, other = pixel_split(), TensorSplit(torch.zeros(4, 3, 8, 9), torch.tensor([0, 1, 7, 9]))
    with pytest.raises(DataError) as caught:
        ImageData("mine", good, other, pixel_split(classes=4), classes=3)
    assert caught.value.exit_code == 2
    assert caught.value.problems == [
        "images of valid are (3, 8, 9), of train (3, 8, 8) (C, H, W)",
        "labels of valid: label 7 at index 2 (2 such labels); allowed are 0 to 2",
        "labels of test: label 3 at index 3 (2 such labels); allowed are 0 to 2",
    ]
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_depths_must_be_maps_with_something_in_them() -> None:
    images, depths = torch.zeros(3, 3, 8, 8), torch.ones(3, 1, 8, 8)
    depths[2] = torch.nan
    bad, short = TensorSplit(images, depths), TensorSplit(images, torch.ones(3, 1, 4, 8))
    with pytest.raises(DataError) as caught:
        ImageData("mine", TensorSplit(images, torch.ones(3, 1, 8, 8)), bad, short, classes=1, task="depth")
    assert caught.value.problems == [
        "depths of valid: no valid depth at index 2",
        "depths of test are torch.float32 (3, 1, 4, 8), not float (3, 1, 8, 8)",
    ]


def test_references_with_a_path() -> None:
    assert DATA.split_reference("npz:/a:b.npz") == ("npz", {"path": "/a:b.npz"})
    assert DATA.split_reference("digits") == ("digits", {})
    assert DATA.split_reference("digits:/a") == ("digits:/a", {})
    assert DATA.expand("npz:x") == {"name": "npz", "path": "x"}
    assert DATA.expand({"name": "npz:x", "size": 8}) == {"name": "npz", "path": "x", "size": 8}
    assert DATA.expand(3) == 3
    with pytest.raises(UnknownNameError, match="data set 'digits' takes no path, got 'digits:/a'"):
        data("digits:/a")
