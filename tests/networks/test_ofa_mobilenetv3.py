"""The Once-for-all supernet against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import raynas
from raynas.errors import ArchitectureError
from raynas.networks import Supernet
from raynas.networks.batchnorm import batch_norms
from raynas.networks.cost import cost
from raynas.networks.derive import derive
from raynas.networks.inherit import inherit
from raynas.networks.ofa_mobilenetv3 import ElasticBlock, divisible
from raynas.spaces import Architecture
from raynas.spaces.ofa_mobilenetv3 import OfaMobilenetV3

SPACE = OfaMobilenetV3()
SMALL = {"input_shape": (2, 16, 16), "width": 0.25, "classes": 3, "stem_stride": 1}


def uniform(kernel: int, expansion: int, depth: int, resolution: int | None = None) -> Architecture:
    space = SPACE if resolution is None else OfaMobilenetV3(resolutions=(resolution,))
    return space.from_arrays([kernel] * 20, [expansion] * 20, [depth] * 5, resolution)


def shaken(space: OfaMobilenetV3 = SPACE, **options: object) -> Supernet:
    """A supernet none of whose parameters and averages are equal or the identity."""
    net = raynas.supernet(space, **{**SMALL, "affine": True, "track": True, **options})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for norm in batch_norms(net):
            for tensor in (norm.running_mean, norm.running_var):
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return net


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 2, 16, 16, generator=torch.Generator().manual_seed(1))


def reference_block(block: ElasticBlock, x: Tensor, kernel: int, expansion: int, act: nn.Module) -> Tensor:
    """The block of the paper in evaluation mode, written out on slices of the weights."""

    def norm(layer: nn.Module, y: Tensor) -> Tensor:
        mean, var, scale, shift = (
            t[: y.shape[1], None, None] for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )
        return (y - mean) / torch.sqrt(var + 1e-5) * scale + shift

    width = x.shape[1] * expansion
    y = act(norm(block.expand_norm, functional.conv2d(x, block.expand.weight[:width])))
    filters = block.depthwise.weight[:width, 0]
    for smaller in (k for k in (5, 3) if k >= kernel):
        matrix, rows = block.depthwise.transforms[str(smaller)], []
        for one in filters[:, 1:-1, 1:-1]:
            rows.append((one.reshape(1, smaller**2) @ matrix).reshape(smaller, smaller))
        filters = torch.stack(rows)
    stride = block.depthwise.stride
    y = functional.conv2d(y, filters[:, None], stride=stride, padding=kernel // 2, groups=width)
    y = act(norm(block.depthwise_norm, y))
    if block.se is not None:
        inner = divisible(width // 4)
        gate = y.mean((2, 3)) @ block.se.reduce.weight[:inner, :width].T + block.se.reduce.bias[:inner]
        gate = torch.relu(gate) @ block.se.expand.weight[:width, :inner].T + block.se.expand.bias[:width]
        y = y * torch.clamp(gate / 6 + 0.5, 0, 1)[:, :, None, None]
    y = norm(block.project_norm, functional.conv2d(y, block.project.weight[:, :width]))
    return x + y if stride == 1 and x.shape == y.shape else y


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("expansion", [3, 4, 6])
def test_block_is_that_of_the_paper(kernel: int, expansion: int) -> None:
    net = shaken().eval()
    for number, (stage, act) in enumerate(zip(net.stages, (*[nn.ReLU()] * 2, *[nn.Hardswish()] * 3), strict=True)):
        for place, block in enumerate(list(stage)[:2]):
            assert (block.se is not None) == (number in (1, 3, 4))
            assert block.depthwise.stride == (2 if place == 0 and number != 3 else 1)
            x = torch.randn(2, block.channels_in, 8, 8)
            ours, theirs = block(x, kernel, expansion), reference_block(block, x, kernel, expansion, act)
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_kernel_maps_start_as_the_identity() -> None:
    block = raynas.supernet(SPACE, **SMALL).stages[0][0].depthwise
    assert torch.equal(block.weights(8, 8, 3, 1), block.weight[:8, :, 2:5, 2:5])


def test_depth_takes_the_first_blocks() -> None:
    net = shaken().eval()
    with torch.no_grad():
        for stage in net.stages:
            for parameter in stage[2:].parameters():
                parameter.fill_(float("nan"))
    assert torch.isfinite(net(images(), uniform(5, 4, 2))).all()
    assert torch.isnan(net(images(), uniform(5, 4, 3))).all()


def published_parameters(kernel: int, expansion: int, depth: int) -> int:
    """Widths, kernels and layers of the paper's network for ImageNet, multiplied out."""
    total = 3 * 9 * 16 + 32 + (16 * 9 + 32 + 16 * 16 + 32)
    channels = 16
    for out, se in zip((24, 40, 80, 112, 160), (False, True, False, True, True), strict=True):
        for _ in range(depth):
            wide = channels * expansion
            total += channels * wide + 2 * wide + wide * kernel**2 + 2 * wide + wide * out + 2 * out
            if se:
                inner = max(8, (wide // 4 + 4) // 8 * 8)
                inner += 8 * (inner < 0.9 * (wide // 4))
                total += wide * inner + inner + inner * wide + wide
            channels = out
    return total + 160 * 960 + 2 * 960 + 960 * 1280 + 1280 * 1000 + 1000


@pytest.mark.parametrize(("kernel", "expansion", "depth"), [(7, 6, 4), (3, 3, 2), (5, 4, 3)])
def test_parameters(kernel: int, expansion: int, depth: int) -> None:
    found = cost(SPACE, uniform(kernel, expansion, depth), input_shape=(3, 224, 224), classes=1000)
    assert round(found.params_m * 1e6) == published_parameters(kernel, expansion, depth)


def test_widths_are_multiples_of_eight() -> None:
    assert [divisible(c * 1.2) for c in (16, 24, 40, 80, 112, 160, 960, 1280)] == [
        24, 32, 48, 96, 136, 192, 1152, 1536,
    ]  # fmt: skip
    assert [divisible(c) for c in (1, 11, 12, 17.7, 18)] == [8, 16, 16, 16, 24]


def test_sorting_channels_keeps_the_largest_network() -> None:
    net, x = shaken().double(), images().double()
    before = {e: net.eval()(x, uniform(3, e, 4)) for e in (3, 4, 6)}
    in_training = net.train()(x, uniform(7, 6, 4))
    net = shaken().double()
    net.sort_channels()
    torch.testing.assert_close(net.eval()(x, uniform(3, 6, 4)), before[6])
    for smaller in (3, 4):
        assert not torch.allclose(net(x, uniform(3, smaller, 4)), before[smaller], atol=1e-3)
    torch.testing.assert_close(net.train()(x, uniform(7, 6, 4)), in_training)
    for stage in net.stages:
        for block in stage:
            importance = block.project.weight.abs().sum((0, 2, 3))
            assert (importance.diff() <= 0).all()


def test_sorting_again_keeps_what_was_trained() -> None:
    net, x = shaken().eval().double(), images().double()
    before = {e: net(x, uniform(5, e, 3)) for e in (3, 4, 6)}
    net.sort_channels(keep=[4])
    for kept in (4, 6):
        torch.testing.assert_close(net(x, uniform(5, kept, 3)), before[kept])
    assert not torch.allclose(net(x, uniform(5, 3, 3)), before[3], atol=1e-3)


def test_sorting_needs_no_scale_and_averages() -> None:
    net, x = raynas.supernet(SPACE, **SMALL).double(), images().double()
    before = net(x, uniform(7, 6, 4))
    net.sort_channels()
    torch.testing.assert_close(net(x, uniform(7, 6, 4)), before)


def test_resolution_resizes_the_images() -> None:
    space = OfaMobilenetV3(resolutions=(8, 16, 24))
    net, plain = shaken(space).eval(), shaken(input_shape=(2, 8, 8)).eval()
    x, text = images(), uniform(5, 4, 3).text
    small = functional.interpolate(x, (8, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(net(x, space.parse(f"{text}@8")), plain(small, SPACE.parse(text)))
    torch.testing.assert_close(net(x, space.parse(f"{text}@16")), shaken().eval()(x, SPACE.parse(text)))
    flops = [cost(space, f"{text}@{size}", **SMALL).flops_m for size in (8, 16, 24)]
    assert flops[0] < flops[1] < flops[2]
    assert flops[1] == cost(SPACE, text, **SMALL).flops_m
    alone = derive(net, f"{text}@8")
    torch.testing.assert_close(alone(x), net(x, space.parse(f"{text}@8")))


@pytest.mark.parametrize(("kernel", "expansion", "depth"), [(7, 6, 4), (5, 3, 3), (3, 4, 2)])
def test_one_architecture_has_no_idle_weights(kernel: int, expansion: int, depth: int) -> None:
    architecture, root = uniform(kernel, expansion, depth), shaken()
    alone = raynas.supernet(SPACE.only(architecture), affine=True, track=True, **SMALL)
    inherit(alone, root.state_dict())
    x = images()
    torch.testing.assert_close(alone.eval()(x, architecture), root.eval()(x, architecture))
    alone(x, architecture).square().mean().backward()
    assert not [name for name, p in alone.named_parameters() if p.grad is None]
    assert [len(stage) for stage in alone.stages] == [depth] * 5
    assert len(alone.stages[0][0].depthwise.transforms) == (7 - kernel) // 2


def test_a_subspace_without_the_middle_kernel_keeps_the_chain() -> None:
    part = SPACE.subspace({"stage1.block1": ["k3e6", "k7e6"]})
    root, x = shaken().eval(), images()
    child = raynas.supernet(part, affine=True, track=True, **SMALL).eval()
    inherit(child, root.state_dict())
    architecture = part.sample(np.random.default_rng(0))
    torch.testing.assert_close(child(x, architecture), root(x, architecture))
    assert set(child.stages[0][0].depthwise.transforms) == {"5", "3"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((3, [6] * 20, [2] * 5), "ks must be a list of whole numbers, got 3"),
        (([3] * 20, None, [2] * 5), "e must be a list of whole numbers, got None"),
        (([3] * 20, [6] * 20, ["2"] * 5), "d must be a list of whole numbers, got"),
    ],
)
def test_arrays_that_are_none_are_explained(given: tuple[Any, Any, Any], words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        OfaMobilenetV3().from_arrays(*given)
