"""The monocular depth spaces."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.errors import ArchitectureError, ConfigError
from raynas.spaces import Space, space
from raynas.spaces.depth import DepthSpace, DepthV2

CELL = "|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (space("depth_v1"), 3_124),
        (space("depth_v1", sync=False), 3_124**4),
        (space("depth_v2"), 12_499),
        (space("depth_v2", sync=False), 12_499**4),
        (space("depth_v1", nodes=1), 24),
        (space("depth_v1", nodes=3), 5**9 - 1),
    ],
    ids=str,
)
def test_sizes(made: Space, size: int) -> None:
    assert made.size == size


def test_counts_of_subspaces_agree_with_brute_force() -> None:
    whole = space("depth_v2")
    for part in whole.partition(["2<-0", "upsample"]):
        assert len(list(part.enumerate())) == part.size


def test_names_and_notation() -> None:
    assert [d.name for d in space("depth_v2").decisions] == ["2<-0", "2<-1", "3<-0", "3<-1", "3<-2", "upsample"]
    assert [d.name for d in space("depth_v2", sync=False).decisions][5:7] == ["cell1.upsample", "cell2.2<-0"]
    assert str(space("depth_v1").parse(CELL)) == CELL
    text = ";".join([f"{CELL}@bicubic"] * 4)
    architecture = space("depth_v2", sync=False).parse(text)
    assert str(architecture) == text
    assert DepthV2(sync=False).split(architecture.options)[3] == (
        "none", "skip_connect", "none", "none", "nor_conv_3x3", "bicubic",
    )  # fmt: skip


def test_the_cell_of_first_options_is_refused() -> None:
    nothing = CELL.replace("skip_connect", "none").replace("nor_conv_3x3", "none")
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("depth_v1").parse(nothing)
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("depth_v2").parse(f"{nothing}@bilinear")
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("depth_v1", sync=False).parse(";".join([CELL, CELL, nothing, CELL]))
    assert space("depth_v2").parse(f"{nothing}@bicubic") in space("depth_v2")


def test_active_edges_lead_from_an_input_to_the_last_node() -> None:
    made = space("depth_v2")
    assert made.active(made.parse(f"{CELL}@bicubic").options) == (False, True, False, False, True, True)
    unused = "|skip_connect~0|skip_connect~1|+|none~0|avg_pool_3x3~1|none~2|@bilinear"
    assert made.active(made.parse(unused).options) == (False, False, False, True, False, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CELL, "lacks its upsampling"),
        (f"{CELL}@bilinaer", "'bilinaer' at the end.*did you mean 'bilinear'"),
        (f"{CELL.replace('none', 'non', 1)}@bilinear", "'non' on edge 2<-0.*did you mean 'none'"),
        (f"{CELL}@bilinear;{CELL}@bilinear", "has 2 cells"),
        ("|none~0|+|none~0|none~1|@bilinear", "node 2 .* must take its inputs from 0 to 1"),
    ],
)
def test_malformed_notation_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        space("depth_v2").parse(text)


def test_a_cell_needs_an_inner_node() -> None:
    with pytest.raises(ConfigError, match="'nodes': input should be greater than or equal to 1, got 0"):
        space("depth_v1", nodes=0)


def reached(edges: set[tuple[int, int]], start: set[int]) -> set[int]:
    """Return what can be reached along edges (from, to)."""
    found = set(start)
    while more := {to for source, to in edges if source in found} - found:
        found |= more
    return found


def function_of(made: Space, options: tuple[str, ...]) -> object:
    """Return what a whole decoder computes as a set of labelled edges of one graph, found by reachability alone.

    Vertices are (cell, node); a cell's node 0 is the cell before's last one, behind its upsampling.
    """
    assert isinstance(made, DepthSpace)
    cells = made.split(options) * (4 if made.sync else 1)
    last = made.last_node
    label = {}
    for number, cell in enumerate(cells):
        for (target, source), operation in zip(made.edges, cell, strict=False):
            if operation != "none":
                label[(number, source), (number, target)] = operation
    inputs = {(0, 0), *((number, 1) for number in range(4))}
    links = {((number, last), (number + 1, 0)) for number in range(3)}
    # Enlarging a cell gives a map whatever the cell holds: its reader's node 0 is always fed.
    fed = reached(set(label), inputs | {(number, 0) for number in range(4)})
    back = {(to, source) for source, to in {*(edge for edge in label if edge[0] in fed), *links}}
    used = reached(back, {(3, last)})
    edges = {(edge, operation) for edge, operation in label.items() if edge[0] in fed and edge[1] in used}
    ends = set()
    for number, cell in enumerate(cells):
        if (number, last) in used and len(cell) > len(made.edges):
            is_zero = not any(edge[1] == (number, last) for edge, _ in edges)
            ends.add((number, "interpolation" if is_zero and cell[-1][:2] == "bi" else cell[-1]))
    return frozenset(edges), frozenset(ends)


@pytest.mark.parametrize(("name", "nodes"), [("depth_v1", 2), ("depth_v2", 2), ("depth_v1", 1), ("depth_v2", 1)])
def test_classes_of_shared_cells_by_reachability(name: str, nodes: int) -> None:
    made = space(name, nodes=nodes)
    classes: dict[str, set[object]] = {}
    for architecture in made.enumerate():
        canonical = made.canonical(architecture)
        assert canonical in made
        assert made.canonical(canonical) == canonical
        assert function_of(made, canonical.options) == function_of(made, architecture.options)
        classes.setdefault(canonical.text, set()).add(function_of(made, architecture.options))
    assert all(len(functions) == 1 for functions in classes.values())
    assert len(set.union(*classes.values())) == len(classes)
    if (name, nodes) == ("depth_v1", 2):
        # 25 choices of 3<-0 and 3<-1 with 3<-2 none, of which one is a cell of zeros; or with one of four operations
        # on 3<-2, and 24 pairs of edges into node 2 (without any, 3<-2 is dead).
        assert len(classes) == 25 + 25 * 4 * 24


@pytest.mark.parametrize("name", ["depth_v1", "depth_v2"])
def test_canonical_form_of_own_cells(name: str) -> None:
    made, rng = space(name, sync=False), np.random.default_rng(0)
    # Mostly cells with few edges, which are often unread or without a path.
    few = [d.name for d in made.decisions if d.name.endswith(("3<-0", "3<-1"))]
    part = made.subspace({decision: ["none", "skip_connect"] for decision in few})
    seen = set()
    for architecture in (part.sample(rng) for _ in range(400)):
        canonical = made.canonical(architecture)
        assert canonical in made
        assert made.canonical(canonical) == canonical
        assert function_of(made, canonical.options) == function_of(made, architecture.options)
        active = made.active(architecture.options)
        for place, decision in enumerate(made.decisions):  # neither more nor less than what changes the function
            options = architecture.options
            others = [(*options[:place], o, *options[place + 1 :]) for o in decision.options if o != options[place]]
            functions = {function_of(made, o) for o in others if made.active(o)[place] <= active[place]}
            assert (functions - {function_of(made, options)} != set()) == active[place] or not others
        seen.add(active)
    assert len(seen) > 50


def test_a_cell_that_no_later_cell_reads_is_not_active() -> None:
    made = space("depth_v2", sync=False)
    reads, blind = "|none~0|none~1|+|skip_connect~0|none~1|none~2|", "|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    text = ";".join(f"{cell}@bicubic" for cell in (reads, reads, blind, reads))
    active = made.active(made.parse(text).options)
    assert [place for place, live in enumerate(active) if live] == [15, 17, 20, 23]
    shortest = "|none~0|none~1|+|none~0|none~1|none~2|@bicubic"
    assert made.canonical(made.parse(text)).text == f"{shortest};{shortest};{blind}@bicubic;{reads}@bicubic"
