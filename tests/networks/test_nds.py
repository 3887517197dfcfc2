"""The networks of the design spaces against their definition and known sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import raynas
from raynas.networks.inherit import inherit
from raynas.networks.nds import NdsSupernet
from raynas.spaces import Architecture, Space
from raynas.spaces.nds import NdsSpace

RESNET = raynas.space("nds_resnet")
RESNEXT = raynas.space("nds_resnext_a")
SMALL = {"input_shape": (3, 8, 8), "width": 0.25}

Weights = dict[str, Tensor]


def stages_of(space: Space, architecture: Architecture) -> tuple[dict[str, float], ...]:
    assert isinstance(space, NdsSpace)
    return space.stages(architecture.options)


def reference_layer(
    weights: Weights, name: str, x: Tensor, channels: int, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """A convolution group by group, with the diagonal blocks of the shared weights, and batch norm by hand."""
    shared = weights[f"{name}.conv.weight"]
    kernel, columns, rows = shared.shape[-1], x.shape[1] // groups, channels // groups
    parts = [
        functional.conv2d(
            x[:, g * columns : (g + 1) * columns],
            shared[g * rows : (g + 1) * rows, g * columns : (g + 1) * columns],
            None,
            stride,
            kernel // 2,
        )
        for g in range(groups)
    ]
    return functional.batch_norm(torch.cat(parts, 1), None, None, training=True)


def reference(network: NdsSupernet, images: Tensor, architecture: Architecture) -> Tensor:
    """The network from its definition, of the paper's widths."""
    weights = network.state_dict()
    x = functional.conv2d(images, weights["stem.0.weight"], padding=1)
    x = functional.batch_norm(x, None, None, training=True).relu()
    for number, stage in enumerate(stages_of(network.space, architecture)):
        width = int(stage["width"])
        for place in range(int(stage["depth"])):
            name, stride = f"stages.{number}.{place}", 2 if place == 0 and number > 0 else 1
            shortcut = x
            if stride > 1 or x.shape[1] != width:
                shortcut = reference_layer(weights, f"{name}.shortcut", x, width, stride=stride)
            if "bot_mul" in stage:
                inner, groups = round(width * stage["bot_mul"]), int(stage["groups"])
                x = reference_layer(weights, f"{name}.reduce", x, inner).relu()
                x = reference_layer(weights, f"{name}.grouped", x, inner, stride=stride, groups=groups).relu()
                x = reference_layer(weights, f"{name}.expand", x, width)
            else:
                x = reference_layer(weights, f"{name}.first", x, width, stride=stride).relu()
                x = reference_layer(weights, f"{name}.second", x, width)
            x = (x + shortcut).relu()
    x = x.mean((2, 3))
    return x @ weights["classifier.weight"][:, : x.shape[1]].T + weights["classifier.bias"]


@pytest.mark.parametrize("space", [RESNET, RESNEXT], ids=["resnet", "resnext"])
def test_network_is_that_of_the_definition(space: Space) -> None:
    part = space.subspace({f"stage{number}.depth": ("1", "2") for number in (1, 2, 3)})
    network = raynas.supernet(part, input_shape=(3, 8, 8))
    assert isinstance(network, NdsSupernet)
    images, rng = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), np.random.default_rng(0)
    with torch.no_grad():
        for architecture in (part.sample(rng) for _ in range(6)):
            found = network(images, architecture)
            torch.testing.assert_close(found, reference(network, images, architecture), atol=2e-4, rtol=2e-4)


def test_resnet_20_is_in_the_space() -> None:
    """ResNet-20 with projections (He et al., CVPR 2016, option B) has 272,474 parameters and 40.81 M multiply-adds."""
    found = raynas.cost(RESNET, "ds=3,3,3 ws=16,32,64")
    assert round(found.params_m * 1e6) == 272_474
    assert round(found.flops_m * 1e6) == 40_813_184


