"""Augmentation in batches against loops over images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raynas.data import Augmentation
from raynas.data.stream_split import random_box

BLACK = torch.tensor([-2.0, -3.0]).view(2, 1, 1)


def batch(count: int = 12, height: int = 7, width: int = 9) -> torch.Tensor:
    return torch.randn(count, 2, height, width, generator=torch.Generator().manual_seed(0))


def reference(
    images: np.ndarray, rng: np.random.Generator, black: np.ndarray, crop: int, flip: bool, cutout: int
) -> np.ndarray:
    """Each image on its own, with the same draws: pad, cut out, mirror, then zero a square as DARTS does."""
    count, channels, height, width = images.shape
    out = images.copy()
    if crop or flip:
        corners = rng.integers(0, 2 * crop + 1, size=(count, 2))
        flips = rng.random(count) < 0.5 if flip else np.zeros(count, bool)
        for i in range(count):
            padded = np.empty((channels, height + 2 * crop, width + 2 * crop), images.dtype)
            padded[:] = black
            padded[:, crop : crop + height, crop : crop + width] = images[i]
            top, left = corners[i]
            window = padded[:, top : top + height, left : left + width]
            out[i] = window[:, :, ::-1] if flips[i] else window
    if cutout:
        rows, columns = rng.integers(height, size=count), rng.integers(width, size=count)
        for i in range(count):
            y1, y2 = np.clip([rows[i] - cutout // 2, rows[i] + cutout // 2], 0, height)
            x1, x2 = np.clip([columns[i] - cutout // 2, columns[i] + cutout // 2], 0, width)
            out[i, :, y1:y2, x1:x2] = 0
    return out


@pytest.mark.parametrize("crop", [0, 2])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("cutout", [0, 4, 5])
def test_equals_the_loop(crop: int, flip: bool, cutout: int) -> None:
    images, labels = batch(), torch.arange(12)
    changed, targets = Augmentation(crop, flip, cutout).apply(images, labels, np.random.default_rng(1), BLACK)
    expected = reference(images.numpy(), np.random.default_rng(1), BLACK.numpy(), crop, flip, cutout)
    assert np.array_equal(changed.numpy(), expected)
    assert targets is labels
    assert Augmentation(crop, flip, cutout).changes == bool(crop or flip or cutout)


def test_depths_go_along() -> None:
    images = batch()
    depths = images[:, :1] + 10
    changed, targets = Augmentation(crop=2, flip=True).apply(images, depths, np.random.default_rng(1), BLACK)
    outside = changed[:, :1] == BLACK[0]
    assert torch.equal(targets.isnan(), outside)
    assert torch.equal(targets[~outside], (changed[:, :1] + 10)[~outside])


def test_depths_are_not_cut_out() -> None:
    with pytest.raises(ValueError, match="cutout"):
        Augmentation(cutout=2).apply(batch(), batch()[:, :1], np.random.default_rng(0), BLACK)


def test_random_parts_lie_inside_and_keep_their_share() -> None:
    rng = np.random.default_rng(0)
    for size in ((40, 30), (30, 40), (64, 64)):
        shares = []
        for _ in range(300):
            left, top, right, bottom = random_box(size, rng.random((10, 4)), 0.25)
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            shares.append((right - left) * (bottom - top) / (size[0] * size[1]))
            assert 0.7 < (right - left) / (bottom - top) < 1.43
        assert 0.22 < min(shares) < 0.3
        assert max(shares) > 0.9
    assert random_box((100, 4), np.zeros((10, 4)) + 0.9, 0.9) == (47, 0, 52, 4)  # no try fits: the centre
