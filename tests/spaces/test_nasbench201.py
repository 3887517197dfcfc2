"""NAS-Bench-201 against the numbers of the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import space
from raynas.spaces.nasbench201 import EDGES, INPUT, OPERATIONS, Value, live_edges, shared_value

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


def test_counts_under_shared_weights() -> None:
    everything = list(SPACE.enumerate())
    live = {
        tuple(option if is_live else None for option, is_live in zip(a.options, live_edges(a.options), strict=True))
        for a in everything
    }
    assert len(live) == 9_445
    assert len({SPACE.shared_form(architecture) for architecture in everything}) == 7_810
    assert sum(SPACE.shared_form(architecture) == () for architecture in everything) == 341


def applied(operation: str, edge: int | None, x: float) -> float:
    """A number's stand-in for an operation: poolings are all alike, convolutions differ by edge, and none is linear."""
    if operation == "skip_connect":
        return x
    weight = {"nor_conv_1x1": 2.0, "nor_conv_3x3": 3.0, "avg_pool_3x3": 0.7}[operation]
    return (weight if edge is None else weight + 0.1 * edge) * (1 + x) ** 0.8


def computed(value: Value) -> float:
    return sum(1.0 if term == INPUT else applied(*term[:2], computed(term[2])) for term in value)


def test_shared_value_is_the_sum_over_the_edges() -> None:
    for architecture in list(SPACE.enumerate())[::7]:
        nodes: list[float | None] = [1.0, None, None, None]
        for place, (target, source) in enumerate(EDGES):
            operation, x = architecture.options[place], nodes[source]
            if operation != "none" and x is not None:
                edge = None if operation == "avg_pool_3x3" else place
                nodes[target] = (nodes[target] or 0.0) + applied(operation, edge, x)
        assert computed(shared_value(architecture.options)) == pytest.approx(nodes[3] or 0.0)


def test_shared_value_is_as_documented() -> None:
    text = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_1x1~0|skip_connect~1|avg_pool_3x3~2|"
    first = ("nor_conv_3x3", 0, (INPUT,))
    second = (("avg_pool_3x3", None, (first,)), INPUT)
    expected = (("avg_pool_3x3", None, second), ("nor_conv_1x1", 3, (INPUT,)), first)
    assert shared_value(SPACE.parse(text).options) == expected


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
