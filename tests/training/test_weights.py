"""Weights in one block: the same tensors, in the same order in memory, and nothing copied where they are used."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch

import raynas
from raynas.training.scorer import Scorer, images_an_architecture
from raynas.training.scoring import ScoreProtocol
from raynas.training.weights import Version, Weights
from tests.training.test_worker import make_job

STATE = {
    "kernel": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
    "grouped": torch.randn(4, 1, 3, 3).to(memory_format=torch.channels_last),
    "linear": torch.randn(5, 7),
    "turned": torch.randn(5, 7).T,
    "cut": torch.randn(8, 8)[:3, ::2],
    "steps": torch.tensor(3),
    "mask": torch.tensor([True, False, True]),
    "half": torch.randn(3, dtype=torch.bfloat16),
    "nothing": torch.empty(0, 3),
}


def frozen(weights: Weights) -> Weights:
    """Return the weights as they come out of the object store: in memory that cannot be written to."""
    copy: Weights = pickle.loads(pickle.dumps(weights))
    copy.block.flags.writeable = False
    return copy


def test_a_block_gives_back_every_tensor() -> None:
    weights = frozen(Weights.of(STATE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = weights.tensors()
    assert list(found) == list(STATE)
    for name, tensor in STATE.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
        assert found[name].stride() == torch.empty_like(tensor).stride()
        assert found[name].data_ptr() % 64 == weights.block.ctypes.data % 64 or not tensor.numel()
    assert found["kernel"].is_contiguous(memory_format=torch.channels_last)


def test_a_block_is_a_copy() -> None:
    tensor = torch.zeros(3)
    weights = Weights.of({"a": tensor})
    tensor += 1
    assert weights.tensors()["a"].tolist() == [0, 0, 0]


def test_attached_weights_are_used_where_they_lie() -> None:
    source, target = (raynas.supernet("nasbench201", channels=4, cells=1, seed=seed) for seed in (1, 2))
    weights = frozen(Weights.of(source.state_dict()))
    weights.attach(target)
    begin = weights.block.ctypes.data
    for tensor in target.state_dict().values():
        assert begin <= tensor.data_ptr() < begin + weights.nbytes
    assert not any(parameter.requires_grad for parameter in target.parameters())
    images, architecture = torch.randn(2, 3, 32, 32), source.space.sample(np.random.default_rng(0))
    assert torch.equal(source(images, architecture), target(images, architecture))


def test_a_scorer_knows_the_version_it_holds() -> None:
    data = raynas.data("digits")
    one = make_job()
    scorer = Scorer({one.label: one}, data)
    version, newer = Version(one.label, 0), Version(one.label, 64)
    architecture = one.space.sample(np.random.default_rng(0))
    with pytest.raises(KeyError):
        scorer.score(version, [architecture])
    scorer.hold(version, Weights.of(one.build(data).state_dict()))
    assert scorer.score(version, [architecture]) == scorer.score(version, [architecture])
    with pytest.raises(KeyError):
        scorer.score(newer, [architecture])


def test_images_of_a_score() -> None:
    data = raynas.data("digits")
    assert images_an_architecture(ScoreProtocol(images=50), data) == 50
    assert images_an_architecture(ScoreProtocol(), data) == 599
    assert images_an_architecture(ScoreProtocol(images=50, batch_norm="recalibrate", recalibrate_images=30), data) == 80
