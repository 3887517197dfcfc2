"""Schedules of the learning rate, against their formulas and against torch; smoothed labels."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import raynas
from raynas.config import validate
from raynas.data import TensorSplit
from raynas.errors import ConfigError
from raynas.methods import SAMPLERS
from raynas.training.plateau import Plateau
from raynas.training.settings import OptimizerSettings
from raynas.training.task import task
from raynas.training.trainer import Trainer

SPACE = raynas.space("nasbench201", connected=True)


def make_trainer(total_steps: int = 40, **settings: Any) -> Trainer:
    digits = raynas.data("digits").train.first(50)
    assert isinstance(digits, TensorSplit)
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
    its = OptimizerSettings(batch_size=16, **settings)  # three steps an epoch
    return Trainer(net, digits, SAMPLERS.make("uniform", SPACE), its, total_steps=total_steps, seed=0, name="root")


def rates(trainer: Trainer, steps: int) -> list[float]:
    """The learning rate of each of so many steps."""
    found = []
    for _ in range(steps):
        trainer.train(1)
        found.append(trainer._optimizer.param_groups[0]["lr"])
    return found


def test_the_default_is_half_a_cosine() -> None:
    settings = OptimizerSettings(lr=0.37, lr_min=0.011)
    assert settings.schedule == "cosine"
    for spent in range(0, 90, 7):
        assert settings.lr_at(spent, 77) == 0.011 + (0.37 - 0.011) * 0.5 * (1 + math.cos(math.pi * min(spent / 77, 1)))


def test_linear_is_spos() -> None:
    settings = OptimizerSettings(lr=0.5, schedule="linear")
    assert [settings.lr_at(spent, 150) for spent in (0, 30, 75, 150, 200)] == pytest.approx([0.5, 0.4, 0.25, 0, 0])
    assert OptimizerSettings(lr=0.5, lr_min=0.1, schedule="linear").lr_at(1, 2) == pytest.approx(0.3)


def test_constant() -> None:
    assert {OptimizerSettings(lr=0.5, schedule="constant").lr_at(spent, 9) for spent in range(12)} == {0.5}


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "plateau"])
def test_warmup_comes_before_the_schedule(schedule: Any) -> None:
    plain = OptimizerSettings(lr=0.5, lr_min=0.1, schedule=schedule)
    warm = OptimizerSettings(lr=0.5, lr_min=0.1, schedule=schedule, warmup=0.2)
    assert [warm.lr_at(spent, 100) for spent in (0, 5, 10)] == pytest.approx([0.1, 0.2, 0.3])
    for spent in (20, 40, 60, 90, 100, 120):
        assert warm.lr_at(spent, 100) == pytest.approx(plain.lr_at(max(spent - 20, 0), 80))


@pytest.mark.parametrize("settings", [{}, {"schedule": "linear"}, {"schedule": "linear", "warmup": 0.25}], ids=str)
def test_the_trainer_follows(settings: dict[str, Any]) -> None:
    trainer = make_trainer(20, **settings)
    its = trainer.settings
    assert rates(trainer, 8) == [its.lr_at(16 * step, 16 * 20, step=16) for step in range(8)]
    trainer.view.restart()
    cold = its.model_copy(update={"warmup": 0.0})
    assert rates(trainer, 8) == [cold.lr_at(16 * step, 16 * 12) for step in range(8)]


def test_a_warmup_begins_above_its_least_rate_and_comes_once() -> None:
    trainer = make_trainer(20, warmup=0.2, lr=0.4, schedule="constant")
    assert rates(trainer, 6) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    trainer.view.restart()
    assert rates(trainer, 2) == [0.4, 0.4]
    again = make_trainer(20, warmup=0.2, lr=0.4, schedule="constant")
    again.load_state_dict(trainer.state_dict())
    assert rates(again, 1) == [0.4]
    odd = OptimizerSettings(lr=0.4, warmup=0.25)
    assert odd.lr_at(2, 10, step=1) == 0.4  # never above


def test_a_schedule_begun_anew_at_the_end_has_ended() -> None:
    trainer = make_trainer(3, lr_min=0.01)
    trainer.train(3)
    trainer.view.restart()
    assert rates(trainer, 1) == pytest.approx([0.01])


@pytest.mark.parametrize(("factor", "patience"), [(0.5, 2), (0.1, 0), (0.5, 30)])
def test_plateau_is_that_of_torch(factor: float, patience: int) -> None:
    rng = np.random.default_rng(0)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, eps=0.0)
    ours = Plateau(factor, patience, 1)
    losses = np.maximum(2.0 - 0.02 * np.arange(150), 0.5) + rng.choice([0.0, 1e-5, 0.03, math.nan], 150)
    for loss in losses:
        theirs.step(float(loss))
        ours.took([torch.tensor(loss)])
        assert ours.scale == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert ours.scale < 1


def test_plateau_counts_epochs_of_steps() -> None:
    """The mean over an epoch's steps of the mean over their paths is what counts."""
    plateau = Plateau(0.5, 0, 2)
    pairs = [(1.0, 3.0), (2.0, 4.0), (9.0, 9.0), (0.0, 0.0), (3.0, 1.0), (2.0, 2.0), (2.0, 2.0), (2.0, 1.9)]
    scales = []
    for pair in pairs:  # epochs of mean loss 2.5, 4.5, 2 and 1.975
        plateau.took([torch.tensor(loss) for loss in pair])
        scales.append(plateau.scale)
    assert scales == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_the_trainer_falls_with_the_plateau() -> None:
    trainer = make_trainer(schedule="plateau", lr=0.4, lr_min=0.15, plateau_patience=0)
    plateau = trainer._plateau
    assert plateau is not None
    assert plateau.epoch_steps == 3
    plateau._best = 0.0  # no epoch is better
    assert rates(trainer, 10) == pytest.approx([0.4] * 3 + [0.2] * 3 + [0.15] * 4)
    trainer.view.restart()
    assert plateau.scale == 1
    assert rates(trainer, 3) == [0.4] * 3


