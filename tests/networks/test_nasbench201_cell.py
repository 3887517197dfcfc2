"""A cell as one node of the graph, and several cells at once, against the cell run edge by edge."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.networks import Supernet, supernet
from raynas.networks.batchnorm import normalise_groups, scoring_statistics
from raynas.networks.cell_program import cell_program
from raynas.networks.nasbench201_cell import Cell
from raynas.networks.operations import ReductionBlock
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201")
ODD = [
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|avg_pool_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|avg_pool_3x3~0|skip_connect~1|avg_pool_3x3~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
]
"""Cells that are nothing, copies, sums of equal terms, all convolutions, or convolve one value by several edges."""


def cells(count: int, seed: int = 0) -> list[Architecture]:
    """Return the odd ones and random ones."""
    rng = np.random.default_rng(seed)
    return [*map(SPACE.parse, ODD), *(SPACE.sample(rng) for _ in range(count))]


def network(size: int = 8, seed: int = 0, **options: Any) -> Supernet:
    """Return a small supernet in double precision whose batch norms, where they have any, scale and shift at random."""
    given = {"channels": 3, "cells": 1, **options}
    net = supernet(SPACE, input_shape=(3, size, size), seed=seed, **given).double()
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    return net


def edge_by_edge(net: Supernet) -> Supernet:
    """Return a copy whose cells run edge by edge, and its reductions module by module."""
    slow = copy.deepcopy(net)
    for part in slow.modules():
        if isinstance(part, Cell):
            setattr(part, "forward", part.by_edges)  # noqa: B010 - mypy forbids methods to be set
        if isinstance(part, ReductionBlock):
            setattr(part, "forward", part.by_modules)  # noqa: B010
    setattr(slow, "forward_path", partial(Supernet.forward_path, slow))  # noqa: B010
    return slow


def images(size: int = 8, count: int = 4) -> Tensor:
    """Return random images."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
def test_training_equals_edges(norm: dict[str, bool]) -> None:
    """Outputs, gradients (none where there was none), and running averages."""
    ours = network(**norm).train()
    theirs = edge_by_edge(ours)
    x = images().requires_grad_()
    for architecture in cells(60):
        outputs, gradients = [], []
        for net in (ours, theirs):
            net.zero_grad(set_to_none=True)
            x.grad = None
            outputs.append(net(x, architecture))
            outputs[-1].pow(2).sum().backward()
            gradients.append({"images": x.grad, **{name: p.grad for name, p in net.named_parameters()}})
        torch.testing.assert_close(*outputs)
        for name, expected in gradients[1].items():
            found = gradients[0][name]
            assert (found is None) == (expected is None), (name, architecture)
            if found is not None:
                torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-6)
        torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))


@pytest.mark.parametrize("policy", ["batch", "running", "recalibrate"])
def test_scoring_equals_edges(policy: Any) -> None:
    """Whatever statistics are used."""
    ours = network(affine=True, track=True).train()
    for architecture in cells(5):
        ours(images(), architecture)
    theirs = edge_by_edge(ours)
    for architecture in cells(20):
        found = []
        for net in (ours, theirs):
            with torch.no_grad(), scoring_statistics(net, policy, lambda net=net, a=architecture: net(images(), a)):
                found.append(net(images(count=3), architecture))
        torch.testing.assert_close(*found)


def test_evaluation_by_running_averages_can_be_differentiated() -> None:
    net = network(affine=True, track=True).eval()
    assert net(images(), cells(0)[4]).requires_grad


def test_a_cell_that_is_differentiated_twice_is_refused() -> None:
    net, x = network().train(), images().requires_grad_()
    (once,) = torch.autograd.grad(net(x, cells(0)[4]).pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        once.sum().backward()


def test_programs_are_the_different_functions() -> None:
    """7,810 programs; none convolves anything twice, and the ones of equal cells are the same."""
    programs = {SPACE.shared_form(a): cell_program(a.options) for a in SPACE.enumerate()}
    assert len(programs) == 7_810
    for program in filter(None, programs.values()):
        assert len(set(program.convolutions)) == len(program.convolutions)
        assert cell_program.cache_info().maxsize > 7_810


@pytest.mark.parametrize("own_images", [False, True], ids=["common images", "images of their own"])
@pytest.mark.parametrize("affine", [False, True])
def test_several_at_once_equal_one_by_one(affine: bool, own_images: bool) -> None:
    """Outputs and gradients, batch statistics being each architecture's own."""
    net, chosen = network(affine=affine).train(), cells(12)
    x = torch.stack([images() * (1 + i) for i in range(len(chosen))]) if own_images else images()
    together = net.together(x, chosen)
    apart = torch.stack([net(x[i] if own_images else x, a) for i, a in enumerate(chosen)])
    torch.testing.assert_close(together, apart)
    gradients = []
    for outputs in (together, apart):
        net.zero_grad(set_to_none=True)
        outputs.pow(2).sum().backward()
        gradients.append({name: p.grad for name, p in net.named_parameters() if p.grad is not None})
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-6)


def test_groups_normalised_in_passes_over_all() -> None:
    """What devices other than CPUs run."""
    x = torch.randn(6, 5, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    weight, bias = torch.rand(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    found = normalise_groups(x, 3, weight, bias, 1e-5)
    expected = torch.cat([torch.nn.functional.batch_norm(p, None, None, weight, bias, True) for p in x.chunk(3)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)  # statistics are taken in float32
    first, second = (torch.autograd.grad(out.pow(2).sum(), x)[0] for out in (found, expected))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


def test_running_averages_cannot_be_kept_for_several_at_once() -> None:
    with pytest.raises(ValueError, match="group by group"):
        network(track=True).train().together(images(), cells(3))


def test_bfloat16_is_near_float32() -> None:
    """Under autocast a cell computes in bfloat16 and its weights get float32 gradients."""
    net = network(size=16, channels=8).float().train()
    x = images(16, 16).float()
    for architecture in cells(10)[3:]:
        exact = net(x, architecture)
        net.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(x, architecture)
        assert rough.dtype == torch.bfloat16
        rough.float().pow(2).sum().backward()
        assert {p.grad.dtype for p in net.parameters() if p.grad is not None} == {torch.float32}
        assert (rough.float() - exact).norm() < 0.05 * exact.norm()
