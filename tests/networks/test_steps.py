"""Steps: every branch of the tree once, memory by depth, and whole spaces in as few layers as they have."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import raynas
from raynas.networks import Supernet
from raynas.networks.depth_encoder import FrozenBatchNorm
from raynas.networks.steps import Step, walk
from raynas.spaces import Architecture, Space


class Recorded:
    """A value that tells how it came about, and is counted as long as it is alive."""

    alive: weakref.WeakSet[Recorded] = weakref.WeakSet()
    most = 0

    def __init__(self, story: tuple[Any, ...]) -> None:
        self.story = story
        Recorded.alive.add(self)
        Recorded.most = max(Recorded.most, len(Recorded.alive))


def fake_path(keys: Sequence[Any], calls: Counter[Any]) -> list[Step]:
    def run(before: Recorded, key: Any) -> Recorded:
        calls[before.story, key] += 1
        return Recorded((*before.story, key))

    return [Step(key, run, (key,)) for key in keys]


def test_every_branch_once() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        paths = [tuple(rng.integers(3, size=rng.integers(1, 6)).tolist()) for _ in range(rng.integers(1, 30))]
        calls: Counter[Any] = Counter()
        found = [(place, x.story) for place, x in walk((fake_path(path, calls) for path in paths), Recorded(()))]
        assert sorted(found) == list(enumerate(paths))
        prefixes = {path[:length] for path in paths for length in range(1, len(path) + 1)}
        assert calls == Counter({(prefix[:-1], prefix[-1]): 1 for prefix in prefixes})


def test_memory_grows_with_depth_only() -> None:
    depth = 5
    paths = [fake_path(path, Counter()) for path in itertools.product(range(3), repeat=depth)]
    gc.collect()
    Recorded.most = 0
    assert sum(1 for _ in walk(paths, Recorded(()))) == 3**depth
    assert Recorded.most <= depth + 2  # one feature map a level, the images, and the output that was given last
    Recorded.most = 0
    list(walk([fake_path(range(100), Counter())], Recorded(())))
    assert Recorded.most <= 3  # what goes in and what comes out, as nothing branches; the images are the caller's


def counted(step: Step, calls: Counter[Any]) -> Step:
    def run(before: tuple[Any, ...], *options: Any) -> tuple[Any, ...]:
        calls[type(step.module).__name__] += 1
        return (*before, step.key)

    return Step(step.key, run)


def test_all_of_nasbench_macro_are_9840_layers() -> None:
    space = raynas.space("nasbench_macro")
    net = raynas.supernet(space, channels=4, head=16)
    everything, calls = list(space.enumerate()), Counter[Any]()
    paths = ([counted(step, calls) for step in net.steps(architecture)] for architecture in everything)
    for place, keys in walk(paths, ()):
        assert keys == ("stem", *everything[place].options, "head")
    assert calls.pop("Choice") == sum(3**layer for layer in range(1, 9)) == 9_840
    assert calls == {"Sequential": 1 + 6_561}  # stem and heads


def layers_run(net: Supernet, kind: type[nn.Module]) -> list[nn.Module]:
    """Return a list that grows by every call of a module of this kind."""
    called: list[nn.Module] = []
    for module in net.modules():
        if isinstance(module, kind):
            module.register_forward_pre_hook(lambda module, _: called.append(module))
    return called


def test_a_small_real_network_runs_each_layer_once() -> None:
    space = raynas.space("nasbench_macro")
    part = space.subspace({decision.name: decision.options[:1] for decision in space.decisions[4:]})
    net = raynas.supernet(part, input_shape=(1, 16, 16), channels=4, head=8).eval()
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    everything = list(part.enumerate())
    called = layers_run(net, raynas.Choice)
    with torch.inference_mode():
        found = dict(net.outputs(x, everything))
        assert len(called) == 3 + 9 + 27 + 81 + 4 * 81
        for place, architecture in enumerate(everything):
            assert torch.equal(found[place], net(x, architecture))


NETWORKS: list[tuple[str, dict[str, Any], tuple[int, int, int]]] = [
    ("mobilenet", {"width": 0.25, "head": 8, "stem_stride": 1}, (3, 32, 32)),
    ("darts", {"channels": 4, "cells": 4, "stem_multiplier": 1}, (3, 8, 8)),
    ("nasbench101", {"channels": 4, "cells": 1}, (3, 8, 8)),
    ("ofa_mobilenetv3", {"width": 0.25, "stem_stride": 1}, (3, 16, 16)),
    ("nds_resnet", {"width": 0.25}, (3, 8, 8)),
    ("nds_resnext_a", {"width": 0.25}, (3, 8, 8)),
    (
        "depth_v2",
        {"features": 4, "encoder_channels": (4, 6, 8, 10), "encoder_blocks": (1, 1, 1, 1), "encoder_stride": 2},
        (3, 32, 32),
    ),
]


@pytest.mark.parametrize(("name", "options", "input_shape"), NETWORKS, ids=[name for name, *_ in NETWORKS])
def test_a_stem_runs_once_for_all(name: str, options: dict[str, Any], input_shape: tuple[int, int, int]) -> None:
    net = raynas.supernet(raynas.space(name), input_shape=input_shape, **options).eval()
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    called: list[nn.Module] = []
    first.register_forward_pre_hook(lambda module, _: called.append(module))
    rng = np.random.default_rng(0)
    start = net.space.sample(rng)
    chosen = [start, *net.space.neighbours(start)[:2]]
    with torch.inference_mode():
        assert len(list(net.outputs(torch.randn(2, *input_shape), chosen))) == 3
    assert len(called) == 1


def test_depths_share_their_first_blocks() -> None:
    space = raynas.space("nds_resnext_a")
    net = raynas.supernet(space, input_shape=(3, 8, 8), width=0.25).eval()
    keys = []
    for depth in (2, 4):
        architecture = space.parse(f"ds=1,1,{depth} ws=16,16,32 bot_muls=0.5,0.5,0.5 num_gs=1,1,2")
        keys.append([step.key for step in net.steps(architecture)])
    shallow, deep = keys
    assert shallow[:-2] == deep[: len(shallow) - 2]
    assert len(deep) == len(shallow) + 2


def test_cells_of_equal_shared_form_are_equal_to_the_last_bit() -> None:
    space = raynas.space("nasbench201")
    net = raynas.supernet(space, input_shape=(1, 8, 8), channels=4, cells=1, affine=True).eval()
    classes: dict[Any, list[Architecture]] = {}
    for architecture in space.enumerate():
        classes.setdefault(space.shared_form(architecture), []).append(architecture)
    several = [members for members in classes.values() if len(members) > 1]
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for members in several[::60]:
            expected = net(x, members[0])
            assert all(torch.equal(net(x, other), expected) for other in members[1:5]), members[0]


class Drops(nn.Module):
    """A user's model with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = raynas.Choice("a", {"x": nn.Dropout(0.5), "y": nn.Identity()})

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.choice(x).flatten(1)
        return out


