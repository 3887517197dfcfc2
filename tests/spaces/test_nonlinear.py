"""Counts of nonlinear functions, path by path, and classes of architectures by a key."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

import raynas
from raynas.errors import ArchitectureError
from raynas.spaces import SPACES, Architecture
from raynas.spaces.classes import classes_by
from raynas.spaces.darts import cells

CELLS = raynas.space("nasbench201")
PATHS = (("3<-0",), ("1<-0", "3<-1"), ("2<-0", "3<-2"), ("1<-0", "2<-1", "3<-2"))
"""From the input to the output of a cell."""
HAVE = ("nasbench201", "darts", "nasbench301", "nasbench_macro", "mobilenet")


def path_by_path(architecture: Architecture) -> int:
    """ENN's rule: a path counts its convolutions, or nothing if it has a `none`; a cell has the largest count."""
    chosen = dict(zip([d.name for d in CELLS.decisions], architecture.options, strict=True))
    return max(
        0 if "none" in operations else sum(operation in ("nor_conv_1x1", "nor_conv_3x3") for operation in operations)
        for operations in ([chosen[edge] for edge in path] for path in PATHS)
    )


def test_nasbench201() -> None:
    """ENN's own counts over all cells."""
    everything = list(CELLS.enumerate())
    found = [CELLS.nonlinear_functions(architecture) for architecture in everything]
    assert found == [path_by_path(architecture) for architecture in everything]
    assert Counter(found) == {0: 1983, 1: 7122, 2: 5520, 3: 1000}


def test_darts_walks_every_path() -> None:
    space, rng = raynas.space("darts"), np.random.default_rng(0)
    size = {"sep_conv_3x3": 2, "sep_conv_5x5": 2, "dil_conv_3x3": 1, "dil_conv_5x5": 1}
    seen = set()
    for _ in range(200):
        architecture = space.sample(rng)

        def paths(node: int, nodes: tuple[tuple[tuple[str, int], ...], ...]) -> list[int]:
            if node < 2:
                return [0]
            return [
                size.get(operation, 0) + rest for operation, source in nodes[node - 2] for rest in paths(source, nodes)
            ]

        expected = sum(
            max(count for node in range(2, 6) for count in paths(node, c)) for c in cells(architecture.options)
        )
        assert space.nonlinear_functions(architecture) == expected
        seen.add(expected)
    assert len(seen) > 5


def test_layers_of_blocks_have_two_each() -> None:
    macro, mobile = raynas.space("nasbench_macro"), raynas.space("mobilenet", se=True)
    assert macro.nonlinear_functions(macro.parse("22212202")) == 14
    assert macro.nonlinear_functions(macro.parse("00000000")) == 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        architecture = mobile.sample(rng)
        assert mobile.nonlinear_functions(architecture) == 2 * (21 - architecture.text.count("Identity"))


@pytest.mark.parametrize("name", sorted(set(SPACES) - {"module"}))
def test_every_space_counts_or_says_that_it_does_not(name: str) -> None:
    space = raynas.space(name)
    architecture = space.sample(np.random.default_rng(0))
    if name in HAVE:
        assert space.nonlinear_functions(architecture) >= 0
    else:
        with pytest.raises(ArchitectureError, match=f"{name} has no count of nonlinear functions.*overrides"):
            space.nonlinear_functions(architecture)


def test_classes_cover_a_subspace_once() -> None:
    space = raynas.space("nasbench201", connected=True).subspace({"3<-0": ("none", "nor_conv_1x1")})
    found = classes_by(space, space.nonlinear_functions)
    assert list(itertools.chain(*found.values())) != list(space.enumerate())  # sorted by class
    assert sorted(itertools.chain(*found.values())) == sorted(space.enumerate())
    assert all(space.nonlinear_functions(a) == count for count, members in found.items() for a in members)
    by_form = classes_by(space, lambda architecture: space.canonical(architecture).text)
    assert by_form == space.classes()
    with pytest.raises(ArchitectureError, match="more than the 2,000,000"):
        classes_by(raynas.space("mobilenet"), str)
