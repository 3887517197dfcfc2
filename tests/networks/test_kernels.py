"""Each kernel against torch's own operation, forward and backward, on both sides of the sizes at which it changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raynas.networks.kernels import (
    SMALL_CONVOLUTION,
    SMALL_POOL,
    average_pool,
    average_pool_backward,
    convolution,
    convolution_backward,
    patches,
)
from raynas.networks.operations import AveragePool

LAYOUTS = [torch.contiguous_format, torch.channels_last]
SHAPES = [(2, 8, 4, 4), (2, 5, 7, 3), (3, 16, 24, 24), (20, 16, 16, 16), (1, 3, 1, 5), (2, 4, 2, 2), (2, 1, 9, 9)]


def random(shape: tuple[int, ...], layout: torch.memory_format, seed: int = 0) -> Tensor:
    """Return normal numbers, as fine as they come."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(memory_format=layout)


def test_shapes_lie_on_both_sides_of_the_sizes() -> None:
    numbers = [torch.Size(shape).numel() for shape in SHAPES]
    assert min(numbers) < SMALL_CONVOLUTION < max(numbers)
    assert min(numbers) < SMALL_POOL < max(numbers)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(shape: tuple[int, ...], kernel: int, stride: int, layout: torch.memory_format) -> None:
    x, weight = random(shape, layout), random((6, shape[1], kernel, kernel), layout, 1)
    x.requires_grad_()
    weight.requires_grad_()
    expected = functional.conv2d(x, weight, stride=stride, padding=kernel // 2)
    grad = random(tuple(expected.shape), layout, 2)
    of_x, of_weight = torch.autograd.grad(expected, (x, weight), grad)
    x, weight = x.detach(), weight.detach()
    around = patches(x, stride) if kernel == 3 else None
    torch.testing.assert_close(convolution(x, weight, stride, around), expected)
    found = convolution_backward(grad, x, weight, stride, around)
    torch.testing.assert_close(found[0], of_x)
    torch.testing.assert_close(found[1], of_weight)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_average_pool(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    x, grad = random(shape, layout).requires_grad_(), random(shape, layout, 1)
    expected = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    (of_x,) = torch.autograd.grad(expected, x, grad)
    kept = grad.clone()
    torch.testing.assert_close(average_pool(x.detach()), expected)
    torch.testing.assert_close(average_pool_backward(grad), of_x)
    assert torch.equal(grad, kept)


@pytest.mark.parametrize("shape", [(2, 8, 4, 4), (20, 16, 16, 16)])
def test_bfloat16_pooling_has_no_bias(shape: tuple[int, ...]) -> None:
    """A constant stays what it is, at the border too, though bfloat16 has no ninth."""
    x = torch.full(shape, 3.0, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    assert torch.equal(average_pool(x), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_pooling_as_a_layer(shape: tuple[int, ...]) -> None:
    """The layer equals torch's, differentiated once and twice."""
    ours, torchs = AveragePool(), nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    assert str(ours.plain(shape[1])) == str(torchs)
    x = random(shape, torch.channels_last).requires_grad_()
    torch.testing.assert_close(ours(x), torchs(x))
    first, second = [], []
    for layer in (ours, torchs):
        (once,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
        first.append(once)
        second.append(torch.autograd.grad(once.pow(2).sum(), x)[0])
    torch.testing.assert_close(*first)
    torch.testing.assert_close(*second)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), torchs(x))
