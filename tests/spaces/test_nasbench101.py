"""NAS-Bench-101 against real cells, the benchmark's hash and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import Architecture
from raynas.spaces.nasbench101 import EDGES, OPERATIONS, Nasbench101, cell_hash, cell_options, pruned
from tests.conftest import shared_file

SPACE = Nasbench101()
MATRIX = [
    [0, 1, 0, 0, 1, 1, 0],
    [0, 0, 1, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
FULL = f"matrix={[[int(s < t) for t in range(7)] for s in range(7)]};ops=[input,{','.join(OPERATIONS[:1] * 5)},output]"
OPS = ["input", OPERATIONS[0], OPERATIONS[2], OPERATIONS[0], OPERATIONS[0], OPERATIONS[1], "output"]


@pytest.fixture(scope="module")
def real_cells() -> list[Architecture]:
    with np.load(shared_file("other_spaces/nasbench101_cells_energy.npz"), allow_pickle=False) as stored:
        names = stored["op_names"].tolist()
        counts = (stored["ops"] > 0).sum(axis=1)
        return [
            SPACE.from_matrix(matrix[:count, :count], [names[op] for op in ops[:count]])
            for matrix, ops, count in zip(stored["adjacency"], stored["ops"], counts.tolist(), strict=True)
        ]


def reordered(architecture: Architecture, rng: np.random.Generator) -> Architecture:
    """Return the pruned cell with its vertices in another order that keeps the matrix upper triangular."""
    matrix, ops = (np.array(part) for part in pruned(architecture.options))
    order: list[int] = []
    while len(order) < len(ops):
        left = [vertex for vertex in range(len(ops)) if vertex not in order]
        ready = [vertex for vertex in left if not matrix[left, vertex].any()]
        order.append(ready[int(rng.integers(len(ready)))])
    return SPACE.from_matrix(matrix[np.ix_(order, order)], ops[order].tolist())


def test_the_hash_is_the_benchmarks() -> None:
    assert cell_hash(SPACE.from_matrix(MATRIX, OPS).options) == "00005c142e6f48ac74fdcf73e3439874"


def test_notation_is_the_unpruned_cell() -> None:
    architecture = SPACE.from_matrix(MATRIX, OPS)
    rows = ",".join(str(row).replace(" ", "") for row in MATRIX)
    assert str(architecture) == f"matrix=[{rows}];ops=[{','.join(OPS)}]"
    assert SPACE.parse(f"matrix={MATRIX}; ops={OPS}") == architecture
    assert [decision.name for decision in SPACE.decisions][:2] == ["0->1", "0->2"]
    assert [decision.name for decision in SPACE.decisions][20:22] == ["5->6", "vertex1"]


def test_small_cells_are_padded() -> None:
    architecture = SPACE.parse("matrix=[[0,1,1],[0,0,1],[0,0,0]];ops=[input,maxpool3x3,output]")
    assert [edge for edge, option in zip(EDGES, architecture.options, strict=False) if option == "1"] == [
        (0, 1), (0, 6), (1, 6),
    ]  # fmt: skip
    assert architecture.options[21:] == (OPERATIONS[2], *[OPERATIONS[0]] * 4)
    assert pruned(architecture.options) == (((0, 1, 1), (0, 0, 1), (0, 0, 0)), ("input", "maxpool3x3", "output"))
    assert SPACE.canonical(SPACE.from_matrix([[0, 1], [0, 0]], ["input", "output"])) in SPACE


def test_real_cells_are_members_and_round_trip(real_cells: list[Architecture]) -> None:
    assert len(real_cells) == 4_310
    for architecture in real_cells:
        assert SPACE.parse(str(architecture)) == architecture
        assert sum(SPACE.active(architecture.options)[:21]) <= 9


def test_hash_and_canonical_form_agree_on_real_cells(real_cells: list[Architecture]) -> None:
    rng = np.random.default_rng(0)
    by_hash: dict[str, str] = {}
    moved = 0
    for architecture in real_cells:
        other = reordered(architecture, rng)
        moved += other != architecture
        own, canonical = cell_hash(architecture.options), SPACE.canonical(architecture)
        assert other == architecture or cell_hash(other.options) == own
        assert SPACE.canonical(other) == canonical
        assert by_hash.setdefault(own, canonical.text) == canonical.text
    assert len(set(by_hash.values())) == len(by_hash) > 4_000
    assert moved > 1_000


@pytest.mark.parametrize(("count", "distinct"), [(2, 1), (3, 6), (4, 84)])
def test_all_small_cells_have_the_benchmarks_number_of_classes(count: int, distinct: int) -> None:
    pairs = list(itertools.combinations(range(count), 2))
    hashes, representatives = set(), set()
    for edges in itertools.product((0, 1), repeat=len(pairs)):
        matrix = np.zeros((count, count), int)
        matrix[tuple(np.transpose(pairs))] = edges
        for ops in itertools.product(OPERATIONS, repeat=count - 2):
            options = cell_options(matrix, ("input", *ops, "output"))
            if SPACE.is_valid(options) and len(pruned(options)[1]) == count:
                hashes.add(cell_hash(options))
                representatives.add(SPACE.canonical(SPACE.make(options)))
    assert len(hashes) == len(representatives) == distinct


def test_what_is_pruned_is_not_active_and_does_not_matter() -> None:
    rows = [row[:] for row in MATRIX]
    rows[3][5] = rows[0][3] = rows[2][3] = 0
    plain = SPACE.from_matrix(rows, OPS)
    rows[3][5] = 1
    fed_by_nothing = SPACE.from_matrix(rows, OPS)
    assert plain != fed_by_nothing
    assert SPACE.active(plain.options) == SPACE.active(fed_by_nothing.options)
    assert not SPACE.active(plain.options)[21 + 2]
    assert SPACE.canonical(plain) == SPACE.canonical(fed_by_nothing)


def test_counting_agrees_with_brute_force() -> None:
    fixed = {f"{source}->{target}": ("1",) for source, target in [(0, 1), (1, 2), (2, 6), (0, 6), (1, 6)]}
    fixed |= {f"{source}->{target}": ("0",) for source, target in [(3, 4), (0, 5), (1, 5)]}
    part = SPACE.subspace({**fixed, **{f"vertex{v}": OPERATIONS[:1] for v in range(1, 6)}, "vertex2": OPERATIONS[1:]})
    everything = list(part.enumerate())
    assert 0 < len(everything) == part.size < 2**13 * 2


def test_size_of_the_whole_space_by_sampling() -> None:
    rng = np.random.default_rng(0)
    edges = rng.integers(2, size=(4_000, 21)).astype(str).tolist()
    share = np.mean([SPACE.is_valid_part(0, (*row, *[OPERATIONS[0]] * 5)) for row in edges])
    assert SPACE.size == pytest.approx(float(share) * 2**21 * 3**5, rel=0.06)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("matrix=[[0,1],[0,0]];ops=[input,outptu]", "'outptu' of vertex 1.*did you mean 'output'"),
        ("matrix=[[0,1,0],[0,0,1],[0,0,0]];ops=[input,conv3x3,output]", "'conv3x3' of vertex 1.*'conv3x3-bn-relu'"),
        ("matrix=[[0,1],[1,0]];ops=[input,output]", "entry 1->0 of the matrix is 1"),
        ("matrix=[[0,2],[0,0]];ops=[input,output]", "entry 0->1 of the matrix is 2 .allowed: 0, 1"),
        ("matrix=[[0,1],[0]];ops=[input,output]", "square matrix of 2 to 7"),
        ('matrix=[[0,"a"],[0,0]];ops=[input,output]', "entry 0->"),
        ("matrix=[[0,1],[0,0]];ops=[input]", "1 ops"),
        ("matrix=[[0,1;ops=[input]", "is not of the form"),
        ("matrix=[[0,0],[0,0]];ops=[input,output]", "breaks the validity rule of nasbench101: no path leads"),
        (FULL, "breaks the validity rule of nasbench101: 21 edges are on paths .* at most 9 may be"),
    ],
)
def test_malformed_notation_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        SPACE.parse(text)
    with pytest.raises(ArchitectureError, match="no path leads"):
        pruned((*["0"] * 21, *[OPERATIONS[0]] * 5))
