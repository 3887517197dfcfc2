"""The training loop against torch written out by hand, and against itself interrupted."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import raynas
from raynas.data import Augmentation, TensorSplit
from raynas.methods import SAMPLERS, Sampler, TrainingView
from raynas.spaces import Architecture
from raynas.streams import stream
from raynas.training.batches import BatchStream
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

SPACE = raynas.space("nasbench201", connected=True)
SETTINGS = OptimizerSettings(batch_size=16, lr=0.1, lr_min=0.001)


def small_split() -> TensorSplit:
    split = raynas.data("digits").train.first(100)
    assert isinstance(split, TensorSplit)
    return split


def small_split_double() -> TensorSplit:
    return TensorSplit(small_split().images.double(), small_split().targets)


def make_trainer(seed: int = 0, settings: OptimizerSettings = SETTINGS, **keys: object) -> Trainer:
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=seed)
    sampler = SAMPLERS.make("uniform", SPACE)
    return Trainer(net, small_split(), sampler, settings, total_steps=20, seed=seed, name="root", **keys)


def test_steps_equal_sgd_written_out() -> None:
    ours = make_trainer()
    ours.supernet.double()  # in double precision, so that rounding does not grow into a difference
    ours.split = small_split_double()
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=0).double()
    paths, batches = stream(0, "paths", "root"), BatchStream(100, 16, stream(0, "batches", "root"))
    velocity: dict[str, torch.Tensor] = {}
    split = small_split_double()
    for step in range(8):
        lr = 0.001 + 0.099 * 0.5 * (1 + math.cos(math.pi * step / 20))
        batch = batches.next()
        loss = functional.cross_entropy(net.train()(split.images[batch], SPACE.sample(paths)), split.targets[batch])
        names = [name for name, _ in net.named_parameters()]
        gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        used = {name: g for name, g in zip(names, gradients, strict=True) if g is not None}
        norm = math.sqrt(sum(float((g**2).sum()) for g in used.values()))
        with torch.no_grad():
            for name, p in net.named_parameters():
                if name in used:  # what the path does not touch has no gradient, momentum or decay
                    g = used[name] * min(1.0, 5.0 / (norm + 1e-6)) + 5e-4 * p
                    velocity[name] = g.clone() if name not in velocity else 0.9 * velocity[name] + g
                    p -= lr * (g + 0.9 * velocity[name])
    ours.train(8)
    for (name, a), (_, b) in zip(ours.supernet.named_parameters(), net.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-7, msg=lambda m, name=name: f"{name}: {m}")


def test_untouched_parameters_do_not_move() -> None:
    class Fixed(Sampler):
        def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
            return [SPACE.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")]

    trainer = make_trainer()
    trainer.sampler = Fixed(SPACE)
    before = {name: p.clone() for name, p in trainer.supernet.named_parameters()}
    trainer.train(3)
    moved = {name for name, p in trainer.supernet.named_parameters() if not torch.equal(p, before[name])}
    in_cells = {name for name in moved if "edges" in name}
    assert in_cells
    assert all(".edges.3.candidates.nor_conv_3x3." in name for name in in_cells)
    assert not trainer._optimizer.state.keys() - {p for n, p in trainer.supernet.named_parameters() if n in moved}


def test_broken_and_continued_is_unbroken() -> None:
    whole, first, second = make_trainer(), make_trainer(), make_trainer(seed=0)
    losses = [whole.train(7).loss, whole.train(6).loss]
    assert first.train(7).loss == losses[0]
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.train(2)  # whatever it did before is overwritten
    second.load_state_dict(torch.load(stored, weights_only=True))
    assert second.train(6).loss == losses[1]
    for a, b in zip(whole.supernet.parameters(), second.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_of_another_memory_layout_is_continued() -> None:
    """The fused step walks through memory: momentum must lie there as the weights do."""
    first = make_trainer()
    first.train(3)
    state = copy.deepcopy(first.state_dict())
    first.train(2)
    other = make_trainer()
    other.supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    other.load_state_dict(state)
    other.train(2)
    for ours, theirs in zip(other.supernet.parameters(), first.supernet.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_augmented_training_continues_exactly() -> None:
    augmentation = Augmentation(crop=1, flip=True, cutout=2)
    whole, first, second = (make_trainer(augmentation=augmentation) for _ in range(3))
    losses = [whole.train(7).loss, whole.train(6).loss]
    assert first.train(7).loss == losses[0]
    assert losses[0] != make_trainer().train(7).loss
    second.load_state_dict(first.state_dict())
    assert second.train(6).loss == losses[1]


def test_augmentation_has_a_stream_of_its_own() -> None:
    plain, changed = make_trainer(), make_trainer(augmentation=Augmentation(flip=True))
    plain.train(5)
    changed.train(5)
    assert plain._streams["paths"].bit_generator.state == changed._streams["paths"].bit_generator.state
    assert torch.equal(plain._batches.next(), changed._batches.next())


def test_several_paths_a_step_sum_their_gradients() -> None:
    pair = [SPACE.sample(np.random.default_rng(i)) for i in range(2)]

    class Pair(Sampler):
        def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
            return pair

    settings = OptimizerSettings(batch_size=16, lr=1.0, momentum=0, weight_decay=0, grad_clip=None)
    trainer = make_trainer(settings=settings)
    trainer.sampler = Pair(SPACE)
    before = [p.clone() for p in trainer.supernet.parameters()]
    report = trainer.train(1)
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
    batch, split = BatchStream(100, 16, stream(0, "batches", "root")).next(), small_split()
    loss = sum(functional.cross_entropy(net.train()(split.images[batch], a), split.targets[batch]) for a in pair)
    gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    for old, now, g in zip(before, trainer.supernet.parameters(), gradients, strict=True):
        torch.testing.assert_close(old - now, torch.zeros_like(old) if g is None else g, atol=1e-5, rtol=1e-4)
    assert report.images_trained == 2 * 16


def test_batches_are_epochs_without_the_rest() -> None:
    batches = BatchStream(10, 4, np.random.default_rng(0))
    for _ in range(3):
        epoch = torch.cat([batches.next(), batches.next()])
        assert len(set(epoch.tolist())) == 8


def test_batch_larger_than_the_data_is_the_data() -> None:
    assert sorted(BatchStream(5, 64, np.random.default_rng(0)).next().tolist()) == list(range(5))


def test_cosine() -> None:
    settings = OptimizerSettings(lr=0.4, lr_min=0.2)
    assert settings.lr_at(0, 10) == pytest.approx(0.4)
    assert settings.lr_at(5, 10) == pytest.approx(0.3)
    assert settings.lr_at(10, 10) == pytest.approx(0.2)
    assert settings.lr_at(25, 10) == pytest.approx(0.2)
