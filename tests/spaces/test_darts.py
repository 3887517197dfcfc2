"""The DARTS space: its size, the field's genotypes, and its canonical form."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import Architecture, space
from raynas.spaces.darts import CELLS, NODES, OPERATIONS, Edge, cells
from tests.conftest import shared_file

SPACE = space("darts")
V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""The network DARTS found (second order), as its authors write it."""


def test_size_and_names() -> None:
    assert SPACE.size == (180 * 7**8) ** 2
    assert [decision.name for decision in SPACE.decisions[:4]] == [
        "normal.node2.inputs", "normal.node2.op1", "normal.node2.op2", "normal.node3.inputs",
    ]  # fmt: skip
    assert SPACE.decision("reduce.node3.inputs").options == ("0,1", "0,2", "1,2")
    assert space("nasbench301").decisions == SPACE.decisions
    assert space("nasbench301").name == "darts"


def test_the_fields_genotype_is_read_in_any_order_of_edges() -> None:
    architecture = SPACE.parse(V2)
    normal, reduction = cells(architecture.options)
    assert normal[2] == (("skip_connect", 0), ("sep_conv_3x3", 1))
    assert reduction[3] == (("max_pool_3x3", 1), ("skip_connect", 2))
    assert "('skip_connect', 0), ('sep_conv_3x3', 1)" in str(architecture)
    assert SPACE.parse(V2.replace("[2, 3, 4, 5]", "range(2, 6)")) == architecture


def test_trained_networks_round_trip() -> None:
    with np.load(shared_file("other_spaces/darts_random_cifar10.npz"), allow_pickle=False) as stored:
        names, ops, inputs = stored["op_names"].tolist(), stored["op"], stored["input"]
    assert sorted(names) == sorted(OPERATIONS)
    for op, source in zip(ops, inputs, strict=True):
        edges = [
            [{(names[op[c, n, e]], int(source[c, n, e])) for e in range(2)} for n in range(4)]
            for c in range(len(CELLS))
        ]
        written = [
            [(names[op[c, n, e]], int(source[c, n, e])) for n in range(4) for e in range(2)] for c in range(len(CELLS))
        ]
        text = ", ".join(f"{c}={w}, {c}_concat=range(2, 6)" for c, w in zip(CELLS, written, strict=True))
        architecture = SPACE.parse(f"Genotype({text})")
        assert [[set(node) for node in cell] for cell in cells(architecture.options)] == edges
        assert SPACE.parse(str(architecture)) == architecture


Nodes = tuple[tuple[Edge, Edge], ...]


def relabelled(nodes: Nodes) -> list[Nodes]:
    """Return the cell with its nodes renamed in every way that keeps inputs before their users."""
    found = []
    for order in itertools.permutations(NODES):
        label = {0: 0, 1: 1, **dict(zip(NODES, order, strict=True))}
        renamed = {
            label[node]: tuple(sorted(((op, label[source]) for op, source in edges), key=lambda edge: edge[1]))
            for node, edges in zip(NODES, nodes, strict=True)
        }
        if all(source < node for node, edges in renamed.items() for _, source in edges):
            found.append(tuple(renamed[node] for node in NODES))
    return found


def genotype(*both: Nodes) -> Architecture:
    fields = (f"{c}={[e for edges in nodes for e in edges]}" for c, nodes in zip(CELLS, both, strict=True))
    return SPACE.parse(f"Genotype({', '.join(fields)}, normal_concat=range(2, 6), reduce_concat=range(2, 6))")


def test_relabelled_nodes_have_one_canonical_form() -> None:
    rng = np.random.default_rng(0)
    pairs = 0
    for _ in range(60):
        architecture = SPACE.sample(rng)
        normal, reduction = cells(architecture.options)
        canonical = SPACE.canonical(architecture)
        assert cells(canonical.options)[0] in relabelled(normal)
        assert cells(canonical.options)[1] in relabelled(reduction)
        for other in [genotype(n, reduction) for n in relabelled(normal)]:
            pairs += other != architecture
            assert SPACE.canonical(other) == canonical
    assert pairs > 10


def test_only_relabelled_cells_share_their_canonical_form() -> None:
    architecture = SPACE.parse(V2)
    ways = [relabelled(nodes) for nodes in cells(architecture.options)]
    same = []
    for neighbour in SPACE.neighbours(architecture):
        same.append(all(nodes in way for nodes, way in zip(cells(neighbour.options), ways, strict=True)))
        assert (SPACE.canonical(neighbour) == SPACE.canonical(architecture)) == same[-1], neighbour
    # Two of its nodes are alike, so that another user of theirs can take the one or the other.
    assert any(same)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("('sep_conv_3x3', 0)", "('sepconv_3x3', 0)", "'sepconv_3x3' on edge 1 of node 2 in the normal cell.*did you"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "input 5 on edge 2 of node 5 in the normal cell.*0 to 4"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)", "node 5 in the normal cell .* takes input 0 twice"),
        ("('dil_conv_3x3', 2)", "3", "3 on edge 2 of node 5 in the normal cell .*is not of the form"),
        (", ('dil_conv_3x3', 2)", "", "the normal cell .* must be a list of 8"),
        ("reduce_concat=[2, 3, 4, 5]", "reduce_concat=range(10**9)", "reduce_concat .* must name the nodes"),
        ("normal_concat=[2, 3, 4, 5], ", "", "is not of the form Genotype"),
        ("Genotype(", "__import__('os').system(", "is not of the form Genotype"),
        ("('sep_conv_3x3', 0)", "(print('x'), 0)", "the normal cell .* must be a list of 8"),
    ],
)
def test_malformed_genotypes_name_the_place(old: str, new: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        SPACE.parse(V2.replace(old, new, 1))


def test_deep_nesting_is_refused_quickly() -> None:
    start = time.perf_counter()
    with pytest.raises(ArchitectureError, match="is not of the form"):
        SPACE.parse("Genotype(" + "(" * 5000 + ")" * 5000)
    assert time.perf_counter() - start < 5
