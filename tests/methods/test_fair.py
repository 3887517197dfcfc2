"""Strict fairness: counted out, and what is drawn compared with all sets of paths that are fair and valid."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest
import torch

import raynas
from raynas.data import TensorSplit
from raynas.methods import SAMPLERS, TrainingView
from raynas.methods.fair import FairSampler
from raynas.spaces import Architecture, Space
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

CELLS = raynas.space("nasbench201")
CONNECTED = raynas.space("nasbench201", connected=True)
VIEW = cast(TrainingView, None)  # it looks at nothing


def steps(space: Space, count: int, seed: int = 0, **options: Any) -> tuple[FairSampler, list[list[Architecture]]]:
    sampler = FairSampler(space, **options)
    rng = np.random.default_rng(seed)
    return sampler, [sampler.next_step(VIEW, rng) for _ in range(count)]


def counts(space: Space, paths: list[Architecture]) -> list[list[int]]:
    """How often each option of each decision is among the paths."""
    return [
        [sum(path.options[place] == option for path in paths) for option in decision.options]
        for place, decision in enumerate(space.decisions)
    ]


@pytest.mark.parametrize("space", [CELLS, CONNECTED], ids=["all", "connected"])
def test_every_option_once_a_step(space: Space) -> None:
    sampler, drawn = steps(space, 200)
    for paths in drawn:
        assert len(paths) == 5
        assert all(path in space for path in paths)
        assert counts(space, paths) == [[1] * 5] * 6
    assert sampler.diagnostics() == ({} if space is CELLS else {"fair_broken": 0.0})


def test_fewer_options_go_round() -> None:
    space = CELLS.subspace({"1<-0": ("none", "skip_connect"), "2<-0": ("none", "nor_conv_1x1", "nor_conv_3x3")})
    extra: Counter[int] = Counter()
    for paths in steps(space, 600)[1]:
        two, three, *five = counts(space, paths)
        assert sorted(two) == [2, 3]
        assert sorted(three) == [1, 2, 2]
        assert five == [[1] * 5] * 4
        extra[two.index(3)] += 1
    assert abs(extra[0] - 300) < 4 * (600 / 4) ** 0.5


def test_sets_of_paths_are_uniform_over_the_fair_and_valid_ones() -> None:
    live = ("skip_connect", "nor_conv_1x1")
    space = CONNECTED.subspace(
        {
            "1<-0": ("none", "skip_connect", "nor_conv_1x1"),
            "2<-0": ("none",),
            "2<-1": ("none",),
            "3<-0": ("none", *live),
            "3<-1": ("none", *live),
            "3<-2": ("none",),
        }
    )
    options = [decision.options for decision in space.decisions]
    possible: Counter[frozenset[tuple[str, ...]]] = Counter()
    choosing = [place for place, allowed in enumerate(options) if len(allowed) > 1]
    for orders in itertools.product(*(itertools.permutations(options[place]) for place in choosing)):
        rows = [[allowed[0] for allowed in options] for _ in range(3)]
        for place, order in zip(choosing, orders, strict=True):
            for row, option in zip(rows, order, strict=True):
                row[place] = option
        if all(space.is_valid(tuple(row)) for row in rows):
            possible[frozenset(map(tuple, rows))] += 1
    assert set(possible.values()) == {6}  # each set of three paths in every order
    assert len(possible) < 36  # some are refused
    draws = 100 * len(possible)
    found = Counter(frozenset(path.options for path in paths) for paths in steps(space, draws)[1])
    assert found.keys() == possible.keys()
    chi2 = sum((found[each] - 100) ** 2 / 100 for each in possible)
    assert chi2 < len(possible) + 4 * (2 * len(possible)) ** 0.5


@pytest.mark.parametrize("name", ["ofa_mobilenetv3", "nasbench101", "depth_v1"])
def test_fair_where_much_is_refused(name: str) -> None:
    space = raynas.space(name)
    sampler, drawn = steps(space, 20)
    assert sampler.diagnostics() == {"fair_broken": 0.0}
    for paths in drawn:
        assert all(path in space for path in paths)
        assert all(max(per_option) - min(per_option) <= 1 for per_option in counts(space, paths))


def test_where_no_fair_set_is_valid_the_rest_is_drawn() -> None:
    """Only 3<-0 leads to the output, and without it the cell is dead: of each fair set one path is refused."""
    edges = {"1<-0": ("none",), "2<-0": ("none",), "2<-1": ("none",), "3<-1": ("none",), "3<-2": ("none",)}
    space = CONNECTED.subspace({**edges, "3<-0": ("none", "skip_connect", "nor_conv_1x1")})
    sampler, drawn = steps(space, 50)
    middles = Counter(path.options[3] for paths in drawn for path in paths)
    assert all(len(paths) == 3 and {path.options[3] for path in paths} == {*middles} for paths in drawn)
    assert middles.keys() == {"skip_connect", "nor_conv_1x1"}
    assert sampler.diagnostics() == {"fair_broken": 1.0}
    assert sampler.diagnostics() == {"fair_broken": 0.0}  # a new round
    official, kept = steps(space, 50, official=True)
    assert all(sorted(path.options[3] for path in paths) == ["nor_conv_1x1", "skip_connect"] for paths in kept)
    assert official.diagnostics() == {"fair_broken": 1.0}


def test_official_drops_what_is_refused() -> None:
    _, free = steps(CELLS, 100)
    sampler, kept = steps(CONNECTED, 100, official=True)
    expected = [[path for path in paths if path in CONNECTED] for paths in free]  # the same draws, unrefused
    assert kept == expected
    broken = sum(len(paths) < 5 for paths in expected)
    assert 0 < broken < 100
    assert sampler.diagnostics() == {"fair_broken": broken / 100}


def test_a_single_architecture_is_spos_to_the_bit() -> None:
    cell = CELLS.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")
    split = raynas.data("digits").train.first(40)
    assert isinstance(split, TensorSplit)
    trainers = []
    for name in ("fair", "uniform"):
        space = CELLS.only(cell)
        net = raynas.supernet(space, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
        settings = OptimizerSettings(batch_size=8)
        trainers.append(Trainer(net, split, SAMPLERS.make(name, space), settings, total_steps=6, seed=0, name="root"))
    ours, spos = trainers
    assert ours.train(6) == spos.train(6)
    for a, b in zip(ours.supernet.parameters(), spos.supernet.parameters(), strict=True):
        assert torch.equal(a, b)
