"""NAS-Bench-201 against the numbers of the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import space
from raynas.spaces.nasbench201 import EDGES, OPERATIONS, live_edges

SPACE = space("nasbench201")


def test_counts() -> None:
    everything = list(SPACE.enumerate())
    assert len(everything) == SPACE.size == 15_625
    assert len({SPACE.canonical(architecture) for architecture in everything}) == 6_466
    assert sum(not any(live_edges(architecture.options)) for architecture in everything) == 341
    assert space("nasbench201", connected=True).size == 15_625 - 341


def test_canonical_classes_are_the_benchmarks(nasbench201_table: dict[str, np.ndarray]) -> None:
    ours: dict[str, set[int]] = {}
    for text, iso_class in zip(nasbench201_table["arch"], nasbench201_table["iso_class"], strict=True):
        ours.setdefault(SPACE.canonical(SPACE.parse(str(text))).text, set()).add(int(iso_class))
    assert len(ours) == len(set(nasbench201_table["iso_class"].tolist()))
    assert all(len(classes) == 1 for classes in ours.values())


def test_live_edges_by_walking_all_paths() -> None:
    paths = [[(3, 0)], [(1, 0), (3, 1)], [(2, 0), (3, 2)], [(1, 0), (2, 1), (3, 2)]]
    rng = np.random.default_rng(0)
    for _ in range(500):
        options = SPACE.sample(rng).options
        open_edges = {edge for edge, option in zip(EDGES, options, strict=True) if option != "none"}
        on_path = {edge for path in paths if set(path) <= open_edges for edge in path}
        assert live_edges(options) == tuple(edge in on_path for edge in EDGES)


def test_notation() -> None:
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    architecture = SPACE.parse(text)
    assert architecture.options == (
        "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none",
    )  # fmt: skip
    assert str(architecture) == text
    assert [decision.name for decision in SPACE.decisions] == ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
    assert all(decision.options == OPERATIONS for decision in SPACE.decisions)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("|conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "'conv_3x3' on edge 1<-0.*did you mean 'nor_conv_3x3'"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "node 2 .* must take its inputs"),
        ("|none~0|+|none~0|none~1|", "is not of the form"),
        ("", "is not of the form"),
    ],
)
def test_malformed_notation_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        SPACE.parse(text)


def test_disconnected_cell_is_refused_where_asked() -> None:
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert SPACE.parse(text) in SPACE
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("nasbench201", connected=True).parse(text)