def counted(stages: tuple[dict[str, float], ...]) -> tuple[int, int]:
    """Parameters and multiply-adds for CIFAR-10 by formula."""
    size, channels, params, flops = 32, 16, 27 * 16 + 2 * 16, 27 * 16 * 32**2
    for number, stage in enumerate(stages):
        depth, width, groups = int(stage["depth"]), int(stage["width"]), int(stage.get("groups", 1))
        for place in range(depth):
            before, size = size, size // 2 if place == 0 and number > 0 else size
            layers = [(9 * channels * width, width, size), (9 * width * width, width, size)]
            if "bot_mul" in stage:
                inner = round(width * stage["bot_mul"])
                layers = [(channels * inner, inner, before), (9 * inner * inner // groups, inner, size)]
                layers.append((inner * width, width, size))
            if size != before or channels != width:
                layers.append((channels * width, width, size))
            params += sum(weights + 2 * outputs for weights, outputs, _ in layers)
            flops += sum(weights * pixels**2 for weights, _, pixels in layers)
            channels = width
    return params + 10 * channels + 10, flops + 10 * channels


@pytest.mark.parametrize("space", [RESNET, RESNEXT], ids=["resnet", "resnext"])
def test_cost_by_formula(space: Space) -> None:
    rng = np.random.default_rng(1)
    for architecture in (space.sample(rng) for _ in range(12)):
        found = raynas.cost(space, architecture)
        expected = counted(stages_of(space, architecture))
        assert (round(found.params_m * 1e6), round(found.flops_m * 1e6)) == expected


def gradients(network: torch.nn.Module, architecture: Architecture) -> Weights:
    network.zero_grad(set_to_none=True)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network(images, architecture).square().mean().backward()
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def test_blocks_and_channels_are_shared_from_the_first() -> None:
    """A shallower stage runs the first blocks, a narrower one the first channels of the same weights."""
    part = RESNET.subspace({f"stage{number}.depth": ("1", "3") for number in (1, 2, 3)})
    network = raynas.supernet(part, **SMALL)
    deep = gradients(network, part.parse("ds=3,1,3 ws=256,64,128"))
    flat = gradients(network, part.parse("ds=1,1,3 ws=64,64,128"))
    assert {name[:10] for name in set(deep) - set(flat)} == {"stages.0.1", "stages.0.2"}
    first = "stages.0.0.second.conv.weight"
    assert deep[first].count_nonzero() == 64 * 64 * 9
    assert flat[first].count_nonzero() == 16 * 16 * 9
    assert flat[first][:16, :16].count_nonzero() == 16 * 16 * 9


def test_groups_are_the_diagonal_blocks() -> None:
    network = raynas.supernet(RESNEXT.subspace({"stage1.depth": ["1"]}), input_shape=(3, 8, 8))
    found = gradients(network, RESNEXT.parse("ds=1,1,1 ws=32,16,16 bot_muls=1,1,1 num_gs=4,1,1"))
    used = found["stages.0.0.grouped.conv.weight"].flatten(2).abs().sum(2) > 0
    assert torch.equal(used[:32, :32], torch.kron(torch.eye(4), torch.ones(8, 8)).bool())
    assert used.sum() == 4 * 8 * 8


def test_a_first_stage_as_wide_as_the_stem_has_no_projection() -> None:
    names = {
        width: set(raynas.supernet(RESNET.subspace({"stage1.width": width}), **SMALL).state_dict())
        for width in (("16",), ("16", "64"), ("64",))
    }
    projection = "stages.0.0.shortcut.conv.weight"
    assert [projection in names[width] for width in names] == [False, True, True]


def test_a_subspace_is_as_deep_as_its_deepest_architecture() -> None:
    part = RESNEXT.subspace({"stage1.depth": ["2", "8"], "stage3.depth": ["1"]})
    network = raynas.supernet(part, **SMALL)
    assert isinstance(network, NdsSupernet)
    assert [len(blocks) for blocks in network.stages if isinstance(blocks, torch.nn.ModuleList)] == [8, 16, 1]
    root = raynas.supernet(RESNEXT, **SMALL, seed=3)
    inherit(network, root.state_dict())


def shallow(space: Space) -> Space:
    return space.subspace({f"stage{number}.depth": ("1", "2") for number in (1, 2, 3)})


@pytest.mark.parametrize("width", [0.1, 0.5, 1.5])
def test_any_width_can_be_grouped(width: float) -> None:
    part = shallow(RESNEXT).subspace({f"stage{number}.groups": ["4"] for number in (1, 2, 3)})
    network = raynas.supernet(part, input_shape=(3, 8, 8), width=width)
    rng = np.random.default_rng(0)
    for architecture in (part.sample(rng) for _ in range(4)):
        assert torch.isfinite(network(torch.randn(2, 3, 8, 8), architecture)).all()
