"""The embedded data set and its split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import raynas
from raynas.data.digits import split_indices
from raynas.errors import UnknownNameError


def test_split_is_fixed_disjoint_and_balanced() -> None:
    parts = split_indices()
    assert [len(part) for part in parts] == [599, 599, 599]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1_797))
    counts = np.array([np.bincount(load_digits().target[part], minlength=10) for part in parts])
    assert (counts.max(0) - counts.min(0) <= 1).all()
    assert [part[:3].tolist() for part in parts] == [part[:3].tolist() for part in split_indices()]


def test_images_are_normalised_by_the_training_split() -> None:
    data = raynas.data("digits")
    assert data.input_shape == (1, 8, 8)
    assert data.classes == 10
    assert data.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.images.std().item() == pytest.approx(1, abs=1e-5)
    source, (train, _, test) = load_digits(), split_indices()
    raw = torch.as_tensor(source.images[train], dtype=torch.float32)
    restored = data.test.images[:, 0] * raw.std() + raw.mean()
    torch.testing.assert_close(restored, torch.as_tensor(source.images[test], dtype=torch.float32), atol=1e-4, rtol=0)
    assert torch.equal(data.test.targets, torch.as_tensor(source.target[test]))


def test_unknown_data_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        raynas.data("digit")
