"""The measured latency: what it says and what it leaves alone. Nothing is asserted about speed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import raynas
from raynas.networks.latency import Latency, latency

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|skip_connect~2|"
SMALL = {"channels": 4, "cells": 1}


def check(found: Latency, *, batch_size: int = 1, threads: int = 1) -> None:
    assert math.isfinite(found.median_ms)
    assert found.median_ms > 0
    assert math.isfinite(found.iqr_ms)
    assert found.iqr_ms >= 0
    assert found.runs >= 1
    assert (found.batch_size, found.threads, found.device) == (batch_size, threads, "cpu")
    assert found.torch_version == torch.__version__


def test_of_a_space_a_supernet_and_a_plain_network() -> None:
    quick = {"min_seconds": 0.01, "threads": 1}
    check(raynas.latency("nasbench201", CELL, batch_size=2, input_shape=(1, 8, 8), **SMALL, **quick), batch_size=2)
    net = raynas.supernet("nasbench201", input_shape=(1, 8, 8), **SMALL)
    check(latency(net, net.space.parse(CELL), **quick))
    check(latency(nn.Linear(8, 3), input_shape=(1, 2, 8), **quick))


def test_threads_are_those_asked_for_and_put_back() -> None:
    before = torch.get_num_threads()
    seen = set()

    class Watch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.add((torch.get_num_threads(), torch.is_inference_mode_enabled(), self.training, tuple(x.shape)))
            return x

    found = latency(Watch(), input_shape=(1, 2, 2), threads=before + 1, batch_size=3, min_seconds=0.001)
    check(found, batch_size=3, threads=before + 1)
    assert seen == {(before + 1, True, False, (3, 1, 2, 2))}
    assert torch.get_num_threads() == before
    assert latency(Watch(), input_shape=(1, 2, 2), min_seconds=0.001).threads == before


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_alone(training: bool) -> None:
    net = raynas.supernet("nasbench201", input_shape=(1, 8, 8), track=True, **SMALL).train(training)
    plain = raynas.derive(net, CELL)
    generator = torch.random.get_rng_state()
    for measured, architecture, shape in ((net, CELL, None), (plain, None, (1, 8, 8))):
        before = {name: tensor.clone() for name, tensor in measured.state_dict().items()}
        latency(measured, architecture, input_shape=shape, threads=1, min_seconds=0.001)
        assert all(module.training == training for module in measured.modules())
        assert all(torch.equal(tensor, before[name]) for name, tensor in measured.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"architecture": CELL}, "takes no architecture"),
        ({"channels": 4}, "takes no architecture"),
        ({}, r"input_shape=\(C, H, W\)"),
        ({"batch_size": 0}, "must be positive, got 0"),
        ({"threads": 0}, "must be positive"),
        ({"min_seconds": 0.0}, "must be positive"),
    ],
)
def test_arguments_that_do_not_go_with_a_plain_network(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        latency(nn.Identity(), **arguments)


def test_arguments_that_do_not_go_with_a_supernet() -> None:
    net = raynas.supernet("nasbench201", input_shape=(1, 8, 8), **SMALL)
    with pytest.raises(ValueError, match="which architecture"):
        latency(net)
    with pytest.raises(ValueError, match=r"for images \(1, 8, 8\), got input_shape=\(3, 8, 8\)"):
        latency(net, CELL, input_shape=(3, 8, 8))
    with pytest.raises(ValueError, match="has its options already"):
        latency(net, CELL, channels=8)