def test_what_notices_its_calls_is_run_one_by_one() -> None:
    net = raynas.supernet(Drops(), input_shape=(1, 8, 8))
    twice, x = [net.space.parse("a=x")] * 2, torch.ones(1, 1, 8, 8)
    first, second = net.train()(x, twice)
    assert not torch.equal(first, second)
    first, second = dict(net.eval().outputs(x, twice)).values()
    assert first is second


def test_a_frozen_encoder_is_shared_in_training() -> None:
    _, options, input_shape = NETWORKS[-1]
    net = raynas.supernet(raynas.space("depth_v2"), input_shape=input_shape, freeze_encoder=True, **options).train()
    called = layers_run(net, FrozenBatchNorm)
    full = "|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|@"
    x = torch.randn(2, *input_shape)
    net(x, [full + "bilinear"])
    once = len(called)
    net(x, [full + "bilinear", full + "bicubic"])
    assert len(called) == 2 * once


def test_a_network_needs_steps_or_a_path() -> None:
    class Neither(Supernet):
        pass

    class Path(Supernet):
        def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
            return images.mean((1, 2, 3))[:, None] * len(str(architecture).split("none"))

    space: Space = raynas.space("nasbench201")
    with pytest.raises(TypeError, match="Neither must implement steps or forward_path"):
        Neither(space, (1, 4, 4), 1)
    path, x = Path(space, (1, 4, 4), 1), torch.ones(2, 1, 4, 4)
    nothing = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    dead = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert len(path.steps(space.parse(nothing))) == 1
    assert torch.equal(*path(x, [nothing, dead]))  # of equal shared form: the first one is run


def test_outputs_refuse_strangers_at_once() -> None:
    part = raynas.space("nasbench201").partition(["1<-0"])[0]
    net = raynas.supernet(part, input_shape=(1, 8, 8), channels=4, cells=1)
    outside = next(raynas.space("nasbench201").partition(["1<-0"])[1].enumerate())
    with pytest.raises(ValueError, match="is not in this supernet's space"):
        net.outputs(torch.zeros(1, 1, 8, 8), [outside])
    with pytest.raises(ValueError, match="images must be"):
        net.outputs(torch.zeros(1, 3, 8, 8), [])
