"""Splits that are known beforehand: given, random, by nonlinear functions; and what sub-supernets inherit."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

import raynas
from raynas.errors import ArchitectureError, ConfigError, RaynasError, UnknownNameError
from raynas.methods import PARTITIONS, Partition, Stack
from raynas.networks.inherit import inherit
from raynas.spaces import Space
from raynas.streams import stream

SPACE = raynas.space("nasbench201")
ALL = list(SPACE.enumerate())
HALVES = [["none", "skip_connect"], ["nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]]


def make(name: str, **options: Any) -> Partition:
    """Return a partition as a configuration makes it: its options are checked."""
    return PARTITIONS.build(name, **options)


def leaves(partition: Partition, space: Space = SPACE, seed: int = 0) -> list[list[Space]]:
    """Return the parts of each level."""
    levels, parts = [], [space]
    for level in range(partition.levels):
        parts = [p for part in parts for p in partition.split(part, level, stream(seed, "split", part.label)).parts]
        levels.append(parts)
    return levels


def assert_covers(parts: list[Space]) -> None:
    """Fail unless every architecture of NAS-Bench-201 is in exactly one part, and parts say how many they have."""
    members = [list(part.enumerate()) for part in parts]
    assert [len(found) for found in members] == [part.size for part in parts]
    assert Counter(itertools.chain.from_iterable(members)) == Counter(ALL)


@pytest.mark.parametrize(
    ("decisions", "sizes"),
    [
        (["1<-0"], [[3125] * 5]),
        (["1<-0", "2<-0"], [[625] * 25]),
        ([["1<-0"], ["2<-0"]], [[3125] * 5, [625] * 25]),
        ([{"1<-0": HALVES}], [[6250, 9375]]),
        ([{"1<-0": HALVES, "2<-0": HALVES}], [[2500, 3750, 3750, 5625]]),
        ([[{"1<-0": HALVES}], ["1<-0"]], [[6250, 9375], [3125] * 5]),
        ([["1<-0"], [{"1<-0": HALVES}]], [[3125] * 5, [3125] * 5]),
    ],
    ids=str,
)
def test_given_parts_are_disjoint_and_complete(decisions: list[Any], sizes: list[list[int]]) -> None:
    partition = make("given", decisions=decisions)
    levels = leaves(partition)
    assert [[part.size for part in parts] for parts in levels] == sizes
    assert partition.most(SPACE) == [len(parts) for parts in sizes]
    for parts in levels:
        assert_covers(parts)


def test_one_level_of_two_decisions_is_the_spaces_own_partition() -> None:
    (parts,) = leaves(make("given", decisions=["1<-0", "2<-0"]))
    assert [part.label for part in parts] == [part.label for part in SPACE.partition(["1<-0", "2<-0"])]


def test_a_part_that_holds_no_architecture_is_left_out() -> None:
    connected = raynas.space("nasbench201", connected=True)
    (parts,) = leaves(make("given", decisions=["3<-0", "3<-1", "3<-2"]), connected)
    assert len(parts) == 125 - 1  # without those of which nothing reaches the output
    assert sum(part.size for part in parts) == connected.size == 15_625 - 341


@pytest.mark.parametrize(
    ("decisions", "words"),
    [
        ([["1<-0"], "2<-0"], "either all are decisions"),
        (["1<-0", "1<-0"], "named more than once: 1<-0, 1<-0"),
        (["1<-0", {"1<-0": HALVES}], "named more than once"),
        ([["1<-0"], []], "a level has no decision"),
        ([5], "one is 5"),
        ([{"1<-0": ["none"]}], "each must be a decision's name"),
        ([], "at least 1 item"),
        ([{"1<-0": [["none"], ["skip_connect"]]}], "nor_conv_1x1, nor_conv_3x3, avg_pool_3x3 is in no group"),
        ([{"1<-0": [*HALVES, ["none"]]}], "none stands in it twice"),
        ([{"1<-0": [*HALVES, []]}], "a group is empty"),
        ([{"1<-0": [["nun"], *HALVES]}], "has no option 'nun', did you mean 'none'?"),
        (["1<-9"], "has no decision '1<-9'"),
    ],
    ids=str,
)
def test_what_cannot_be_split_is_refused(decisions: list[Any], words: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        make("given", decisions=decisions).most(SPACE)
    assert words in str(caught.value)


def test_random_splits_follow_their_stream_and_split_nothing_twice() -> None:
    partition = make("random", levels=2, decisions=2, groups=2)
    first, again, other = (leaves(partition, seed=seed) for seed in (0, 0, 1))
    assert [[p.label for p in parts] for parts in first] == [[p.label for p in parts] for parts in again]
    assert [p.label for p in first[1]] != [p.label for p in other[1]]
    assert [len(parts) for parts in first] == partition.most(SPACE) == [4, 16]
    for parts in first:
        assert_covers(parts)
    for part in first[1]:
        restricted = [d for d, whole in zip(part.decisions, SPACE.decisions, strict=True) if d.options != whole.options]
        assert sorted(len(decision.options) for decision in restricted) in ([2] * 4, [2, 2, 2, 3], [2, 2, 3, 3],
                                                                            [2, 3, 3, 3], [3] * 4)  # fmt: skip
    assert {len(leaves(make("random"), seed=seed)[0]) for seed in range(3)} == {5}


def test_random_takes_no_more_decisions_than_there_are() -> None:
    partition = make("random", levels=2, decisions=4)
    assert "are 8, but nasbench201 has 6" in partition.objections(Stack(SPACE))[0]
    assert make("random", levels=2, decisions=3).objections(Stack(SPACE)) == []
    space = raynas.space("mobilenet")
    assert make("random", decisions=2, levels=2).most(space) == [49, 7**4]


def test_nonlinear_functions_part_the_space_as_enn_counts_it() -> None:
    (parts,) = leaves(make("nonlinear", groups=[[0, 1], [2], [3]]))
    assert [part.size for part in parts] == [1983 + 7122, 5520, 1000]
    assert [part.label for part in parts] == [f"nonlinear_functions={text}" for text in ("0/1", "2", "3")]
    assert_covers(parts)
    assert [part.size for part in leaves(make("nonlinear"))[0]] == [1983, 7122, 5520, 1000]
    assert [part.size for part in leaves(make("nonlinear", groups=[[0, 1, 2, 3, 9]]))[0]] == [15_625]


@pytest.mark.parametrize(
    ("space", "groups", "words"),
    [
        ("nasbench201", [[0], [1, 1]], "each count must be in one group only"),
        ("nasbench201", [], "each must hold a count"),
        ("nasbench201", [[0], [3]], "architectures with 1, 2 nonlinear functions are in no group"),
        ("mobilenet", None, "too large to list its counts; give groups"),
        ("mobilenet", [[*range(20)], [*range(20, 43)]], "less than 1% of mobilenet"),
    ],
)
def test_counts_that_cannot_be_split_by_are_refused(space: str, groups: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("nonlinear", groups=groups).most(raynas.space(space))
    assert words in str(caught.value)


def test_nonlinear_says_what_it_does_not_go_together_with() -> None:
    partition = make("nonlinear")
    assert "has no count of nonlinear functions" in partition.objections(Stack(raynas.space("nasbench101")))[0]
    assert "combines all options" in partition.objections(Stack(SPACE, sampler="fair"))[0]
    assert "combines all options" in partition.objections(Stack(SPACE, sampler="darts"))[0]
    assert partition.objections(Stack(SPACE, sampler="balanced")) == []


def test_a_counted_space_is_a_space() -> None:
    deep, rng = SPACE.where("nonlinear_functions", [3]), np.random.default_rng(0)
    members = list(deep.enumerate())
    assert len(members) == deep.size == 1000
    assert {SPACE.nonlinear_functions(a) for a in members} == {3}
    drawn = Counter(deep.sample(rng) for _ in range(5000))
    assert set(drawn) <= set(members)
    assert len(drawn) > 950  # of 1000 equally likely ones 5000 draws miss seven
    for architecture in list(drawn)[:20]:
        assert deep.mutate(architecture, rng) in deep
        assert set(deep.neighbours(architecture)) == set(SPACE.neighbours(architecture)) & set(members)
        assert deep.crossover(architecture, members[0], rng) in deep
    shallow = next(a for a in ALL if SPACE.nonlinear_functions(a) == 1)
    assert shallow not in deep
    with pytest.raises(ArchitectureError, match="it has nonlinear_functions=1"):
        deep.parse(shallow.text)
    assert deep.root.size == 15_625
    fixed = deep.subspace({"1<-0": ["nor_conv_3x3"]})
    assert fixed.label == "1<-0=nor_conv_3x3,nonlinear_functions=3"
    assert {a for a in members if a.options[0] == "nor_conv_3x3"} == set(fixed.enumerate())
    assert deep.where("nonlinear_functions", [2, 3]).size == 1000  # what was left out stays out
    with pytest.raises(UnknownNameError, match="nothing counts 'nonlinear', did you mean 'nonlinear_functions'"):
        SPACE.where("nonlinear", [1])


def test_a_counted_space_too_large_to_list_is_drawn_by_rejection() -> None:
    space = raynas.space("mobilenet")
    deep, rng = space.where("nonlinear_functions", [40, 42]), np.random.default_rng(0)
    assert {space.nonlinear_functions(deep.sample(rng)) for _ in range(50)} == {40, 42}
    with pytest.raises(RaynasError, match="walked through one by one"):
        _ = deep.size


def test_parameters_are_those_of_the_released_sub_supernets() -> None:
    def count(space: Space) -> int:
        return sum(parameter.numel() for parameter in raynas.supernet(space).parameters())

    whole = count(SPACE)
    parts = {part.decision("1<-0").options[0]: count(part) for part in SPACE.partition(["1<-0"])}
    convolutions = {"nor_conv_1x1": 5 * (16**2 + 32**2 + 64**2), "nor_conv_3x3": 45 * (16**2 + 32**2 + 64**2)}
    norms = 2 * (16 + 2 * 32 + 2 * 64 + 64)  # affine in the released stem, reductions and head; affine nowhere here
    assert whole == 1_686_106 - norms
    assert whole - parts["none"] == sum(convolutions.values()) == 1_686_106 - 1_417_306
    assert parts["none"] == parts["skip_connect"] == parts["avg_pool_3x3"]
    assert all(parts[option] - parts["none"] == size for option, size in convolutions.items())


@pytest.mark.parametrize(
    ("name", "options"),
    [("given", {"decisions": [["1<-0"], [{"2<-1": HALVES}]]}), ("nonlinear", {"groups": [[0, 1], [2], [3]]})],
)
def test_sub_supernets_give_their_parents_logits_before_training(name: str, options: dict[str, Any]) -> None:
    """Down the tree: each level is disturbed, as training would, before the next inherits from it."""
    partition = make(name, **options)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def net(space: Space, seed: int) -> raynas.Supernet:
        return raynas.supernet(space, input_shape=(3, 8, 8), channels=2, cells=1, seed=seed)

    parents = [net(SPACE, 0)]
    for level, seed in zip(range(partition.levels), itertools.count(1)):
        children = []
        for parent in parents:
            for part in partition.split(parent.space, level, stream(0, "split")).parts:
                child = net(part, seed)
                inherit(child, parent.state_dict())
                for draw in range(3):
                    architecture = part.sample(np.random.default_rng(draw))
                    assert torch.equal(child(images, architecture), parent(images, architecture))
                with torch.no_grad():
                    for parameter in child.parameters():
                        parameter.mul_(1.5)
                children.append(child)
        parents = children
