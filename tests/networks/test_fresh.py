"""A network of one architecture that is to be trained alone starts as torch starts layers of its own sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import raynas
from raynas.networks.alone import NetworkAlone
from raynas.networks.derive import derive

NARROW101 = (
    "matrix=[[0,1,1,1,0,0,0],[0,0,0,0,0,0,1],[0,0,0,0,0,0,1],[0,0,0,0,0,0,1],[0,0,0,0,0,0,0],[0,0,0,0,0,0,0],"
    "[0,0,0,0,0,0,0]];ops=[input,conv3x3-bn-relu,conv1x1-bn-relu,conv3x3-bn-relu,maxpool3x3,maxpool3x3,output]"
)
SMALLEST_OFA = "+".join(["k3e3|k3e3|none|none"] * 5)
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "nasbench101": ("nasbench101", NARROW101, {"channels": 24, "cells": 1, "input_shape": (3, 16, 16)}),
    "ofa": ("ofa_mobilenetv3", SMALLEST_OFA, {"width": 0.5, "input_shape": (3, 64, 64)}),
    "nds": (
        "nds_resnext_a",
        "ds=1,2,1 ws=64,32,128 bot_muls=0.5,1,0.25 num_gs=1,2,4",
        {"input_shape": (3, 16, 16)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_initial_weights_are_those_of_layers_of_their_own_size(case: str) -> None:
    """torch draws within one over the root of a filter's inputs, of which the standard deviation is 1/sqrt(3)."""
    name, text, options = CASES[case]
    space = raynas.space(name)
    shape = options["input_shape"]
    others = {key: value for key, value in options.items() if key != "input_shape"}
    alone = NetworkAlone(space, space.parse(text), shape, 10, seed=1, **others)
    derived = derive(space, text, seed=1, **options)
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), derived.parameters(), strict=True))
    kinds = set()
    for where, layer in derived.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.numel() >= 400:
            kinds.add((type(layer), tuple(layer.weight.shape[2:]), getattr(layer, "groups", 1) > 1))
            bound = layer.weight[0].numel() ** -0.5
            assert float(layer.weight.detach().abs().max()) <= bound * (1 + 1e-5), where
            assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.15), where
    assert len(kinds) >= 2
    values = torch.cat([p.flatten() for p in derived.parameters()])
    drawn = values[(values != 0) & (values != 1)]
    assert len(drawn.unique()) > 0.95 * len(drawn)  # no two layers repeat each other's draws


def test_full_size_layers_keep_the_weights_of_the_seed() -> None:
    """Nothing is drawn again where nothing is cut: neither without elastic layers, nor where the largest is chosen."""
    for name, text, options in (
        (
            "nasbench201",
            "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
            {"cells": 1},
        ),
        ("ofa_mobilenetv3", "+".join(["k7e6|k7e6|k7e6|k7e6"] * 5), {"width": 0.25}),
    ):
        space = raynas.space(name)
        one = space.parse(text)
        whole = raynas.supernet(space.only(one), seed=4, affine=True, **options)
        fresh = derive(space, one, seed=4, **options)
        for key, tensor in fresh.named_parameters():
            assert torch.equal(tensor.flatten(), whole.get_parameter(key).flatten()), key


def test_copied_weights_are_not_drawn_again() -> None:
    space, (name, text, options) = raynas.space("nasbench101"), CASES["nasbench101"]
    net = raynas.supernet(name, seed=5, affine=True, track=True, **options)
    x = torch.randn(2, 3, 16, 16)
    before = torch.random.get_rng_state()
    for copied in (derive(net, text), derive(space, text, weights=net.state_dict(), **options)):
        assert torch.equal(torch.random.get_rng_state(), before)
        torch.testing.assert_close(copied.eval()(x), net.eval()(x, space.parse(text)))