def test_the_plateau_takes_the_losses_that_are_reported() -> None:
    trainer = make_trainer(schedule="plateau", plateau_patience=5)
    report = trainer.train(3)
    assert trainer._plateau is not None
    assert trainer._plateau.state_dict()["best"] == pytest.approx(report.loss, rel=1e-6)


def test_a_plateau_continues_exactly() -> None:
    options: dict[str, Any] = {"schedule": "plateau", "plateau_patience": 0, "lr": 2.0}  # too high, so that it falls
    whole, broken, other = (make_trainer(**options) for _ in range(3))
    expected = rates(whole, 21)
    assert rates(broken, 8) == expected[:8]  # in the middle of an epoch
    file = io.BytesIO()
    torch.save(broken.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert rates(other, 13) == expected[8:]
    assert len(set(expected)) > 2
    for a, b in zip(whole.supernet.parameters(), other.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


def test_labels_are_smoothed_in_training_only() -> None:
    smooth, plain = make_trainer(label_smoothing=0.1), make_trainer()
    split = smooth.split
    assert isinstance(split, TensorSplit)
    architecture = SPACE.sample(np.random.default_rng(0))
    images, labels = split.images[:9], split.targets[:9]
    with torch.no_grad():
        logits = smooth.view.output(architecture, images)
        log_p = logits.log_softmax(1)
        expected = -0.9 * log_p[range(9), labels].mean() - 0.1 * log_p.mean()
        torch.testing.assert_close(smooth.view.loss(architecture, images, labels, trained=True), expected)
        for view in (smooth.view, plain.view):  # what pairs of landmarks are compared by is what they are scored by
            assert torch.equal(view.loss(architecture, images, labels), functional.cross_entropy(logits, labels))
    assert smooth.train(1).loss != plain.train(1).loss  # the trainer's own loss too


def test_scores_are_without_smoothing() -> None:
    smooth, plain = make_trainer(label_smoothing=0.3), make_trainer()
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(3)]
    for trainer in (smooth, plain):
        trainer.view.heldout = trainer.split
    assert smooth.view.score(some, 40) == plain.view.score(some, 40)


def test_depth_has_no_labels() -> None:
    digits = raynas.data("digits").train.first(20)
    net = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1)
    settings = OptimizerSettings(batch_size=4, label_smoothing=0.1)
    with pytest.raises(ConfigError, match=r"depth has no labels to smooth, got 0\.1; set it to 0"):
        Trainer(
            net, digits, SAMPLERS.make("uniform", SPACE), settings, total_steps=4, seed=0, name="root", task="depth"
        )
    with pytest.raises(ValueError, match="depths are no labels"):
        task("depth").loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), 0.1)


def test_the_configuration_knows() -> None:
    plain: dict[str, Any] = {
        "space": "nasbench201",
        "data": "digits",
        "search": {"name": "evolution", "verify": {"top": 0}},
        "train": {"schedule": "plateau", "plateau_patience": 3, "label_smoothing": 0.1, "warmup": 0.05},
    }
    optimizer = validate(plain).train.optimizer
    assert (optimizer.schedule, optimizer.plateau_patience, optimizer.label_smoothing) == ("plateau", 3, 0.1)
    with pytest.raises(ConfigError, match=r"2 problems[\s\S]*'train\.schedule'[\s\S]*'train\.warmup'"):
        validate({**plain, "train": {"schedule": "cosinus", "warmup": 1.0}})
    depth = {**plain, "space": "depth_v1", "data": {"name": "depth_npz", "path": "none.npz"}}
    with pytest.raises(ConfigError, match=r"'train\.label_smoothing': depths are no labels to smooth, got 0\.1; set 0"):
        validate(depth)
