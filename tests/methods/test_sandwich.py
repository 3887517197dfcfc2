"""The sandwich rule: largest and smallest against all costs, and a step against the formula written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import raynas
from raynas.data import TensorSplit
from raynas.errors import ConfigError
from raynas.methods import SAMPLERS, Sampler, Stack
from raynas.methods.sandwich import SandwichSampler
from raynas.networks.cost import costs
from raynas.networks.extremes import extremes
from raynas.spaces import Space
from raynas.streams import stream
from raynas.training.batches import BatchStream
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

CELLS = raynas.space("nasbench201", connected=True)
MACRO = raynas.space("nasbench_macro")
MOBILE = raynas.space("mobilenet")
SOME = ("none", "skip_connect", "nor_conv_3x3")


def split() -> TensorSplit:
    digits = raynas.data("digits").train.first(40)
    assert isinstance(digits, TensorSplit)
    return digits


def trained(sampler: Sampler, steps: int, **settings: Any) -> Trainer:
    net = raynas.supernet(sampler.space, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
    its = OptimizerSettings(batch_size=8, **settings)
    trainer = Trainer(net, split(), sampler, its, total_steps=20, seed=0, name="root")
    trainer.train(steps)
    return trainer


@pytest.mark.parametrize(
    ("space", "network"),
    [
        (CELLS.subspace({decision.name: SOME for decision in CELLS.decisions}), {"channels": 2, "cells": 1}),
        (MACRO.subspace({f"layer{layer}": ("MB3_K3",) for layer in (1, 4, 6)}), {"channels": 4, "head": 16}),
        (
            MOBILE.subspace({d.name: d.options[:1] for d in MOBILE.decisions[:-2]}),
            {"width": 0.25, "head": 16, "stem_stride": 1},
        ),
    ],
    ids=["nasbench201", "nasbench_macro", "mobilenet"],
)
def test_extremes_are_those_of_all_costs(space: Space, network: dict[str, Any]) -> None:
    net = raynas.supernet(space, input_shape=(3, 8, 8), **network)
    largest, smallest = extremes(net)
    everything = list(space.enumerate())
    table = {
        a: tuple(row[::-1]) for a, row in zip(everything, costs(space, everything, input_shape=(3, 8, 8)), strict=True)
    }
    assert table[largest] == max(table.values())
    assert table[smallest] == min(table.values())
    assert table[largest] > table[smallest]
    assert largest in space
    assert extremes(net) == (largest, smallest)


def test_extremes_of_cells() -> None:
    """Every cell without convolutions costs the same: a live one is taken even where dead ones are allowed."""
    space = raynas.space("nasbench201")
    largest, smallest = extremes(raynas.supernet(space, input_shape=(1, 8, 8), channels=2, cells=1))
    assert set(largest.options) == {"nor_conv_3x3"}
    assert not [option for option in smallest.options if option.startswith("nor_conv")]
    assert smallest in CELLS


def test_a_step_is_the_formula() -> None:
    plain = {"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "grad_clip": None}
    sampler = SandwichSampler(CELLS)
    net = raynas.supernet(CELLS, input_shape=(1, 8, 8), channels=2, cells=1, seed=0).train()
    before = [p.detach().clone() for p in net.parameters()]
    trainer = trained(sampler, 1, **plain)
    assert trainer.view.images_trained == 4 * 8
    paths, data = stream(0, "paths", "root"), split()
    batch = BatchStream(40, 8, stream(0, "batches", "root")).next()
    largest, smallest = extremes(net)
    teacher = net(data.images[batch], largest)
    loss = functional.cross_entropy(teacher, data.targets[batch])
    p = teacher.detach().softmax(1)
    for architecture in (smallest, CELLS.sample(paths), CELLS.sample(paths)):
        q = net(data.images[batch], architecture).softmax(1)
        loss = loss + (p * (p.log() - q.log())).sum() / len(batch)
    loss.backward()
    for old, now, ours in zip(before, trainer.supernet.parameters(), net.parameters(), strict=True):
        expected = torch.zeros_like(old) if ours.grad is None else ours.grad
        torch.testing.assert_close(old - now, expected, atol=1e-5, rtol=1e-4)


def test_what_is_reported_is_the_teachers_loss() -> None:
    trainer = trained(SandwichSampler(CELLS), 0, schedule="plateau", plateau_patience=9)
    losses = []

    def listening(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses.append(functional.cross_entropy(output, targets))
        return losses[-1]

    trainer.view.training_loss = listening  # type: ignore[method-assign]
    report = trainer.train(5)
    assert len(losses) == 5
    assert report.images_trained == 5 * 4 * 8
    expected = torch.stack(losses).mean().item()
    assert report.loss == pytest.approx(expected, rel=1e-6)
    assert trainer._plateau is not None
    assert trainer._plateau.state_dict()["best"] == pytest.approx(expected, rel=1e-6)  # the five steps are an epoch


def test_neutral_is_spos_to_the_bit() -> None:
    ours = trained(SandwichSampler(CELLS, extremes=False, distil=False, random=1), 6)
    spos = trained(SAMPLERS.make("uniform", CELLS), 6)
    for a, b in zip(ours.supernet.parameters(), spos.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_single_architecture_is_trained_alone() -> None:
    one = CELLS.only(CELLS.sample(np.random.default_rng(0)))
    ours, spos = trained(SandwichSampler(one), 3), trained(SAMPLERS.make("uniform", one), 3)
    assert ours.view.images_trained == spos.view.images_trained
    for a, b in zip(ours.supernet.parameters(), spos.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


def test_depth_has_nothing_to_distil() -> None:
    stack = Stack(raynas.space("depth_v1"), sampler="sandwich", task="depth")
    (objection,) = SandwichSampler(stack.space).objections(stack)
    assert "set distil=false" in objection
    assert not SandwichSampler(stack.space, distil=False).objections(stack)
    assert not SandwichSampler(CELLS).objections(Stack(CELLS))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"extremes": False}, "there is no teacher; set distil=false"),
        ({"extremes": False, "distil": False, "random": 0}, "no path is trained; set random=1"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SandwichSampler(CELLS, **options)
