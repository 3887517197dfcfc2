"""Balanced sampling: classes and members as often as brute force says, and its neutral settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
import pytest
import torch

import raynas
from raynas.data import TensorSplit
from raynas.errors import ArchitectureError, ConfigError, UnknownNameError
from raynas.methods import SAMPLERS, Sampler, TrainingView, balanced
from raynas.methods.balanced import BalancedSampler, _is_nearest
from raynas.spaces import Architecture, Space
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

CELLS = raynas.space("nasbench201", connected=True)
FEW = CELLS.subspace(
    dict.fromkeys(("1<-0", "3<-1", "3<-0"), ("none", "nor_conv_1x1", "avg_pool_3x3"))
    | {"2<-0": ("none",), "2<-1": ("nor_conv_3x3",), "3<-2": ("none", "skip_connect")}
)
VIEW = cast(TrainingView, None)  # it looks at nothing


def draws(sampler: Sampler, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    found = [sampler.next_step(VIEW, rng) for _ in range(count)]
    assert all(len(paths) == 1 for paths in found)
    return [path for (path,) in found]


def assert_as_likely(drawn: Iterable[Architecture], chances: Mapping[Architecture, float]) -> None:
    """Assert by a chi-squared test that architectures were drawn with these chances, which sum to 1."""
    found = Counter(drawn)
    total = sum(found.values())
    assert sum(chances.values()) == pytest.approx(1)
    assert found.keys() <= chances.keys()
    chi2 = sum((found[each] - total * chance) ** 2 / (total * chance) for each, chance in chances.items())
    freedom = len(chances) - 1
    assert chi2 < freedom + 4 * (2 * freedom) ** 0.5


def chances_by(space: Space, key: Callable[[Architecture], Any]) -> dict[Architecture, float]:
    classes: dict[Any, list[Architecture]] = {}
    for architecture in space.enumerate():
        classes.setdefault(key(architecture), []).append(architecture)
    return {a: 1 / len(classes) / len(members) for members in classes.values() for a in members}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"by": "nonlinear"}, FEW.nonlinear_functions),
        ({"by": "nonlinear", "groups": [[0, 1], [2], [3]]}, lambda a: max(1, FEW.nonlinear_functions(a))),
        ({"by": "canonical"}, lambda a: FEW.canonical(a).text),
        ({"by": "3<-0"}, lambda a: a.options[3]),
    ],
    ids=["nonlinear", "groups", "canonical", "decision"],
)
def test_uniform_over_classes_and_inside(options: dict[str, Any], key: Callable[[Architecture], Any]) -> None:
    sampler = BalancedSampler(FEW, **options)
    chances = chances_by(FEW, key)
    assert sampler.classes == len({key(architecture) for architecture in chances})
    assert_as_likely(draws(sampler, 6000), chances)


def test_the_classes_of_all_cells() -> None:
    sampler = BalancedSampler(CELLS, by="nonlinear", groups=[[0, 1], [2], [3]])
    found = Counter(max(1, CELLS.nonlinear_functions(a)) for a in draws(sampler, 3000))
    assert all(abs(found[count] - 1000) < 4 * (3000 * 2 / 9) ** 0.5 for count in (1, 2, 3))


def test_canonical_is_the_uniform_sampler_over_classes() -> None:
    other = SAMPLERS.make("uniform", FEW, over="classes")
    assert draws(BalancedSampler(FEW), 200) == draws(other, 200)


def test_an_option_without_a_valid_architecture_is_no_class() -> None:
    dead = dict.fromkeys(("1<-0", "2<-0", "2<-1", "3<-1", "3<-2"), ("none",))
    space = CELLS.subspace({**dead, "3<-0": ("none", "skip_connect", "nor_conv_1x1")})
    assert BalancedSampler(space, by="3<-0").classes == 2


class TestWithoutAList:
    """Spaces that are too large to list, and small ones treated alike."""

    @pytest.fixture(autouse=True)
    def _nothing_is_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(balanced, "_LISTED", 0)

    def test_uniform_over_classes_and_inside(self) -> None:
        assert_as_likely(draws(BalancedSampler(FEW, by="nonlinear"), 6000), chances_by(FEW, FEW.nonlinear_functions))

    def test_groups(self) -> None:
        sampler = BalancedSampler(FEW, by="nonlinear", groups=[[2, 3], [0, 1]])
        assert_as_likely(draws(sampler, 6000), chances_by(FEW, lambda a: FEW.nonlinear_functions(a) > 1))

    def test_rare_classes_join_the_next(self) -> None:
        """Of 6,561 networks 1 has no block, 16 have one and 112 have two: 0.02, 0.2 and 1.7 percent."""
        space = raynas.space("nasbench_macro")
        sampler = BalancedSampler(space, by="nonlinear")
        found = Counter(space.nonlinear_functions(a) for a in draws(sampler, 2800))
        merged = [(0, 2, 4), (6,), (8,), (10,), (12,), (14,), (16,)]
        assert sampler.classes == len(merged)
        sums = [sum(found[count] for count in group) for group in merged]
        assert all(abs(number - 400) < 4 * (2800 * 6 / 49) ** 0.5 for number in sums)
        assert abs(found[2] / sums[0] - 16 / 129) < 4 * (16 / 129 / sums[0]) ** 0.5  # uniform inside


def test_mobilenet_cannot_be_listed() -> None:
    space = raynas.space("mobilenet")
    sampler = BalancedSampler(space, by="nonlinear", groups=[list(range(0, 37, 2)), [38], [40], [42]])
    found = Counter(max(36, space.nonlinear_functions(a)) for a in draws(sampler, 800))
    assert all(abs(found[count] - 200) < 4 * (800 * 3 / 16) ** 0.5 for count in (36, 38, 40, 42))


@pytest.mark.parametrize(
    "options",
    [{"by": "nonlinear", "groups": [[0, 1, 2, 3]]}, {"by": "2<-1"}],
    ids=["one group", "a decided decision"],
)
def test_one_class_is_spos_to_the_bit(options: dict[str, Any]) -> None:
    digits = raynas.data("digits").train.first(40)
    assert isinstance(digits, TensorSplit)
    trainers = []
    for sampler in (BalancedSampler(FEW, **options), SAMPLERS.make("uniform", FEW)):
        net = raynas.supernet(FEW, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
        settings = OptimizerSettings(batch_size=8)
        trainers.append(Trainer(net, digits, sampler, settings, total_steps=6, seed=0, name="root"))
    ours, spos = trainers
    assert ours.train(6) == spos.train(6)
    for a, b in zip(ours.supernet.parameters(), spos.supernet.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("space", "options", "error", "words"),
    [
        ("nasbench201", {"by": "canonicl"}, UnknownNameError, "did you mean 'canonical'.*nonlinear, 1<-0"),
        ("nasbench201", {"groups": [[0]]}, ConfigError, "by is 'canonical'; set by=nonlinear"),
        ("nasbench201", {"by": "nonlinear", "groups": [[0, 1], [1, 2, 3]]}, ConfigError, "in one group only"),
        ("nasbench201", {"by": "nonlinear", "groups": []}, ConfigError, "must hold a count"),
        ("nasbench201", {"by": "nonlinear", "groups": [[0, 1], [3]]}, ConfigError, "with 2 nonlinear.*add it to"),
        ("nasbench101", {"by": "nonlinear"}, ArchitectureError, "nasbench101 has no count of nonlinear functions"),
        ("mobilenet", {}, ArchitectureError, "more than the 2,000,000"),
        ("mobilenet", {"by": "nonlinear", "groups": [[*range(26)], [*range(26, 43)]]}, ConfigError, "less than 1%"),
    ],
)
def test_refusals(space: str, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        BalancedSampler(raynas.space(space), **options)


@pytest.mark.parametrize(("count", "group"), [(2, 0), (3, 0), (4, 0), (5, 0), (6, 1), (8, 1), (12, 2), (99, 2), (0, 0)])
def test_a_count_that_no_draw_had_belongs_to_the_nearest_group(count: int, group: int) -> None:
    groups = [[2, 4], [7], [9, 10]]  # 5 and 6 are in none; 3 is as near to 2 as to 4
    assert [_is_nearest(each, groups, count) for each in groups] == [place == group for place in range(3)]


def test_groups_of_a_subspace_are_those_it_has() -> None:
    space = CELLS.subspace({decision.name: ("none", "skip_connect") for decision in CELLS.decisions})
    sampler = BalancedSampler(space, by="nonlinear", groups=[[0, 1], [2], [3]])
    assert sampler.classes == 1
    assert draws(sampler, 20) == draws(SAMPLERS.make("uniform", space), 20)
