"""Partitions that are made of partitions."""

from __future__ import annotations

import numpy as np
import pytest

import raynas
from raynas.search import PartitionTree
from raynas.spaces import Architecture, Decision, Space


class Letters(Space):
    """Decisions of letters, without a rule."""

    name = "letters"

    def __init__(self, *options: str) -> None:
        super().__init__([Decision(f"d{place}", tuple(each)) for place, each in enumerate(options)])

    def format_options(self, options: tuple[str, ...]) -> str:
        return "".join(options)

    def parse_options(self, text: str) -> tuple[str, ...]:
        return tuple(text)


class NoRepeats(Letters):
    """No letter twice."""

    name = "no_repeats"

    def is_valid_part(self, part: int, options: tuple[str, ...]) -> bool:
        return len(set(options)) == len(options)


@pytest.mark.parametrize("seed", range(20))
def test_a_child_is_the_half_that_keeps_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = Letters("abcd", "abcde", "x", "ab")
    tree = PartitionTree({"root": root})
    label, depth = "root", 0
    keep = root.sample(rng)
    while (child := tree.breed(label, keep, rng)) is not None:
        depth += 1
        inner, outer = tree.spaces[child], tree.spaces[label]
        assert tree.parents[child] == label
        assert inner.label == child
        assert keep in inner
        members = set(inner.enumerate())
        assert members < set(outer.enumerate())
        changed = [
            (len(now.options), len(was.options))
            for now, was in zip(inner.decisions, outer.decisions, strict=True)
            if now != was
        ]
        assert len(changed) == 1
        assert changed[0][0] in (changed[0][1] // 2, -(-changed[0][1] // 2))
        label = child
    assert tree.spaces[label].size >= 2
    assert depth >= 3
    assert set(tree.spaces) == {"root", *tree.parents}


def test_without_a_best_or_with_another_ones_it_is_a_random_half() -> None:
    other = Architecture("zz", ("z", "z"))
    for keep in (None, other):
        kept = set()
        for seed in range(40):
            tree = PartitionTree({"root": Letters("ab", "cd")})
            kept.add(tree.breed("root", keep, np.random.default_rng(seed)))
        assert kept == {"d0=a", "d0=b", "d1=c", "d1=d"}


def test_what_there_is_already_is_not_made_again() -> None:
    root = Letters("ab", "cd")
    best, rng = root.make(("a", "c")), np.random.default_rng(0)
    tree = PartitionTree({"root": root, "d1=c": root.subspace({"d1": ("c",)})})
    assert tree.breed("root", best, rng) == "d0=a"
    assert tree.breed("root", best, rng) is None
    assert tree.parents == {"d0=a": "root"}


def test_a_child_has_two_architectures_or_more() -> None:
    space = Letters("ab", "x")
    assert PartitionTree({"root": space}).breed("root", None, np.random.default_rng(0)) is None
    # ab, ba, ac, ca, bc, cb with each d0: of d0 in {a}, {b, c} only what the rule leaves
    for seed in range(30):
        tree, rng = PartitionTree({"root": NoRepeats("abc", "ab")}), np.random.default_rng(seed)
        while (label := tree.breed("root", None, rng)) is not None:
            assert tree.spaces[label].size >= 2
    # whichever decision is halved, nothing or one architecture is left
    tree = PartitionTree({"root": NoRepeats("ab", "ab")})
    assert tree.breed("root", None, np.random.default_rng(0)) is None


def test_the_same_stream_makes_the_same_children_in_a_real_space() -> None:
    def labels() -> list[str | None]:
        rng = np.random.default_rng(4)
        space = raynas.space("nasbench201")
        parts = {part.label: part for part in space.partition([space.decisions[0].name])}
        tree = PartitionTree(parts)
        first = next(iter(parts))
        best = parts[first].sample(rng)
        made = [tree.breed(first, best, rng) for _ in range(4)]
        assert all(label is not None and best in tree.spaces[label] for label in made)
        return made

    assert labels() == labels()
    assert len(set(labels())) == 4
